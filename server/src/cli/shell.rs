//! The shell without its editor: takes statements, talks to the server, writes answers.

use std::io::{IsTerminal, Write};

use bytes::Bytes;
use millrace_sql::error::SqlError;
use serde_json::{Map, Value, json};

use super::client::{Client, ClientError};
use super::render;
use super::rows::{Element, Output, RowPrinter};
use super::split::{split, words};
use crate::statements::at_name;
use crate::terminal::{errln, out, outln};

/// Scripts may run scripts, this deep.
const SCRIPT_DEPTH_MAX: usize = 10;
/// Width when the output is no terminal.
const WIDTH_DEFAULT: usize = 100;
/// Height of a terminal that does not tell it.
const HEIGHT_DEFAULT: usize = 24;

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Fine,
    /// Refused or failed; the message has been written.
    Failed,
    /// Nobody answers.
    Unreachable,
    /// By Ctrl-C.
    Cancelled,
    /// The user leaves.
    Exit,
}

/// State of a session: it lives here and is sent with every request.
pub struct Shell {
    client: Client,
    output: Output,
    properties: Map<String, Value>,
    variables: Map<String, Value>,
    /// Offset of the last command: later requests wait until the server has applied it.
    sequence: i64,
    runtime: tokio::runtime::Runtime,
}

