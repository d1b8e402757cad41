//! Aggregation against an oracle that folds rows one by one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use datafusion::logical_expr::{Expr, LogicalPlan, ident};
use millrace_sql::catalog::{FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::plan::{
    AggregateCall, AggregateNode, ScanNode, Window, WindowKind, node, schema,
};
use millrace_sql::types::SqlType;

use super::{AggregateOptions, AggregateReader, aggregate, stores};
use crate::batch::{Batch, Old};
use crate::operators::Operator;
use crate::operators::cache::CacheBudget;
use crate::operators::testing::{MemState, Output, flush, push, texts};
use crate::state::{Shape, StoreId};

mod cases;
mod closing;
mod oracle;
mod overflow;
mod sessions;

/// A row of input: key, value, event time.
pub(super) type Row = (Option<&'static str>, i64, i64);

pub(super) fn scan() -> LogicalPlan {
    let format = FormatSpec::new(FormatKind::Json, true);
    let source = Source {
        name: "S".into(),
        kind: SourceKind::Stream,
        columns: vec![],
        topic: "s".into(),
        partitions: 1,
        key_format: format.clone(),
        value_format: format,
        window: None,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    };
    let columns = [("K".to_string(), SqlType::String), ("V".to_string(), SqlType::Bigint)];
    let schema = schema(&columns).unwrap();
    let source = Arc::new(source);
    node(ScanNode { step: "S".into(), source, columns: vec![], materialized: false, schema })
}

fn call(function: &str, args: Vec<Expr>) -> AggregateCall {
    let arg_types = args.iter().map(|_| SqlType::Bigint).collect();
    let name = function.to_string();
    let returns = SqlType::Bigint;
    AggregateCall { function: name.clone(), args, arg_types, params: vec![], returns, name }
}

/// `SELECT K, COUNT(*), SUM(V), LATEST_BY_OFFSET(V) GROUP BY K`.
pub(super) fn plan(window: Option<Window>, emit_final: bool, table_input: bool) -> AggregateNode {
    let mut calls = vec![call("COUNT", vec![]), call("SUM", vec![ident("V")])];
    if !table_input {
        calls.push(call("LATEST_BY_OFFSET", vec![ident("V")]));
    }
    let mut columns = vec![("K".to_string(), SqlType::String)];
    if window.is_some() {
        columns.push(("WINDOWSTART".to_string(), SqlType::Bigint));
        columns.push(("WINDOWEND".to_string(), SqlType::Bigint));
    }
    columns.extend(calls.iter().map(|call| (call.name.clone(), call.returns.clone())));
    AggregateNode {
        input: scan(),
        step: "Aggregate".into(),
        group: vec![0],
        calls,
        window,
        emit_final,
        table_input,
        ttl_ms: None,
        skips_overflow: true,
        schema: schema(&columns).unwrap(),
    }
}

pub(super) fn window(kind: WindowKind, grace_ms: i64) -> Window {
    let size_ms = match kind {
        WindowKind::Tumbling { size_ms } | WindowKind::Hopping { size_ms, .. } => size_ms,
        WindowKind::Session { gap_ms } => gap_ms,
    };
    Window { kind, grace_ms, retention_ms: size_ms + grace_ms }
}

pub(super) fn operator(node: &AggregateNode, with_old: bool) -> Box<dyn Operator> {
    operator_of_bytes(node, with_old, usize::MAX)
}

pub(super) fn operator_of_bytes(
    node: &AggregateNode,
    with_old: bool,
    cache_bytes_max: usize,
) -> Box<dyn Operator> {
    let stores = (0..stores(node).len() as u32).map(store).collect();
    let cache = CacheBudget::new(cache_bytes_max).share();
    aggregate(node, AggregateOptions { stores, with_old, cache }).unwrap()
}

pub(super) fn store(number: u32) -> StoreId {
    StoreId { store: number, partition: 0 }
}

pub(super) fn columns(rows: &[(Option<&str>, i64)]) -> RecordBatch {
    let keys: StringArray = rows.iter().map(|row| row.0).collect();
    let values: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
    let arrays: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    let input = scan();
    RecordBatch::try_new(input.schema().inner().clone(), arrays).unwrap()
}

pub(super) fn batch(rows: &[Row]) -> Batch {
    let values: Vec<_> = rows.iter().map(|(key, value, _)| (*key, *value)).collect();
    Batch::new(columns(&values), rows.iter().map(|row| row.2).collect())
}

/// Changes of a table: old and new value (if any) of a row, with its time.
pub(super) type TableChange = (Option<(&'static str, i64)>, Option<(&'static str, i64)>, i64);

pub(super) fn changes(rows: &[TableChange]) -> Batch {
    let side = |pick: fn(&TableChange) -> Option<(&'static str, i64)>| {
        let values: Vec<_> =
            rows.iter().map(|row| pick(row).map_or((None, 0), |(k, v)| (Some(k), v))).collect();
        let live: BooleanBuffer = rows.iter().map(|row| pick(row).is_some()).collect();
        (columns(&values), live)
    };
    let (old, old_live) = side(|row| row.0);
    let (new, new_live) = side(|row| row.1);
    let mut batch = Batch::new(new, rows.iter().map(|row| row.2).collect());
    batch.live = Some(new_live);
    batch.old = Some(Old { rows: old, live: old_live });
    batch
}

/// Output rows of a run with a flush at the end.
pub(super) fn run(node: &AggregateNode, rows: &[Row], coalesce: bool) -> Output {
    let mut operator = operator(node, false);
    let (mut state, mut output) = (MemState::default(), Output::default());
    push(&mut *operator, 0, batch(rows), &mut state, &mut output, coalesce).unwrap();
    flush(&mut *operator, &mut state, &mut output, coalesce).unwrap();
    output
}

pub(super) fn key_columns(node: &AggregateNode) -> usize {
    if node.window.is_some() { 3 } else { 1 }
}

/// Rows of the queried store, as text.
pub(super) fn stored(node: &AggregateNode, state: &MemState) -> Vec<String> {
    let shape: Shape = stores(node)[0].shape;
    let Some(entries) = state.stores.get(&(store(0), shape)) else { return vec![] };
    let entries: Vec<(&[u8], &[u8])> =
        entries.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    let (rows, times) = AggregateReader::new(node).unwrap().rows(&entries).unwrap();
    let batches = vec![Batch::new(rows, times)];
    texts(&Output { batches, ..Output::default() }, 0)
}
