//! The examples of all functions, and many short cases: an expression over literals, its value.

mod collections;
mod java;
mod lambdas;
mod page;
mod resolution;

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;

use super::registry::scalars;
use super::signature::Signature;
use super::*;
use crate::analyze::typing::{Constants, typed};
use crate::expr::{Evaluator, Typed, kernel, with_ambient};
use crate::types::SqlType;

/// The value of an expression as CAST to STRING shows it; `error: ...` for a row in error.
fn value(text: &str) -> String {
    let expr = match crate::parser::parse_expression(text).and_then(|e| typed(&e, &Constants)) {
        Ok(expr) => expr,
        Err(error) => return format!("refused: {}", error.message),
    };
    value_of(text, &expr)
}

fn value_of(text: &str, expr: &Typed) -> String {
    let column: ArrayRef = Arc::new(Int32Array::from(vec![0]));
    let schema = Arc::new(Schema::new(vec![Field::new("C", DataType::Int32, true)]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column]).expect("a batch");
    let schema = DFSchema::try_from(schema.as_ref().clone()).expect("a schema");
    let evaluator = Evaluator::new(&expr.expr, &schema).expect("an evaluator");
    let mut errors = Vec::new();
    let entropy = || 42;
    let array = with_ambient(1_620_000_123_456, &entropy, || evaluator.column(&batch, &mut errors));
    let array = array.expect("a column");
    if let Some(ty) = &expr.ty {
        assert_eq!(array.data_type(), &ty.to_arrow(), "type of {text}");
    }
    if let Some(error) = errors.first() {
        return format!("error: {}", error.message);
    }
    match array.data_type() {
        DataType::Null => "null".to_string(),
        DataType::Binary => hex(&array),
        _ => {
            let mut frame = Default::default();
            let text = crate::expr::convert_column(&array, &DataType::Utf8, &mut frame);
            let col = kernel::Col { array: text.expect("text"), constant: false };
            let text = col.get::<kernel::Str>(0).expect("text");
            text.map_or("null".to_string(), str::to_string)
        }
    }
}

