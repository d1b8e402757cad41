//! What a REST case has beyond statements and records.

use serde_json::{Map, Value};

use super::super::case::Case;

/// A case as it is run.
#[derive(Debug, Clone)]
pub struct RestCase {
    pub case: Case,
    /// Sent with every request, as written.
    pub properties: Map<String, Value>,
    pub responses: Vec<Value>,
    pub expected_error: Option<ExpectedError>,
    /// Inputs are written only once the push query runs.
    pub wait_for_push: bool,
    /// Rows must come in the order of the file.
    pub verify_order: bool,
    /// Queries are asked a second time, as Protobuf.
    pub protobuf: bool,
}

/// The refusal that a case expects; absent parts are not looked at.
#[derive(Debug, Clone, Default)]
pub struct ExpectedError {
    pub class: Option<String>,
    pub message: Option<String>,
    pub status: Option<u16>,
}

impl RestCase {
    /// What the fields of a case beyond statements and records say.
    pub fn of(case: &Case) -> Self {
        let raw = &case.raw;
        let condition = |group: &str, name: &str| {
            raw.get(group).and_then(|g| g.get(name)) == Some(&Value::Bool(true))
        };
        let properties = raw.get("properties").and_then(Value::as_object);
        let responses = raw.get("responses").and_then(Value::as_array);
        RestCase {
            case: case.clone(),
            properties: properties.cloned().unwrap_or_default(),
            responses: responses.cloned().unwrap_or_default(),
            expected_error: raw.get("expectedError").map(expected_error),
            wait_for_push: condition("inputConditions", "waitForActivePushQuery"),
            verify_order: condition("outputConditions", "verifyOrder"),
            protobuf: raw.get("testPullWithProtoFormat") == Some(&Value::Bool(true)),
        }
    }
}

fn expected_error(error: &Value) -> ExpectedError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    let status = error.get("status").and_then(Value::as_u64);
    ExpectedError {
        class: text("type"),
        message: text("message"),
        status: status.and_then(|s| u16::try_from(s).ok()),
    }
}
