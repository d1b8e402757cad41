//! The real server as a child process that can be killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::rig::process::{Guarded, await_port};

/// Names the binary to test, instead of the one that is built beside the tests.
const BINARY_VARIABLE: &str = "MILLRACE_BIN";
/// Variables of the tests, without their prefix.
const OURS: [&str; 10] = [
    "BIN",
    "KILLS",
    "SEED",
    "LONG",
    "RIG",
    "KAFKA_IMAGE",
    "OLAP_SYSTEMS",
    "OLAP_CHANGES",
    "OLAP_KILLS",
    "OLAP_DOWN_S",
];
/// How long a mutant waits where its fault can be seen: many kills land there.
const MUTANT_PAUSE_MS: u32 = 150;
const START_TIME_MAX: Duration = Duration::from_secs(60);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);

/// How the server is started, each time alike.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Empty: the embedded log.
    pub bootstrap: String,
    pub port: u16,
    pub service_id: String,
    /// State and logs of the server are folders in it.
    pub dir: PathBuf,
    /// Value of `MILLRACE_MUTANT`.
    pub mutant: Option<&'static str>,
    /// Commit interval, in milliseconds.
    pub commit_ms: u32,
}

/// A running server.
pub struct Server {
    process: Guarded,
}

impl Launch {
    /// Starts the server and waits until it listens; `run` numbers its log file.
    ///
    /// # Errors
    /// There is no binary, or it does not come up: the end of its log.
    pub fn start(&self, run: usize) -> Result<Server, String> {
        let log = self.log_file(run);
        // The server takes such variables for settings.
        let mut args: Vec<String> = OURS.map(|name| format!("-uMILLRACE_{name}")).into();
        args.push("NO_COLOR=1".to_owned());
        args.push(format!("KSQL_STREAMS_COMMIT_INTERVAL_MS={}", self.commit_ms));
        if let Some(name) = self.mutant {
            args.push(format!("MILLRACE_MUTANT={name}"));
            args.push(format!("MILLRACE_MUTANT_PAUSE={MUTANT_PAUSE_MS}"));
        }
        args.push(binary()?.display().to_string());
        let listen = format!("127.0.0.1:{}", self.port);
        let state = self.state_dir().display().to_string();
        let mut flags = vec![
            ("--listen", &listen),
            ("--state-dir", &state),
            ("--service-id", &self.service_id),
        ];
        if !self.bootstrap.is_empty() {
            flags.push(("--bootstrap-servers", &self.bootstrap));
        }
        args.push("server".to_owned());
        args.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value.clone()]));
        // `env` becomes the server: the process id stays.
        let process = Guarded::start("env", &args, &log)?;
        if !await_port(self.port, START_TIME_MAX) {
            return Err(format!("the server did not start; {}", self.log_tail(run)));
        }
        Ok(Server { process })
    }

    /// Where the server keeps its state.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The end of the log of a run, for messages.
    pub fn log_tail(&self, run: usize) -> String {
        const LINES: usize = 30;
        let log = std::fs::read_to_string(self.log_file(run)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
        format!("the log of run {run} ends:\n{tail}")
    }

    /// What the server said in a run.
    pub fn log(&self, run: usize) -> String {
        std::fs::read_to_string(self.log_file(run)).unwrap_or_default()
    }

    fn log_file(&self, run: usize) -> PathBuf {
        self.dir.join(format!("server-{run}.log"))
    }
}

impl Server {
    /// Kills it without warning.
    pub fn kill9(self) {
        self.process.signal("KILL");
    }

    /// Ends it in order.
    pub fn stop(self) {
        self.process.stop(STOP_TIME_MAX);
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Whether it has not ended by itself.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }
}

/// The server's binary: beside the folder of the test executable, unless named.
///
/// # Errors
/// There is none.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(PathBuf::from(named));
    }
    let here = std::env::current_exe().map_err(|e| format!("where am I? {e}"))?;
    let built = here.parent().and_then(Path::parent).map(|dir| dir.join("millrace"));
    match built {
        Some(binary) if binary.exists() => Ok(binary),
        _ => Err(format!(
            "no millrace binary beside {}: run `cargo build -p millrace-server` first, or name \
             one in {BINARY_VARIABLE}",
            here.display()
        )),
    }
}
