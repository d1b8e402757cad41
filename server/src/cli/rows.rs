//! Rows of SELECT as they arrive: as a table, or as JSON.

use std::io::Write;

use serde_json::Value;

use super::table::Layout;

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    Tabular,
    Json,
}

/// Rows of a pull query are collected up to here to fit the columns to them.
const ROWS_FITTED_MAX: usize = 1000;

/// Writes the elements of one answer.
pub struct RowPrinter {
    output: Output,
    width: usize,
    /// True: rows come slowly, so widths are fixed beforehand.
    push: bool,
    names: Vec<String>,
    layout: Option<Layout>,
    waiting: Vec<Vec<String>>,
    rows: u64,
}

/// What an element of the answer was.
#[derive(Debug, PartialEq, Eq)]
pub enum Element {
    More,
    /// The answer failed after its header.
    Failed {
        code: Option<u64>,
        message: String,
    },
}

impl RowPrinter {
    pub fn new(output: Output, width: usize, push: bool) -> Self {
        let (names, waiting) = (Vec::new(), Vec::new());
        RowPrinter { output, width, push, names, layout: None, waiting, rows: 0 }
    }

    /// Takes one line of the answer: an element of the array, with its separators.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn line(&mut self, out: &mut dyn Write, line: &str) -> std::io::Result<Element> {
        let text = line.trim();
        let text = text.strip_prefix('[').unwrap_or(text);
        let text = text.strip_suffix(',').unwrap_or(text);
        let element = match serde_json::from_str::<Value>(text) {
            Ok(element) => element,
            // The last element stands before the end of the array.
            Err(_) => match serde_json::from_str(text.strip_suffix(']').unwrap_or(text)) {
                Ok(element) => element,
                Err(_) => return Ok(Element::More),
            },
        };
        self.element(out, &element)
    }

    fn element(&mut self, out: &mut dyn Write, element: &Value) -> std::io::Result<Element> {
        if let Some(error) = element.get("errorMessage") {
            let message = error["message"].as_str().unwrap_or("the query failed").to_string();
            return Ok(Element::Failed { code: error["error_code"].as_u64(), message });
        }
        if self.output == Output::Json {
            // One a line, so that scripts can read them.
            writeln!(out, "{element}")?;
            out.flush()?;
            return Ok(Element::More);
        }
        if let Some(header) = element.get("header") {
            self.names = column_names(header["schema"].as_str().unwrap_or_default());
            if self.push {
                self.start(out, Layout::equal(self.names.len(), self.width))?;
            }
        } else if let Some(row) = element.get("row") {
            self.row(out, row)?;
        } else if let Some(message) = element.get("finalMessage") {
            self.finish_table(out)?;
            writeln!(out, "{}", message.as_str().unwrap_or_default())?;
        }
        out.flush()?;
        Ok(Element::More)
    }

    fn start(&mut self, out: &mut dyn Write, layout: Layout) -> std::io::Result<()> {
        out.write_all(layout.header(&self.names).as_bytes())?;
        self.layout = Some(layout);
        Ok(())
    }

    fn row(&mut self, out: &mut dyn Write, row: &Value) -> std::io::Result<()> {
        let tombstone = row["tombstone"] == Value::Bool(true);
        let columns = row["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
        let cells: Vec<String> = columns.iter().map(|c| cell(c, tombstone)).collect();
        self.rows += 1;
        if let Some(layout) = &self.layout {
            return out.write_all(layout.row(&cells).as_bytes());
        }
        self.waiting.push(cells);
        if self.waiting.len() >= ROWS_FITTED_MAX { self.flush_waiting(out) } else { Ok(()) }
    }

    fn flush_waiting(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        let rows = std::mem::take(&mut self.waiting);
        let layout = Layout::fitting(&self.names, &rows, self.width);
        self.start(out, layout.clone())?;
        rows.iter().try_for_each(|row| out.write_all(layout.row(row).as_bytes()))
    }

    /// Writes what is still waiting and the end of the table.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn finish(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.output == Output::Tabular && !self.names.is_empty() {
            self.finish_table(out)?;
        }
        out.flush()
    }

    fn finish_table(&mut self, out: &mut dyn Write) -> std::io::Result<()> {
        if self.layout.is_none() && !self.names.is_empty() {
            self.flush_waiting(out)?;
        }
        if let Some(layout) = &self.layout
            && !self.push
        {
            out.write_all(layout.rule().as_bytes())?;
        }
        self.names.clear();
        Ok(())
    }
}

fn cell(value: &Value, tombstone: bool) -> String {
    match value {
        Value::Null if tombstone => "<TOMBSTONE>".to_string(),
        Value::Null => "null".to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Names from ``"`K` STRING KEY, `C` ARRAY<STRUCT<`A` INTEGER>>"``: those outside of `<...>`.
fn column_names(schema: &str) -> Vec<String> {
    let (mut names, mut depth) = (Vec::new(), 0i32);
    let mut rest = schema;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            '`' => {
                let (name, after) = quoted(rest);
                rest = after;
                if depth == 0 {
                    names.push(name);
                }
            }
            _ => {}
        }
    }
    names
}

/// Text up to the closing back-tick, doubled ones are part of it; and what follows.
fn quoted(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once('`') {
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(more) => {
                name.push('`');
                rest = more;
            }
            None => return (name, after),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "\
        [{\"header\":{\"queryId\":\"q\",\"schema\":\"`K` STRING, `C` BIGINT\"}},\n\
        {\"row\":{\"columns\":[\"a,]\",1]}},\n\
        \n\
        {\"row\":{\"columns\":[null,\"b\"],\"tombstone\":true}},\n\
        {\"finalMessage\":\"Limit Reached\"}]";

    fn check(push: bool, expected: &str) {
        let (mut printer, mut out) = (RowPrinter::new(Output::Tabular, 29, push), Vec::new());
        for line in ANSWER.lines() {
            assert_eq!(printer.line(&mut out, line).unwrap(), Element::More);
        }
        printer.finish(&mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn push_rows_come_at_once_in_equal_columns() {
        check(
            true,
            "+-------------+-------------+\n|K            |C            |\n\
             +-------------+-------------+\n|a,]          |1            |\n\
             |<TOMBSTONE>  |b            |\nLimit Reached\n",
        );
    }

    #[test]
    fn pull_rows_are_fitted() {
        check(
            false,
            "+-----------+-+\n|K          |C|\n+-----------+-+\n|a,]        |1|\n\
             |<TOMBSTONE>|b|\n+-----------+-+\nLimit Reached\n",
        );
    }

    #[test]
    fn failures_are_told() {
        let mut printer = RowPrinter::new(Output::Tabular, 29, true);
        let line = "{\"errorMessage\":{\"message\":\"gone\"}}]";
        let failed = printer.line(&mut Vec::new(), line).unwrap();
        assert_eq!(failed, Element::Failed { code: None, message: "gone".to_string() });
    }

    #[test]
    fn names_of_columns() {
        let schema = "`A` ARRAY<STRUCT<`X` INTEGER>>, `b``c` DECIMAL(4, 2) KEY";
        assert_eq!(column_names(schema), ["A", "b`c"]);
    }
}
