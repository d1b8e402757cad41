//! Every function by cases: the value after each row; and laws that all of them keep.

mod examples;
mod of_table;

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::util::display::array_value_to_string;
use datafusion::scalar::ScalarValue;
use millrace_sql::plan::AggregateCall;
use millrace_sql::types::{SqlType, StructField};

use super::bytes::Reader;
use super::{Rows, StreamAgg, make};

fn call(
    function: &str,
    types: &[SqlType],
    params: &[ScalarValue],
    returns: SqlType,
) -> AggregateCall {
    AggregateCall {
        function: function.into(),
        args: vec![],
        arg_types: types.to_vec(),
        params: params.to_vec(),
        returns,
        name: "V".into(),
    }
}

fn ints(values: &[Option<i32>]) -> ArrayRef {
    Arc::new(Int32Array::from(values.to_vec()))
}

fn bigints(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

fn doubles(values: &[Option<f64>]) -> ArrayRef {
    Arc::new(Float64Array::from(values.to_vec()))
}

fn strings(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn texts(array: &ArrayRef) -> Vec<String> {
    (0..array.len())
        .map(|row| match array.is_null(row) {
            true => "NULL".to_string(),
            false => array_value_to_string(array, row).unwrap(),
        })
        .collect()
}

fn rows<'a>(slots: &'a [u32], args: &'a [ArrayRef], first_seq: i64) -> Rows<'a> {
    Rows { slots, args, undo: None, first_seq, skips_overflow: false }
}

/// One slot: the value after each row is as in `want`, and all laws hold.
fn check(call: &AggregateCall, args: &[ArrayRef], want: &[&str]) {
    let n = want.len();
    let mut agg = make(call).unwrap();
    agg.grow(1);
    let each = agg.update_each(&rows(&vec![0; n], args, 0)).unwrap();
    assert_eq!(texts(&each), want, "{call:?}");
    assert!(call.returns.to_arrow() == *each.data_type(), "{:?} {call:?}", each.data_type());
    check_laws(call, args, n);
}

/// Batches of any size, saving and loading, and merging give the same.
fn check_laws(call: &AggregateCall, args: &[ArrayRef], n: usize) {
    let value = |agg: &dyn StreamAgg, slot: u32| texts(&agg.value(&[slot]).unwrap());
    let mut whole = make(call).unwrap();
    whole.grow(1);
    whole.update(&rows(&vec![0; n], args, 0)).unwrap();
    for cut in 0..=n {
        let parts = |from: usize, len: usize| -> Vec<ArrayRef> {
            args.iter().map(|arg| arg.slice(from, len)).collect()
        };
        let (first, second) = (parts(0, cut), parts(cut, n - cut));
        let mut agg = make(call).unwrap();
        agg.grow(3);
        agg.update(&rows(&vec![2; cut], &first, 0)).unwrap();
        let mut saved = Vec::new();
        agg.save(2, &mut saved);
        let mut reader = Reader::new(&saved);
        agg.load(1, &mut reader).unwrap();
        reader.finish().unwrap();
        for len in 0..saved.len() {
            let mut scratch = make(call).unwrap();
            scratch.grow(1);
            let mut reader = Reader::new(&saved[..len]);
            assert!(scratch.load(0, &mut reader).is_err(), "{call:?} cut at {len}");
        }
        agg.retain(&[1]);
        agg.grow(2);
        agg.update(&rows(&vec![0; n - cut], &second, cut as i64)).unwrap();
        assert_eq!(value(&*agg, 0), value(&*whole, 0), "{call:?} cut at {cut}");
        let mut merged = make(call).unwrap();
        merged.grow(2);
        merged.update(&rows(&vec![0; cut], &first, 0)).unwrap();
        merged.update(&rows(&vec![1; n - cut], &second, cut as i64)).unwrap();
        merged.merge(0, 1, false).unwrap();
        let latest_n =
            call.function == "LATEST_BY_OFFSET" && matches!(call.returns, SqlType::Array(_));
        if !latest_n {
            assert_eq!(value(&*merged, 0), value(&*whole, 0), "{call:?} merged at {cut}");
        }
    }
}

fn list(of: SqlType) -> SqlType {
    SqlType::Array(Box::new(of))
}

use SqlType::{Bigint, Double, Integer, String as Text};

const DECIMAL: SqlType = SqlType::Decimal { precision: 4, scale: 1 };

#[test]
fn counts_and_sums() {
    let values = [Some(1), None, Some(i32::MAX), Some(2)];
    check(&call("COUNT", &[], &[], Bigint), &[], &["1", "2", "3"]);
    check(&call("COUNT", &[Integer], &[], Bigint), &[ints(&values)], &["1", "1", "2", "3"]);
    let wrapped = ["1", "1", "-2147483648", "-2147483646"];
    check(&call("SUM", &[Integer], &[], Integer), &[ints(&values)], &wrapped);
    let big = [None, Some(i64::MAX), Some(1)];
    let want = ["0", "9223372036854775807", "-9223372036854775808"];
    check(&call("SUM", &[Bigint], &[], Bigint), &[bigints(&big)], &want);
    let real = [None, Some(0.5), Some(2.0)];
    check(&call("SUM", &[Double], &[], Double), &[doubles(&real)], &["0.0", "0.5", "2.5"]);
    let decimals = Decimal128Array::from(vec![Some(15), None, Some(-20)]);
    let decimals = decimals.with_precision_and_scale(4, 1).unwrap();
    check(&call("SUM", &[DECIMAL], &[], DECIMAL), &[Arc::new(decimals)], &["1.5", "1.5", "-0.5"]);
}

#[test]
fn a_decimal_sum_beyond_its_precision() {
    let values = vec![Some(9998), Some(1), Some(1), None, Some(-8)];
    let values = Decimal128Array::from(values).with_precision_and_scale(4, 1).unwrap();
    let args: [ArrayRef; 1] = [Arc::new(values)];
    let new = || {
        let mut agg = make(&call("SUM", &[DECIMAL], &[], DECIMAL)).unwrap();
        agg.grow(2);
        agg
    };
    let strict = rows(&[0; 5], &args, 0);
    let error = new().update(&strict).unwrap_err();
    assert!(error.to_string().contains("SUM exceeds DECIMAL(4, 1)"), "{error}");
    let mut agg = new();
    let lenient = Rows { skips_overflow: true, ..strict };
    let each = agg.update_each(&lenient).unwrap();
    assert_eq!(texts(&each), ["999.8", "999.9", "999.9", "999.9", "999.1"]);
    let left_out = agg.left_out();
    assert_eq!(left_out.iter().map(|one| one.row).collect::<Vec<_>>(), [2]);
    assert!(left_out[0].reason.contains("SUM exceeds DECIMAL(4, 1)"), "{left_out:?}");
    assert_eq!(agg.left_out(), []);
    // Of two sessions the earlier one's sum stays.
    agg.update(&rows(&[1], &[args[0].slice(0, 1)], 5)).unwrap();
    assert!(agg.merge(0, 1, true).is_ok());
    assert_eq!(texts(&agg.value(&[0, 1]).unwrap()), ["999.1", "0.0"]);
    assert_eq!(agg.left_out().len(), 1);
}

#[test]
fn averages() {
    let values = [None, Some(1), Some(2)];
    check(&call("AVG", &[Integer], &[], Double), &[ints(&values)], &["0.0", "1.0", "1.5"]);
    let wraps = [Some(i32::MAX), Some(1)];
    let want = ["2147483647.0", "-1073741824.0"];
    check(&call("AVG", &[Integer], &[], Double), &[ints(&wraps)], &want);
    let big = [Some(4), None, Some(5)];
    check(&call("AVG", &[Bigint], &[], Double), &[bigints(&big)], &["4.0", "4.0", "4.5"]);
    let real = [Some(1.0), Some(0.5)];
    check(&call("AVG", &[Double], &[], Double), &[doubles(&real)], &["1.0", "0.75"]);
}

#[test]
fn extremes() {
    let values = [None, Some(3), Some(1), Some(7)];
    check(&call("MIN", &[Integer], &[], Integer), &[ints(&values)], &["NULL", "3", "1", "1"]);
    check(&call("MAX", &[Integer], &[], Integer), &[ints(&values)], &["NULL", "3", "3", "7"]);
    let real = [Some(-0.0), Some(0.0), Some(f64::NAN), Some(1.0)];
    check(&call("MAX", &[Double], &[], Double), &[doubles(&real)], &["-0.0", "0.0", "NaN", "NaN"]);
    let text = [Some("b"), Some("a"), None, Some("ab")];
    check(&call("MIN", &[Text], &[], Text), &[strings(&text)], &["b", "a", "a", "a"]);
    check(&call("MAX", &[Text], &[], Text), &[strings(&text)], &["b", "b", "b", "b"]);
    let dates: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![0, 1]));
    let want = ["1970-01-01", "1970-01-02"];
    check(&call("MAX", &[SqlType::Date], &[], SqlType::Date), &[dates], &want);
    let decimals = Decimal128Array::from(vec![15, -20]).with_precision_and_scale(4, 1).unwrap();
    check(&call("MIN", &[DECIMAL], &[], DECIMAL), &[Arc::new(decimals)], &["1.5", "-2.0"]);
}

