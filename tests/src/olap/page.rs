//! Executes the blocks of a page about a target: statements, the documents that they make, questions to the
//! target, and their answers.

use serde_json::Value;

use super::world::World;
use super::{Rows, await_equal, rows};

/// How the pages name what a test has elsewhere.
const BROKERS: &str = "kafka:9092";
const URLS: [&str; 2] = ["http://pinot-controller:9000", "http://druid-router:8888"];

/// What is under way between two blocks.
#[derive(Default)]
struct Pending {
    documents: Option<Value>,
    current_rows: Option<String>,
    question: Option<String>,
    answers: usize,
}

/// Runs all blocks of `page` that say `sql`, compares those that say `json` with what EXPLAIN shows, and asks
/// the target what stands in those that say `sql` and its name. How many answers were compared.
///
/// # Errors
/// The first block that is not as it says.
pub fn run(world: &World, page: &str) -> Result<usize, String> {
    let own = format!("sql {}", world.target.system().to_ascii_lowercase());
    let mut pending = Pending::default();
    for (kind, text) in blocks(page) {
        match kind.as_str() {
            "sql" => statements(world, &text, &mut pending)?,
            "json" => {
                let shown = pending.documents.take().ok_or("no EXPLAIN before this JSON")?;
                let said: Value =
                    serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
                if shown != said {
                    return Err(format!("EXPLAIN shows {shown:#}"));
                }
            }
            "answer" => {
                let sql = pending.question.take().ok_or("no question before this answer")?;
                ask(world, &sql, &text)?;
                pending.answers += 1;
            }
            kind if kind == own => {
                let sql = text.split_whitespace().collect::<Vec<_>>().join(" ");
                match pending.current_rows.take() {
                    Some(current) if current != sql => {
                        return Err(format!("DESCRIBE SINK says {current}"));
                    }
                    _ => pending.question = Some(sql),
                }
            }
            _ => {}
        }
    }
    Ok(pending.answers)
}

fn statements(world: &World, text: &str, pending: &mut Pending) -> Result<(), String> {
    let url = world.target.url();
    let text = URLS.iter().fold(text.to_owned(), |text, named| text.replace(named, &url));
    for statement in text.split_inclusive(";\n").filter(|s| !s.trim().is_empty()) {
        let answer = world.sql(statement)?;
        let described = &answer[0]["sinkDescription"]["currentRowsQuery"];
        pending.current_rows = described.as_str().map(str::to_owned);
        if statement.trim_start().starts_with("EXPLAIN") {
            let shown = answer[0]["queryDescription"]["documents"].to_string();
            let shown = shown.replace(world.bootstrap(), BROKERS);
            pending.documents = serde_json::from_str(&shown).ok();
        }
    }
    Ok(())
}

/// Waits for the rows of an answer: a line each, cells between bars.
fn ask(world: &World, sql: &str, answer: &str) -> Result<(), String> {
    let wanted = answer_rows(answer);
    await_equal(sql, &wanted, || {
        world.target.query(sql).map(|found| rows(found.into_iter().map(as_shown)))
    })
}

/// The rows of an answer's block.
pub fn answer_rows(answer: &str) -> Rows {
    rows(answer.lines().map(|line| line.split('|').map(|cell| cell_of(cell.trim())).collect()))
}

/// Cells as pages show them: what looks like a number is one.
pub fn as_shown(row: Vec<Value>) -> Vec<Value> {
    let shown = |cell: Value| match cell {
        Value::String(text) => cell_of(&text),
        other => other,
    };
    row.into_iter().map(shown).collect()
}

fn cell_of(text: &str) -> Value {
    let number = serde_json::from_str::<serde_json::Number>(text);
    number.map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

/// Fenced blocks of a Markdown page: (what the fence says, text).
pub fn blocks(page: &str) -> Vec<(String, String)> {
    let (mut blocks, mut open): (Vec<(String, String)>, bool) = (Vec::new(), false);
    for line in page.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(kind), false) => {
                blocks.push((kind.trim().to_owned(), String::new()));
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => {
                if let Some((_, text)) = blocks.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
            (None, false) => {}
        }
    }
    blocks
}
