mod damage;
mod prediction;

use millrace_sql::catalog::{FormatKind, FormatSpec};

use crate::formats::columns::{Columns, Field};
use crate::formats::testing::{fields, format, read, row};

fn json() -> FormatSpec {
    format(FormatKind::Json)
}

fn unwrapped() -> FormatSpec {
    FormatSpec { wrapped: false, ..json() }
}

fn unwanted(schema: &str) -> Vec<Field> {
    fields(schema).into_iter().map(|field| Field { wanted: false, ..field }).collect()
}

/// Reads `record` and writes it again. A second record after it must give the same (names are
/// predicted then), and so must reading it without keeping anything.
fn check(schema: &str, record: &str, want: &str) {
    let fields = fields(schema);
    assert_eq!(read(&json(), &fields, record.as_bytes()).as_deref(), Ok(want), "{record}");
    let mut columns =
        Columns::new(&json(), fields.clone(), Default::default()).expect("types of JSON");
    for _ in 0..3 {
        assert!(columns.push(record.as_bytes()).is_ok(), "{record}");
    }
    let arrays: Vec<_> = columns.finish().expect("small").into_iter().flatten().collect();
    assert_eq!(row(&fields, &arrays, 2), want, "{record}");
    assert!(read(&json(), &unwanted(schema), record.as_bytes()).is_ok(), "unread: {record}");
}

/// Reads `record`, which must be refused for `reason`, also if nothing of it is wanted, and must
/// leave the rows around it alone.
fn check_error(schema: &str, record: &[u8], reason: &str) {
    let shown = String::from_utf8_lossy(record);
    let got = read(&json(), &fields(schema), record).expect_err(&shown);
    assert!(got.contains(reason), "{shown}: {got}");
    let unread = read(&json(), &unwanted(schema), record).expect_err(&shown);
    assert_eq!(got, unread, "unread: {shown}");
    let mut columns =
        Columns::new(&json(), fields(schema), Default::default()).expect("types of JSON");
    for _ in 0..2 {
        assert_eq!(columns.push(b"{}"), Ok(true));
        assert_eq!(columns.push(record), Err(got.clone()), "{shown}");
    }
    assert_eq!(columns.push(b"null"), Ok(false));
    let arrays = columns.finish().expect("small");
    assert!(arrays.iter().flatten().all(|a| a.len() == 3 && a.null_count() == 3), "{shown}");
}

