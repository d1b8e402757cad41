//! The service's own topics: its catalog, its progress and its processing log. Statements may read
//! them, and never write, make or delete them: that would destroy the service.

use millrace_sql::analyze::Analyzed;

use crate::api::{ApiError, ApiResult};
use crate::error::EngineError;
use crate::names::Names;

/// Refuses a statement that would write, make or delete a topic of a service itself.
///
/// # Errors
/// `User`, with the topic and what to do instead.
pub(super) fn check(names: &Names, analyzed: &Analyzed) -> ApiResult<()> {
    let Some((what, topic)) = touched(analyzed).filter(|(_, topic)| names.is_own(topic)) else {
        return Ok(());
    };
    Err(refused(what, topic))
}

/// As [`check`], of a topic that rows are inserted into.
///
/// # Errors
/// `User`.
pub(super) fn check_insert(names: &Names, topic: &str) -> ApiResult<()> {
    match names.is_own(topic) {
        true => Err(refused(Touch::Insert, topic)),
        false => Ok(()),
    }
}

/// What a statement would do to a topic.
#[derive(Debug, Clone, Copy)]
enum Touch {
    Insert,
    Write,
    Make,
    Delete,
}

/// The topic that a statement changes, or may make.
fn touched(analyzed: &Analyzed) -> Option<(Touch, &str)> {
    Some(match analyzed {
        Analyzed::InsertValues(row) => (Touch::Insert, &row.target.topic),
        Analyzed::InsertInto(new) => (Touch::Write, &new.target.topic),
        Analyzed::CreateAs(new) => (Touch::Write, &new.source.topic),
        Analyzed::CreateSink(new) => (Touch::Write, &new.target.topic),
        // Without a wish to make it, the topic is only read.
        Analyzed::CreateSource(new) if new.create_topic.is_some() => {
            (Touch::Make, &new.source.topic)
        }
        Analyzed::Drop(drop) if drop.delete_topic => (Touch::Delete, &drop.source.topic),
        Analyzed::DropSink(drop) if drop.delete_topic => (Touch::Delete, &drop.sink.table.topic),
        _ => return None,
    })
}

fn refused(touch: Touch, topic: &str) -> ApiError {
    let message = match touch {
        // ksqlDB's words.
        Touch::Insert => format!("Cannot insert values into read-only topic: {topic}"),
        Touch::Write => format!(
            "Cannot write to read-only topic: {topic}. It is the server's own; choose another \
             KAFKA_TOPIC"
        ),
        Touch::Make => format!(
            "Cannot make topic {topic}: such names are the server's own. Leave PARTITIONS out to \
             read it when it is there, or choose another KAFKA_TOPIC"
        ),
        Touch::Delete => format!(
            "Cannot delete read-only topic: {topic}. It is the server's own; leave DELETE TOPIC out"
        ),
    };
    ApiError::Engine(EngineError::User(message))
}
