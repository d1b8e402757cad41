//! The interactive shell: multi-line editing, history, Ctrl-C and Ctrl-D.

use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};

use super::shell::{Ended, Shell};
use super::split::{split, words};
use crate::terminal::{errln, outln};

const HISTORY_LINES_MAX: usize = 5000;
const PROMPT: &str = "millrace> ";

/// Reads and runs statements until the user leaves.
///
/// # Errors
/// When the terminal cannot be used; one line.
pub fn run(shell: &mut Shell) -> Result<(), String> {
    let config = Config::builder().max_history_size(HISTORY_LINES_MAX);
    let config = config.map_err(|e| e.to_string())?.auto_add_history(true).build();
    let mut editor: Editor<Statements, FileHistory> =
        Editor::with_config(config).map_err(|e| format!("cannot use the terminal: {e}"))?;
    editor.set_helper(Some(Statements));
    let history = history_file();
    if let Some(file) = &history {
        // There is none at first.
        let _ = editor.load_history(file);
    }
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                if shell.run_text(&line) == Ended::Exit {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => outln!("(Ctrl-D or 'exit' leaves)"),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(format!("cannot read the terminal: {e}")),
        }
    }
    if let Some(file) = &history
        && let Err(e) = editor.save_history(file)
    {
        errln!("cannot save the history to {}: {e}", file.display());
    }
    Ok(())
}

/// `$XDG_STATE_HOME/millrace/history`, or `~/.millrace_history`.
fn history_file() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("XDG_STATE_HOME").filter(|d| !d.is_empty()) {
        let dir = PathBuf::from(dir).join("millrace");
        if std::fs::create_dir_all(&dir).is_ok() {
            return Some(dir.join("history"));
        }
    }
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".millrace_history"))
}

/// Lets Enter start a new line until the statement is complete.
struct Statements;

impl Validator for Statements {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Ends with `;`, is empty, or is a command of the shell, which needs none.
fn is_complete(input: &str) -> bool {
    const COMMANDS: [&str; 5] = ["HELP", "EXIT", "QUIT", "OUTPUT", "SERVER"];
    let (_, rest) = split(input);
    let first = words(&rest).into_iter().next();
    rest.is_empty() || first.is_some_and(|word| COMMANDS.contains(&word.as_str()))
}

impl Helper for Statements {}
impl Highlighter for Statements {}

impl Hinter for Statements {
    type Hint = String;
}

impl Completer for Statements {
    type Candidate = String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_complete_at_its_semicolon() {
        for (input, complete) in [
            ("", true),
            ("help", true),
            ("exit", true),
            ("output json", true),
            ("SELECT *", false),
            ("SELECT *\nFROM x;", true),
            ("SELECT ';'", false),
            ("-- only a comment", true),
        ] {
            assert_eq!(is_complete(input), complete, "{input:?}");
        }
    }
}
