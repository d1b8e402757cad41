//! SQL scripts of tests: statements, INSERT VALUES and ASSERT, one test after each `--@test:` line.
//! Unlike in a case of records, every inserted row runs through all queries before the next statement.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_connectors::formats::RegistryFormats;
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::format::Formats;
use millrace_engine::log::Record;
use millrace_sql::ast::Statement;
use millrace_sql::parser;

use super::case::Exception;
use super::driver::Driver;
use super::query_case::Verdict;
use super::script_assert;
use super::session::Session;
use super::thrown::{Stage, Thrown};

/// Scripts that run one another.
const SCRIPT_DEPTH_MAX: usize = 8;
/// Queries that feed one another.
const QUERY_DEPTH_MAX: usize = 64;
/// Partitions of a topic of which a script says nothing.
const PARTITIONS_DEFAULT: u32 = 1;

/// One test of a script.
#[derive(Debug, Clone)]
pub struct Script {
    pub name: String,
    pub sql: String,
    pub exception: Option<Exception>,
    /// Where other scripts are looked for.
    pub folder: PathBuf,
}

/// The tests of a file whose name without extension is `stem`.
///
/// # Errors
/// A file without tests, and directives that are not known.
pub fn parse(stem: &str, text: &str, folder: &Path) -> Result<Vec<Script>, String> {
    let mut scripts: Vec<Script> = Vec::new();
    for line in text.lines() {
        let directive = line.trim_start().strip_prefix("--@").and_then(|d| d.split_once(':'));
        if let Some((name, value)) = directive {
            let (name, value) = (name.trim().to_lowercase(), value.trim().to_owned());
            if name == "test" {
                scripts.push(Script {
                    name: format!("{stem} - {value}"),
                    sql: String::new(),
                    exception: None,
                    folder: folder.to_owned(),
                });
                continue;
            }
            let script = scripts.last_mut().ok_or("the first directive is not --@test:")?;
            script.expect(&name, value)?;
        }
        // A directive is a comment, and keeps its line, so that places are right.
        if let Some(script) = scripts.last_mut() {
            script.sql.push_str(line);
            script.sql.push('\n');
        }
    }
    match scripts.is_empty() {
        true => Err("there is no line --@test: NAME".to_owned()),
        false => Ok(scripts),
    }
}

impl Script {
    fn expect(&mut self, directive: &str, value: String) -> Result<(), String> {
        let none = Exception { class: None, message: None, cause: None, cause_message: None };
        let exception = self.exception.get_or_insert(none);
        match directive {
            "expected.error" => exception.class = Some(value),
            "expected.message" => exception.message = Some(value),
            other => return Err(format!("{}: --@{other} is no directive", self.name)),
        }
        Ok(())
    }
}

/// Runs a test.
pub fn run(script: &Script) -> Verdict {
    match (&script.exception, execute(script)) {
        (None, Ok(())) => Verdict::Passed,
        (None, Err(thrown)) => Verdict::Failed(thrown.message),
        (Some(expected), Ok(())) => {
            let text = expected.message.as_deref().unwrap_or("(any)");
            Verdict::Failed(format!("Expected an error, but there was none: {text}"))
        }
        (Some(expected), Err(thrown)) => match thrown.differs(expected) {
            None => Verdict::Passed,
            Some(why) => Verdict::Failed(why),
        },
    }
}

fn execute(script: &Script) -> Result<(), Thrown> {
    let formats: Arc<dyn Formats> =
        Arc::new(RegistryFormats::new(Arc::new(MemoryRegistry::default())));
    let mut session = Session::empty(formats.clone());
    session.partitions_default = PARTITIONS_DEFAULT;
    let mut run = Run { session, formats, drivers: Vec::new(), topics: Topics::default() };
    run.script(&script.sql, &script.folder, 0)
}

/// Records of all topics, and which of them were looked at.
#[derive(Default)]
struct Topics(std::collections::BTreeMap<String, Seen>);

#[derive(Default)]
struct Seen {
    records: Vec<Record>,
    asserted: usize,
}

