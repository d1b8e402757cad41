//! How a table is doing: what a controller says of the segments that are being filled.

use std::collections::{BTreeMap, BTreeSet};

use millrace_engine::olap::OlapState;
use serde_json::Value;

/// How far a table has read.
pub(super) struct Consuming {
    next: BTreeMap<u32, i64>,
    /// Every segment that should be filled is, by all its servers.
    pub whole: bool,
    /// The segments that are filled now.
    pub segments: BTreeSet<String>,
    /// One that nobody fills, though somebody should.
    stalled: Option<String>,
    /// A server that has given a segment up, or servers that do not answer.
    given_up: Option<String>,
}

impl Consuming {
    pub fn of(info: &Value) -> Consuming {
        let empty = serde_json::Map::new();
        let segments = info["_segmentToConsumingInfoMap"].as_object().unwrap_or(&empty);
        let (mut next, mut whole) = (BTreeMap::new(), !segments.is_empty());
        let (mut stalled, mut given_up) = (None, silent(info));
        for (segment, servers) in segments {
            let servers = servers.as_array().map(Vec::as_slice).unwrap_or_default();
            let rests = |server: &&Value| server["consumerState"] != "CONSUMING";
            if let Some(server) = servers.iter().find(rests) {
                let name = server["serverName"].as_str().unwrap_or("a server");
                (whole, given_up) =
                    (false, Some(format!("{name} does not fill segment {segment}")));
            } else if servers.is_empty() {
                (whole, stalled) = (false, Some(segment.clone()));
            }
            for server in servers {
                let offsets = server["partitionToOffsetMap"].as_object().unwrap_or(&empty);
                for (partition, offset) in offsets {
                    let offset = offset.as_str().and_then(|text| text.parse::<i64>().ok());
                    if let (Ok(partition), Some(offset)) = (partition.parse(), offset) {
                        // The slowest of the replicas.
                        let slowest = next.entry(partition).or_insert(offset);
                        *slowest = offset.min(*slowest);
                    }
                }
            }
        }
        whole &= given_up.is_none();
        Consuming { next, whole, segments: segments.keys().cloned().collect(), stalled, given_up }
    }
}

/// Servers that did not tell of their segments.
fn silent(info: &Value) -> Option<String> {
    let silent = info["serversFailingToRespond"].as_u64().filter(|silent| *silent > 0)?;
    Some(format!("{silent} of Pinot's servers do not tell of their segments"))
}

/// The partition of a segment that is named as Pinot names those it fills from a topic.
fn partition_of(segment: &str) -> Option<u32> {
    let mut parts = segment.rsplit("__");
    parts.nth(2)?.parse().ok()
}

/// The state, from the segments that are being filled and the answer of `/debug`.
pub(super) fn told(consuming: Consuming, debug: &Value) -> OlapState {
    let Consuming { next, whole, segments, stalled, given_up } = consuming;
    let failing = failure(debug, &segments).or(given_up);
    let state = match (&failing, whole) {
        (Some(_), _) => OlapState::FAILING,
        (None, true) => OlapState::RUNNING,
        (None, false) => "STARTING",
    };
    let stalled = stalled.map(|segment| {
        format!(
            "no server fills segment {segment}; Pinot mends that by itself some minutes after a \
             server was lost"
        )
    });
    // One of a segment that is closed by now is past, and told all the same.
    let last_error = failing.or_else(|| first_error(debug)).or(stalled);
    let read = segments.iter().filter_map(|segment| partition_of(segment)).collect();
    OlapState { state: state.to_owned(), read: Some(read), next, last_error }
}

/// What goes wrong in one of the segments that are being filled: an exception there is of rows that are
/// missing now, or of a consumer that has stopped.
fn failure(debug: &Value, filled: &BTreeSet<String>) -> Option<String> {
    let tables = debug.as_array().map_or(std::slice::from_ref(debug), Vec::as_slice);
    tables.iter().find_map(|table| {
        let infos = table["segmentDebugInfos"].as_array().map_or(&[][..], Vec::as_slice);
        let ours = |info: &&Value| info["segmentName"].as_str().is_some_and(|n| filled.contains(n));
        let in_segment = infos.iter().filter(ours).find_map(|info| {
            first_error(info).or_else(|| {
                let servers = info["serverState"].as_object()?;
                let broken = servers.iter().find(|(_, state)| state["externalView"] == "ERROR");
                let (server, segment) = (broken?.0, info["segmentName"].as_str()?);
                Some(format!("{server} has segment {segment} in state ERROR"))
            })
        });
        let ingestion = &table["ingestionStatus"];
        let unhealthy = || {
            (ingestion["ingestionState"] == "UNHEALTHY")
                .then(|| first_error(ingestion).unwrap_or("Pinot calls it unhealthy".to_owned()))
        };
        in_segment.or_else(unhealthy)
    })
}

