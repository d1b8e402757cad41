//! Operators, casts, laziness and row errors, over columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::util::display::array_value_to_string;
use datafusion::common::DFSchema;

use super::ops::*;
use super::*;
use crate::error::Result;
use crate::types::SqlType;

/// Columns A BIGINT, B INTEGER, D DOUBLE, S STRING, F BOOLEAN (NULL in the last row).
fn batch() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("A", Arc::new(Int64Array::from(vec![Some(1), Some(7), Some(-7), None]))),
        ("B", Arc::new(Int32Array::from(vec![Some(0), Some(2), Some(i32::MIN), None]))),
        ("D", Arc::new(Float64Array::from(vec![Some(0.5), Some(1e10), Some(-2.5), None]))),
        ("S", Arc::new(StringArray::from(vec![Some("12"), Some("x"), Some(""), None]))),
        (
            "F",
            Arc::new(arrow::array::BooleanArray::from(vec![Some(true), Some(false), None, None])),
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("a batch")
}

fn col(name: &str) -> Typed {
    let batch = batch();
    let field = batch.schema().field_with_name(name).expect("a column").clone();
    let column = datafusion::common::Column::new_unqualified(name);
    Typed::column(column, SqlType::from_arrow(field.data_type()).expect("a type"))
}

/// The values, then the rows in error.
fn rows(typed: &Result<Typed>) -> String {
    let typed = match typed {
        Ok(typed) => typed,
        Err(error) => return format!("ERROR {error}"),
    };
    let batch = batch();
    let schema = DFSchema::try_from(batch.schema().as_ref().clone()).expect("a schema");
    let evaluator = Evaluator::new(&typed.expr, &schema).expect("an evaluator");
    let mut errors = Vec::new();
    let array = evaluator.column(&batch, &mut errors).expect("a column");
    if let Some(ty) = &typed.ty {
        assert_eq!(array.data_type(), &ty.to_arrow(), "{typed}");
    }
    let value = |row| match array.is_null(row) {
        true => "null".to_string(),
        false => array_value_to_string(&array, row).expect("text"),
    };
    let values: Vec<String> = (0..array.len()).map(value).collect();
    let errors: Vec<String> = errors.iter().map(|error| error.row.to_string()).collect();
    format!("{} !{}", values.join(" "), errors.join(","))
}

#[track_caller]
fn check(typed: Result<Typed>, want: &str) {
    assert_eq!(rows(&typed), want, "{:?}", typed.as_ref().map(ToString::to_string));
}

fn lit(value: i32) -> Typed {
    Typed::integer(value)
}

#[test]
fn arithmetic_wraps_truncates_and_fails_on_null() {
    use BinaryOp::*;
    check(binary(Add, col("A"), lit(1)), "2 8 -6 null !3");
    check(binary(Subtract, col("B"), lit(1)), "-1 1 2147483647 null !3");
    check(binary(Multiply, col("A"), col("B")), "0 14 15032385536 null !3");
    check(binary(Divide, lit(100), col("B")), "null 50 0 null !0,3");
    check(binary(Divide, col("A"), lit(2)), "0 3 -3 null !3");
    check(binary(Divide, col("B"), lit(-1)), "0 -2 -2147483648 null !3");
    check(binary(Modulo, col("A"), lit(4)), "1 3 -3 null !3");
    check(binary(Modulo, col("A"), col("B")), "null 1 -7 null !0,3");
    check(binary(Divide, col("D"), Typed::double(0.0)), "inf inf -inf null !3");
    check(binary(Add, col("S"), Typed::string("!")), "12! x! ! null! !");
    check(unary_minus(col("B")), "0 -2 -2147483648 null !3");
    let tenth = Typed::number("0.908").expect("a number");
    check(binary(Multiply, col("A"), tenth), "0.908 6.356 -6.356 null !3");
    let three = Typed::decimal("3").expect("a number");
    check(binary(Divide, col("A"), three), "null null null null !0,1,2,3");
    check(
        binary(Add, Typed::boolean(true), Typed::number("1.5").expect("a number")),
        "ERROR Error processing expression: (true + 1.5). Unsupported arithmetic types. \
         BOOLEAN DECIMAL",
    );
}