impl Shell {
    /// # Errors
    /// When the system gives no runtime; one line.
    pub fn new(client: Client, output: Output) -> Result<Shell, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| format!("cannot start: {e}"))?;
        let (properties, variables) = (Map::new(), Map::new());
        Ok(Shell { client, output, properties, variables, sequence: -1, runtime })
    }

    /// `DEFINE name = 'value'` from outside, e.g. flags.
    pub fn define(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_string(), json!(value));
    }

    /// The greeting: who is there, or that nobody is.
    pub fn greet(&self) {
        match self.runtime.block_on(self.client.get("/info")) {
            Ok(info) => {
                let info = &info["KsqlServerInfo"];
                let text = |name: &str| info[name].as_str().unwrap_or("?").to_string();
                let (version, service) = (text("version"), text("ksqlServiceId"));
                outln!("Server {version} at {}, service {service}", self.client.url());
            }
            Err(e) => outln!("WARNING: {}", e.message()),
        }
        outln!("Type 'help' for help, 'exit' to leave. Statements end with ';'.");
    }

    /// Runs every statement of `text` until one fails. A rest without `;` runs too.
    pub fn run_text(&mut self, text: &str) -> Ended {
        self.run_nested(text, 0)
    }

    fn run_nested(&mut self, text: &str, depth: usize) -> Ended {
        let (mut statements, rest) = split(text);
        if !rest.is_empty() {
            statements.push(format!("{rest};"));
        }
        for statement in statements {
            let ended = self.statement(&statement, depth);
            if ended != Ended::Fine {
                return ended;
            }
        }
        Ended::Fine
    }

    fn statement(&mut self, statement: &str, depth: usize) -> Ended {
        let words = words(statement);
        let word = |i: usize| words.get(i).map(String::as_str).unwrap_or_default();
        let literals = literals(statement);
        match (word(0), word(1)) {
            ("", _) => Ended::Fine,
            ("HELP", _) => {
                out!("{HELP}");
                Ended::Fine
            }
            ("EXIT" | "QUIT", "") => Ended::Exit,
            ("OUTPUT", format) => self.set_output(format),
            ("SERVER", _) => self.server(statement),
            ("RUN", "SCRIPT") => self.script(literals.first(), depth),
            ("SET", _) => self.set(statement, &literals),
            ("UNSET", _) => self.unset(&literals),
            ("DEFINE", name) => self.define_statement(statement, name, literals.first()),
            ("UNDEFINE", _) => self.undefine(statement),
            ("SELECT" | "WITH" | "PRINT", _) => self.query(statement, &words),
            _ => self.ksql(statement),
        }
    }

    fn set_output(&mut self, format: &str) -> Ended {
        self.output = match format {
            "JSON" => Output::Json,
            "TABULAR" => Output::Tabular,
            "" => {
                outln!("Current output format: {:?}", self.output);
                return Ended::Fine;
            }
            _ => return failed("OUTPUT takes JSON or TABULAR"),
        };
        outln!("Output format set to {format}");
        Ended::Fine
    }

    fn server(&mut self, statement: &str) -> Ended {
        let url = statement.split_whitespace().nth(1).unwrap_or_default().trim_end_matches(';');
        if url.is_empty() {
            outln!("{}", self.client.url());
            return Ended::Fine;
        }
        match Client::new(url.trim_matches('\'')) {
            Ok(client) => {
                self.client = client;
                self.sequence = -1;
                self.greet();
                Ended::Fine
            }
            Err(e) => failed(&e),
        }
    }

    fn script(&mut self, file: Option<&String>, depth: usize) -> Ended {
        let Some(file) = file else { return failed("RUN SCRIPT 'file'; needs a file name") };
        if depth >= SCRIPT_DEPTH_MAX {
            return failed(&format!("scripts run scripts more than {SCRIPT_DEPTH_MAX} deep"));
        }
        match std::fs::read_to_string(file) {
            Ok(text) => self.run_nested(&text, depth + 1),
            Err(e) => failed(&format!("cannot read script {file}: {e}")),
        }
    }

    fn set(&mut self, statement: &str, literals: &[String]) -> Ended {
        let [name, value] = literals else { return failed("write SET 'name'='value';") };
        let path = format!("/is_valid_property/{}", percent(name));
        match self.runtime.block_on(self.client.get(&path)) {
            Ok(_) => {}
            Err(ClientError::Refused { code, message }) => {
                let hint = "SHOW PROPERTIES lists those that can be set";
                let error = at_name(statement, name, SqlError::invalid(message).hint(hint));
                return report(&ClientError::Refused { code, message: error.render(statement) });
            }
            Err(e) => return report(&e),
        }
        let old = self.properties.insert(name.clone(), json!(value));
        let old = old.as_ref().and_then(Value::as_str).map(|o| format!(" from '{o}'"));
        outln!("Set property '{name}'{} to '{value}'.", old.unwrap_or_default());
        Ended::Fine
    }

    fn unset(&mut self, literals: &[String]) -> Ended {
        let [name] = literals else { return failed("write UNSET 'name';") };
        match self.properties.remove(name) {
            Some(old) => {
                outln!("Unset property '{name}' (it was {old}).");
                Ended::Fine
            }
            None => failed(&format!("property '{name}' is not set in this session")),
        }
    }

    fn define_statement(&mut self, statement: &str, upper: &str, value: Option<&String>) -> Ended {
        let Some(value) = value else { return failed("write DEFINE name = 'value';") };
        let name = second_word(statement);
        if name.is_empty() || upper.is_empty() {
            return failed("write DEFINE name = 'value';");
        }
        self.variables.insert(name, json!(value));
        Ended::Fine
    }

    fn undefine(&mut self, statement: &str) -> Ended {
        let name = second_word(statement);
        match self.variables.remove(&name) {
            Some(_) => Ended::Fine,
            None => failed(&format!("Cannot undefine variable '{name}' which was never defined")),
        }
    }

    fn ksql(&mut self, statement: &str) -> Ended {
        let body = self.body("ksql", statement);
        match self.runtime.block_on(cancellable(self.client.post("/ksql", body))) {
            None => Ended::Cancelled,
            Some(Err(e)) => report(&e),
            Some(Ok(entities)) => {
                for entity in entities.as_array().map(Vec::as_slice).unwrap_or_default() {
                    if let Some(sequence) = entity["commandSequenceNumber"].as_i64() {
                        self.sequence = self.sequence.max(sequence);
                    }
                    match self.output {
                        Output::Json => out!("{}", render::pretty(entity)),
                        Output::Tabular => out!("{}", render::entity(entity, width())),
                    }
                }
                Ended::Fine
            }
        }
    }

    fn query(&mut self, statement: &str, words: &[String]) -> Ended {
        let push = words.iter().any(|w| w == "EMIT");
        let print = words.first().is_some_and(|w| w == "PRINT");
        let body = self.body("ksql", statement);
        let (path, accept) = match print {
            true => ("/query", "*/*"),
            false => ("/query-stream", "application/vnd.ksql.v1+json"),
        };
        let mut printer = RowPrinter::new(self.output, width(), push);
        let answer = self.runtime.block_on(cancellable(async {
            let mut lines = self.client.lines(path, body, accept).await?;
            let mut out = std::io::stdout();
            while let Some(line) = lines.next().await? {
                let element = match print {
                    true => writeln!(out, "{line}").map(|()| Element::More),
                    false => printer.line(&mut out, &line),
                };
                match element {
                    Ok(Element::More) => {}
                    Ok(Element::Failed { code, message }) => {
                        return Err(ClientError::Refused { code, message });
                    }
                    // Nobody reads any more, e.g. `| head`.
                    Err(_) => return Ok(()),
                }
            }
            Ok(())
        }));
        let _ = printer.finish(&mut std::io::stdout());
        match answer {
            Some(Ok(())) => Ended::Fine,
            Some(Err(e)) => report(&e),
            None => {
                outln!("\nQuery terminated");
                Ended::Cancelled
            }
        }
    }

    fn body(&self, member: &str, statement: &str) -> Bytes {
        let mut body = json!({
            member: statement,
            "streamsProperties": self.properties,
            "sessionVariables": self.variables,
        });
        if self.sequence >= 0 {
            body["commandSequenceNumber"] = json!(self.sequence);
        }
        Bytes::from(body.to_string())
    }
}

