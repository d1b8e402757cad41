//! Rows of every type, as each system reads them.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Float64Array, Int32Array, Int64Array, ListArray, MapBuilder, StringArray, StringBuilder,
    StructArray, Time32MillisecondArray, TimestampMillisecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::logical_expr::{EmptyRelation, LogicalPlan};
use millrace_sql::olap::OlapSystem;
use millrace_sql::plan::{self, OlapNode};
use millrace_sql::types::SqlType;

use super::*;
use crate::operators::testing::MemState;

fn operator(columns: &[(&str, SqlType)], system: OlapSystem, keyed: bool) -> OlapOperator {
    let named: Vec<_> = columns.iter().map(|(n, ty)| (n.to_string(), ty.clone())).collect();
    let schema = plan::schema(&named).unwrap();
    let input = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    let written = [named[0].clone(), ("_row".to_string(), SqlType::String)];
    let schema = plan::schema(&written).unwrap();
    let node = OlapNode { input, system, key: vec![0], lasting: vec![0], changes: false, schema };
    OlapOperator::new(&node, keyed, 3)
}

fn run(operator: &mut OlapOperator, batch: Batch) -> Vec<String> {
    let (mut state, mut late) = (MemState::default(), 0);
    let (mut out, mut aside, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
    let mut ctx = StepContext {
        state: &mut state,
        out: &mut out,
        aside: &mut aside,
        rejects: &mut rejects,
        coalesce: false,
        late_records: &mut late,
    };
    operator.push(0, batch, &mut ctx).unwrap();
    let rows = out[0].column(1).as_string::<i32>();
    rows.iter().map(|row| row.unwrap().to_string()).collect()
}

/// One row with a column `v`, and what each system is given for it.
fn check(ty: SqlType, value: ArrayRef, pinot: &str, druid: &str) {
    for (system, expected) in [(OlapSystem::Pinot, pinot), (OlapSystem::Druid, druid)] {
        let columns = [("k", SqlType::Integer), ("v", ty.clone())];
        let mut operator = operator(&columns, system, false);
        let keys: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let rows = RecordBatch::try_from_iter([("k", keys), ("v", value.clone())]).unwrap();
        let rows = run(&mut operator, Batch::new(rows, vec![7]));
        let version = PARTITIONS + 3;
        let tail = format!("\"_version\":{version},\"_rowtime\":7}}");
        assert_eq!(rows, [format!("{{\"k\":1,{expected}{tail}")], "{ty} {system:?}");
        let _: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
    }
}

fn same(ty: SqlType, value: ArrayRef, expected: &str) {
    check(ty, value, expected, expected);
}

#[test]
fn scalars() {
    let decimal = SqlType::Decimal { precision: 38, scale: 3 };
    let decimals =
        |v: i128| Arc::new(Decimal128Array::from(vec![v]).with_precision_and_scale(38, 3).unwrap());
    same(SqlType::Boolean, Arc::new(BooleanArray::from(vec![true])), "\"v\":true,");
    same(SqlType::Integer, Arc::new(Int32Array::from(vec![i32::MIN])), "\"v\":-2147483648,");
    same(SqlType::Bigint, Arc::new(Int64Array::from(vec![i64::MAX])), "\"v\":9223372036854775807,");
    for (double, text) in [
        (1.5, "1.5"),
        (-0.0, "-0.0"),
        (1e300, "1e300"),
        (f64::NAN, "\"NaN\""),
        (f64::NEG_INFINITY, "\"-Infinity\""),
    ] {
        let value = Arc::new(Float64Array::from(vec![double]));
        same(SqlType::Double, value, &format!("\"v\":{text},"));
    }
    same(decimal.clone(), decimals(12_340), "\"v\":\"12.340\",");
    same(decimal, decimals(-1), "\"v\":\"-0.001\",");
    let text = "a\"b\\c\n\u{1}ü😀";
    let shown = "\"v\":\"a\\\"b\\\\c\\n\\u0001ü😀\",";
    same(SqlType::String, Arc::new(StringArray::from(vec![text])), shown);
    same(SqlType::String, Arc::new(StringArray::from(vec![""])), "\"v\":\"\",");
    let bytes = Arc::new(BinaryArray::from(vec![&[0_u8, 255, 16, 1][..]]));
    check(SqlType::Bytes, bytes, "\"v\":\"00ff1001\",", "\"v\":\"AP8QAQ==\",");
    same(SqlType::Date, Arc::new(Date32Array::from(vec![-1])), "\"v\":\"1969-12-31\",");
    same(SqlType::Time, Arc::new(Time32MillisecondArray::from(vec![5])), "\"v\":5,");
    let time = Arc::new(TimestampMillisecondArray::from(vec![-5]));
    check(SqlType::Timestamp, time, "\"v\":\"-5\",", "\"v\":-5,");
    same(SqlType::Bigint, new_null_array(&DataType::Int64, 1), "");
}

#[test]
fn nested() {
    let list = |items: Vec<Option<i64>>| {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(items)]))
    };
    let ty = SqlType::Array(Box::new(SqlType::Bigint));
    check(ty.clone(), list(vec![Some(1), None]), "\"v\":\"[1,null]\",", "\"v\":[1,null],");
    check(ty, list(vec![]), "\"v\":\"[]\",", "\"v\":[],");
    let mut map = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    map.keys().append_value("a\"");
    map.values().append_null();
    map.append(true).unwrap();
    let ty = SqlType::Map(Box::new(SqlType::String), Box::new(SqlType::String));
    check(
        ty,
        Arc::new(map.finish()),
        "\"v\":\"{\\\"a\\\\\\\"\\\":null}\",",
        "\"v\":{\"a\\\"\":null},",
    );
    let decimals = Decimal128Array::from(vec![150]).with_precision_and_scale(4, 2).unwrap();
    let field = Arc::new(Field::new("D", decimals.data_type().clone(), true));
    let value = StructArray::from(vec![(field, Arc::new(decimals) as ArrayRef)]);
    let ty = SqlType::from_arrow(value.data_type()).unwrap();
    check(ty, Arc::new(value), "\"v\":\"{\\\"D\\\":\\\"1.50\\\"}\",", "\"v\":{\"D\":\"1.50\"},");
}

