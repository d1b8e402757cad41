//! `millrace cli`: an interactive shell, and scripts by `-e` and `-f`.

pub mod client;
mod editor;
pub mod render;
mod rows;
pub mod shell;
mod split;
pub mod table;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;

use crate::terminal::errln;
use client::Client;
use rows::Output;
use shell::{Ended, Shell};

/// Exit codes of all commands that talk to a server.
pub mod exit {
    pub const FINE: u8 = 0;
    pub const FAILED: u8 = 1;
    /// As a shell tells that Ctrl-C ended a command.
    pub const CANCELLED: u8 = 130;
}

/// Arguments of `millrace cli`.
#[derive(Debug, clap::Args)]
pub struct CliArgs {
    /// The server
    #[arg(default_value = "http://127.0.0.1:8088")]
    pub url: String,
    /// Run these statements and leave
    #[arg(short, long, value_name = "SQL")]
    pub execute: Option<String>,
    /// Run the statements of a file and leave
    #[arg(short, long, value_name = "FILE", conflicts_with = "execute")]
    pub file: Option<PathBuf>,
    /// How answers are shown
    #[arg(long, value_enum, default_value = "tabular")]
    output: Output,
    /// A variable for ${NAME} in statements
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub define: Vec<String>,
}

/// Runs the shell; the exit code.
pub fn run(args: &CliArgs) -> u8 {
    let made = Client::new(&args.url).and_then(|client| Shell::new(client, args.output));
    let mut shell = match made {
        Ok(shell) => shell,
        Err(e) => return fail(&e),
    };
    for definition in &args.define {
        let Some((name, value)) = definition.split_once('=') else {
            return fail(&format!("--define {definition}: write NAME=VALUE"));
        };
        shell.define(name, value);
    }
    match script(args) {
        Ok(Some(text)) => match shell.run_text(&text) {
            Ended::Fine | Ended::Exit => exit::FINE,
            Ended::Failed | Ended::Unreachable => exit::FAILED,
            Ended::Cancelled => exit::CANCELLED,
        },
        Ok(None) => {
            shell.greet();
            editor::run(&mut shell).map_or_else(|e| fail(&e), |()| exit::FINE)
        }
        Err(e) => fail(&e),
    }
}

/// The statements to run without a user: from `-e`, `-f`, or a pipe.
fn script(args: &CliArgs) -> Result<Option<String>, String> {
    if let Some(text) = &args.execute {
        return Ok(Some(text.clone()));
    }
    if let Some(file) = &args.file {
        let text = std::fs::read_to_string(file);
        return text.map(Some).map_err(|e| format!("cannot read {}: {e}", file.display()));
    }
    if std::io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map(|_| Some(text)).map_err(|e| format!("cannot read the input: {e}"))
}

fn fail(message: &str) -> u8 {
    errln!("error: {message}");
    exit::FAILED
}

#[cfg(test)]
mod tests;