/// `None` when Ctrl-C came first.
async fn cancellable<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    }
}

fn failed(message: &str) -> Ended {
    errln!("error: {message}");
    Ended::Failed
}

fn report(error: &ClientError) -> Ended {
    errln!("{}", error.line());
    match error {
        ClientError::Unreachable(_) => Ended::Unreachable,
        ClientError::Refused { .. } => Ended::Failed,
    }
}

/// The second word as written.
fn second_word(statement: &str) -> String {
    let word = |c: &char| c.is_alphanumeric() || *c == '_';
    let rest = statement.trim_start().trim_start_matches(|c: char| word(&c)).trim_start();
    rest.chars().take_while(word).collect()
}

/// Contents of the single-quoted parts.
fn literals(statement: &str) -> Vec<String> {
    let mut literals = Vec::new();
    let mut rest = statement;
    while let Some((_, after)) = rest.split_once('\'') {
        let mut text = String::new();
        rest = after;
        while let Some((part, after)) = rest.split_once('\'') {
            text.push_str(part);
            rest = after;
            match after.strip_prefix('\'') {
                Some(more) => {
                    text.push('\'');
                    rest = more;
                }
                None => break,
            }
        }
        literals.push(text);
    }
    literals
}

/// Percent-encodes what a path cannot hold.
pub fn percent(text: &str) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.~".contains(b);
    text.bytes()
        .map(|b| if plain(&b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Width of the terminal in columns.
pub fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
    let asked = asked.filter(|_| !std::io::stdout().is_terminal());
    asked.or_else(|| Some(terminal_size()?.0)).unwrap_or(WIDTH_DEFAULT)
}

/// Height of the terminal in rows.
pub fn height() -> usize {
    terminal_size().map(|(_, rows)| rows).filter(|rows| *rows > 0).unwrap_or(HEIGHT_DEFAULT)
}

/// Columns and rows; a terminal that tells no columns is none.
fn terminal_size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize into the struct that is passed, and nothing else.
    let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (done == 0 && size.ws_col > 0).then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

const HELP: &str = "
SQL statements end with ';' and may span lines, for example
  SHOW STREAMS;  DESCRIBE x EXTENDED;  EXPLAIN id;  SELECT * FROM x EMIT CHANGES;
Commands of the shell:
  help                        this text
  exit                        leave (also Ctrl-D)
  OUTPUT JSON|TABULAR         how answers are shown
  SERVER [url]                show or change the server
  RUN SCRIPT 'file';          run the statements of a file
  SET 'name'='value';         a property for the statements of this session; UNSET 'name';
  DEFINE name = 'value';      a variable, used as ${name}; UNDEFINE name;
Ctrl-C ends a running query and leaves the shell open.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_local_statements() {
        assert_eq!(literals("SET 'a'='it''s';"), ["a", "it's"]);
        assert_eq!(literals("SET 'open"), [""]);
        assert_eq!(second_word("define Name = 'x';"), "Name");
        assert_eq!(second_word("define"), "");
        assert_eq!(percent("a b/ü"), "a%20b%2F%C3%BC");
    }
}