#[test]
fn deletions_are_rows_and_versions_go_on() {
    let columns = [("k", SqlType::Integer), ("v", SqlType::Bigint)];
    let mut operator = operator(&columns, OlapSystem::Pinot, true);
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1, 1]));
    let values: ArrayRef = Arc::new(Int64Array::from(vec![5, 6]));
    let rows = RecordBatch::try_from_iter([("k", keys), ("v", values)]).unwrap();
    let live = Some([true, false].into_iter().collect());
    let batch = Batch { live, ..Batch::new(rows, vec![7, 8]) };
    let of = |count: i64| count * PARTITIONS + 3;
    let expected = |from: i64| {
        let (first, second) = (of(from), of(from + 1));
        [
            format!("{{\"k\":1,\"v\":5,\"_deleted\":false,\"_version\":{first},\"_rowtime\":7}}"),
            format!("{{\"k\":1,\"_deleted\":true,\"_version\":{second},\"_rowtime\":8}}"),
        ]
    };
    assert_eq!(run(&mut operator, batch.clone()), expected(1));
    let progress = operator.progress();
    assert_eq!(run(&mut operator, batch.clone()), expected(3));
    // The transaction was aborted: the same versions again.
    operator.reset();
    operator.restore(&progress);
    assert_eq!(run(&mut operator, batch), expected(3));
}

#[test]
fn a_streams_record_without_a_value_is_no_row() {
    let columns = [("k", SqlType::Integer)];
    let mut operator = operator(&columns, OlapSystem::Druid, false);
    let keys: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let rows = RecordBatch::try_from_iter([("k", keys)]).unwrap();
    let live = Some([false, true].into_iter().collect());
    let rows = run(&mut operator, Batch { live, ..Batch::new(rows, vec![7, 8]) });
    assert_eq!(rows.len(), 1);
    assert!(rows[0].starts_with("{\"k\":2,"), "{}", rows[0]);
}