#[test]
fn by_offset() {
    let values = [None, Some(1), None, Some(2)];
    let keep_nulls = [ScalarValue::Boolean(Some(false))];
    let two = [ScalarValue::Int32(Some(2))];
    let two_with_nulls = [ScalarValue::Int32(Some(2)), ScalarValue::Boolean(Some(false))];
    let cases: [(&str, &[ScalarValue], SqlType, [&str; 4]); 8] = [
        ("LATEST_BY_OFFSET", &[], Integer, ["NULL", "1", "1", "2"]),
        ("LATEST_BY_OFFSET", &keep_nulls, Integer, ["NULL", "1", "NULL", "2"]),
        ("EARLIEST_BY_OFFSET", &[], Integer, ["NULL", "1", "1", "1"]),
        ("EARLIEST_BY_OFFSET", &keep_nulls, Integer, ["NULL", "NULL", "NULL", "NULL"]),
        ("LATEST_BY_OFFSET", &two, list(Integer), ["[]", "[1]", "[1]", "[1, 2]"]),
        ("LATEST_BY_OFFSET", &two_with_nulls, list(Integer), ["[]", "[, 1]", "[1, ]", "[, 2]"]),
        ("EARLIEST_BY_OFFSET", &two, list(Integer), ["[]", "[1]", "[1]", "[1, 2]"]),
        ("EARLIEST_BY_OFFSET", &two_with_nulls, list(Integer), ["[]", "[, 1]", "[, 1]", "[, 1]"]),
    ];
    for (function, params, returns, mut want) in cases {
        if returns != Integer && params.len() == 2 {
            want[0] = "[]";
        }
        let array = ints(&values);
        let mut agg = make(&call(function, &[Integer], params, returns.clone())).unwrap();
        agg.grow(1);
        let each = agg.update_each(&rows(&[0; 4], &[array], 0)).unwrap();
        let got: Vec<String> = texts(&each);
        let lengths_match = got[1..] == want[1..];
        assert!(lengths_match, "{function} {params:?}: {got:?}");
        check_laws(&call(function, &[Integer], params, returns), &[ints(&values)], 4);
    }
    let text = [Some("b"), None, Some("a")];
    check(&call("LATEST_BY_OFFSET", &[Text], &[], Text), &[strings(&text)], &["b", "b", "a"]);
}

