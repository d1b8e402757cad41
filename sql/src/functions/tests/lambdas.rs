//! Lambdas over literals and over columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, ListBuilder, RecordBatch};
use arrow::array::{Int32Builder, StringArray};
use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, DFSchema};

use super::check;
use crate::analyze::typing::{Names, typed};
use crate::ast::{Expr, ExprKind};
use crate::error::Result;
use crate::expr::{Evaluator, Typed, convert_column};
use crate::types::SqlType;

#[test]
fn over_literals() {
    check(&[
        ("CAST(TRANSFORM(ARRAY[1, NULL, 3], x => COALESCE(x, 0)) AS STRING)", "[1, 0, 3]"),
        ("TRANSFORM(ARRAY[1, NULL], x => x + 1)", "error: an operand of an arithmetic..."),
        ("CAST(TRANSFORM(MAP('a' := 1), (k, v) => UCASE(k), (k, v) => v + 1) AS STRING)", "{A=2}"),
        (
            "TRANSFORM(MAP('a' := 1, 'b' := 2), (k, v) => 'x', (k, v) => v)",
            "error: Duplicate key in the new map",
        ),
        (
            "TRANSFORM(MAP('a' := 1), (k, v) => k, (k, v) => NULLIF(v, 1))",
            "error: a value of the new map is NULL",
        ),
        ("CAST(FILTER(ARRAY[1, NULL, 3], x => x > 1) AS STRING)", "[3]"),
        ("FILTER(ARRAY[1, NULL], x => x + 1 > 1)", "error: an operand of an arithmetic..."),
        ("CAST(FILTER(MAP('a' := 1, 'b' := 2), (k, v) => v > 1) AS STRING)", "{b=2}"),
        ("REDUCE(ARRAY['a', 'b'], '', (s, x) => CONCAT(s, x))", "ab"),
        ("REDUCE(ARRAY[1, 2], CAST(NULL AS INT), (s, x) => s + x)", "null"),
        ("REDUCE(CAST(NULL AS ARRAY<INT>), 7, (s, x) => s + x)", "7"),
        ("REDUCE(ARRAY[1, 2], 0, (s, x) => CASE WHEN x = 1 THEN NULL ELSE 5 END)", "5"),
        (
            "REDUCE(MAP('yes, thanks' := 3.5e0, 'nope' := 7.3e0, 'sure, yeah' := 2.1e0), 3.2e0, \
             (s, x, y) => CASE WHEN INSTR(x, 'ye') > 0 THEN CEIL(y * s) ELSE FLOOR(s * y) END)",
            "189.0",
        ),
        // Nested, with a capture of the outer parameter.
        (
            "CAST(TRANSFORM(ARRAY[1, 2], x => REDUCE(ARRAY[10, 20], 0, (s, y) => s + x * y)) \
             AS STRING)",
            "[30, 60]",
        ),
        ("TRANSFORM(ARRAY[0], x => 1 / x)[1]", "error: Division by zero"),
        ("TRANSFORM(ARRAY[1], 1)", "refused: Function 'transform' does not accept parameters..."),
        ("TRANSFORM(ARRAY[1], (x, y) => 1)", "refused: Function 'transform' does not accept..."),
        ("LEN(x => 1)", "refused: Function 'len' does not accept parameters (LAMBDA)...."),
        ("FILTER(ARRAY[1], x => 1)", "refused: Found invalid instance of generic schema..."),
        (
            "REDUCE(ARRAY[2147483648], 0, (s, x) => s + x)",
            "refused: Found invalid instance of generic schema: the body of a lambda gives BIGINT, \
             where INTEGER was expected",
        ),
    ]);
}

/// A INT, B STRING and L ARRAY<INT>.
struct Columns;

impl Names for Columns {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        let ExprKind::Column { name, .. } = &expr.kind else { return Ok(None) };
        let ty = match name.value.as_str() {
            "A" => SqlType::Integer,
            "B" => SqlType::String,
            "L" => SqlType::Array(Box::new(SqlType::Integer)),
            _ => return Ok(None),
        };
        Ok(Some(Typed::column(Column::new_unqualified(&name.value), ty)))
    }
}

