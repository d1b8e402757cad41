use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use millrace_sql::catalog::{FormatKind, FormatSpec};

use super::*;
use crate::formats::testing::{fields, format, read};

fn spec(delimiter: char) -> FormatSpec {
    FormatSpec { delimiter, ..format(FormatKind::Delimited) }
}

#[test]
fn lines_are_read_by_the_rules_of_csv() {
    let cases = [
        (',', "A STRING, B INT", "x,1", r#"{"A":"x","B":1}"#),
        (',', "A STRING, B INT", "x,1\n", r#"{"A":"x","B":1}"#),
        (',', "A STRING, B INT", "\r\nx,1\r\ny,2", r#"{"A":"x","B":1}"#),
        (',', "A STRING, B INT", ",", r#"{"A":null,"B":null}"#),
        (',', "A STRING, B STRING", r#""a,b","c""d""#, r#"{"A":"a,b","B":"c\"d"}"#),
        (',', "A STRING, B STRING", "\"a\nb\",c", r#"{"A":"a\nb","B":"c"}"#),
        (',', "A STRING, B STRING", r#""","" "#, r#"{"A":null,"B":null}"#),
        (',', "A STRING, B STRING", r#"a"b, c "#, r#"{"A":"a\"b","B":" c "}"#),
        (',', "A STRING, B STRING", r#""a" ,b"#, r#"{"A":"a","B":"b"}"#),
        ('\t', "A STRING, B INT", "x y\t1", r#"{"A":"x y","B":1}"#),
        (' ', "A STRING, B INT", "x 1", r#"{"A":"x","B":1}"#),
        ('|', "A STRING, B INT", "x|1", r#"{"A":"x","B":1}"#),
        (',', "A BOOLEAN, B BOOLEAN", "TRUE,no", r#"{"A":true,"B":false}"#),
        (',', "A BIGINT, B DOUBLE", "-5,1e3", r#"{"A":-5,"B":1000.0}"#),
        (',', "A DECIMAL(4,2), B BYTES", "1.5,AQI=", r#"{"A":1.50,"B":"AQI="}"#),
        (',', "A DATE, B TIME, C TIMESTAMP", "1,2,3", r#"{"A":1,"B":2,"C":3}"#),
        (',', "A STRING", "ü", r#"{"A":"ü"}"#),
    ];
    for (delimiter, schema, line, want) in cases {
        let got = read(&spec(delimiter), &fields(schema), line.as_bytes());
        assert_eq!(got.as_deref(), Ok(want), "{line}");
    }
}

#[test]
fn bad_lines_are_refused() {
    let cases: [(&str, &[u8], &str); 13] = [
        ("A INT, B INT", b"", "the record is empty"),
        ("A INT, B INT", b"\n", "the record is empty"),
        ("A INT, B INT", b"1", "unexpected field count: 1 in the record, 2 columns"),
        ("A INT, B INT", b"1,2,3", "unexpected field count: 3"),
        ("A INT", b"x", "$.A: x cannot be read as INTEGER"),
        ("A INT", b"1.0", "$.A: 1.0 cannot be read as INTEGER"),
        ("A INT", b"2147483648", "$.A: 2147483648 is out of the range of INTEGER"),
        ("A TIME", b"86400000", "out of the range of TIME"),
        ("A DECIMAL(4,2)", b"1.555", "does not fit without rounding"),
        ("A BYTES", b"%", "not base64"),
        ("A STRING", b"\"x", "without its closing quote"),
        ("A STRING, B STRING", b"\"x\"y,z", "'y' between a quoted field and the delimiter"),
        ("A STRING", b"\xff", "not UTF-8 at byte 0"),
    ];
    for (schema, line, reason) in cases {
        let got = read(&spec(','), &fields(schema), line).expect_err("bad");
        assert!(got.contains(reason), "{got}");
        let unread: Vec<_> =
            fields(schema).into_iter().map(|f| Field { wanted: false, ..f }).collect();
        assert_eq!(read(&spec(','), &unread, line), Err(got));
    }
    assert!(DelimitedDecoder::new(&fields("A ARRAY<INT>"), ',').is_err());
}

#[test]
fn quotes_are_written_where_java_writes_them() {
    let cases = [
        ("x", "y", "x,y"),
        ("", "", "\"\","),
        ("a,b", "c,d", "\"a,b\",\"c,d\""),
        ("a\"b", "a\nb", "\"a\"\"b\",\"a\nb\""),
        (" x", " x", "\" x\",\" x\""),
        ("x ", "x ", "\"x \",\"x \""),
        ("#x", "#x", "\"#x\",\"#x\""),
        ("ü", "ü", "\"ü\",ü"),
        ("-1", "$", "\"-1\",$"),
        ("1", "-1", "1,-1"),
        ("_a", "_a", "\"_a\",_a"),
    ];
    for (a, b, want) in cases {
        let columns: [ArrayRef; 2] =
            [a, b].map(|text| Arc::new(StringArray::from(vec![text])) as ArrayRef);
        let views = columns.iter().map(|c| ColumnView::new(c.as_ref()).expect("text"));
        let views: Vec<_> = views.collect();
        let mut out = Vec::new();
        write_line(&views, ',', 0, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), want);
        let back = read(&spec(','), &fields("A STRING, B STRING"), &out).expect("own line");
        let text = |s: &str| if s.is_empty() { "null".into() } else { format!("{s:?}") };
        assert_eq!(back, format!("{{\"A\":{},\"B\":{}}}", text(a), text(b)));
    }
}
