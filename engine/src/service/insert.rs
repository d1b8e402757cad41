//! INSERT INTO ... VALUES: one row, evaluated and written by the node that was asked.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Int64Type, Schema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use millrace_sql::analyze::{Analyzed, InsertRow};
use millrace_sql::catalog::Source;
use millrace_sql::error::SqlError;
use millrace_sql::expr::Evaluator;

use crate::api::{ApiError, ApiResult, Properties};
use crate::error::EngineError;
use crate::format::{EncodedRows, Formats, partition_for_key};
use crate::ids::{Timestamp, Tp};
use crate::log::Record;
use crate::service::command_log::wait;
use crate::service::control::effective;
use crate::service::schemas::{self, SchemaDesk};
use crate::service::{Inner, ddl, facts, own_topics};

const LOG_TIMEOUT: Duration = Duration::from_secs(30);

impl Inner {
    pub(super) fn insert_values(&self, sql: &str, properties: &Properties) -> ApiResult<()> {
        self.booted()?;
        let properties = effective(self, properties)?;
        let checked = ddl::analyze(sql, &self.catalog(), &properties)?;
        let Analyzed::InsertValues(row) = checked.analyzed else {
            let error = SqlError::invalid("expected INSERT INTO ... VALUES");
            return Err(ApiError::Statement { sql: sql.to_owned(), error });
        };
        own_topics::check_insert(&self.names, &row.target.topic)?;
        let mut row = row;
        row.target = self.with_schemas(sql, &row.target)?;
        let now = self.seams.clock.now();
        let random = || self.seams.entropy.next_u64();
        let record = millrace_sql::expr::with_ambient(now.0, &random, || {
            encode(self.seams.formats.as_ref(), &row, now)
        })?;
        self.write(&row, record)
    }

    /// The target with the schemas that a row is written with.
    pub(super) fn with_schemas(&self, sql: &str, target: &Arc<Source>) -> ApiResult<Arc<Source>> {
        let desk = SchemaDesk { formats: self.seams.formats.as_ref() };
        let schemas = desk.register(target, false);
        let schemas =
            schemas.map_err(|error| ApiError::Statement { sql: sql.to_owned(), error })?;
        if schemas.is_empty() {
            return Ok(target.clone());
        }
        Ok(Arc::new(schemas::with_schemas(target, &schemas)))
    }

    pub(super) fn write(&self, insert: &InsertRow, encoded: InsertRecord) -> ApiResult<()> {
        let log = self.seams.log.as_ref();
        let topic = facts::describe(log, &insert.target.topic).map_err(ApiError::Engine)?;
        let partition = match &encoded.record.key {
            Some(key) => partition_for_key(&key[..encoded.inner_key_len], topic.partitions),
            None => (self.seams.entropy.next_u64() % u64::from(topic.partitions)) as u32,
        };
        let (tp, records) = (Tp::new(topic.id, partition), [encoded.record]);
        let appended = wait(log, LOG_TIMEOUT, || log.append(tp, &records)).and_then(|a| a);
        appended.map(|_| ()).map_err(|e| ApiError::Engine(EngineError::Log(e)))
    }
}

/// The record of a row.
pub struct InsertRecord {
    pub record: Record,
    /// Length of the key without its window: what the partitioner hashes.
    pub inner_key_len: usize,
}

/// Evaluates and encodes a row. Wall clock and randomness of its expressions are the ambient ones.
///
/// # Errors
/// Expressions that fail, and values that the formats of the target cannot hold.
pub fn encode(
    formats: &dyn Formats,
    insert: &InsertRow,
    now: Timestamp,
) -> ApiResult<InsertRecord> {
    let (values, time) = evaluate_row(insert)?;
    let fields: Vec<Field> = insert
        .target
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.ty.to_arrow(), true))
        .collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), values);
    let rows = rows.map_err(|e| ApiError::Engine(EngineError::from(e)))?;
    let mut encoder = formats.encoder(&insert.target).map_err(ApiError::Engine)?;
    let mut encoded = EncodedRows::default();
    encoder.encode(&rows, None, &mut encoded).map_err(ApiError::Engine)?;
    if let Some((_, reason)) = encoded.errors.first() {
        return Err(user(format!("the row cannot be written: {reason}")));
    }
    let Some(row) = encoded.rows.first() else {
        return Err(user("the row cannot be written".to_owned()));
    };
    let key = row.key.clone().map(|range| &encoded.data[range]);
    let value = row.value.clone().map(|range| &encoded.data[range]);
    let time = time.map_or(now, Timestamp);
    Ok(InsertRecord { record: Record::new(time, key, value), inner_key_len: row.inner_key_len })
}

/// The values of a row, an array of one per column of the target, and its ROWTIME if it has one.
///
/// # Errors
/// Expressions that fail.
pub fn evaluate_row(insert: &InsertRow) -> ApiResult<(Vec<ArrayRef>, Option<i64>)> {
    let values = insert.values.iter().map(evaluate).collect::<Result<_, _>>()?;
    let time = insert.rowtime.as_ref().map(rowtime).transpose()?;
    Ok((values, time.map(|time| time.0)))
}

/// The value of an expression without columns, as an array of one.
fn evaluate(expr: &Expr) -> ApiResult<ArrayRef> {
    let refuse = |e: SqlError| user(e.to_string());
    let evaluator = Evaluator::new(expr, &DFSchema::empty()).map_err(refuse)?;
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one_row =
        RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)
            .map_err(|e| ApiError::Engine(EngineError::from(e)))?;
    let mut errors = Vec::new();
    let value = evaluator.column(&one_row, &mut errors).map_err(refuse)?;
    match errors.first() {
        Some(error) => Err(user(error.message.clone())),
        None => Ok(value),
    }
}

fn rowtime(expr: &Expr) -> ApiResult<Timestamp> {
    let value = evaluate(expr)?;
    let time = value.as_primitive_opt::<Int64Type>().filter(|v| v.null_count() == 0);
    let time = time.map(|values| values.value(0)).filter(|time| *time >= 0);
    time.map(Timestamp).ok_or_else(|| user("ROWTIME must not be NULL or negative".to_owned()))
}

fn user(message: String) -> ApiError {
    ApiError::Engine(EngineError::User(message))
}