/// A message with what caused it, which a stack trace tells.
fn with_cause(message: &str, trace: Option<&Value>) -> String {
    let trace = trace.and_then(Value::as_str).unwrap_or_default();
    match trace.lines().filter_map(|line| line.strip_prefix("Caused by: ")).next_back() {
        Some(cause) => format!("{cause}; {message}"),
        None => message.to_owned(),
    }
}

/// The first message of an error in an answer of `/debug`.
fn first_error(debug: &Value) -> Option<String> {
    match debug {
        Value::Object(members) => {
            let own = members.get("errorMessage").and_then(Value::as_str);
            let own = own.filter(|message| !message.is_empty());
            let own = own.map(|message| with_cause(message, members.get("stackTrace")));
            own.or_else(|| members.values().find_map(first_error))
        }
        Value::Array(items) => items.iter().find_map(first_error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SEGMENT: &str = "t__1__7__20261121T2200Z";

    fn consuming(servers: &Value, silent: u64) -> Value {
        let first = json!([{
            "serverName": "A", "consumerState": "CONSUMING", "partitionToOffsetMap": { "0": "5" },
        }]);
        let mut segments = json!({ "t__0__3__20261121T2200Z": first });
        segments[SEGMENT] = servers.clone();
        json!({ "_segmentToConsumingInfoMap": segments, "serversFailingToRespond": silent })
    }

    fn server(state: &str) -> Value {
        json!([{
            "serverName": "A", "consumerState": state, "partitionToOffsetMap": { "1": "9" },
        }])
    }

    fn debug(segment: &str, state: &Value) -> Value {
        let info = json!({ "segmentName": segment, "serverState": { "A": state } });
        json!([{ "tableName": "t_REALTIME", "segmentDebugInfos": [info] }])
    }

    fn check(info: &Value, debug: &Value, state: &str, error: Option<&str>) {
        let told = told(Consuming::of(info), debug);
        assert_eq!(told.state, state, "{debug}");
        let said = told.last_error.as_deref();
        let right = match error {
            Some(part) => said.is_some_and(|said| said.contains(part)),
            None => said.is_none(),
        };
        assert!(right, "{said:?} instead of {error:?}");
        assert_eq!(told.read, Some(BTreeSet::from([0, 1])));
    }

    #[test]
    fn a_table_whose_segments_fail_is_not_running() {
        let (well, quiet) = (consuming(&server("CONSUMING"), 0), json!([]));
        let trace = "java.lang.RuntimeException: x\n\tat y\nCaused by: no broker";
        let thrown = json!({
            "errorInfo": { "errorMessage": "Exception while in work", "stackTrace": trace },
        });
        let broken = json!({ "externalView": "ERROR" });
        let unhealthy = |why: &str| {
            let status = json!({ "ingestionState": "UNHEALTHY", "errorMessage": why });
            json!([{ "segmentDebugInfos": [], "ingestionStatus": status }])
        };
        check(&well, &quiet, "RUNNING", None);
        check(&well, &Value::Null, "RUNNING", None);
        check(&well, &debug(SEGMENT, &json!({ "externalView": "CONSUMING" })), "RUNNING", None);
        let cause = Some("no broker; Exception while in work");
        check(&well, &debug(SEGMENT, &thrown), "FAILING", cause);
        check(&well, &debug("t__1__6__20261121T2100Z", &thrown), "RUNNING", cause);
        check(&well, &debug(SEGMENT, &broken), "FAILING", Some("in state ERROR"));
        check(&well, &unhealthy("offset out of range"), "FAILING", Some("offset out of range"));
        check(&well, &unhealthy(""), "FAILING", Some("unhealthy"));
        let stopped = consuming(&server("NOT_CONSUMING"), 0);
        check(&stopped, &quiet, "FAILING", Some("A does not fill segment t__1__7"));
        check(&stopped, &debug(SEGMENT, &thrown), "FAILING", cause);
        check(&consuming(&server("CONSUMING"), 1), &quiet, "FAILING", Some("1 of Pinot's servers"));
        check(&consuming(&json!([]), 0), &quiet, "STARTING", Some("no server fills segment"));
    }

    #[test]
    fn partitions_are_part_of_the_names_of_segments() {
        for (name, expected) in [
            (SEGMENT, Some(1)),
            ("a__b__12__0__20261121T2200Z", Some(12)),
            ("a_b", None),
            ("a__x__0__20261121T2200Z", None),
        ] {
            assert_eq!(partition_of(name), expected, "{name}");
        }
    }
}
