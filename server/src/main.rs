//! The `millrace` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(millrace_server::run())
}
