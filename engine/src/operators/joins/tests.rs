//! Joins by cases, and against nested loops over the same rows in batches of any size.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use datafusion::logical_expr::LogicalPlan;
use millrace_sql::catalog::{FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::plan::JoinKind::{self, Full, Inner, Left, Right};
use millrace_sql::plan::{JoinNode, JoinShape, ScanNode, node, schema};
use millrace_sql::types::SqlType;

use super::{join, join_stores};
use crate::batch::Batch;
use crate::operators::Operator;
use crate::operators::cache::CacheBudget;
use crate::operators::testing::{MemState, Output, flush, push, texts};
use crate::state::StoreId;

mod stream_stream;

/// A row of input: port, key, value (`None`: a tombstone), time.
type Row = (usize, Option<&'static str>, Option<i64>, i64);

fn scan(name: &str) -> LogicalPlan {
    let format = FormatSpec::new(FormatKind::Json, true);
    let source = Source {
        name: name.into(),
        kind: SourceKind::Stream,
        columns: vec![],
        topic: name.into(),
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
    let columns = [(format!("{name}K"), SqlType::String), (format!("{name}V"), SqlType::Bigint)];
    let (source, schema) = (Arc::new(source), schema(&columns).unwrap());
    node(ScanNode { step: name.into(), source, columns: vec![], materialized: false, schema })
}

fn plan(kind: JoinKind, shape: JoinShape) -> JoinNode {
    let (text, number) = (SqlType::String, SqlType::Bigint);
    let columns = [("LK", &text), ("LV", &number), ("RK", &text), ("RV", &number), ("KEY", &text)];
    let columns = columns.map(|(name, ty)| (name.to_string(), ty.clone()));
    JoinNode {
        left: scan("L"),
        right: scan("R"),
        step: "Join".into(),
        kind,
        shape,
        left_key: 0,
        right_key: 0,
        bounds: None,
        schema: schema(&columns).unwrap(),
    }
}

fn operator(node: &JoinNode, cache_bytes_max: usize) -> Box<dyn Operator> {
    let stores: Vec<StoreId> =
        (0..join_stores(node).len() as u32).map(|store| StoreId { store, partition: 0 }).collect();
    join(node, &stores, true, CacheBudget::new(cache_bytes_max).share()).unwrap()
}

fn batch(node: &JoinNode, rows: &[Row]) -> Batch {
    let keys: StringArray = rows.iter().map(|row| row.1).collect();
    let values: Int64Array = rows.iter().map(|row| row.2).collect();
    let arrays: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    let plan = if rows[0].0 == 0 { &node.left } else { &node.right };
    let columns = RecordBatch::try_new(plan.schema().inner().clone(), arrays).unwrap();
    let mut batch = Batch::new(columns, rows.iter().map(|row| row.3).collect());
    let live: BooleanBuffer = rows.iter().map(|row| row.2.is_some()).collect();
    batch.live = Some(live).filter(|live| live.count_set_bits() < rows.len());
    batch
}

/// Rows in order, cut into batches of one port and at most `size` rows.
fn run(node: &JoinNode, rows: &[Row], size: usize) -> Output {
    let (mut state, mut output) = (MemState::default(), Output::default());
    let mut operator = operator(node, usize::MAX);
    push_all(&mut *operator, node, rows, size, &mut state, &mut output);
    flush(&mut *operator, &mut state, &mut output, false).unwrap();
    output
}

fn push_all(
    operator: &mut dyn Operator,
    node: &JoinNode,
    rows: &[Row],
    size: usize,
    state: &mut MemState,
    output: &mut Output,
) {
    for rows in rows.chunk_by(|a, b| a.0 == b.0) {
        for rows in rows.chunks(size) {
            push(operator, rows[0].0, batch(node, rows), state, output, false).unwrap();
        }
    }
}

fn check(node: &JoinNode, rows: &[Row], want: &[&str]) {
    for size in [1, 2, 100] {
        assert_eq!(texts(&run(node, rows, size), usize::MAX), want, "batches of {size}");
    }
}

#[test]
fn a_stream_meets_the_table_as_it_is() {
    let rows = [
        (0, Some("a"), Some(1), 1),
        (1, Some("a"), Some(10), 9),
        (1, Some("b"), Some(20), 2),
        (0, Some("a"), Some(2), 3),
        (0, Some("b"), Some(3), 4),
        (0, Some("a"), Some(4), 5),
        (1, Some("a"), None, 6),
        (0, Some("a"), Some(5), 7),
        (0, None, Some(6), 8),
        (0, Some("b"), None, 9),
    ];
    let inner = plan(Inner, JoinShape::StreamTable);
    check(&inner, &rows, &["a 2 a 10 a @3", "b 3 b 20 b @4", "a 4 a 10 a @5"]);
    assert_eq!(run(&inner, &rows, 9).rejects.len(), 1, "the NULL key");
    let want = [
        "a 1 NULL NULL a @1",
        "a 2 a 10 a @3",
        "b 3 b 20 b @4",
        "a 4 a 10 a @5",
        "a 5 NULL NULL a @7",
        "NULL 6 NULL NULL NULL @8",
    ];
    check(&plan(Left, JoinShape::StreamTable), &rows, &want);
}

const CHANGES: [Row; 8] = [
    (0, Some("a"), Some(1), 1),
    (0, Some("a"), Some(2), 2),
    (1, Some("a"), Some(10), 9),
    (1, Some("b"), Some(20), 3),
    (0, Some("a"), Some(3), 4),
    (0, Some("a"), None, 5),
    (1, Some("a"), None, 6),
    (1, Some("b"), None, 7),
];

#[test]
fn tables_join_by_key() {
    let check = |kind, want: &[&str]| check(&plan(kind, JoinShape::TableTable), &CHANGES, want);
    let inner = [
        "a 2 a 10 a @9 < none",
        "a 3 a 10 a @9 < a 2 a 10 a",
        "-NULL NULL NULL NULL a @9 < a 3 a 10 a",
    ];
    check(Inner, &inner);
    let left = [
        "a 1 NULL NULL a @1 < none",
        "a 2 NULL NULL a @2 < a 1 NULL NULL a",
        "a 2 a 10 a @9 < a 2 NULL NULL a",
        "a 3 a 10 a @9 < a 2 a 10 a",
        "-NULL NULL NULL NULL a @9 < a 3 a 10 a",
    ];
    check(Left, &left);
    let right = [
        "a 2 a 10 a @9 < none",
        "NULL NULL b 20 b @3 < none",
        "a 3 a 10 a @9 < a 2 a 10 a",
        "NULL NULL a 10 a @9 < a 3 a 10 a",
        "-NULL NULL NULL NULL a @6 < NULL NULL a 10 a",
        "-NULL NULL NULL NULL b @7 < NULL NULL b 20 b",
    ];
    check(Right, &right);
    let full = [&left[..3], &right[1..4], &right[4..]].concat();
    check(Full, &full);
}

#[test]
fn wrong_joins_are_refused() {
    let within = |before_ms| JoinShape::StreamStream { before_ms, after_ms: 1, grace_ms: None };
    let mut other_type = plan(Inner, within(1));
    other_type.right_key = 1;
    let cases = [plan(Full, JoinShape::StreamTable), plan(Inner, within(-1)), other_type];
    for case in cases {
        let stores: Vec<StoreId> = (0..join_stores(&case).len() as u32)
            .map(|store| StoreId { store, partition: 0 })
            .collect();
        let cache = CacheBudget::new(0).share();
        assert!(join(&case, &stores, false, cache).is_err(), "{case:?}");
    }
}

#[test]
fn random_table_changes_give_the_joined_table() {
    let mut random = Random(7);
    let rows: Vec<Row> = (0..300)
        .map(|i| {
            let value = (random.below(4) > 0).then_some(i);
            (random.below(2) as usize, Some(KEYS[random.below(3) as usize]), value, i)
        })
        .collect();
    for kind in [Inner, Left, Right, Full] {
        let node = plan(kind, JoinShape::TableTable);
        let whole = texts(&run(&node, &rows, 1000), usize::MAX);
        for size in [1, 7] {
            assert_eq!(texts(&run(&node, &rows, size), usize::MAX), whole, "batches of {size}");
        }
        let mut sides = [BTreeMap::new(), BTreeMap::new()];
        let mut table = BTreeMap::new();
        let mut next = whole.into_iter();
        for (side, key, value, _) in &rows {
            let key = key.unwrap();
            match value {
                Some(value) => sides[*side].insert(key, *value),
                None => sides[*side].remove(key),
            };
            let pair = [sides[0].get(key), sides[1].get(key)];
            let live = match kind {
                Inner => pair[0].is_some() && pair[1].is_some(),
                Left => pair[0].is_some(),
                Right => pair[1].is_some(),
                Full => pair[0].is_some() || pair[1].is_some(),
            };
            let part = |value: Option<&i64>| match value {
                Some(value) => format!("{key} {value}"),
                None => "NULL NULL".to_string(),
            };
            let new = live.then(|| format!("{} {} {key}", part(pair[0]), part(pair[1])));
            let old: Option<String> = match &new {
                Some(new) => table.insert(key, new.clone()),
                None => table.remove(key),
            };
            if new.is_none() && old.is_none() {
                continue;
            }
            let got = next.next().unwrap();
            let (row, got_old) = got.split_once(" < ").unwrap();
            assert_eq!(got_old, old.unwrap_or("none".into()), "{kind:?}");
            let tombstone = format!("-NULL NULL NULL NULL {key}");
            assert_eq!(row.split_once(" @").unwrap().0, new.unwrap_or(tombstone), "{kind:?}");
        }
        assert_eq!(next.next(), None);
    }
}

const KEYS: [&str; 3] = ["a", "b", "c"];

/// xorshift64*: the same rows from the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
    }
}
