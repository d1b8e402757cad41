//! How fast a windowed count is, in one thread and without decoding, encoding or a disk: rows per
//! CPU second and memory, for few and many keys.
//!
//! Run it as `cargo run -p millrace-benches --bin aggregate [rows]`, with
//! `CARGO_PROFILE_DEV_OPT_LEVEL=3` for figures that mean something.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use millrace_engine::batch::Batch;
use millrace_engine::error::Result;
use millrace_engine::operators::aggregate::{AggregateOptions, aggregate, stores};
use millrace_engine::operators::cache::CacheBudget;
use millrace_engine::operators::{Operator, StepContext};
use millrace_engine::state::{Shape, StateView, StoreId};
use millrace_sql::catalog::{FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::plan::{
    AggregateCall, AggregateNode, ScanNode, Window, WindowKind, node, schema,
};
use millrace_sql::types::SqlType;

const BATCH_ROWS: usize = 4096;
/// A second's worth of rows at the speed that is asked for.
const COMMIT_ROWS: usize = 500_000;
/// Event time between rows: 100,000 rows a second.
const ROWS_PER_MS: i64 = 100;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn main() -> Result<()> {
    let rows = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(10_000_000);
    let tumbling = WindowKind::Tumbling { size_ms: 10_000 };
    let hopping = WindowKind::Hopping { size_ms: 10_000, advance_ms: 5_000 };
    for (name, keys, kind, coalesce) in [
        ("count, 10 s tumbling, 10 k keys", 10_000, Some(tumbling), true),
        ("count, 10 s tumbling, 1 M keys", 1_000_000, Some(tumbling), true),
        ("count, 10 s hopping by 5 s, 10 k keys", 10_000, Some(hopping), true),
        ("count, no window, 10 k keys", 10_000, None, true),
        ("count, no window, 1 M keys", 1_000_000, None, true),
        ("count, 10 s tumbling, 10 k keys, each change", 10_000, Some(tumbling), false),
    ] {
        run(name, rows, keys, kind, coalesce)?;
    }
    Ok(())
}

fn run(name: &str, rows: usize, keys: u64, kind: Option<WindowKind>, coalesce: bool) -> Result<()> {
    let node = plan(kind);
    let stores = (0..stores(&node).len() as u32).map(|store| StoreId { store, partition: 0 });
    let budget = CacheBudget::new(usize::MAX);
    let cache = budget.share();
    let options = AggregateOptions { stores: stores.collect(), with_old: false, cache };
    let mut operator = aggregate(&node, options)?;
    let batches = batches(rows, keys)?;
    let (mut state, mut emitted, mut most) = (Discard::default(), 0, 0);
    let start = cpu_seconds();
    let mut uncommitted = 0;
    for batch in batches {
        uncommitted += batch.len();
        emitted += step(&mut *operator, &mut state, coalesce, Some(batch))?;
        if uncommitted >= COMMIT_ROWS {
            emitted += step(&mut *operator, &mut state, coalesce, None)?;
            most = most.max(budget.used_bytes());
            uncommitted = 0;
        }
    }
    let seconds = cpu_seconds() - start;
    println!(
        "{name}: {:.2} M rows per CPU second, {} MB, {emitted} rows out, {} read, {} written",
        rows as f64 / seconds / 1e6,
        most >> 20,
        state.reads.get(),
        state.writes
    );
    Ok(())
}

/// CPU time of this thread as Linux tells it; time of day elsewhere.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or_else(
        || {
            let now = std::time::SystemTime::now();
            now.duration_since(std::time::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
        },
        |nanos| nanos / 1e9,
    )
}

/// Pushes a batch, or flushes without one; gives how many rows came out.
fn step(
    operator: &mut dyn Operator,
    state: &mut Discard,
    coalesce: bool,
    batch: Option<Batch>,
) -> Result<usize> {
    let (mut out, mut aside, mut rejects, mut late_records) =
        (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut ctx = StepContext {
        state,
        out: &mut out,
        aside: &mut aside,
        rejects: &mut rejects,
        coalesce,
        late_records: &mut late_records,
    };
    match batch {
        Some(batch) => operator.push(0, batch, &mut ctx)?,
        None => operator.flush(&mut ctx)?,
    }
    Ok(out.iter().map(Batch::len).sum())
}

/// `SELECT auction, COUNT(*) FROM bids GROUP BY auction`.
fn plan(kind: Option<WindowKind>) -> AggregateNode {
    let format = FormatSpec::new(FormatKind::Json, true);
    let source = Source {
        name: "BIDS".into(),
        kind: SourceKind::Stream,
        columns: vec![],
        topic: "bids".into(),
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
    let auction = ("AUCTION".to_string(), SqlType::Bigint);
    let column = |name: &str| (name.to_string(), SqlType::Bigint);
    let input = schema(std::slice::from_ref(&auction)).expect("one column");
    let mut columns = vec![auction];
    if kind.is_some() {
        columns.extend([column("WINDOWSTART"), column("WINDOWEND")]);
    }
    columns.push(column("N"));
    let scan = ScanNode {
        step: "S".into(),
        source: Arc::new(source),
        columns: vec![],
        materialized: false,
        schema: input,
    };
    AggregateNode {
        input: node(scan),
        step: "Aggregate".into(),
        group: vec![0],
        calls: vec![AggregateCall {
            function: "COUNT".into(),
            args: vec![],
            arg_types: vec![],
            params: vec![],
            returns: SqlType::Bigint,
            name: "N".into(),
        }],
        window: kind.map(|kind| Window { kind, grace_ms: DAY_MS, retention_ms: DAY_MS + 10_000 }),
        emit_final: false,
        table_input: false,
        ttl_ms: None,
        skips_overflow: true,
        schema: schema(&columns).expect("distinct names"),
    }
}

/// Rows of uniformly distributed keys.
fn batches(rows: usize, keys: u64) -> Result<Vec<Batch>> {
    use arrow::datatypes::{DataType, Field, Schema};
    let schema = Arc::new(Schema::new(vec![Field::new("AUCTION", DataType::Int64, true)]));
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % keys) as i64
    };
    let mut batches = Vec::new();
    for first in (0..rows).step_by(BATCH_ROWS) {
        let len = BATCH_ROWS.min(rows - first);
        let auctions: ArrayRef = Arc::new((0..len).map(|_| Some(next())).collect::<Int64Array>());
        let times = (first..first + len).map(|row| row as i64 / ROWS_PER_MS).collect();
        batches.push(Batch::new(RecordBatch::try_new(schema.clone(), vec![auctions])?, times));
    }
    Ok(batches)
}

/// A store that takes everything and holds nothing: the operator alone is measured.
#[derive(Default)]
struct Discard {
    reads: std::cell::Cell<usize>,
    writes: usize,
}

impl StateView for Discard {
    fn get(&self, _: StoreId, _: Shape, _: &[u8]) -> Result<Option<Vec<u8>>> {
        self.reads.set(self.reads.get() + 1);
        Ok(None)
    }

    fn get_many(&self, _: StoreId, _: Shape, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        self.reads.set(self.reads.get() + keys.len());
        Ok(vec![None; keys.len()])
    }

    fn scan(
        &self,
        _: StoreId,
        _: Shape,
        _: &[u8],
        _: &[u8],
        _: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<()> {
        Ok(())
    }

    fn put(&mut self, _: StoreId, _: Shape, _: &[u8], _: Option<&[u8]>, _: i64) -> Result<()> {
        self.writes += 1;
        Ok(())
    }

    fn expire(&mut self, _: StoreId, _: &[u8]) -> Result<()> {
        Ok(())
    }
}
