//! Whoever reads what a command prints may go, as `| tee` does at Ctrl-C: the command shuts down all
//! the same.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use millrace_tests::kill9::server::binary;
use millrace_tests::rig::process::free_ports;

const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(100);
/// After its first line a command is ready to be interrupted.
const SETTLED: Duration = Duration::from_secs(3);

/// Runs a command until it has printed a line, stops reading, and interrupts it. What it kept in the
/// temporary directory is gone afterwards.
fn check(command: &str, further: &[&str]) {
    let temporary = tempfile::tempdir().expect("a folder");
    let listen = format!("127.0.0.1:{}", free_ports(1).expect("a port")[0]);
    let mut process = Command::new(binary().expect("a server"))
        .args([command, "--listen", &listen])
        .args(further)
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    let out = process.stdout.take().expect("its output");
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert!(!line.trim().is_empty(), "{command} prints nothing");
    drop(process.stderr.take());
    std::thread::sleep(SETTLED);
    let mut interrupt = Command::new("kill");
    interrupt.args(["-INT", &process.id().to_string()]).status().expect("a signal");
    let start = Instant::now();
    let status = loop {
        match process.try_wait().expect("a process") {
            Some(status) => break status,
            None if start.elapsed() < PATIENCE => std::thread::sleep(LOOK),
            None => {
                process.kill().expect("a process");
                panic!("{command} does not end");
            }
        }
    };
    assert!(status.success(), "{command}: {status}");
    let left = std::fs::read_dir(temporary.path()).expect("a folder").count();
    assert_eq!(left, 0, "{command} leaves something behind");
}

#[test]
fn commands_shut_down_when_nobody_reads() {
    let dir = tempfile::tempdir().expect("a folder");
    let state = dir.path().join("state");
    check("server", &["--state-dir", state.to_str().expect("a path in UTF-8")]);
    check("demo", &[]);
}