#[test]
fn comparisons_are_two_valued() {
    use BinaryOp::*;
    check(binary(Greater, col("A"), lit(0)), "true true false false !");
    check(not(binary(Greater, col("A"), lit(0)).expect("ok")), "false false true true !");
    check(binary(NotEqual, col("A"), lit(7)), "true false true false !");
    check(binary(IsDistinctFrom, col("A"), lit(7)), "true false true true !");
    check(binary(IsNotDistinctFrom, col("A"), Typed::null()), "false false false true !");
    check(binary(Less, col("A"), Typed::number("1.5").expect("ok")), "true false true false !");
    check(binary(Equal, col("D"), Typed::number("0.5").expect("ok")), "true false false false !");
    check(between(col("A"), lit(1), lit(7)), "true true false false !");
    check(
        in_list(col("A"), vec![lit(1), Typed::null(), Typed::string("7")]),
        "true true false false !",
    );
    check(in_list(col("S"), vec![lit(12), Typed::boolean(true)]), "true false false false !");
    check(
        binary(Equal, col("A"), col("S")),
        "ERROR Cannot compare A (BIGINT) to S (STRING) with EQUAL.",
    );
    check(
        binary(NotEqual, Typed::null(), Typed::null()),
        "ERROR Comparison with NULL not supported: NULL <> NULL\nUse 'IS NULL' or 'IS NOT NULL' instead.",
    );
    check(
        in_list(col("A"), vec![Typed::boolean(true)]),
        "ERROR operator does not exist: BIGINT = BOOLEAN (true)\n\
         Hint: You might need to add explicit type casts.",
    );
    check(is_null(col("S")), "false false false true !");
}

#[test]
fn logic_is_lazy_and_null_is_an_error() {
    use BinaryOp::*;
    let fails = || {
        let quotient = binary(Divide, lit(1), col("B")).expect("ok");
        binary(Equal, quotient, lit(0)).expect("ok")
    };
    let b_is_not_0 = || binary(NotEqual, col("B"), lit(0)).expect("ok");
    check(Ok(fails()), "null true true null !0,3");
    check(and(b_is_not_0(), fails()), "false true true false !");
    check(and(fails(), b_is_not_0()), "null true true null !0,3");
    check(or(is_null(col("B")).expect("ok"), fails()), "null true true true !0");
    check(not(col("F")), "false true null null !2,3");
    check(and(col("F"), Typed::boolean(true)), "true false null null !2,3");
    let cases = vec![(b_is_not_0(), binary(Divide, lit(8), col("B")).expect("ok"))];
    check(case_when(cases.clone(), Some(lit(-1))), "-1 4 0 -1 !");
    check(case_when(cases, None), "null 4 0 null !");
    check(case_when(vec![(fails(), lit(1))], Some(lit(2))), "null 1 1 null !0,3");
}

#[test]
fn guards_stop_errors() {
    use BinaryOp::*;
    let quotient = binary(Divide, lit(8), col("B")).expect("ok");
    check(array(vec![quotient.clone(), lit(1)]), "[, 1] [4, 1] [0, 1] [, 1] !0,3");
    check(cast(quotient.clone(), &SqlType::String), "null 4 0 null !0,3");
    let number = cast(col("S"), &SqlType::Integer).expect("ok");
    check(Ok(number.clone()), "12 null null null !1,2");
    check(is_null(number.clone()), "false true true true !1,2");
    check(binary(Add, number, lit(1)), "13 null null null !1,2,3");
    check(is_null(quotient), "null false false null !0,3");
}