#[test]
fn merging_sessions_goes_by_row_number() {
    let c = call("LATEST_BY_OFFSET", &[Integer], &[], Integer);
    let mut agg = make(&c).unwrap();
    agg.grow(2);
    agg.update(&rows(&[0], &[ints(&[Some(1)])], 5)).unwrap();
    agg.update(&rows(&[1], &[ints(&[Some(2)])], 3)).unwrap();
    agg.merge(0, 1, false).unwrap();
    assert_eq!(texts(&agg.value(&[0, 1]).unwrap()), ["1", "NULL"]);
    let c = call("LATEST_BY_OFFSET", &[Integer], &[ScalarValue::Int32(Some(2))], list(Integer));
    let mut agg = make(&c).unwrap();
    agg.grow(2);
    agg.update(&rows(&[0, 0], &[ints(&[Some(1), Some(2)])], 0)).unwrap();
    agg.update(&rows(&[1, 1], &[ints(&[Some(3), Some(4)])], 2)).unwrap();
    agg.merge(0, 1, false).unwrap();
    assert_eq!(texts(&agg.value(&[0]).unwrap()), ["[1, 2]"], "the earliest two of the union");
}

#[test]
fn collections() {
    let text = [Some("b"), None, Some("b"), Some("a")];
    let args = [strings(&text)];
    let want = ["[b]", "[b, ]", "[b, , b]", "[b, , b, a]"];
    check(&call("COLLECT_LIST", &[Text], &[], list(Text)), &args, &want);
    let want = ["[b]", "[b, ]", "[b, ]", "[b, , a]"];
    check(&call("COLLECT_SET", &[Text], &[], list(Text)), &args, &want);
    let many: Vec<Option<i32>> = (0..100).map(|i| Some(i % 40)).collect();
    check_laws(&call("COLLECT_SET", &[Integer], &[], list(Integer)), &[ints(&many)], 100);
    let want = ["1", "1", "1", "2"];
    check(&call("COUNT_DISTINCT", &[Text], &[], Bigint), &args, &want);
}

