//! The seam to the schema registry: schemas of keys and values that live outside the log.
//! `connectors` implements it.
//!
//! Statements may wait for the registry. The data path never does: it looks up what is here, and a
//! schema that is not makes its partition wait, not its lane (R21).

use std::sync::Arc;

use millrace_sql::catalog::{RegisteredSchema, SchemaText};

/// A schema registry.
pub trait SchemaRegistry: Send + Sync {
    /// The newest schema of `subject`; `None`: the registry has no such subject.
    fn latest(&self, subject: &str) -> RegistryResult<Option<Arc<RegisteredSchema>>>;

    /// The schema of that id; `None`: the registry has none.
    fn by_id(&self, id: u32) -> RegistryResult<Option<Arc<RegisteredSchema>>>;

    /// Registers a schema under `subject`, or finds it there. Idempotent.
    fn register(&self, subject: &str, schema: &SchemaText)
    -> RegistryResult<Arc<RegisteredSchema>>;

    /// Deletes a subject with all its versions; fine if there is none.
    fn delete(&self, subject: &str) -> RegistryResult<()>;

    /// What is known of an id here and now. Never waits; what is not known is asked for in the
    /// background.
    fn lookup(&self, id: u32) -> Lookup;

    /// Keeps a schema that a command recorded, so that nobody has to ask for it.
    fn remember(&self, schema: Arc<RegisteredSchema>);

    /// Why the registry cannot be used, when it cannot.
    fn trouble(&self) -> Option<String>;
}

pub type RegistryResult<T> = Result<T, RegistryError>;

/// What is known of a schema id.
#[derive(Debug, Clone)]
pub enum Lookup {
    Known(Arc<RegisteredSchema>),
    /// The registry says that there is none.
    Missing(String),
    /// The registry was asked, or could not be.
    Wait,
}

/// A registry that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// It did not answer.
    #[error("the schema registry cannot be reached: {0}")]
    Unreachable(String),
    /// It said no, in its own words.
    #[error("{message}; error code: {code}")]
    Refused { code: i64, message: String },
}

/// The registry's name for the schemas of a topic's keys or values.
pub fn subject(topic: &str, is_key: bool) -> String {
    format!("{topic}-{}", if is_key { "key" } else { "value" })
}