#[test]
fn casts_follow_java() {
    let decimal = |precision, scale| SqlType::Decimal { precision, scale };
    check(cast(col("D"), &SqlType::String), "0.5 1.0E10 -2.5 null !");
    check(cast(col("D"), &SqlType::Integer), "0 2147483647 -2 null !");
    check(cast(col("D"), &decimal(4, 0)), "1 null -3 null !1");
    check(cast(col("A"), &decimal(5, 2)), "1.00 7.00 -7.00 null !");
    check(cast(col("S"), &SqlType::Boolean), "false false false null !");
    check(cast(col("S"), &SqlType::Bytes), "d7 null  null !1");
    check(
        cast(col("S"), &SqlType::Array(Box::new(SqlType::Integer))),
        "ERROR Cast of STRING to ARRAY<INTEGER> is not supported",
    );
    for (text, want) in
        [("1e-3", "0.001"), ("1e7", "1.0E7"), ("1.5E-4", "1.5E-4"), ("1e2", "100.0")]
    {
        let number = Typed::number(text).expect("a number");
        let cast = cast(number, &SqlType::String).expect("a cast");
        assert_eq!(cast.as_literal().map(ToString::to_string).as_deref(), Some(want));
    }
}

#[test]
fn nested_values() {
    let list = array(vec![lit(1), col("A"), Typed::null()]).expect("ok");
    check(Ok(list.clone()), "[1, 1, ] [1, 7, ] [1, -7, ] [1, , ] !");
    check(subscript(list.clone(), lit(2)), "1 7 -7 null !");
    check(subscript(list.clone(), lit(-3)), "1 1 1 1 !");
    check(subscript(list.clone(), lit(0)), "null null null null !");
    check(subscript(list.clone(), lit(4)), "null null null null !");
    check(
        cast(list, &SqlType::String),
        "[1, 1, null] [1, 7, null] [1, -7, null] [1, null, null] !",
    );
    let entries = vec![(Typed::string("a"), col("A")), (Typed::string("b"), lit(2))];
    let map = map(entries).expect("ok");
    check(subscript(map.clone(), Typed::string("a")), "1 7 -7 null !");
    check(subscript(map.clone(), Typed::string("c")), "null null null null !");
    check(cast(map, &SqlType::String), "{a=1, b=2} {a=7, b=2} {a=-7, b=2} {a=null, b=2} !");
    let fields = vec![("X".to_string(), col("A")), ("Y".to_string(), col("S"))];
    let record = struct_(fields).expect("ok");
    check(deref(record.clone(), "X"), "1 7 -7 null !");
    check(
        cast(record, &SqlType::String),
        "Struct{X=1,Y=12} Struct{X=7,Y=x} Struct{X=-7,Y=} Struct{} !",
    );
}

#[test]
fn like_has_wildcards_and_escapes() {
    let check_like = |value: &str, pattern: &str, escape: Option<char>, want: bool| {
        let typed = like(Typed::string(value), Typed::string(pattern), escape).expect("ok");
        assert_eq!(typed, Typed::boolean(want), "{value} LIKE {pattern}");
    };
    check_like("abc", "a%", None, true);
    check_like("abc", "%b%", None, true);
    check_like("abc", "a_c", None, true);
    check_like("abc", "_", None, false);
    check_like("a%c", "a!%c", Some('!'), true);
    check_like("abc", "a!%c", Some('!'), false);
    check_like("a\nc", "a%c", None, false);
    check_like("a.c", "a.c", None, true);
    check_like("abc", "a.c", None, false);
    check_like("", "%", None, true);
    check_like(r"a\c", r"a\c", None, true);
    let lines = binary(BinaryOp::Concat, col("S"), Typed::string("\nz")).expect("ok");
    check(like(lines, Typed::string("%z"), None), "false false false false !");
    check(like(col("S"), Typed::string("%"), None), "true true true null !3");
    check(like(col("S"), Typed::string("_"), None), "false true false null !3");
    check(like(col("S"), Typed::string("%2"), None), "true false false null !3");
}
