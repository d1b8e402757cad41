//! Foreign-key joins by cases, and against nested loops with messages that come in any order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::buffer::BooleanBuffer;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use millrace_sql::catalog::{FormatKind, FormatSpec};
use millrace_sql::plan::JoinKind::{self, Inner, Left};
use millrace_sql::plan::{ForeignJoinNode, schema};
use millrace_sql::types::SqlType;

use super::{AnswerOperator, LeftOperator};
use crate::batch::Batch;
use crate::operators::testing::{MemState, Output, push, texts};
use crate::seams::{Entropy, SeededEntropy};
use crate::state::StoreId;

/// A change of the left table: key, foreign key (`None`: NULL), `Some(None)`... or of the right one.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// Key and foreign key.
    Left(i64, Option<&'static str>),
    LeftGone(i64),
    Right(&'static str, i64),
    RightGone(&'static str),
}
use Change::{LeftGone, Right, RightGone};

fn relation(columns: &[(&str, SqlType)]) -> LogicalPlan {
    let columns: Vec<_> = columns.iter().map(|(n, ty)| (n.to_string(), ty.clone())).collect();
    let schema = schema(&columns).unwrap();
    LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema })
}

fn plan(kind: JoinKind) -> ForeignJoinNode {
    let (text, number) = (SqlType::String, SqlType::Bigint);
    let left = [("LK", number.clone()), ("F", text.clone())];
    let right = [("RK", text), ("RV", number)];
    let all: Vec<_> =
        left.iter().chain(&right).map(|(name, ty)| (name.to_string(), ty.clone())).collect();
    ForeignJoinNode {
        left: relation(&left),
        right: relation(&right),
        step: "Join".into(),
        kind,
        left_key: vec![0],
        foreign_key: 1,
        right_key: 0,
        right_key_format: FormatSpec::new(FormatKind::Json, false),
        right_partitions: 2,
        left_partitions: 3,
        schema: schema(&all).unwrap(),
    }
}

fn batch(node: &ForeignJoinNode, change: Change, time: i64) -> (usize, Batch) {
    let number = |n: Option<i64>| Arc::new(Int64Array::from(vec![n])) as ArrayRef;
    let text = |t: Option<&str>| Arc::new(StringArray::from(vec![t])) as ArrayRef;
    let (side, plan, columns, live) = match change {
        Change::Left(key, f) => (0, &node.left, vec![number(Some(key)), text(f)], true),
        LeftGone(key) => (0, &node.left, vec![number(Some(key)), text(None)], false),
        Right(key, v) => (1, &node.right, vec![text(Some(key)), number(Some(v))], true),
        RightGone(key) => (1, &node.right, vec![text(Some(key)), number(None)], false),
    };
    let rows = RecordBatch::try_new(plan.schema().inner().clone(), columns).unwrap();
    let mut batch = Batch::new(rows, vec![time]);
    batch.live = (!live).then(|| BooleanBuffer::from(vec![false]));
    (side, batch)
}

/// Both sides with the messages between them. One task a side: messages keep their order, but how
/// long they take is anybody's guess.
struct Rig {
    node: ForeignJoinNode,
    left: LeftOperator,
    right: AnswerOperator,
    state: MemState,
    out: Output,
    asks: VecDeque<Batch>,
    answers: VecDeque<Batch>,
}

impl Rig {
    fn new(kind: JoinKind, with_old: bool) -> Rig {
        let node = plan(kind);
        let store = |store| StoreId { store, partition: 1 };
        let left = LeftOperator::new(&node, store(0), with_old.then(|| store(1))).unwrap();
        let right = AnswerOperator::new(&node, [store(2), store(3)]).unwrap();
        let (asks, answers) = Default::default();
        let (state, out) = Default::default();
        Rig { node, left, right, state, out, asks, answers }
    }

    fn left(&mut self, port: usize, batch: Batch) {
        push(&mut self.left, port, batch, &mut self.state, &mut self.out, false).unwrap();
        self.asks.extend(self.out.aside.drain(..));
    }

    fn right(&mut self, port: usize, batch: Batch) {
        let mut out = Output::default();
        push(&mut self.right, port, batch, &mut self.state, &mut out, false).unwrap();
        self.answers.extend(out.batches);
    }

    fn change(&mut self, change: Change, time: i64) {
        match batch(&self.node, change, time) {
            (0, batch) => self.left(0, batch),
            (_, batch) => self.right(1, batch),
        }
    }

    /// Hands over the oldest message of one direction, if there is one.
    fn deliver(&mut self, direction: usize) -> bool {
        match direction {
            0 => self.asks.pop_front().map(|batch| self.right(0, batch)).is_some(),
            _ => self.answers.pop_front().map(|batch| self.left(1, batch)).is_some(),
        }
    }