#[test]
fn names_match_exactly_or_in_upper_case() {
    let cases = [
        ("A INT", r#"{"A":1}"#, r#"{"A":1}"#),
        ("A INT", r#"{"a":1}"#, r#"{"A":1}"#),
        ("AB INT", r#"{"aB":1}"#, r#"{"AB":1}"#),
        ("a INT", r#"{"a":1}"#, r#"{"a":1}"#),
        ("a INT", r#"{"A":1}"#, r#"{"a":null}"#),
        ("A INT", r#"{"A":1,"a":2}"#, r#"{"A":1}"#),
        ("A INT", r#"{"a":2,"A":1}"#, r#"{"A":1}"#),
        ("AB INT", r#"{"ab":1,"aB":2}"#, r#"{"AB":2}"#),
        ("A INT", r#"{"A":1,"A":2}"#, r#"{"A":2}"#),
        ("A INT", r#"{"A":1,"A":null}"#, r#"{"A":null}"#),
        ("A INT", r#"{"A":null,"a":2}"#, r#"{"A":null}"#),
        ("a INT, A INT", r#"{"a":1}"#, r#"{"a":1,"A":1}"#),
        ("a INT, A INT", r#"{"a":1,"A":2}"#, r#"{"a":1,"A":2}"#),
        ("a INT, A INT", r#"{"A":2,"a":1}"#, r#"{"a":1,"A":2}"#),
        ("A INT", r#"{"\u0041":1}"#, r#"{"A":1}"#),
        ("Ä INT", r#"{"ä":1}"#, r#"{"Ä":1}"#),
        ("A INT, B INT", r#"{"B":2,"A":1}"#, r#"{"A":1,"B":2}"#),
        ("A INT", r#"{}"#, r#"{"A":null}"#),
        ("A INT", r#"{"X":[1,{"y":[]}],"A":1,"Z":"}"}"#, r#"{"A":1}"#),
        ("A INT", r#"{"A":"x","A":1}"#, r#"{"A":1}"#),
        ("A ARRAY<INT>", r#"{"A":[1,2,3],"A":[4]}"#, r#"{"A":[4]}"#),
        ("A STRUCT<X INT>", r#"{"a":{"x":1,"X":2}}"#, r#"{"A":{"X":2}}"#),
    ];
    cases.iter().for_each(|(schema, record, want)| check(schema, record, want));
}

#[test]
fn white_space_is_allowed_where_json_has_it() {
    let cases = [
        " {\"A\":1,\"B\":2} ",
        "{ \"A\" : 1 , \"B\" : 2 }",
        "\n{\n\t\"A\":\t1,\r\n\"B\":2\n}\n",
        "{\"A\":1,\"B\":  2}",
    ];
    for record in cases {
        check("A INT, B INT", record, r#"{"A":1,"B":2}"#);
    }
    let mut columns =
        Columns::new(&json(), fields("A INT, B INT"), Default::default()).expect("types of JSON");
    for record in [r#"{"A":1,"B":2}"#, r#"{"A":  1,"B": 2}"#, r#"{"B":2,"A":1}"#, r#"{"A":1}"#] {
        assert_eq!(columns.push(record.as_bytes()), Ok(true), "{record}");
    }
}

#[test]
fn predictions_follow_changing_members() {
    let fields = fields("A INT, B INT, C INT");
    let mut columns =
        Columns::new(&json(), fields.clone(), Default::default()).expect("types of JSON");
    let records = [
        (r#"{"a":1,"b":2,"c":3}"#, r#"{"A":1,"B":2,"C":3}"#),
        (r#"{"a":1,"c":3}"#, r#"{"A":1,"B":null,"C":3}"#),
        (r#"{"c":3,"b":2}"#, r#"{"A":null,"B":2,"C":3}"#),
        (r#"{"x":{"a":9},"a":1,"b":2,"c":3}"#, r#"{"A":1,"B":2,"C":3}"#),
        (r#"{}"#, r#"{"A":null,"B":null,"C":null}"#),
        (r#"{"a":1,"b":2,"c":3,"d":4}"#, r#"{"A":1,"B":2,"C":3}"#),
    ];
    for _ in 0..2 {
        for (record, _) in records {
            assert_eq!(columns.push(record.as_bytes()), Ok(true), "{record}");
        }
        let arrays: Vec<_> = columns.finish().expect("small").into_iter().flatten().collect();
        for (i, (record, want)) in records.iter().enumerate() {
            assert_eq!(row(&fields, &arrays, i), *want, "{record}");
        }
    }
}

#[test]
fn more_members_than_are_remembered() {
    let mut columns =
        Columns::new(&json(), fields("A INT"), Default::default()).expect("types of JSON");
    for round in 0..3 {
        let members: Vec<_> = (0..1000).map(|i| format!("\"x{round}_{i}\":{i}")).collect();
        let record = format!("{{{},\"a\":1}}", members.join(","));
        assert_eq!(columns.push(record.as_bytes()), Ok(true));
    }
    assert_eq!(columns.finish().expect("small")[0].as_ref().map(|a| a.null_count()), Some(0));
}

/// Values of column V of a type: JSON and what is written again.
fn check_values(ty: &str, cases: &[(&str, &str)]) {
    for (value, want) in cases {
        let (record, want) = (format!("{{\"V\":{value}}}"), format!("{{\"V\":{want}}}"));
        check(&format!("V {ty}"), &record, &want);
        let nested = format!("{{\"N\":{{\"L\":[{value}]}}}}");
        let want = format!("{{\"N\":{{\"L\":[{}]}}}}", &want[5..want.len() - 1]);
        check(&format!("N STRUCT<L ARRAY<{ty}>>"), &nested, &want);
    }
}

fn check_bad_values(ty: &str, cases: &[(&str, &str)]) {
    for (value, reason) in cases {
        let record = format!("{{\"A\":1,\"V\":{value},\"B\":\"x\"}}");
        let reason = format!("$.V: {reason}");
        check_error(&format!("A INT, V {ty}, B STRING"), record.as_bytes(), &reason);
    }
}

#[test]
fn integers() {
    let both = [
        ("0", "0"),
        ("-0", "0"),
        ("7", "7"),
        ("-7", "-7"),
        ("2147483647", "2147483647"),
        ("-2147483648", "-2147483648"),
        ("1.9", "1"),
        ("-1.9", "-1"),
        ("1e3", "1000"),
        ("12E-1", "1"),
        ("0.0", "0"),
        ("1e-999999", "0"),
        (r#""12""#, "12"),
        (r#""-12""#, "-12"),
        (r#""+12""#, "12"),
        (r#""\u0031""#, "1"),
        ("null", "null"),
    ];
    check_values("INT", &both);
    check_values("BIGINT", &both);
    check_values("TIMESTAMP", &both);
    check_values("DATE", &both);
    check_values(
        "BIGINT",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("999999999999999999", "999999999999999999"),
            ("1000000000000000000", "1000000000000000000"),
            (r#""9223372036854775807""#, "9223372036854775807"),
        ],
    );
    check_bad_values(
        "INT",
        &[
            ("2147483648", "2147483648 is out of the range of INTEGER"),
            ("-2147483649", "-2147483649 is out of the range"),
            ("1e999999", "1e999999 is out of the range of INTEGER"),
            (r#""x""#, "x is not a number that can be read as INTEGER"),
            (r#""1.5""#, "1.5 is not a number"),
            (r#"" 1""#, " 1 is not a number"),
            (r#""""#, " is not a number"),
            ("true", "a boolean cannot be read as INTEGER"),
            ("{}", "an object cannot be read as INTEGER"),
            ("[1]", "an array cannot be read as INTEGER"),
        ],
    );
    check_bad_values(
        "BIGINT",
        &[
            ("9223372036854775808", "9223372036854775808 is out of the range of BIGINT"),
            ("1e19", "1e19 is out of the range of BIGINT"),
            ("1e999999999999999999999", "1e999999999999999999999 is out of the range"),
        ],
    );
    check_bad_values("DATE", &[(r#""2020-01-01""#, "2020-01-01 is not a number")]);
    check_bad_values("TIMESTAMP", &[(r#""2020-01-01T00:00""#, "2020-01-01T00:00 is not a number")]);
}

#[test]
fn times_lie_within_a_day() {
    check_values("TIME", &[("0", "0"), ("86399999", "86399999"), (r#""5""#, "5"), ("1.5", "1")]);
    check_bad_values(
        "TIME",
        &[("86400000", "86400000 is out of the range of TIME"), ("-1", "-1 is out of the range")],
    );
}

#[test]
fn doubles() {
    check_values(
        "DOUBLE",
        &[
            ("1", "1.0"),
            ("-0", "-0.0"),
            ("1.5", "1.5"),
            ("1e10", "1.0E10"),
            ("1E-5", "1.0E-5"),
            ("123456789012345678901234567890", "1.2345678901234568E29"),
            ("1e-999999", "0.0"),
            (r#""2.5""#, "2.5"),
            (r#"" 2.5 ""#, "2.5"),
            (r#""NaN""#, r#""NaN""#),
            (r#""-Infinity""#, r#""-Infinity""#),
            ("null", "null"),
        ],
    );
    check_bad_values(
        "DOUBLE",
        &[
            ("1e999999", "1e999999 is out of the range of DOUBLE"),
            ("-1e999999", "-1e999999 is out of the range of DOUBLE"),
            (r#""x""#, "x is not a number"),
            ("false", "a boolean cannot be read as DOUBLE"),
        ],
    );
}

#[test]
fn decimals() {
    check_values(
        "DECIMAL(5, 2)",
        &[
            ("1", "1.00"),
            ("1.5", "1.50"),
            ("-1.50", "-1.50"),
            ("1.500", "1.50"),
            ("999.99", "999.99"),
            ("1e2", "100.00"),
            (r#""1.25""#, "1.25"),
            ("0.1", "0.10"),
            ("null", "null"),
        ],
    );
    check_values("DECIMAL(38, 10)", &[("0.1234567891", "0.1234567891")]);
    check_bad_values(
        "DECIMAL(5, 2)",
        &[
            ("1.234", "1.234 does not fit without rounding into DECIMAL(5, 2)"),
            ("1000", "1000 is out of the range of DECIMAL(5, 2)"),
            ("1e999999", "1e999999 is out of the range"),
            (r#""x""#, "x is not a number"),
            ("true", "a boolean cannot be read as DECIMAL(5, 2)"),
        ],
    );
}

#[test]
fn booleans_and_bytes() {
    check_values("BOOLEAN", &[("true", "true"), ("false", "false"), ("null", "null")]);
    let boolean = [
        (r#""true""#, "a string cannot be read as BOOLEAN"),
        ("1", "a number cannot be read as BOOLEAN"),
    ];
    check_bad_values("BOOLEAN", &boolean);
    check_values("BYTES", &[(r#""AQI=""#, r#""AQI=""#), (r#""""#, r#""""#), ("null", "null")]);
    check_values("BYTES", &[(r#""AQI\u003d""#, r#""AQI=""#), (r#""\/\/\/\/""#, r#""////""#)]);
    let bytes =
        [(r#""%""#, "a string that is not base64"), ("1", "a number cannot be read as BYTES")];
    check_bad_values("BYTES", &bytes);
}

#[test]
fn strings_take_anything() {
    check_values(
        "STRING",
        &[
            (r#""x""#, r#""x""#),
            (r#""""#, r#""""#),
            (r#""ü€😀""#, r#""ü€😀""#),
            (r#""\u00fc\u20AC\ud83d\ude00""#, r#""ü€😀""#),
            (r#""\"\\\/\b\f\n\r\t\u0001""#, r#""\"\\/\b\f\n\r\t\u0001""#),
            ("1", r#""1""#),
            ("-0", r#""0""#),
            ("1.50", r#""1.50""#),
            ("1e10", r#""1E+10""#),
            ("123456789012345678901234567890", r#""123456789012345678901234567890""#),
            ("true", r#""true""#),
            ("null", "null"),
            ("{}", r#""{}""#),
            (
                r#"{ "b" : [1, 2.50, null], "a" : "x\ny" }"#,
                r#""{\"b\":[1,2.50,null],\"a\":\"x\\ny\"}""#,
            ),
            (r#"{"a":1,"b":2,"a":3}"#, r#""{\"a\":3,\"b\":2}""#),
            ("[]", r#""[]""#),
            (r#"[1,"a",null,[true],{"x": 1}]"#, r#""[1, a, null, [true], {\"x\":1}]""#),
        ],
    );
}

#[test]
fn nested_columns() {
    let schema = "S STRUCT<A INT, B STRUCT<C STRING>>, L ARRAY<ARRAY<BIGINT>>, M MAP<STRING, INT>";
    check(
        schema,
        r#"{"s":{"a":1,"b":{"c":"x"}},"l":[[1],[],null,[2,null]],"m":{"x":1,"y":null}}"#,
        r#"{"S":{"A":1,"B":{"C":"x"}},"L":[[1],[],null,[2,null]],"M":{"x":1,"y":null}}"#,
    );
    check(schema, "{}", r#"{"S":null,"L":null,"M":null}"#);
    check(
        schema,
        r#"{"s":{"b":{}},"l":[],"m":{}}"#,
        r#"{"S":{"A":null,"B":{"C":null}},"L":[],"M":{}}"#,
    );
    let maps = "M MAP<STRING, INT>";
    check(maps, r#"{"m":{"a":1,"b":2,"a":3}}"#, r#"{"M":{"b":2,"a":3}}"#);
    check(maps, r#"{"m":{"a":"x","a":3}}"#, r#"{"M":{"a":3}}"#);
    check("M MAP<STRING, MAP<STRING, INT>>", r#"{"m":{"":{"k":1}}}"#, r#"{"M":{"":{"k":1}}}"#);
    check(
        "L ARRAY<STRUCT<A INT>>",
        r#"{"l":[{"a":1},{},null]}"#,
        r#"{"L":[{"A":1},{"A":null},null]}"#,
    );
}

#[test]
fn errors_carry_the_path() {
    let cases = [
        ("A STRUCT<B INT>", r#"{"a":{"b":"x"}}"#, "$.A.B: x is not a number"),
        ("A ARRAY<INT>", r#"{"a":[1,2,true]}"#, "$.A[2]: a boolean cannot be read as INTEGER"),
        ("A MAP<STRING, INT>", r#"{"a":{"k":true}}"#, "$.A.k: a boolean"),
        (
            "A ARRAY<STRUCT<B ARRAY<INT>>>",
            r#"{"a":[{"b":[]},{"b":[{}]}]}"#,
            "$.A[1].B[0]: an object",
        ),
        ("A STRUCT<B INT>", r#"{"a":1}"#, "$.A: a number cannot be read as STRUCT"),
        ("A ARRAY<INT>", r#"{"a":{}}"#, "$.A: an object cannot be read as ARRAY"),
        ("A MAP<STRING, INT>", r#"{"a":[]}"#, "$.A: an array cannot be read as MAP"),
        ("A INT, B INT", r#"{"b":"x","a":"y"}"#, "$.A: y is not a number"),
        ("A INT", "1", "$: a number where an object is wanted"),
        ("A INT", "[1]", "$: an array where an object is wanted"),
        ("A INT", "\"x\"", "$: a string where an object is wanted"),
        ("A INT", "true", "$: a boolean where an object is wanted"),
    ];
    for (schema, record, reason) in cases {
        check_error(schema, record.as_bytes(), reason);
    }
}

#[test]
fn a_failure_does_not_outlive_its_record() {
    let mut columns =
        Columns::new(&json(), fields("A INT, B INT"), Default::default()).expect("types of JSON");
    let broken_after_bad = br#"{"A":"x","B"#;
    assert!(columns.push(broken_after_bad).is_err_and(|e| e.starts_with("invalid JSON")));
    assert_eq!(
        columns.push(br#"{"B":"x"}"#),
        Err("$.B: x is not a number that can be read as INTEGER".into())
    );
    assert_eq!(columns.push(br#"{"B":1}"#), Ok(true));
}

#[test]
fn null_documents_stand_for_no_row() {
    for record in ["null", " null\n"] {
        assert_eq!(read(&json(), &fields("A INT"), record.as_bytes()), Ok("absent".into()));
        assert_eq!(read(&unwrapped(), &fields("A INT"), record.as_bytes()), Ok("absent".into()));
    }
    check_error("A INT", b"nullx", "unexpected character after a value");
}

#[test]
fn single_values_without_an_object() {
    let cases = [
        ("A INT", "10", r#"{"A":10}"#),
        ("A STRING", "\"x\"", r#"{"A":"x"}"#),
        ("A ARRAY<INT>", " [1, 2] ", r#"{"A":[1,2]}"#),
        ("A STRUCT<X INT>", r#"{"x":1}"#, r#"{"A":{"X":1}}"#),
        ("A MAP<STRING, INT>", r#"{"x":1}"#, r#"{"A":{"x":1}}"#),
    ];
    for (schema, record, want) in cases {
        let got = read(&unwrapped(), &fields(schema), record.as_bytes());
        assert_eq!(got.as_deref(), Ok(want), "{record}");
    }
    let error = read(&unwrapped(), &fields("A INT"), b"true");
    assert_eq!(error, Err("$: a boolean cannot be read as INTEGER".into()));
    let error = read(&unwrapped(), &fields("A STRUCT<X INT>"), br#"{"x":true}"#);
    assert_eq!(error, Err("$.X: a boolean cannot be read as INTEGER".into()));
}

#[test]
fn map_keys_must_be_strings() {
    let error = Columns::new(&json(), fields("A MAP<INT, INT>"), Default::default()).err();
    assert!(error.is_some_and(|e| e.contains("only STRING keys")));
}