/// A query that runs.
struct Running {
    id: String,
    driver: Driver,
    sink: Option<String>,
    sources: Vec<String>,
    /// Records of the sink that were handed on.
    handed: usize,
}

struct Run {
    session: Session,
    formats: Arc<dyn Formats>,
    drivers: Vec<Running>,
    topics: Topics,
}

impl Run {
    fn script(&mut self, sql: &str, folder: &Path, depth: usize) -> Result<(), Thrown> {
        let parsed = parser::parse_test_script(sql).map_err(|e| Thrown::of_parser(&e, sql))?;
        for statement in &parsed {
            match &statement.statement {
                Statement::AssertValues(assert) => self.assert_record(assert, false)?,
                Statement::AssertTombstone(assert) => self.assert_record(assert, true)?,
                Statement::AssertSource(create) => {
                    script_assert::source(&self.session, create).map_err(failed)?;
                }
                Statement::Set { name, value } => {
                    self.session.properties.insert(name.clone(), value.clone());
                }
                Statement::Unset { name } => {
                    self.session.properties.remove(name);
                }
                Statement::RunScript { file } => self.other(file, folder, depth)?,
                _ => {
                    self.session.execute(sql, statement)?;
                    self.start_queries()?;
                    for (topic, record) in std::mem::take(&mut self.session.inserted) {
                        self.hand_on(&topic, &record, 0)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn other(&mut self, file: &str, folder: &Path, depth: usize) -> Result<(), Thrown> {
        if depth >= SCRIPT_DEPTH_MAX {
            return Err(failed(format!("scripts nest deeper than {SCRIPT_DEPTH_MAX} levels")));
        }
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|e| failed(format!("cannot read {}: {e}", path.display())))?;
        self.script(&text, path.parent().unwrap_or(folder), depth + 1)
    }

    /// Starts queries that are new, and lets those that were replaced go on with their state.
    fn start_queries(&mut self) -> Result<(), Thrown> {
        let queries = &self.session.catalog.queries;
        self.drivers.retain(|running| queries.contains_key(&running.id));
        for query in &self.session.queries {
            let sources = query.source_topics();
            match self.drivers.iter_mut().find(|running| running.id == query.id) {
                Some(running) => {
                    running.driver.replace(query).map_err(failed)?;
                    running.sources = sources;
                }
                None if queries.contains_key(&query.id) => {
                    let driver = Driver::start(query, self.formats.clone()).map_err(failed)?;
                    let sink = query.sink.as_ref().map(|sink| sink.topic.clone());
                    let id = query.id.clone();
                    self.drivers.push(Running { id, driver, sink, sources, handed: 0 });
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Appends a record to its topic and lets all queries run that it concerns, depth first.
    fn hand_on(&mut self, topic: &str, record: &Record, depth: usize) -> Result<(), Thrown> {
        if depth > QUERY_DEPTH_MAX {
            return Err(failed("the queries feed one another without end".to_owned()));
        }
        let seen = self.topics.0.entry(topic.to_owned()).or_default();
        seen.records.push(record.clone());
        for at in 0..self.drivers.len() {
            let running = &mut self.drivers[at];
            if !running.sources.iter().any(|source| source == topic) {
                continue;
            }
            running.driver.pipe(topic, record).map_err(failed)?;
            let Some(sink) = running.sink.clone() else { continue };
            let written = running.driver.read(&sink).map_err(failed)?;
            let new = written.get(running.handed..).unwrap_or_default().to_vec();
            running.handed = written.len();
            for record in &new {
                self.hand_on(&sink, record, depth + 1)?;
            }
        }
        Ok(())
    }

    fn assert_record(
        &mut self,
        assert: &millrace_sql::ast::AssertValues,
        tombstone: bool,
    ) -> Result<(), Thrown> {
        let source = self.session.catalog.source(&assert.name.value).cloned();
        let source = source
            .ok_or_else(|| failed(format!("Source {} does not exist.", assert.name.value)))?;
        let seen = self.topics.0.entry(source.topic.clone()).or_default();
        let record = seen.records.get(seen.asserted).cloned();
        let at = seen.asserted;
        seen.asserted += 1;
        let record = record.ok_or_else(|| {
            failed(format!(
                "Expected another record (already read {at}), but already read all records of {}.",
                source.topic
            ))
        })?;
        let asserted = script_assert::Asserted { source: &source, record: &record, assert };
        let formats = self.formats.as_ref();
        asserted
            .check(formats, &self.session, tombstone)
            .map_err(|why| failed(format!("Topic '{}', message {at}: {why}", source.topic)))
    }
}

fn failed(why: String) -> Thrown {
    Thrown::new(Stage::Run, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sql: &str, want: &str) {
        let scripts = parse("s", sql, Path::new(".")).expect("a script");
        let verdicts: Vec<Verdict> = scripts.iter().map(run).collect();
        let shown = |verdict: &Verdict| match verdict {
            Verdict::Failed(why) => why.clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(verdicts.iter().map(shown).collect::<Vec<_>>().join("; "), want, "{sql}");
    }

    const SOURCE: &str = "--@test: one
        CREATE STREAM S (K INT KEY, A INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
        CREATE STREAM T AS SELECT K, A + 1 AS B FROM S;
        CREATE TABLE U AS SELECT K, COUNT(*) AS N FROM T GROUP BY K;
        INSERT INTO S (ROWTIME, K, A) VALUES (5, 1, 10);
        INSERT INTO S (K) VALUES (2);\n";

    #[test]
    fn rows_run_through_all_queries_at_once() {
        check(
            &format!(
                "{SOURCE}
                ASSERT VALUES T (ROWTIME, K, B) VALUES (5, 1, 11);
                ASSERT VALUES T (K, B) VALUES (2, NULL);
                ASSERT VALUES U (N) VALUES (1);
                INSERT INTO S VALUES (1, 20);
                ASSERT VALUES U (K) VALUES (2);
                ASSERT VALUES U VALUES (1, 2);
                ASSERT STREAM T (K INT KEY, B INT) WITH (KAFKA_TOPIC='T', FORMAT='JSON');"
            ),
            "Passed",
        );
        check(
            &format!("{SOURCE} ASSERT VALUES T (B) VALUES (12);"),
            "Topic 'T', message 0: column B: expected 12, but it was 11",
        );
        check(
            &format!("{SOURCE} ASSERT STREAM T (K INT KEY) WITH (KAFKA_TOPIC='T', FORMAT='JSON');"),
            "T: expected the columns `K` INTEGER KEY, but they are `K` INTEGER KEY, `B` INTEGER",
        );
    }

    #[test]
    fn errors_are_expected() {
        let sql = "--@test: a\n--@expected.error: KsqlException\n--@expected.message: 'X' cannot\n
            CREATE STREAM S (K INT KEY, A INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
            CREATE STREAM T AS SELECT K, X FROM S;
            --@test: b\n
            --@expected.message: nothing
            CREATE STREAM S (K INT KEY, A INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');";
        check(sql, "Passed; Expected an error, but there was none: nothing");
        assert!(parse("s", "SELECT 1;", Path::new(".")).is_err());
    }

    #[test]
    fn tombstones_and_replaced_queries() {
        check(
            "--@test: a
            CREATE TABLE S (K INT PRIMARY KEY, A INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
            CREATE TABLE T AS SELECT K, A FROM S WHERE A > 1;
            INSERT INTO S VALUES (1, 10);
            ASSERT VALUES T VALUES (1, 10);
            INSERT INTO S VALUES (1, 0);
            ASSERT NULL VALUES T (K) KEY (1);
            CREATE OR REPLACE TABLE T AS SELECT K, A FROM S WHERE A > 100;
            INSERT INTO S VALUES (2, 50);
            INSERT INTO S VALUES (3, 500);
            ASSERT VALUES T VALUES (3, 500);",
            "Passed",
        );
    }
}