#[test]
fn top_k() {
    let two = [ScalarValue::Int32(Some(2))];
    let values = [Some(3), None, Some(5), Some(5), Some(4)];
    let want = ["[3]", "[3]", "[5, 3]", "[5, 5]", "[5, 5]"];
    check(&call("TOPK", &[Integer], &two, list(Integer)), &[ints(&values)], &want);
    let want = ["[3]", "[3]", "[5, 3]", "[5, 3]", "[5, 4]"];
    check(&call("TOPKDISTINCT", &[Integer], &two, list(Integer)), &[ints(&values)], &want);
    let fields = [("sort_col", Integer), ("col0", Text)];
    let fields = fields.map(|(name, ty)| StructField { name: name.into(), ty }).to_vec();
    let returns = list(SqlType::Struct(fields));
    let names = [Some("a"), Some("b"), None, Some("d"), Some("e")];
    let want = [
        "[{sort_col: 3, col0: a}]",
        "[{sort_col: 3, col0: a}]",
        "[{sort_col: 5, col0: }, {sort_col: 3, col0: a}]",
        "[{sort_col: 5, col0: }, {sort_col: 5, col0: d}]",
        "[{sort_col: 5, col0: }, {sort_col: 5, col0: d}]",
    ];
    let args = [ints(&values), strings(&names)];
    check(&call("TOPK", &[Integer, Text], &two, returns), &args, &want);
}

#[test]
fn undo_takes_back() {
    let cases = [
        ("COUNT", Integer, Bigint, "2"),
        ("SUM", Integer, Integer, "4"),
        ("AVG", Integer, Double, "2.0"),
        ("COLLECT_LIST", Integer, list(Integer), "[1, 3]"),
    ];
    for (function, ty, returns, want) in cases {
        let mut agg = make(&call(function, &[ty], &[], returns)).unwrap();
        agg.grow(1);
        let undo = BooleanBuffer::from(vec![false, false, false, true, true]);
        let args = [ints(&[Some(1), Some(2), Some(3), Some(2), None])];
        let args = match function {
            "COLLECT_LIST" => [ints(&[Some(1), Some(2), Some(3), Some(2), Some(9)])],
            _ => args,
        };
        let rows = Rows {
            slots: &[0; 5],
            args: &args,
            undo: Some(&undo),
            first_seq: 0,
            skips_overflow: false,
        };
        agg.update(&rows).unwrap();
        assert_eq!(texts(&agg.value(&[0]).unwrap()), [want], "{function}");
    }
}

