//! Rows that come as JSON objects: what `/inserts-stream` takes.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;
use millrace_sql::analyze::InsertRow;
use millrace_sql::catalog::{Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::error::SqlError;
use millrace_sql::plan::ScanColumn;
use serde_json::{Map, Value};

use crate::api::{ApiError, ApiResult};
use crate::error::EngineError;
use crate::ids::{Offset, Timestamp, TopicId, Tp};
use crate::log::{RawBatch, RecordRef};
use crate::service::insert::encode;
use crate::service::{Inner, own_topics};

impl Inner {
    /// The source that rows can be inserted into.
    pub(super) fn row_target(&self, name: &str) -> ApiResult<Arc<Source>> {
        self.booted()?;
        let refuse = |message: String| ApiError::Statement {
            sql: String::new(),
            error: SqlError::invalid(message),
        };
        let catalog = self.catalog();
        let target = catalog.source(name).ok_or_else(|| {
            refuse(format!("Cannot insert values into an unknown stream/table: `{name}`"))
        })?;
        if target.window.is_some() {
            return Err(refuse("Cannot insert values into windowed stream/table".to_owned()));
        }
        if target.columns.iter().any(|c| matches!(c.role, ColumnRole::Headers(_))) {
            let message = format!("Cannot insert into {name} because it has header columns");
            return Err(refuse(message));
        }
        own_topics::check_insert(&self.names, &target.topic)?;
        Ok(target.clone())
    }

    pub(super) fn insert_row(&self, target: &str, row: &Map<String, Value>) -> ApiResult<()> {
        let target = self.row_target(target)?;
        let row = by_column(&target, row).map_err(user)?;
        let values = self.values(&target, &row)?;
        let target = self.with_schemas("", &target)?;
        let insert = InsertRow { target, values, rowtime: None };
        let formats = self.seams.formats.as_ref();
        let record = encode(formats, &insert, self.seams.clock.now())?;
        self.write(&insert, record)
    }

    /// The row's values, one per column of the target.
    fn values(&self, target: &Source, row: &Map<String, Value>) -> ApiResult<Vec<Expr>> {
        let as_value = |c: &Column| Column { role: ColumnRole::Value, ..c.clone() };
        let read_as = Source {
            // A table's rows have keys.
            kind: SourceKind::Stream,
            columns: target.columns.iter().map(as_value).collect(),
            key_format: FormatSpec::new(FormatKind::None, true),
            value_format: FormatSpec::new(FormatKind::Json, true),
            timestamp: None,
            ..target.clone()
        };
        let all: Vec<_> = (0..read_as.columns.len()).map(ScanColumn::Declared).collect();
        let mut decoder = self.seams.formats.decoder(&read_as, &all).map_err(ApiError::Engine)?;
        let text = Value::Object(row.clone()).to_string();
        let mut batch = RawBatch::new(Tp::new(TopicId(0), 0));
        let value = Some(text.as_bytes());
        let record = RecordRef { timestamp: Timestamp(0), key: None, value, headers: &[] };
        batch.push(Offset(0), &record);
        let decoded = decoder.decode(&batch, 0..1).map_err(ApiError::Engine)?;
        if let Some(reject) = decoded.rejects.first() {
            return Err(user(reject.reason.clone()));
        }
        let literal = |column: &arrow::array::ArrayRef| {
            let value = ScalarValue::try_from_array(column, 0);
            value.map(|value| Expr::Literal(value, None))
        };
        let values: Result<_, _> = decoded.rows.columns().iter().map(literal).collect();
        values.map_err(|e| ApiError::Engine(EngineError::from(e)))
    }
}

/// The members by the columns that they mean: names are folded unless they are quoted inside.
fn by_column(target: &Source, row: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    for (name, value) in row {
        let quoted = name.strip_prefix('`').and_then(|n| n.strip_suffix('`'));
        let name = quoted.map_or_else(|| name.to_uppercase(), |n| n.replace("``", "`"));
        if target.column(&name).is_some() {
            found.insert(name, value.clone());
        }
    }
    let missing = |c: &&Column| found.get(&c.name).is_none_or(Value::is_null);
    match target.key_columns().find(missing) {
        Some(column) => Err(format!("Key field must be specified: {}", column.name)),
        None => Ok(found),
    }
}

fn user(message: String) -> ApiError {
    ApiError::Engine(EngineError::User(message))
}

#[cfg(test)]
mod tests {
    use millrace_sql::analyze::{Analyzed, Settings, analyze};
    use millrace_sql::catalog::Catalog;
    use millrace_sql::parser::parse_statement;

    use super::*;

    fn source(sql: &str) -> Source {
        let statement = parse_statement(sql).expect("it parses");
        match analyze(&statement, sql, &Catalog::default(), &Settings::default()) {
            Ok(Analyzed::CreateSource(new)) => new.source,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn members_mean_columns() {
        let source = source(
            "CREATE STREAM S (K STRING KEY, `v` STRING) WITH (KAFKA_TOPIC='s', FORMAT='JSON');",
        );
        let check = |row: &str, expected: Result<&str, &str>| {
            let row: Map<String, Value> = serde_json::from_str(row).expect(row);
            let got = by_column(&source, &row).map(|found| Value::Object(found).to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), expected);
        };
        check(r#"{"k":"a","`v`":"b"}"#, Ok(r#"{"K":"a","v":"b"}"#));
        check(r#"{"K":"a","v":"b","z":1}"#, Ok(r#"{"K":"a"}"#));
        check(r#"{"K":null,"`v`":"b"}"#, Err("Key field must be specified: K"));
    }
}
