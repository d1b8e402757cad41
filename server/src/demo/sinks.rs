//! The demo's results in Pinot and Druid: the sinks, and what to ask there.

use millrace_engine::api::Api;
use millrace_sql::olap::OlapSystem;
use serde_json::{Map, json};

use crate::http::state::Server;
use crate::statements::{self, Session};
use crate::terminal::outln;

/// Tables of `flights.sql` that are shown there.
const TABLES: [&str; 3] = ["hourly_departures", "airline_delays", "landings"];

/// A Pinot or a Druid that the demo feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    system: OlapSystem,
    url: String,
}

/// Those that the command line names.
///
/// # Errors
/// There are some, and no Kafka that they can read.
pub fn targets(
    pinot: Option<&str>,
    druid: Option<&str>,
    has_kafka: bool,
) -> Result<Vec<Target>, String> {
    let named = [(OlapSystem::Pinot, pinot), (OlapSystem::Druid, druid)];
    let target = |(system, url): (OlapSystem, Option<&str>)| {
        Some(Target { system, url: url?.trim_end_matches('/').to_owned() })
    };
    let targets: Vec<Target> = named.into_iter().filter_map(target).collect();
    match targets.first() {
        Some(target) if !has_kafka => Err(format!(
            "--{} needs --bootstrap-servers HOST:PORT: without it the demo runs on a log of its \
             own, and {} reads topics of a Kafka",
            target.flag(),
            target.name()
        )),
        _ => Ok(targets),
    }
}

/// Makes the sinks that are not there yet.
///
/// # Errors
/// What is refused; one line.
pub fn create(server: &Server, targets: &[Target]) -> Result<(), String> {
    for target in targets {
        for table in TABLES {
            let sink = target.sink(table);
            if server.api.catalog().sinks.contains_key(&sink.to_uppercase()) {
                continue;
            }
            let (system, property) = (target.system.name(), target.system.url_property());
            let sql = format!(
                "CREATE SINK {sink} FOR {system} FROM {table} WITH ({property}='{}', \
                 TABLE='{table}'{});",
                target.url.replace('\'', "''"),
                target.further()
            );
            let session = Session::new(&server.config.session, &Map::new(), &Map::new());
            let session = session.map_err(|e| e.message)?;
            // Shown when it was taken: a URL with a password in it is not.
            statements::run(server, &sql, session).map_err(|e| e.message)?;
            outln!("{sql}");
        }
    }
    Ok(())
}

/// What to ask of each target, as commands of a shell.
pub fn next_steps(api: &dyn Api, targets: &[Target]) -> String {
    targets.iter().map(|target| target.next_steps(api)).collect()
}

impl Target {
    fn flag(&self) -> String {
        self.system.name().to_lowercase()
    }

    fn name(&self) -> &'static str {
        match self.system {
            OlapSystem::Pinot => "Pinot",
            OlapSystem::Druid => "Druid",
        }
    }

    fn sink(&self, table: &str) -> String {
        format!("{table}_{}", self.flag())
    }

    /// Each interval of event time is a segment in Druid.
    fn further(&self) -> &'static str {
        match self.system {
            OlapSystem::Pinot => "",
            OlapSystem::Druid => ", SEGMENT_GRANULARITY='MONTH'",
        }
    }

    /// Departures and the worst hour of each airport.
    fn dashboard(&self, api: &dyn Api) -> String {
        let what = "\"origin\", SUM(\"flights\") AS \"departures\", \
                    MAX(\"mean_delay_min\") AS \"worst_hour_min\"";
        let grouped = "GROUP BY \"origin\" ORDER BY \"origin\"";
        let live = match self.system {
            OlapSystem::Pinot => "\"hourly_departures\" WHERE \"_deleted\" = false".to_owned(),
            OlapSystem::Druid => {
                let sinks = api.sinks(Some(&self.sink(TABLES[0]).to_uppercase()));
                let rows = sinks.ok().and_then(|sinks| Some(sinks.first()?.current_rows.clone()));
                format!("({})", rows.unwrap_or_default())
            }
        };
        format!("SELECT {what} FROM {live} {grouped}")
    }

    fn next_steps(&self, api: &dyn Api) -> String {
        let sql = self.dashboard(api);
        let (path, body) = match self.system {
            OlapSystem::Pinot => ("/sql", json!({ "sql": sql })),
            OlapSystem::Druid => ("/druid/v2/sql", json!({ "query": sql })),
        };
        format!(
            "\n\n  {} has the tables {}; ask it for departures and worst hour of each airport:\n    \
             curl -s {}{path} -H 'Content-Type: application/json' -d '{body}'",
            self.name(),
            TABLES.join(", "),
            self.url
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_need_a_kafka() {
        for (pinot, druid, has_kafka, count) in [
            (None, None, false, 0),
            (None, None, true, 0),
            (Some("http://a:9000/"), None, true, 1),
            (Some("http://a:9000"), Some("http://b:8888"), true, 2),
        ] {
            let targets = targets(pinot, druid, has_kafka).unwrap();
            assert_eq!(targets.len(), count);
            assert!(targets.iter().all(|target| !target.url.ends_with('/')));
        }
        for (pinot, druid, flag) in
            [(Some("http://a"), None, "--pinot"), (None, Some("http://a"), "--druid")]
        {
            let why = targets(pinot, druid, false).unwrap_err();
            assert!(why.starts_with(&format!("{flag} needs --bootstrap-servers")), "{why}");
        }
    }
}