fn batch() -> RecordBatch {
    let mut lists = ListBuilder::new(Int32Builder::new()).with_field(Field::new(
        "item",
        arrow::datatypes::DataType::Int32,
        true,
    ));
    lists.append_value([Some(1), Some(2), Some(3)]);
    lists.append_value([]);
    lists.append_null();
    lists.append_value([Some(4), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("A", Arc::new(Int32Array::from(vec![Some(10), Some(20), Some(30), Some(0)]))),
        ("B", Arc::new(StringArray::from(vec![Some("p"), None, Some("r"), Some("s")]))),
        ("L", Arc::new(lists.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true)))
        .expect("a batch")
}

/// The values, then the rows in error.
#[track_caller]
fn check_rows(text: &str, want: &str) {
    let expr = crate::parser::parse_expression(text).expect("it parses");
    let expr = typed(&expr, &Columns).unwrap_or_else(|e| panic!("{text}: {}", e.message));
    let batch = batch();
    let schema: Schema = batch.schema().as_ref().clone();
    let schema = DFSchema::try_from(schema).expect("a schema");
    let evaluator = Evaluator::new(&expr.expr, &schema).expect("an evaluator");
    let mut errors = Vec::new();
    let array = evaluator.column(&batch, &mut errors).expect("a column");
    assert_eq!(Some(array.data_type().clone()), expr.ty.map(|ty| ty.to_arrow()), "{text}");
    let mut frame = Default::default();
    let texts = convert_column(&array, &arrow::datatypes::DataType::Utf8, &mut frame);
    let texts = texts.expect("texts");
    let texts = arrow::array::AsArray::as_string::<i32>(&texts);
    let values: Vec<&str> = texts.iter().map(|text| text.unwrap_or("null")).collect();
    let errors: Vec<String> = errors.iter().map(|error| error.row.to_string()).collect();
    assert_eq!(format!("{} !{}", values.join(" "), errors.join(",")), want, "{text}");
}

#[test]
fn over_columns() {
    check_rows("TRANSFORM(L, x => x + A)", "[11, 12, 13] [] null null !3");
    check_rows("TRANSFORM(L, x => COALESCE(x, 0) + A)", "[11, 12, 13] [] null [4, 0] !");
    // What a guard stops is told for the row, once.
    check_rows("TRANSFORM(L, x => COALESCE(x + A, -1))", "[11, 12, 13] [] null [4, -1] !3");
    check_rows("FILTER(L, x => x > 1)", "[2, 3] [] null [4] !");
    check_rows("REDUCE(L, A, (s, x) => s + x)", "16 20 30 null !3");
    check_rows("REDUCE(L, 0, (s, x) => s * 2 + COALESCE(x, 0))", "11 0 0 8 !");
    check_rows("REDUCE(L, B, (s, x) => s || '.')", "p... null r s.. !");
    check_rows(
        "TRANSFORM(L, x => REDUCE(L, 0, (s, y) => s + COALESCE(x * y, 0)) + A)",
        "[16, 22, 28] [] null [16, 0] !3",
    );
    check_rows("ARRAY_LENGTH(TRANSFORM(L, x => 12 / A)) + 1", "4 1 null null !2,3");
}

#[test]
fn branches_not_taken_are_silent() {
    check_rows(
        "CASE WHEN A > 0 THEN TRANSFORM(L, x => 100 / A) ELSE ARRAY[0] END",
        "[10, 10, 10] [] null [0] !",
    );
    check_rows("A > 0 AND REDUCE(L, 0, (s, x) => s + 100 / A) >= 0", "true true true false !");
}

#[test]
fn calls_with_other_lambdas_are_others() {
    let call = |text: &str| {
        let expr = crate::parser::parse_expression(text).expect("it parses");
        typed(&expr, &Columns).expect("it types").expr
    };
    assert_eq!(call("TRANSFORM(L, x => x + A)"), call("TRANSFORM(L, x => x + A)"));
    assert_ne!(call("TRANSFORM(L, x => x + A)"), call("TRANSFORM(L, x => x - A)"));
}

/// On the stack of a thread of the server.
#[test]
fn the_deepest_expressions_fit_a_thread() {
    let deep = |open: &str, inner: &str, close: &str| {
        let levels = crate::parser::NESTING_MAX as usize - 2;
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let tall = format!("1{}", " + 1".repeat(crate::parser::HEIGHT_MAX as usize - 2));
    let lambda = deep("TRANSFORM(ARRAY[", "1", "], x => x)");
    for text in [deep("ABS(", "C", ")"), deep("COALESCE(1, ", "1", ")"), tall, lambda] {
        let builder = std::thread::Builder::new().stack_size(crate::parser::STACK_BYTES);
        let run = builder.spawn(move || super::value(&text)).expect("a thread");
        assert!(!run.join().expect("it does not fail").starts_with("error"));
    }
}
