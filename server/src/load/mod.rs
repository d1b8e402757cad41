//! `millrace load TOPIC FILE.jsonl`: lines of a file become records of a topic.

mod direct;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::args::ServerArgs;
use crate::cli::client::Client;
use crate::cli::exit;
use crate::cli::shell::percent;
use crate::http::records::{self, KeyFormat, LoadOptions};
use crate::limits;
use crate::serve;
use crate::terminal::{errln, outln};

/// Lines of one request.
const BATCH_LINES_MAX: usize = 5000;
/// Bytes of one request, well below the server's limit.
const BATCH_BYTES_MAX: usize = limits::LOAD_BODY_BYTES_MAX / 8;

/// Arguments of `millrace load`.
#[derive(Debug, clap::Args)]
pub struct LoadArgs {
    /// Topic to write to; it must exist
    pub topic: String,
    /// File with a JSON object a line; `-` reads the standard input
    pub file: PathBuf,
    /// Field whose value becomes the key
    #[arg(long, value_name = "FIELD")]
    pub key: Option<String>,
    /// `kafka`: the key is the text of the value; `json`: its JSON
    #[arg(long, value_enum, default_value = "kafka")]
    pub key_format: KeyFormat,
    /// Field with the record's time in epoch milliseconds [default: now]
    #[arg(long, value_name = "FIELD")]
    pub timestamp: Option<String>,
    /// Take the lines as they are, without looking at them
    #[arg(long, conflicts_with_all = ["key", "timestamp"])]
    pub raw: bool,
    /// The server that writes them, to its Kafka or its embedded log
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8088")]
    pub server: String,
    /// Write to these Kafka brokers directly, without a server; settings of the client come from
    /// the environment as for the server
    #[arg(long, value_name = "HOST:PORT,...", conflicts_with = "server")]
    pub bootstrap_servers: Option<String>,
}

/// Loads the file; the exit code.
pub fn run(args: &LoadArgs) -> u8 {
    let loaded = match &args.bootstrap_servers {
        Some(brokers) => load_directly(args, brokers),
        None => load_through_server(args),
    };
    match loaded {
        Ok(records) => {
            outln!("{records} records written to topic {}", args.topic);
            exit::FINE
        }
        Err(why) => {
            errln!("error: {why}");
            exit::FAILED
        }
    }
}

fn load_through_server(args: &LoadArgs) -> Result<u64, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot start: {e}"))?;
    let client = Client::new(&args.server)?;
    in_batches(args, |batch, first, written| {
        let answer = runtime.block_on(client.post(&path(args, first), Bytes::from(batch.bytes)));
        let answer = answer.map_err(|e| told(args, e.message(), written))?;
        Ok(answer["records"].as_u64().unwrap_or(0))
    })
}

fn load_directly(args: &LoadArgs, brokers: &str) -> Result<u64, String> {
    let config = serve::settings(&ServerArgs::default())?;
    let log = direct::connect(brokers, &config.client)?;
    let topic =
        direct::topic(log.as_ref(), &args.topic).map_err(|e| told(args, &e.to_string(), 0))?;
    in_batches(args, |batch, first, written| {
        let records = records::records(&batch.bytes, &options(args, first))
            .map_err(|e| told(args, &e.message, written))?;
        let count = records.len() as u64;
        direct::append(log.as_ref(), &topic, records, first)
            .map_err(|e| told(args, &e.to_string(), written))?;
        Ok(count)
    })
}

fn told(args: &LoadArgs, message: &str, written: u64) -> String {
    format!("{}: {message} ({written} records were written before)", args.file.display())
}

/// Calls `write` for each batch of lines with the number of its first line, and what was written
/// before; the sum of what it wrote.
fn in_batches(
    args: &LoadArgs,
    mut write: impl FnMut(Batch, u64, u64) -> Result<u64, String>,
) -> Result<u64, String> {
    let mut lines = open(&args.file)?;
    let (mut first, mut written) = (1u64, 0u64);
    loop {
        let batch =
            Batch::read(&mut lines, first).map_err(|e| format!("{}: {e}", args.file.display()))?;
        let count = batch.lines;
        if count == 0 {
            return Ok(written);
        }
        written += write(batch, first, written)?;
        first += count;
    }
}

fn options(args: &LoadArgs, first_line: u64) -> LoadOptions {
    LoadOptions {
        key: args.key.clone(),
        key_format: args.key_format,
        timestamp: args.timestamp.clone(),
        raw: args.raw,
        first_line: Some(first_line),
    }
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, String> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let opened = File::open(file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}

/// Lines of one request.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

impl Batch {
    fn read(lines: &mut dyn BufRead, first: u64) -> Result<Batch, String> {
        let mut batch = Batch::default();
        while batch.bytes.len() < BATCH_BYTES_MAX && batch.lines < BATCH_LINES_MAX as u64 {
            let at = batch.bytes.len();
            let number = first + batch.lines;
            let mut limited = Read::take(&mut *lines, limits::BODY_BYTES_MAX as u64 + 1);
            let read = limited.read_until(b'\n', &mut batch.bytes);
            let read = read.map_err(|e| format!("line {number}: cannot read: {e}"))?;
            if read == 0 {
                break;
            }
            if batch.bytes.len() - at > limits::BODY_BYTES_MAX {
                let max = limits::BODY_BYTES_MAX;
                return Err(format!("line {number}: longer than {max} bytes"));
            }
            batch.lines += 1;
        }
        Ok(batch)
    }
}

fn path(args: &LoadArgs, first_line: u64) -> String {
    let mut path =
        format!("/millrace/topics/{}/records?first_line={first_line}", percent(&args.topic));
    if let Some(key) = &args.key {
        path.push_str(&format!("&key={}", percent(key)));
    }
    if args.key_format == KeyFormat::Json {
        path.push_str("&key_format=json");
    }
    if let Some(field) = &args.timestamp {
        path.push_str(&format!("&timestamp={}", percent(field)));
    }
    if args.raw {
        path.push_str("&raw=true");
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_end_at_lines() {
        let text = "{\"a\":1}\n".repeat(BATCH_LINES_MAX + 3);
        let mut lines: &[u8] = text.as_bytes();
        let mut counts = Vec::new();
        loop {
            let batch = Batch::read(&mut lines, 1).unwrap();
            if batch.lines == 0 {
                break;
            }
            assert!(batch.bytes.ends_with(b"\n"));
            counts.push(batch.lines);
        }
        assert_eq!(counts, [BATCH_LINES_MAX as u64, 3]);
    }

    #[test]
    fn endless_lines_are_refused() {
        let text = "x".repeat(limits::BODY_BYTES_MAX * 2);
        let error = Batch::read(&mut text.as_bytes(), 7).unwrap_err();
        assert!(error.starts_with("line 7: longer than"), "{error}");
    }

    #[test]
    fn options_travel_in_the_path() {
        let args = LoadArgs {
            topic: "a b".into(),
            file: "f".into(),
            key: Some("flight id".into()),
            key_format: KeyFormat::Json,
            timestamp: None,
            raw: false,
            server: String::new(),
            bootstrap_servers: None,
        };
        let expected =
            "/millrace/topics/a%20b/records?first_line=1&key=flight%20id&key_format=json";
        assert_eq!(path(&args, 1), expected);
    }
}
