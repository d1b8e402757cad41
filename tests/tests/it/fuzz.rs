//! A few seconds of damaged input for whatever reads bytes of others; ten minutes by
//! `cargo run --bin fuzz -- --seconds 600`.

use std::process::Command;

const SECONDS: &str = "5";

#[test]
fn damaged_input_does_no_harm() {
    let dir = tempfile::tempdir().expect("a directory");
    let trace = dir.path().join("trace");
    let mut fuzz = Command::new(env!("CARGO_BIN_EXE_fuzz"));
    fuzz.args(["--seconds", SECONDS, "--trace"]).arg(&trace);
    let done = fuzz.output().expect("it runs");
    assert!(
        done.status.success(),
        "{}\n{}\n{}\nlast case: {}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
        std::fs::read_to_string(&trace).unwrap_or_default()
    );
}