fn hex(array: &ArrayRef) -> String {
    let col = kernel::Col { array: Arc::clone(array), constant: false };
    let bytes = col.get::<kernel::Bin>(0).expect("bytes");
    bytes.map_or("null".to_string(), |bytes| bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[track_caller]
fn check(cases: &[(&str, &str)]) {
    let wrong: Vec<String> = cases
        .iter()
        .map(|(text, want)| (text, want, value(text)))
        .filter(|(_, want, got)| match want.strip_suffix("...") {
            Some(start) => !got.starts_with(start),
            None => *want != got,
        })
        .map(|(text, want, got)| format!("{text}\n   got {got}\n  want {want}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn examples_hold() {
    let cases: Vec<(&str, &str)> = scalars().map(|function| function.example).collect();
    check(&cases);
}

#[test]
fn the_table_is_well_formed() {
    let mut names: Vec<&str> = scalars().map(|function| function.name).collect();
    for function in scalars() {
        assert!(!function.overloads.is_empty() && !function.about.is_empty(), "{}", function.name);
        for (text, _) in function.overloads {
            assert!(Signature::parse(text).is_some(), "{} {text}", function.name);
        }
    }
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "a name is declared twice");
    assert!(
        kind("lcase") == Some(FunctionKind::Scalar)
            && kind("Count") == Some(FunctionKind::Aggregate)
    );
    assert_eq!(kind("NOPE"), None);
    assert!(all().is_sorted_by_key(|doc| doc.name));
}

#[test]
fn literals_and_operators() {
    check(&[
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("-7 / 2", "-3"),
        ("-7 % 2", "-1"),
        ("7.0 / 2", "3.500000000000"),
        ("1.0 / 3", "error: Rounding necessary..."),
        ("1 / 0", "error: Division by zero"),
        ("1 % 0", "error: Division by zero"),
        ("1.5 % 0", "error: Division by zero"),
        ("1e0 / 0", "Infinity"),
        ("2147483647 + 1", "-2147483648"),
        ("2147483648 + 1", "2147483649"),
        ("9223372036854775807 + 1", "-9223372036854775808"),
        ("0.1 + 0.2", "0.3"),
        ("0.1 * 0.2", "0.02"),
        ("1.10 - 0.1", "1.00"),
        ("1e0 + 0.5", "1.5"),
        ("'a' + 'b'", "ab"),
        ("'a' + CAST(NULL AS STRING)", "anull"),
        ("'a' || NULL || 'b'", "ab"),
        ("1 + 'a'", "refused: Error processing expression: (1 + 'a'). Unsupported arithmetic..."),
        ("1 = 1.0", "true"),
        ("1 < 1e0", "false"),
        ("'a' < 'b'", "true"),
        ("1 = 'a'", "refused: Cannot compare 1 (INTEGER) to 'a' (STRING) with EQUAL."),
        ("true > false", "refused: Cannot compare..."),
        (
            "UCASE('a') = 1",
            "refused: Cannot compare UCASE('a') (STRING) to 1 (INTEGER) with EQUAL.",
        ),
        ("(1 + 2) = 'a'", "refused: Cannot compare (1 + 2) (INTEGER) to 'a' (STRING) with EQUAL."),
        ("CAST(NULL AS INT) = 1", "false"),
        ("NOT (CAST(NULL AS INT) = 1)", "true"),
        ("CAST(NULL AS INT) <> 1", "false"),
        ("CAST(NULL AS INT) IS DISTINCT FROM 1", "true"),
        ("CAST(NULL AS INT) IS NOT DISTINCT FROM NULL", "true"),
        ("CAST(NULL AS INT) + 1", "error: an operand of an arithmetic..."),
        ("COALESCE(CAST(NULL AS INT) + 1, 5)", "error: an operand of an arithmetic..."),
        ("2 BETWEEN 1 AND 3", "true"),
        ("2 NOT BETWEEN 1 AND 3", "false"),
        ("'b' BETWEEN 'a' AND 'c'", "true"),
        ("2 IN (1, 2)", "true"),
        ("2 NOT IN (1, '2')", "false"),
        ("2 IN (1, 'x')", "refused: Invalid Predicate: invalid input syntax for type INTEGER..."),
        ("MAP('a' := 1, NULL := 2)", "{null=2, a=1}"),
        ("STRUCT()", "Struct{}"),
        ("STRUCT() IS NULL", "false"),
        ("'10.30' IN (10.30)", "true"),
        ("true IN ('yes')", "true"),
        ("ARRAY[1, 2] IN (ARRAY[1, 2], ARRAY[3, 4])", "true"),
        ("ARRAY[1, NULL] = ARRAY[1, NULL]", "true"),
        ("MAP('a' := 1, 'b' := 2) = MAP('b' := 2, 'a' := 1)", "true"),
        ("STRUCT(A := 1) = STRUCT(A := 2)", "false"),
        ("'abc' LIKE 'a%'", "true"),
        ("'abc' NOT LIKE '_b_'", "false"),
        ("'a%c' LIKE 'a!%c' ESCAPE '!'", "true"),
        ("CASE WHEN 1 = 2 THEN 'a' WHEN true THEN 'b' ELSE 'c' END", "b"),
        ("CASE WHEN false THEN 1 END", "null"),
        ("CASE WHEN true THEN 1 ELSE 1 / 0 END", "1"),
        ("CASE WHEN 1 = 1 THEN NULL ELSE NULL END", "refused: Invalid Case expression..."),
        ("CASE WHEN true THEN 1 ELSE 'a' END", "refused: Invalid Case expression..."),
        ("false AND 1 / 0 = 1", "false"),
        ("true OR 1 / 0 = 1", "true"),
        ("true AND 1 / 0 = 1", "error: Division by zero"),
        ("ARRAY[1, 2, 3][-1]", "3"),
        ("ARRAY[1, 2.5]", "[1.0, 2.5]"),
        ("ARRAY[1, '2']", "[1, 2]"),
        ("ARRAY['a', 1, true]", "[a, 1, true]"),
        ("ARRAY[NULL, 10, '2e1', '3']", "[null, 10, 20, 3]"),
        ("ARRAY[1, '2.50', ' -1e-1 ']", "[1.00, 2.50, -0.10]"),
        ("ARRAY[1, '2147483648']", "[1, 2147483648]"),
        ("ARRAY[1, 'x']", "refused: invalid input syntax for type INTEGER: \"x\"."),
        ("ARRAY[NULL]", "refused: Cannot construct an array with all NULL elements (see..."),
        ("MAP('a' := 1)['a']", "1"),
        ("MAP('a' := NULL)", "refused: Cannot construct a map with all NULL values (see..."),
        ("STRUCT(A := 1, B := 'x')->B", "x"),
        ("STRUCT(A := 1)->C", "refused: Could not find field 'C' in 'STRUCT(A:=1)'."),
        ("ARRAY[STRUCT(A := 1), STRUCT(B := 2)]", "[Struct{A=1}, Struct{B=2}]"),
    ]);
}

#[test]
fn casts() {
    check(&[
        ("CAST(1e10 AS STRING)", "1.0E10"),
        ("CAST(0.001e0 AS STRING)", "0.001"),
        ("CAST(0.0001e0 AS STRING)", "1.0E-4"),
        ("CAST(123456789.125e0 AS STRING)", "1.23456789125E8"),
        ("CAST(100e0 AS STRING)", "100.0"),
        ("CAST(1.50 AS STRING)", "1.50"),
        ("CAST(1.5 AS INT)", "1"),
        ("CAST(-1.5 AS INT)", "-1"),
        ("CAST(2147483648 AS INT)", "-2147483648"),
        ("CAST(1e10 AS INT)", "2147483647"),
        ("CAST(1e30 AS BIGINT)", "9223372036854775807"),
        ("CAST(1.25 AS DECIMAL(3, 1))", "1.3"),
        ("CAST(-1.25 AS DECIMAL(3, 1))", "-1.3"),
        ("CAST(99.95 AS DECIMAL(3, 1))", "error: Numeric field overflow..."),
        ("CAST(0.1e0 AS DECIMAL(2, 1))", "0.1"),
        ("CAST(0.99e0 AS DECIMAL(2, 1))", "1.0"),
        ("CAST(12 AS DECIMAL(4, 2))", "12.00"),
        ("CAST('12.345' AS DECIMAL(4, 2))", "12.35"),
        ("CAST('1.2E1' AS DECIMAL(4, 2))", "12.00"),
        ("CAST('-0.005' AS DECIMAL(4, 2))", "-0.01"),
        ("CAST('x' AS DECIMAL(4, 2))", "error: invalid input syntax..."),
        ("CAST(' 12 ' AS INT)", "12"),
        ("CAST('12.0' AS INT)", "error: invalid input syntax for type INTEGER: \"12.0\"."),
        ("CAST('2147483648' AS INT)", "error: ..."),
        ("CAST('1e2' AS DOUBLE)", "100.0"),
        ("CAST('NaN' AS DOUBLE)", "error: ..."),
        ("CAST('1e999' AS DOUBLE)", "error: ..."),
        ("CAST(' 2020-02 ' AS DATE)", "2020-02-01"),
        ("CAST(' 42 ' AS DATE)", "error: Failed to parse date '42'..."),
        ("CAST('1:20' AS TIME)", "error: Failed to parse time '1:20'..."),
        ("CAST(' 2020-02-03T12 ' AS TIMESTAMP)", "2020-02-03T12:00:00.000"),
        (
            "CAST('2020T12' AS TIMESTAMP)",
            "error: Failed to parse timestamp '2020T12': Text '2020T12:00:00.000' could not be parsed at index 4...",
        ),
        ("CAST('inf' AS DOUBLE)", "error: ..."),
        ("CAST('tr' AS BOOLEAN)", "true"),
        ("CAST('Y' AS BOOLEAN)", "true"),
        ("CAST('maybe' AS BOOLEAN)", "false"),
        ("CAST('' AS BOOLEAN)", "false"),
        ("CAST(true AS STRING)", "true"),
        ("CAST(true AS INT)", "refused: Cast of BOOLEAN to INTEGER is not supported"),
        ("CAST(1 AS BOOLEAN)", "refused: ..."),
        ("CAST(1 AS TIMESTAMP)", "refused: ..."),
        ("CAST('YWJj' AS BYTES)", "616263"),
        ("CAST('YWI=' AS BYTES)", "6162"),
        ("CAST('?' AS BYTES)", "error: ..."),
        ("FORMAT_DATE(CAST('2020-02-03' AS DATE), 'HH')", "error: ..."),
        ("FORMAT_DATE(CAST('2020-02-03' AS DATE), 'yyyy X')", "error: ..."),
        ("CAST('2020-02-03' AS DATE)", "2020-02-03"),
        ("CAST('2020-02' AS DATE)", "2020-02-01"),
        ("CAST('2020-02-30' AS DATE)", "error: Failed to parse date..."),
        ("CAST('10:20:30.5' AS TIME)", "10:20:30.500"),
        ("CAST(CAST('10:20:30.5' AS TIME) AS STRING)", "10:20:30"),
        ("CAST(CAST('10:20:00.5' AS TIME) AS STRING)", "10:20"),
        ("CAST('2022-04-28T21:44:47.943' AS TIMESTAMP)", "2022-04-28T21:44:47.943"),
        ("CAST('2022-04-28T21:44:47.943Z' AS TIMESTAMP)", "2022-04-28T21:44:47.943"),
        ("CAST('2022-04-28T21:44:47+02:00' AS TIMESTAMP)", "2022-04-28T19:44:47.000"),
        ("CAST(CAST('2022-04-28T21:44' AS TIMESTAMP) AS DATE)", "2022-04-28"),
        ("CAST(CAST('2022-04-28T21:44' AS TIMESTAMP) AS TIME)", "21:44"),
        ("CAST(CAST('1969-12-31T23:00' AS TIMESTAMP) AS DATE)", "1969-12-31"),
        ("CAST(CAST('2022-04-28' AS DATE) AS TIMESTAMP)", "2022-04-28T00:00:00.000"),
        ("CAST(ARRAY[1, 3] AS STRING)", "[1, 3]"),
        ("CAST(ARRAY[1, 2147483648] AS ARRAY<INT>)", "[1, -2147483648]"),
        ("CAST(ARRAY['1', 'x'] AS ARRAY<INT>)", "error: ..."),
        ("CAST(MAP('k' := MAP('l' := '10')) AS MAP<STRING, MAP<STRING, INT>>)", "{k={l=10}}"),
        ("CAST(STRUCT(F0 := 1, F1 := 3) AS STRUCT<F0 STRING, F3 STRING>)", "Struct{F0=1}"),
        ("CAST(NULL AS INT)", "null"),
    ]);
}

#[test]
fn strings() {
    check(&[
        ("LEN('äö€')", "3"),
        ("LEN('😀')", "2"),
        ("LEN(CAST(NULL AS STRING))", "null"),
        ("SUBSTRING('stream', 3)", "ream"),
        ("SUBSTRING('stream', 0, 2)", "st"),
        ("SUBSTRING('stream', -10, 2)", "st"),
        ("SUBSTRING('stream', 10)", ""),
        ("SUBSTRING('stream', 2, -1)", ""),
        ("SUBSTRING('aäb', 2, 1)", "ä"),
        ("TRIM('\t a ')", "a"),
        ("INITCAP('hello  wORLD')", "Hello  World"),
        ("INSTR('CORPORATE FLOOR', 'OR')", "2"),
        ("INSTR('CORPORATE FLOOR', 'OR', -3)", "5"),
        ("INSTR('CORPORATE FLOOR', 'OR', -3, 2)", "2"),
        ("INSTR('CORPORATE FLOOR', 'OR', -30)", "0"),
        ("INSTR('abc', 'x')", "0"),
        ("INSTR(CAST(NULL AS STRING), 'x')", "0"),
        ("LPAD('foo', 2, 'x')", "fo"),
        ("LPAD('foo', -1, 'x')", "null"),
        ("LPAD('foo', 5, '')", "null"),
        ("RPAD('foo', 2000000000, 'x')", "error: the padded text would be too long"),
        ("REPLACE('aaa', 'a', 'bb')", "bbbbbb"),
        ("SPLIT('abc', '')", "[a, b, c]"),
        ("SPLIT('$a$', '$')", "[, a, ]"),
        ("CONCAT('a')", "a"),
        ("CONCAT(CAST(NULL AS STRING), CAST(NULL AS STRING))", ""),
        ("CONCAT_WS(CAST(NULL AS STRING), 'a', 'b')", "null"),
        ("CONCAT_WS(', ', 'a')", "a"),
        ("CHR('\\u004b')", "K"),
        ("CHR(-1)", "null"),
        ("CHR('x')", "null"),
        ("LCASE(1)", "refused: Function 'lcase' does not accept parameters (INTEGER).\nValid..."),
        ("WONT_FIND_ME()", "refused: Can't find any functions with the name 'WONT_FIND_ME'"),
        ("MASK('AbC def-123', 'x', NULL, 'D', '_')", "xbx_def_DDD"),
        ("MASK_LEFT('abc', -1)", "error: ..."),
        ("MASK('a', 'XX', 'x', 'n', '-')", "error: Invalid mask character..."),
        ("REGEXP_EXTRACT('(a+)(b)?', 'xaay', 2)", "null"),
        ("REGEXP_EXTRACT('a+', 'xyz')", "null"),
        ("REGEXP_EXTRACT('(', 'xyz')", "error: invalid pattern..."),
        ("REGEXP_EXTRACT_ALL('x', 'abc')", "[]"),
        ("REGEXP_EXTRACT_ALL('(.)(.)', 'abcd', 2)", "[b, d]"),
        ("REGEXP_REPLACE('abc', 'b', '[$0]')", "a[b]c"),
        ("REGEXP_REPLACE('abc', 'b', '$1')", "error: No group 1"),
        ("REGEXP_REPLACE('abc', '', '-')", "-a-b-c-"),
        ("REGEXP_SPLIT_TO_ARRAY('-a--b-', '-')", "[, a, , b, ]"),
        ("REGEXP_SPLIT_TO_ARRAY('ab', 'x*')", "[a, b]"),
        (
            "UUID(TO_BYTES('00112233445566778899aabbccddeeff', 'hex'))",
            "00112233-4455-6677-8899-aabbccddeeff",
        ),
        ("UUID(TO_BYTES('00', 'hex'))", "null"),
        ("ENCODE('example!', 'utf8', 'hex')", "6578616d706c6521"),
        ("ENCODE('0x616263', 'hex', 'utf8')", "abc"),
        ("ENCODE('X''616263''', 'hex', 'base64')", "YWJj"),
        ("ENCODE('a', 'utf8', 'utf8')", "error: ..."),
        ("TO_BYTES('zz', 'hex')", "error: ..."),
        ("FROM_BYTES(TO_BYTES('äb', 'utf8'), 'ascii')", "\u{fffd}\u{fffd}b"),
        ("SPLIT(TO_BYTES('612c62', 'hex'), TO_BYTES('2c', 'hex'))", "[YQ==, Yg==]"),
        ("INT_FROM_BYTES(TO_BYTES('00', 'hex'))", "error: Number of bytes must be equal to 4"),
        ("URL_EXTRACT_HOST('a b')", "error: URL input has invalid syntax..."),
        ("URL_EXTRACT_HOST('/only/path')", "null"),
        ("URL_EXTRACT_PORT('http://a.b/c')", "null"),
        ("URL_EXTRACT_FRAGMENT('http://a.b/c')", "null"),
        ("URL_EXTRACT_PARAMETER('http://a.b?x&y=1', 'x')", ""),
        ("URL_EXTRACT_PARAMETER('http://a.b?x&y=1', 'z')", "null"),
        ("URL_DECODE_PARAM('a%zz')", "error: ..."),
        ("URL_ENCODE_PARAM('ä/?')", "%C3%A4%2F%3F"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("ABS(-2147483649)", "2147483649"),
        ("ABS(-1.50)", "1.50"),
        ("ABS(CAST(NULL AS INT))", "null"),
        ("CEIL(1.2e0)", "2.0"),
        ("CEIL(-1.25)", "-1.00"),
        ("FLOOR(-1.25)", "-2.00"),
        ("CEIL(9.9)", "error: the rounded value does not fit its DECIMAL type"),
        ("ROUND(2.5e0)", "3"),
        ("ROUND(-2.5e0)", "-2"),
        ("ROUND(2.45e0, 1)", "2.5"),
        ("ROUND(-2.45e0, 1)", "-2.4"),
        ("ROUND(1234.5e0, -2)", "1200.0"),
        ("ROUND(1.5)", "2"),
        ("ROUND(-1.5)", "-1"),
        ("ROUND(12.345, 2)", "12.350"),
        ("ROUND(CAST(NULL AS INT))", "error: argument must not be NULL"),
        ("TRUNC(-2.7e0)", "-2"),
        ("TRUNC(2.789e0, 2)", "2.78"),
        ("TRUNC(7)", "7"),
        ("SIGN(-0.5e0)", "-1"),
        ("SQRT(-1)", "NaN"),
        ("LN(0)", "-Infinity"),
        ("LOG(1, 8)", "NaN"),
        ("POWER(2, 0.5e0)", "1.4142135623730951"),
        ("GREATEST(CAST(1 AS BIGINT), 2147483648)", "2147483648"),
        ("GREATEST(1, 2.5, 0e0)", "2.5"),
        ("GREATEST('a', 'b', NULL)", "b"),
        ("LEAST(CAST(NULL AS INT), CAST(NULL AS INT))", "null"),
        ("LEAST()", "refused: Function 'least' does not accept parameters ()..."),
        (
            "LEAST('a', 1)",
            "refused: Function 'least' does not accept parameters (STRING, INTEGER)...",
        ),
        ("GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122, 'miles') > 5364", "true"),
        ("GEO_DISTANCE(91, 0, 0, 0)", "error: ..."),
        ("IFNULL(CAST(NULL AS BIGINT), 1)", "1"),
        ("COALESCE(CAST(NULL AS INT), 2147483648)", "2147483648"),
        ("COALESCE(1 / 0, 5)", "error: Division by zero"),
        ("NULLIF(1, 2)", "1"),
        ("NULLIF(CAST(NULL AS INT), 2)", "null"),
        ("ELT(3, 'a', 'b')", "null"),
        ("ELT(0, 'a', 'b')", "null"),
        ("FIELD('x', 'a', 'b')", "0"),
        ("RANDOM() >= 0 AND RANDOM() < 1", "true"),
        ("UUID() = UUID()", "false"),
    ]);
}

#[test]
fn times() {
    check(&[
        ("UNIX_TIMESTAMP()", "1620000123456"),
        ("UNIX_DATE()", "18750"),
        (
            "FORMAT_TIMESTAMP(FROM_UNIXTIME(1620000123456), 'yyyy-MM-dd''T''HH:mm:ss.SSSX')",
            "2021-05-03T00:02:03.456Z",
        ),
        (
            "FORMAT_TIMESTAMP(FROM_UNIXTIME(0), 'yyyy', 'Nowhere')",
            "error: Unknown time-zone ID: Nowhere",
        ),
        ("FORMAT_TIMESTAMP(FROM_UNIXTIME(0), 'bogus')", "error: ..."),
        (
            "PARSE_TIMESTAMP('2021-05-03 02:02:03', 'yyyy-MM-dd HH:mm:ss', 'Europe/Paris')",
            "2021-05-03T00:02:03.000",
        ),
        ("PARSE_TIMESTAMP('nope', 'yyyy')", "error: Text 'nope' could not be parsed at index 0"),
        ("PARSE_DATE('2021-05-03 10', 'yyyy-MM-dd HH')", "error: ..."),
        ("PARSE_DATE('x', 'yyyy')", "error: ..."),
        ("PARSE_TIME('10:20', 'HH:mm')", "10:20"),
        ("PARSE_TIME('2020', 'yyyy')", "error: ..."),
        ("TIMESTAMPTOSTRING(1620000123456, 'HH:mm', 'America/Los_Angeles')", "17:02"),
        ("TIMESTAMPTOSTRING(CAST(NULL AS BIGINT), 'HH:mm')", "error: ..."),
        ("STRINGTOTIMESTAMP(CAST(NULL AS STRING), 'HH')", "error: ..."),
        ("TIMESTAMPADD(MILLISECONDS, -1, FROM_UNIXTIME(0))", "1969-12-31T23:59:59.999"),
        ("TIMESTAMPADD(DAYS, 1, '2020-02-28')", "2020-02-29T00:00:00.000"),
        ("DATEADD(HOURS, 25, FROM_DAYS(0))", "1970-01-02"),
        ("DATESUB(HOURS, 1, FROM_DAYS(0))", "1970-01-01"),
        ("FROM_DAYS(CAST(NULL AS INT))", "error: ..."),
        (
            "TIMEADD(PARSE_TIME('10', 'HH'), 5, PARSE_TIME('10', 'HH'))",
            "refused: Function 'timeadd' does not accept parameters (TIME, INTEGER, TIME)...",
        ),
        ("FROM_UNIXTIME(0) < '1970-01-02'", "true"),
        ("FROM_DAYS(1) = '1970-01-02'", "true"),
        ("PARSE_TIME('10', 'HH') BETWEEN '09:00' AND '11:00'", "true"),
        ("FROM_UNIXTIME(0) = 'junk'", "error: ..."),
    ]);
}

#[test]
fn aggregates_take_exact_types_and_constants() {
    let column = |ty: SqlType| Typed::column(datafusion::common::Column::new_unqualified("C"), ty);
    let describe = |name: &str, args: &[Typed]| match resolve_aggregate(name, args) {
        Ok(found) => {
            format!("{} of {} with {:?}", found.returns, found.row_args.len(), found.params)
        }
        Err(error) => error.message.lines().next().unwrap_or_default().to_string(),
    };
    let decimal = SqlType::Decimal { precision: 4, scale: 2 };
    let cases = [
        (describe("COUNT", &[]), "BIGINT of 0 with []"),
        (describe("count", &[column(SqlType::String)]), "BIGINT of 1 with []"),
        (describe("SUM", &[column(SqlType::Integer)]), "INTEGER of 1 with []"),
        (describe("SUM", &[column(decimal.clone())]), "DECIMAL(4, 2) of 1 with []"),
        (
            describe("AVG", &[column(decimal)]),
            "Function 'avg' does not accept parameters (DECIMAL(4, 2)).",
        ),
        (
            describe("TOPK", &[column(SqlType::String), Typed::integer(3)]),
            "ARRAY<STRING> of 1 with [Int32(3)]",
        ),
        (
            describe("LATEST_BY_OFFSET", &[column(SqlType::Bigint), Typed::boolean(false)]),
            "BIGINT of 1 with [Boolean(false)]",
        ),
        (
            describe("EARLIEST_BY_OFFSET", &[column(SqlType::Bigint), column(SqlType::Integer)]),
            "Parameter 2 passed to function EARLIEST_BY_OFFSET must be a literal constant, but was \
             expression: 'C'",
        ),
        (describe("NOPE", &[]), "Can't find any functions with the name 'NOPE'"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
}
