//! Errors of the engine: the kind decides what happens, in one table ([`Kind`]).

use crate::log::{LogError, Lost, ReadError, SendError};

pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// A failure inside the engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    User(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("the transaction was lost: {0:?}")]
    Lost(Lost),
    /// The log gave a transaction up and named nobody.
    #[error("the transaction was aborted: {0}")]
    Unexplained(String),
    #[error("{0}")]
    Config(String),
    /// State that cannot be understood: damaged files.
    #[error("state store: {0}")]
    State(String),
    /// The disk under the state refuses to read or to write.
    #[error("state store: {0}")]
    Disk(String),
    #[error("bug: {0}")]
    Bug(String),
    /// Something broke off in the midst of its work.
    #[error("bug: {0}")]
    Panic(String),
}

/// What a failure does. One table for the whole engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The statement fails.
    User,
    /// Back off, then recover the lane.
    Retry,
    /// Close the lane without applying anything, ask for ownership again, then recover.
    Fenced,
    /// The query shows ERROR until something outside is changed; the others go on.
    Config,
    /// The state store of the lane is reopened (or moved aside) and restored.
    State,
    /// A broken invariant: the query shows ERROR, the report asks to file a bug.
    Bug,
}

impl EngineError {
    pub fn kind(&self) -> Kind {
        match self {
            EngineError::User(_) => Kind::User,
            EngineError::Log(LogError::Unreachable(_) | LogError::Other(_)) => Kind::Retry,
            EngineError::Log(LogError::Fenced(_)) => Kind::Fenced,
            EngineError::Log(LogError::Gone(_) | LogError::Denied(_)) => Kind::Config,
            EngineError::Read(ReadError::Unreachable(_)) => Kind::Retry,
            EngineError::Read(_) => Kind::Config,
            EngineError::Send(SendError::Full) => Kind::Retry,
            EngineError::Send(SendError::TooLarge { .. }) => Kind::Config,
            EngineError::Send(SendError::Dead(_)) => Kind::Fenced,
            EngineError::Lost(Lost::Fenced(_)) => Kind::Fenced,
            EngineError::Lost(_) | EngineError::Unexplained(_) => Kind::Retry,
            EngineError::Config(_) => Kind::Config,
            EngineError::State(_) | EngineError::Disk(_) => Kind::State,
            EngineError::Bug(_) | EngineError::Panic(_) => Kind::Bug,
        }
    }
}

impl From<arrow::error::ArrowError> for EngineError {
    fn from(error: arrow::error::ArrowError) -> Self {
        EngineError::Bug(format!("arrow: {error}"))
    }
}

impl From<datafusion::error::DataFusionError> for EngineError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        EngineError::Bug(format!("datafusion: {error}"))
    }
}

impl From<millrace_sql::error::SqlError> for EngineError {
    fn from(error: millrace_sql::error::SqlError) -> Self {
        EngineError::User(error.to_string())
    }
}
