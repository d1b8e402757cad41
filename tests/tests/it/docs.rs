//! Executes the SQL blocks of the tutorial on the embedded log and compares the answers.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::util::display::array_value_to_string;
use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_connectors::formats::StandardFormats;
use millrace_engine::api::{Api, ApiError, Properties};
use millrace_engine::limits::Limits;
use millrace_engine::seams::{SeededEntropy, SystemClock};
use millrace_engine::service::{Seams, Service, ServiceConfig};
use millrace_engine::state::memory::{MemoryDisk, MemoryStore};
use millrace_sql::ast::Statement;
use millrace_sql::parser;
use millrace_sql::unparse::to_sql;
use millrace_tests::olap::page::blocks;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn tutorial_does_what_it_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/flights.md");
    let page = std::fs::read_to_string(page).expect("the tutorial");
    let folder = tempfile::tempdir().expect("a folder");
    let service = service(folder.path());
    let (mut properties, mut pending, mut answers) = (Properties::new(), None, 0);
    for (kind, text) in blocks(&page) {
        match kind.as_str() {
            "sql" => {
                for parsed in parser::parse(&text).expect("the block parses") {
                    pending = run(service.as_ref(), &parsed.statement, &mut properties);
                }
            }
            "answer" => {
                let sql = pending.take().expect("an answer follows a SELECT");
                await_answer(service.as_ref(), &sql, text.trim());
                answers += 1;
            }
            _ => {}
        }
    }
    assert_eq!(answers, 2, "every answer of the page was compared");
    service.shutdown();
}

/// Runs a statement; a SELECT is handed back to be compared.
fn run(api: &dyn Api, statement: &Statement, properties: &mut Properties) -> Option<String> {
    let sql = to_sql(statement);
    match statement {
        Statement::Query(_) => return Some(sql),
        Statement::Set { name, value } => {
            properties.insert(name.clone(), value.clone());
        }
        Statement::InsertValues(_) => {
            api.insert_values(&sql, properties).unwrap_or_else(|e| panic!("{sql}\n{e:?}"));
        }
        _ => {
            api.execute(&sql, properties).unwrap_or_else(|e| panic!("{sql}\n{e:?}"));
        }
    }
    None
}

/// Results follow a commit, so an answer may need a moment.
fn await_answer(api: &dyn Api, sql: &str, want: &str) {
    let start = Instant::now();
    loop {
        let got = answer(api, sql);
        if got.as_deref() == Ok(want) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{sql}\nwant {want}\ngot {got:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn answer(api: &dyn Api, sql: &str) -> Result<String, String> {
    let answer = api.pull(sql, &Properties::new()).map_err(|e: ApiError| format!("{e:?}"))?;
    let mut lines = Vec::new();
    for batch in &answer.rows {
        for row in 0..batch.num_rows() {
            let cells = batch.columns().iter().map(|c| array_value_to_string(c, row));
            let cells: Result<Vec<String>, _> = cells.collect();
            lines.push(cells.map_err(|e| e.to_string())?.join(" "));
        }
    }
    Ok(lines.join("\n"))
}

fn service(folder: &Path) -> Arc<Service> {
    let log = EmbeddedLog::open(folder, Options::default()).expect("the embedded log");
    let config = ServiceConfig {
        service_id: "docs_".to_owned(),
        lanes: None,
        lanes_default: 2,
        workers: 2,
        state_dir: folder.to_path_buf(),
        node: "node".to_owned(),
        url: "http://localhost".to_owned(),
        version: "test".to_owned(),
        cluster_id: "test".to_owned(),
        limits: Limits { commit_interval: Duration::from_millis(100), ..Limits::default() },
        properties: Properties::new(),
        internal_replicas: None,
        open_disk: Box::new(|_| Ok(Box::new(MemoryStore::open(&MemoryDisk::default())))),
    };
    let seams = Seams {
        log: Arc::new(log),
        formats: Arc::new(StandardFormats),
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SeededEntropy::new(1)),
        olap: None,
    };
    let service = Service::start(config, seams).expect("a service");
    let start = Instant::now();
    while !service.is_ready() {
        assert!(start.elapsed() < PATIENCE, "not ready: {:?}", service.health());
        std::thread::sleep(Duration::from_millis(10));
    }
    service
}
