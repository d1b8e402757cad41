//! The pipeline is built from exactly the plan that EXPLAIN prints: a plan that was edited gives
//! another output.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};
use millrace_sql::analyze::{Analyzed, Settings, analyze};
use millrace_sql::catalog::Catalog;
use millrace_sql::parser;
use millrace_sql::plan::QueryPlan;

use super::build;
use crate::batch::Batch;
use crate::operators::cache::CacheBudget;
use crate::operators::testing::{MemState, Output, texts};
use crate::pipeline::Emitted;
use crate::state::StoreId;
use crate::topology::Topology;

const STREAM: &str = "CREATE STREAM s (k STRING KEY, v BIGINT) WITH \
                      (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=1);";
const QUERIES: [&str; 3] = [
    "CREATE STREAM o AS SELECT k, v FROM s WHERE v > 1;",
    "CREATE STREAM o AS SELECT k, v + 1 AS v FROM s;",
    "CREATE TABLE o AS SELECT k, SUM(v + 1) AS v FROM s GROUP BY k;",
];

#[test]
fn an_edited_plan_gives_another_output() {
    for sql in QUERIES {
        let plan = plan(sql);
        let as_written = run(&plan);
        assert_eq!(as_written, run(&plan), "{sql}");
        let edited = QueryPlan { plan: edit(&plan.plan), ..plan };
        let after = run(&edited);
        assert_ne!(as_written, after, "{sql}: the edit has no effect");
        assert!(!after.is_empty(), "{sql}");
    }
}

/// Replaces the number 1 by 2 in each expression of the plan.
fn edit(plan: &LogicalPlan) -> LogicalPlan {
    let replace = |expr: Expr| {
        Ok(match expr {
            Expr::Literal(value, metadata) => {
                let two = match &value {
                    ScalarValue::Int32(Some(1)) => Some(ScalarValue::Int32(Some(2))),
                    ScalarValue::Int64(Some(1)) => Some(ScalarValue::Int64(Some(2))),
                    _ => None,
                };
                match two {
                    Some(two) => Transformed::yes(Expr::Literal(two, metadata)),
                    None => Transformed::no(Expr::Literal(value, metadata)),
                }
            }
            other => Transformed::no(other),
        })
    };
    let step = |node: LogicalPlan| node.map_expressions(|e| e.transform(replace));
    let edited = plan.clone().transform_up(step).unwrap();
    assert!(edited.transformed, "nothing to edit in {plan:?}");
    edited.data
}

fn plan(sql: &str) -> QueryPlan {
    let (mut catalog, settings) = (Catalog::default(), Settings::from(&BTreeMap::new()));
    let parse = |sql| parser::parse_statement(sql).unwrap();
    let Analyzed::CreateSource(new) = analyze(&parse(STREAM), STREAM, &catalog, &settings).unwrap()
    else {
        panic!("not a source");
    };
    catalog.sources.insert(new.source.name.clone(), Arc::new(new.source));
    match analyze(&parse(sql), sql, &catalog, &settings).unwrap() {
        Analyzed::CreateAs(query) => query.plan,
        _ => panic!("not a query: {sql}"),
    }
}

/// The values of V are 1, 2, 3.
#[test]
fn a_rejected_row_tells_where_it_came_in() {
    for (sql, expected) in [
        ("CREATE STREAM o AS SELECT k, 6 / (v - 2) AS v FROM s;", Some(1)),
        ("CREATE STREAM o AS SELECT k, 6 / (v - 2) AS v FROM s WHERE v > 1;", Some(1)),
        ("CREATE STREAM o AS SELECT k, 6 / (v - 3) AS v FROM s WHERE v <> 2;", Some(2)),
        (
            "CREATE TABLE o AS SELECT k, SUM(6 / (v - 3)) AS v FROM s WHERE v > 1 GROUP BY k;",
            Some(2),
        ),
        // A sum is nobody's row.
        ("CREATE TABLE o AS SELECT k, 6 / (SUM(v) - 2) AS v FROM s GROUP BY k;", None),
    ] {
        let emitted = emit(&plan(sql));
        let origins: Vec<_> = emitted.rejects.iter().map(|reject| reject.origin).collect();
        assert_eq!(origins, [expected], "{sql}");
    }
}

fn run(plan: &QueryPlan) -> Vec<String> {
    let batches = emit(plan).batches;
    texts(&Output { batches, ..Output::default() }, 0)
}

fn emit(plan: &QueryPlan) -> Emitted {
    let topology = Topology::of(plan).unwrap();
    let store = |index: usize| StoreId { store: index as u32, partition: 0 };
    let mut pipeline = build(&topology, 0, &store, &CacheBudget::new(usize::MAX)).unwrap();
    let (mut state, mut emitted) = (MemState::default(), Emitted::default());
    let keys: StringArray = ["a", "b", "a"].map(Some).into_iter().collect();
    let values = Int64Array::from(vec![1, 2, 3]);
    let crate::topology::Input::Scan(scan) = &topology.subs[0].inputs[0] else {
        panic!("not a scan");
    };
    let column = |field: &arrow::datatypes::Field| -> ArrayRef {
        if field.name().eq_ignore_ascii_case("k") {
            Arc::new(keys.clone())
        } else {
            Arc::new(values.clone())
        }
    };
    let schema = Arc::new(scan.schema.as_arrow().clone());
    let columns = schema.fields().iter().map(|field| column(field)).collect();
    let rows = RecordBatch::try_new(schema, columns).unwrap();
    let batch = Batch::new(rows, vec![1, 2, 3]);
    pipeline.push(0, batch, &mut state, false, &mut emitted).unwrap();
    pipeline.flush(&mut state, false, &mut emitted).unwrap();
    emitted
}