#[test]
fn wrong_calls_are_refused() {
    let k = |n| [ScalarValue::Int32(Some(n))];
    let cases = [
        call("MEDIAN", &[Integer], &[], Double),
        call("SUM", &[Text], &[], Text),
        call("AVG", &[DECIMAL], &[], Double),
        call("MIN", &[list(Integer)], &[], list(Integer)),
        call("TOPK", &[Integer], &k(0), list(Integer)),
        call("TOPK", &[Integer], &[], list(Integer)),
        call("SUM", &[], &[], Integer),
    ];
    for case in cases {
        assert!(make(&case).is_err(), "{case:?}");
    }
}

#[test]
fn attributes_are_null_when_they_differ() {
    let c = call("ATTR", &[Integer], &[], Integer);
    check(&c, &[ints(&[Some(1), Some(1), None, Some(1)])], &["1", "1", "NULL", "NULL"]);
    check(&c, &[ints(&[None, None])], &["NULL", "NULL"]);
    let mut agg = make(&c).unwrap();
    agg.grow(1);
    let undo = BooleanBuffer::from(vec![false, false, true]);
    let args = [ints(&[Some(1), Some(2), Some(1)])];
    let taken = Rows {
        slots: &[0; 3],
        args: &args,
        undo: Some(&undo),
        first_seq: 0,
        skips_overflow: false,
    };
    assert_eq!(texts(&agg.update_each(&taken).unwrap()), ["1", "NULL", "2"]);
}

#[test]
fn correlations_and_deviations() {
    let (x, y) = ([Some(1), Some(2), None, Some(3)], [Some(1), Some(3), Some(9), Some(2)]);
    let c = call("CORRELATION", &[Integer, Integer], &[], Double);
    check(&c, &[ints(&x), ints(&y)], &["NaN", "1.0", "1.0", "0.5"]);
    let values = [None, Some(1.0), Some(2.0), Some(6.0)];
    let variance = call("STDDEV_SAMP", &[Double], &[], Double);
    check(&variance, &[doubles(&values)], &["0.0", "0.0", "0.5", "7.0"]);
    let real = [Some(2.0), Some(4.0), Some(9.0)];
    let deviation = call("STDDEV_SAMPLE", &[Double], &[], Double);
    let root = (13.0_f64).sqrt();
    check(&deviation, &[doubles(&real)], &["0.0", "1.4142135623730951", &root.to_string()]);
    let variance = call("STDDEV_SAMP", &[Integer], &[], Double);
    let mut agg = make(&variance).unwrap();
    agg.grow(1);
    let undo = BooleanBuffer::from(vec![false, false, false, true]);
    let args = [ints(&[Some(1), Some(2), Some(7), Some(7)])];
    let taken = Rows {
        slots: &[0; 4],
        args: &args,
        undo: Some(&undo),
        first_seq: 0,
        skips_overflow: false,
    };
    agg.update(&taken).unwrap();
    assert_eq!(texts(&agg.value(&[0]).unwrap()), ["0.5"]);
}

#[test]
fn histograms_and_sums_of_lists() {
    let texts_of = [Some("b"), Some("a"), None, Some("b")];
    let map = SqlType::Map(Box::new(Text), Box::new(Bigint));
    let c = call("HISTOGRAM", &[Text], &[], map);
    let want = ["{b: 1}", "{a: 1, b: 1}", "{a: 1, b: 1, null: 1}", "{a: 1, b: 2, null: 1}"];
    check(&c, &[strings(&texts_of)], &want);
    let mut lists = arrow::array::ListBuilder::new(arrow::array::Int32Builder::new());
    lists.append_value([Some(1), None, Some(2)]);
    lists.append_null();
    lists.append_value([Some(i32::MAX)]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let c = call("SUM_LIST", &[list(Integer)], &[], Integer);
    check(&c, &[lists], &["3", "3", "-2147483646"]);
}

#[test]
fn collected_values_are_limited() {
    let two = [ScalarValue::Int32(Some(2))];
    let values = [Some(1), Some(1), Some(2), Some(3)];
    let c = call("COLLECT_LIST", &[Integer], &two, list(Integer));
    check(&c, &[ints(&values)], &["[1]", "[1, 1]", "[1, 1]", "[1, 1]"]);
    let c = call("COLLECT_SET", &[Integer], &two, list(Integer));
    check(&c, &[ints(&values)], &["[1]", "[1]", "[1, 2]", "[1, 2]"]);
}
