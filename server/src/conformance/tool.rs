//! The form of `ksql-test-runner`: a file of statements, a file of inputs and a file of outputs make
//! one test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use millrace_sql::analyze::EXTENSIONS;
use serde_json::{Map, Value};

use super::case::{self, Case, TestRecord};
use super::query_case::{self, Verdict};
use crate::cli::exit;
use crate::terminal::{errln, outln};

/// The three files.
#[derive(Debug, Default, clap::Args)]
pub struct ToolArgs {
    /// A file of statements: one test, with --output-file and --input-file
    #[arg(
        short,
        long,
        value_name = "FILE.sql",
        requires = "output_file",
        conflicts_with = "paths"
    )]
    pub sql_file: Option<PathBuf>,
    /// What the statements must write: {"outputs": [...]}
    #[arg(short, long, value_name = "FILE.json", requires = "sql_file")]
    pub output_file: Option<PathBuf>,
    /// What the statements read: {"inputs": [...]}; else only INSERT VALUES feeds them
    #[arg(short, long, value_name = "FILE.json", requires = "sql_file")]
    pub input_file: Option<PathBuf>,
}

/// Runs the test; the exit code.
pub fn run(sql: &Path, output: &Path, input: Option<&Path>) -> u8 {
    let case = match read(sql, output, input) {
        Ok(case) => case,
        Err((file, why)) => {
            errln!("Invalid arguments: File name: {} Message: {why}", file.display());
            return exit::FAILED;
        }
    };
    match query_case::run(&case) {
        Verdict::Passed => {
            outln!("\t >>> Test passed!");
            exit::FINE
        }
        Verdict::Failed(why) | Verdict::NotApplicable(why) => {
            errln!("\t>>>>> Test failed: {why}");
            exit::FAILED
        }
    }
}

type Refused = (PathBuf, String);

fn read(sql: &Path, output: &Path, input: Option<&Path>) -> Result<Case, Refused> {
    let statements = text(sql)?;
    let inputs = input.map(|file| records(file, "inputs")).transpose()?.unwrap_or_default();
    Ok(Case {
        name: "KSQL_Test".to_owned(),
        statements: vec![statements],
        // The pipeline is the user's own, and no case of ksqlDB's.
        properties: BTreeMap::from([(EXTENSIONS.to_owned(), "true".to_owned())]),
        topics: Vec::new(),
        inputs,
        outputs: records(output, "outputs")?,
        exception: None,
        post: Value::Null,
        raw: Map::new(),
    })
}

fn text(file: &Path) -> Result<String, Refused> {
    std::fs::read_to_string(file).map_err(|e| (file.to_owned(), e.to_string()))
}

fn records(file: &Path, field: &str) -> Result<Vec<TestRecord>, Refused> {
    let refused = |why: String| (file.to_owned(), why);
    let root: Value = serde_json::from_str(&text(file)?).map_err(|e| refused(e.to_string()))?;
    let list = root.get(field).and_then(Value::as_array).ok_or_else(|| {
        let which = field.trim_end_matches('s');
        refused(format!("No '{field}' field in the {which} file."))
    })?;
    if list.is_empty() {
        let (first, rest) = field.split_at(1);
        return Err(refused(format!("{}{rest} cannot be empty.", first.to_uppercase())));
    }
    let record = |(at, value): (usize, &Value)| {
        case::record(value).map_err(|why| refused(format!("{field}[{at}]: {why}")))
    };
    list.iter().enumerate().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_files_are_one_test() {
        let folder = std::env::temp_dir().join(format!("millrace-tool-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let sql = file(
            "a.sql",
            "-- doubles\nCREATE STREAM S (K INT KEY, A INT) WITH (KAFKA_TOPIC='s', FORMAT='JSON');
             CREATE STREAM T AS SELECT K, A * 2 AS B FROM S;",
        );
        let input = file("in.json", r#"{"inputs": [{"topic": "s", "key": 1, "value": {"A": 3}}]}"#);
        let good = r#"{"outputs": [{"topic": "T", "key": 1, "value": {"B": 6}}]}"#;
        let good = file("good.json", good);
        let bad = file("bad.json", r#"{"outputs": [{"topic": "T", "key": 1, "value": {"B": 7}}]}"#);
        let empty = file("empty.json", r#"{"outputs": []}"#);
        let got = |output: &Path| run(&sql, output, Some(&input));
        assert_eq!([got(&good), got(&bad), got(&empty)], [exit::FINE, exit::FAILED, exit::FAILED]);
        let (_, why) = read(&sql, &empty, None).expect_err("no outputs");
        assert_eq!(why, "Outputs cannot be empty.");
        let (_, why) = read(&sql, &input, None).expect_err("no outputs");
        assert_eq!(why, "No 'outputs' field in the output file.");
        std::fs::remove_dir_all(&folder).expect("it was made above");
    }
}
