//! A server of one measurement.

use std::path::Path;
use std::time::{Duration, Instant};

use millrace_tests::kill9::http;
use millrace_tests::kill9::server::{Launch, Server};
use millrace_tests::olap::target::Target;
use millrace_tests::rig::process::free_ports;

const READY_TIME_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// How the server is started, and where.
pub struct Node {
    pub launch: Launch,
    runs: usize,
}

impl Node {
    /// # Errors
    /// There is no folder or no port for it.
    pub fn new(bootstrap: &str, dir: &Path, run: &str, commit_ms: u32) -> Result<Node, String> {
        let dir = dir.join(run);
        std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let launch = Launch {
            bootstrap: bootstrap.to_owned(),
            port: free_ports(1)?[0],
            service_id: format!("{run}_"),
            dir,
            mutant: None,
            commit_ms,
        };
        Ok(Node { launch, runs: 0 })
    }

    /// Starts it, again on its own state.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(&mut self) -> Result<Server, String> {
        self.runs += 1;
        let server = self.launch.start(self.runs)?;
        let until = Instant::now() + READY_TIME_MAX;
        loop {
            let health = http::get(self.launch.port, "/healthcheck");
            if health.as_ref().is_ok_and(|health| health["isHealthy"] == true) {
                return Ok(server);
            }
            if Instant::now() > until {
                return Err(format!("not healthy: {health:?}; {}", self.log()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// # Errors
    /// What the server refuses.
    pub fn sql(&self, sql: &str) -> Result<(), String> {
        http::ksql(self.launch.port, sql).map(drop).map_err(|why| format!("{sql}: {why}"))
    }

    /// Makes a sink of the name `sink`, with a topic of that name.
    ///
    /// # Errors
    /// What the server refuses.
    pub fn create_sink(&self, target: &Target, sink: &str, source: &str) -> Result<(), String> {
        let (system, property) = (target.system(), target.property());
        let (url, further) = (target.url(), target.further(None));
        self.sql(&format!(
            "CREATE SINK {sink} FOR {system} FROM {source} WITH ({property}='{url}', \
             KAFKA_TOPIC='{sink}'{further});"
        ))
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        self.launch.log_tail(self.runs)
    }
}
