//! ASSERT TOPIC and ASSERT SCHEMA: asked again until they hold or their time is over.

use std::time::{Duration, Instant};

use millrace_engine::api::Api;
use millrace_sql::ast::{AssertSchema, AssertTopic, Interval, Literal, Property};
use serde_json::{Value, json};

use super::entity::entity;
use crate::http::error::{HttpError, code};
use crate::limits;

/// `ASSERT [NOT EXISTS] TOPIC t [WITH (..)] [TIMEOUT ..]`.
///
/// # Errors
/// 417 when it does not come true in time.
pub fn topic(api: &dyn Api, assert: &AssertTopic, text: &str) -> Result<Value, HttpError> {
    let name = &assert.topic.value;
    until(text, assert.timeout.as_ref(), || {
        let topics = api.topics().map_err(|e| {
            let why = HttpError::from_api(text, e).message;
            format!("Cannot check topic existence: {why}")
        })?;
        match (topics.iter().find(|t| t.name == *name), assert.exists) {
            (Some(_), false) => Err(format!("Topic {name} exists")),
            (None, true) => Err(format!("Topic {name} does not exist")),
            (None, false) => Ok(()),
            (Some(topic), true) => {
                let differs = assert.properties.list.iter().filter_map(|property| {
                    let found = match property.name.value.to_lowercase().as_str() {
                        "partitions" => topic.partitions,
                        "replicas" => topic.replicas,
                        _ => {
                            let name = property.name.value.to_lowercase();
                            return Some(format!("Cannot assert unknown topic property: {name}"));
                        }
                    };
                    mismatch(name, property, found)
                });
                let differs: Vec<String> = differs.collect();
                if differs.is_empty() { Ok(()) } else { Err(differs.join("\n")) }
            }
        }
    })?;
    let members = json!({ "topicName": name, "exists": assert.exists });
    Ok(entity("assert_topic", text, members))
}

fn mismatch(topic: &str, property: &Property, found: u32) -> Option<String> {
    let expected = match &property.value {
        Literal::Integer(n) => n.to_string(),
        Literal::Bigint(n) => n.to_string(),
        Literal::String(text) => text.clone(),
        other => format!("{other:?}"),
    };
    let what = property.name.value.to_lowercase();
    (expected != found.to_string()).then(|| {
        format!(
            "Mismatched configuration for topic {topic}: For config {what}, expected {expected} \
             got {found}"
        )
    })
}

/// `ASSERT [NOT EXISTS] SCHEMA [SUBJECT s] [ID n] [TIMEOUT ..]`.
///
/// # Errors
/// 417 when it does not come true in time; 428 without a schema registry; 400 when it names nothing.
pub fn schema(api: &dyn Api, assert: &AssertSchema, text: &str) -> Result<Value, HttpError> {
    if assert.subject.is_none() && assert.id.is_none() {
        let message = "Failed to prepare statement: ASSERT SCHEMA statements much include a \
                       subject name or an id";
        return Err(HttpError::refused(text, message));
    }
    let subject = assert.subject.as_ref().map(|s| s.value.as_str());
    let has = || api.has_schema(subject, assert.id).map_err(|e| HttpError::from_api(text, e));
    if has()?.is_none() {
        let message = "Schema Registry is not configured: set ksql.schema.registry.url";
        return Err(HttpError::new(code::NO_REGISTRY, message).about(text));
    }
    let named = subject.map(|s| format!(" subject name {s}")).unwrap_or_default();
    let numbered = assert.id.map(|id| format!(" id {id}")).unwrap_or_default();
    until(text, assert.timeout.as_ref(), || match (has(), assert.exists) {
        (Ok(Some(found)), wanted) if found == wanted => Ok(()),
        (Ok(_), true) => Err(format!("Schema with{named}{numbered} does not exist")),
        (Ok(_), false) => Err(format!("Schema with{named}{numbered} exists")),
        (Err(e), _) => Err(format!("Cannot check schema existence: {}", e.message)),
    })?;
    let members = json!({ "subject": subject, "id": assert.id, "exists": assert.exists });
    Ok(entity("assert_schema", text, members))
}

fn until(
    text: &str,
    timeout: Option<&Interval>,
    mut check: impl FnMut() -> Result<(), String>,
) -> Result<(), HttpError> {
    let wanted = timeout.and_then(Interval::millis).and_then(|ms| u64::try_from(ms).ok());
    let wait = wanted.map_or(limits::ASSERT_WAIT, Duration::from_millis);
    let until = Instant::now() + wait.min(limits::ASSERT_WAIT_MAX);
    loop {
        match check() {
            Ok(()) => return Ok(()),
            Err(why) if Instant::now() >= until => {
                return Err(HttpError::new(code::ASSERTION, why).about(text));
            }
            Err(_) => std::thread::sleep(limits::ASSERT_PAUSE),
        }
    }
}
