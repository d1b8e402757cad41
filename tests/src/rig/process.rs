//! A child process that cannot outlive the tests.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs the command in the background and kills it when its own input ends: that is when the
/// guard is dropped, and also when the test process dies in whatever way.
const GUARDED: &str = r#"
log=$1; shift
"$@" >"$log" 2>&1 </dev/null &
pid=$!
echo "$pid"
cat >/dev/null
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
"#;

/// A running process; dropping it kills it.
pub struct Guarded {
    shell: Child,
    leash: Option<ChildStdin>,
    pid: u32,
}

impl Guarded {
    /// Starts a program; both of its outputs go to `log`.
    ///
    /// # Errors
    /// The shell or the program cannot be started.
    pub fn start(program: &str, args: &[String], log: &Path) -> Result<Guarded, String> {
        File::create(log).map_err(|e| format!("cannot write {}: {e}", log.display()))?;
        let mut shell = Command::new("sh")
            .args(["-c", GUARDED, "guarded"])
            .arg(log)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start a shell: {e}"))?;
        let leash = shell.stdin.take();
        let mut line = String::new();
        let out = shell.stdout.take().ok_or("the shell has no output")?;
        BufReader::new(out).read_line(&mut line).map_err(|e| e.to_string())?;
        let pid = line.trim().parse().map_err(|_| format!("{program} did not start"))?;
        Ok(Guarded { shell, leash, pid })
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by name, e.g. `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let mut kill = Command::new("kill");
        drop(kill.args([&format!("-{name}"), &pid]).stderr(Stdio::null()).status());
    }

    /// Whether the program still runs.
    pub fn runs(&self) -> bool {
        let pid = self.pid.to_string();
        let asked = Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status();
        asked.is_ok_and(|s| s.success())
    }

    /// Asks the program to end, and kills it when it takes longer than `at_most`.
    pub fn stop(self, at_most: Duration) {
        self.signal("TERM");
        let deadline = Instant::now() + at_most;
        while self.runs() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.leash.take());
        drop(self.shell.wait());
    }
}

/// Ports that are free now. They are asked for together, so they differ.
///
/// # Errors
/// No port can be bound.
pub fn free_ports(count: usize) -> Result<Vec<u16>, String> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").map_err(|e| format!("no free port: {e}"));
    let held: Vec<TcpListener> = (0..count).map(bind).collect::<Result<_, _>>()?;
    let port = |l: &TcpListener| l.local_addr().map(|a| a.port()).map_err(|e| e.to_string());
    held.iter().map(port).collect()
}

/// Waits until something listens on a local port; whether it did in time.
pub fn await_port(port: u16, at_most: Duration) -> bool {
    let deadline = Instant::now() + at_most;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    while Instant::now() < deadline {
        if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