    fn settle(&mut self) {
        while self.deliver(0) || self.deliver(1) {}
    }
}

/// Changes at 1, 2, 3 ..., each with all that follows from it.
fn check(kind: JoinKind, changes: &[Change], want: &[&str]) {
    let mut rig = Rig::new(kind, false);
    for (at, change) in changes.iter().enumerate() {
        rig.change(*change, at as i64 + 1);
        rig.settle();
    }
    assert_eq!(texts(&rig.out, 1), want, "{kind:?} {changes:?}");
}

#[test]
fn both_sides_change_the_result() {
    let changes = [
        Right("a", 10),
        Change::Left(1, Some("a")),
        Change::Left(2, Some("b")),
        Right("a", 11),
        Right("b", 20),
        RightGone("a"),
        Change::Left(1, Some("b")),
        LeftGone(1),
    ];
    check(
        Inner,
        &changes,
        &["1 a a 10 @2", "1 a a 11 @4", "2 b b 20 @5", "-1 @6", "1 b b 20 @7", "-1 @8"],
    );
    check(
        Left,
        &changes,
        &[
            "1 a a 10 @2",
            "2 b NULL NULL @3",
            "1 a a 11 @4",
            "2 b b 20 @5",
            "1 a NULL NULL @6",
            "1 b b 20 @7",
            "-1 @8",
        ],
    );
}

#[test]
fn a_key_that_joins_nothing_unsets_what_was_joined() {
    let changes = [Right("a", 1), Change::Left(1, Some("a")), Change::Left(1, Some("x"))];
    check(Inner, &changes, &["1 a a 1 @2", "-1 @3"]);
    check(Left, &changes, &["1 a a 1 @2", "1 x NULL NULL @3"]);
}

#[test]
fn a_null_key_joins_nothing() {
    let changes = [
        Change::Left(1, None),
        Right("a", 1),
        Change::Left(1, Some("a")),
        Change::Left(1, None),
        Right("a", 2),
        LeftGone(1),
        LeftGone(7),
    ];
    check(Inner, &changes, &["1 a a 1 @3", "-1 @4"]);
    check(Left, &changes, &["1 NULL NULL NULL @1", "1 a a 1 @3", "1 NULL NULL NULL @4", "-1 @6"]);
}

/// The table that changes come to: left key to the right value, if it joins.
fn table(out: &Output) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    for text in texts(out, 1) {
        let text = text.split(" @").next().unwrap().to_owned();
        match text.strip_prefix('-') {
            Some(key) => table.remove(key),
            None => table.insert(text.split(' ').next().unwrap().to_owned(), text),
        };
    }
    table
}

fn oracle(kind: JoinKind, changes: &[Change]) -> BTreeMap<String, String> {
    let (mut left, mut right) = (BTreeMap::new(), BTreeMap::new());
    for change in changes {
        match *change {
            Change::Left(key, f) => drop(left.insert(key, f)),
            LeftGone(key) => drop(left.remove(&key)),
            Right(key, v) => drop(right.insert(key, v)),
            RightGone(key) => drop(right.remove(key)),
        }
    }
    let null = "NULL";
    let rows = left.into_iter().filter_map(|(key, f)| {
        let name = f.unwrap_or(null);
        match f.and_then(|f| right.get(f)) {
            Some(v) => Some((key.to_string(), format!("{key} {name} {name} {v}"))),
            None if kind == Left => Some((key.to_string(), format!("{key} {name} {null} {null}"))),
            None => None,
        }
    });
    rows.collect()
}

#[test]
fn messages_may_take_their_time() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    for seed in 0..400 {
        let random = SeededEntropy::new(seed);
        let below = |n: u64| random.next_u64() % n;
        let kind = if seed % 2 == 0 { Inner } else { Left };
        let mut rig = Rig::new(kind, seed % 3 == 0);
        let mut changes = Vec::new();
        for time in 0..60 {
            let name = NAMES[below(3) as usize];
            let change = match below(10) {
                0..=3 => Change::Left(below(3) as i64, Some(name)),
                4 => Change::Left(below(3) as i64, None),
                5 => LeftGone(below(3) as i64),
                6..=7 => Right(name, time),
                _ => RightGone(name),
            };
            rig.change(change, time);
            changes.push(change);
            for _ in 0..below(4) {
                rig.deliver(below(2) as usize);
            }
        }
        rig.settle();
        assert_eq!(table(&rig.out), oracle(kind, &changes), "seed {seed} {kind:?} {changes:?}");
    }
}
