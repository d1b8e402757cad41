//! Refused texts, the message, and what the caret stands under.

use crate::error::SqlErrorKind;
use crate::parser::{parse, parse_expression, parse_statement, parse_type};

/// `marked` holds the text with the offending part between `»` and `«`.
fn check(marked: &str, message: &str) {
    let sql = marked.replace(['»', '«'], "");
    let error = parse(&sql).expect_err(&sql);
    assert_eq!(error.message, message, "{sql}");
    let span = error.span.expect("a place");
    let shown =
        format!("{}»{}«{}", &sql[..span.start], &sql[span.start..span.end], &sql[span.end..]);
    assert_eq!(shown, marked);
}

/// The message is the plain one for this token.
fn near(marked: &str) {
    let at = marked.find('»').expect("a mark");
    let token: String = marked[at..].chars().skip(1).take_while(|c| *c != '«').collect();
    let token = if token.is_empty() { "<EOF>".to_owned() } else { token };
    let line = marked[..at].matches('\n').count() + 1;
    let column = marked[..at].chars().rev().take_while(|c| *c != '\n').count() + 1;
    let place = format!("line {line}:{column}");
    let detail = format!("Syntax error at or near '{token}' at {place}");
    check(marked, &format!("{place}: Syntax Error\n{detail}"));
}

#[test]
fn unexpected_tokens() {
    for marked in [
        "SELECT »FROM« s;",
        "SELECT a, »FROM« s;",
        "SELECT a b »c« FROM s;",
        "SELECT *, »FROM« s;",
        "SELECT a = »NOT« b FROM s;",
        "SELECT a IN »1« FROM s;",
        "SELECT a NOT »=« 1 FROM s;",
        "SELECT a IS »TRUE« FROM s;",
        "SELECT CASE »END« FROM s;",
        "SELECT CASE WHEN a »END« FROM s;",
        "SELECT CASE WHEN a THEN 1 »FROM« s;",
        "SELECT ARRAY[1 »FROM« s;",
        "SELECT MAP(1 »,« 2) FROM s;",
        "SELECT STRUCT(a »=« 1) FROM s;",
        "SELECT CAST(a »,« INT) FROM s;",
        "CREATE STREAM s AS SELECT ID, cast(f0 as »NULL«) FROM t;",
        "CREATE STREAM s (a »NULL«);",
        "CREATE STREAM s (a ARRAY<»NULL«>);",
        "CREATE »VIEW« s AS SELECT * FROM t;",
        "CREATE STREAM s (a INT) »AS« SELECT * FROM t;",
        "CREATE SOURCE STREAM s »AS« SELECT * FROM t;",
        "DROP »TOPIC« t;",
        "SHOW »EVERYTHING«;",
        "SHOW ALL »STREAMS«;",
        "INSERT »s« VALUES (1);",
        "SELECT a FROM s GROUP BY a EMIT »;«",
        "SELECT * FROM s WINDOW »LIMIT« (SIZE 1 DAY) GROUP BY a;",
        "SELECT * FROM s WINDOW TUMBLING (SIZE 1 »YEAR«) GROUP BY a;",
        "SELECT * FROM s WINDOW TUMBLING (SIZE 1 DAY, »SIZE« 1 DAY) GROUP BY a;",
        "SELECT * FROM a JOIN b »WHERE« c;",
        "SELECT * FROM a LEFT »b«;",
        "SELECT »${x}«;",
        "»;«",
        "SHOW TOPICS;\n »;«",
        "»1«;",
        "ASSERT »VALUES« foo (id INT) VALUES (123);",
    ] {
        near(marked);
    }
}

#[test]
fn what_may_not_follow() {
    check("SELECT * FROM S1 ORDER »MYKEY« DESC;", "line 1:24: Syntax Error\n");
    check("SELECT * FROM s LIMIT 1 »WHERE« a;", "line 1:25: Syntax Error\n");
    check("SELECT * FROM s WHERE a = b »=« c;", "line 1:29: Syntax Error\n");
    check("SELECT * FROM s WHERE a IS NULL »IS« NULL;", "line 1:33: Syntax Error\n");
    check("SELECT * FROM s WHERE a IN (1) »+« 1;", "line 1:32: Syntax Error\n");
    check("SELECT * FROM s PARTITION BY a »AND« b;", "line 1:32: Syntax Error\n");
    check("SELECT a »AT« TIME ZONE 'x' FROM s;", &near_message("AT", 1, 10));
    check("SHOW TOPICS »x«;", "line 1:13: Syntax Error\n");
}

fn near_message(token: &str, line: usize, column: usize) -> String {
    let place = format!("line {line}:{column}");
    format!("{place}: Syntax Error\nSyntax error at or near '{token}' at {place}")
}

#[test]
fn missing_ends() {
    check("SHOW TOPICS»«", "line 1:12: Syntax Error\nmissing ';' at '<EOF>'");
    check("SHOW TOPICS;\nSHOW STREAMS\n»«", "line 3:1: Syntax Error\nmissing ';' at '<EOF>'");
    check("SELECT (a »FROM« s;", "line 1:11: Syntax Error\nmissing ')' at 'FROM'");
    check(
        "SELECT a FROM s GROUP BY f3, (f2»,« f1);",
        "line 1:33: Syntax Error\nmissing ')' at ','",
    );
    check("SELECT »'«a", "line 1:8: Syntax Error\nthe text is not closed with '");
}

#[test]
fn reserved_words() {
    let detail = |word: &str| {
        format!(
            "\"{word}\" is a reserved keyword and it can't be used as an identifier. \
             You can use it as an identifier by escaping it as '{word}' "
        )
    };
    check(
        "CREATE STREAM »Query« (a INT);",
        &format!("line 1:15: Syntax Error\n{}", detail("Query")),
    );
    check("CREATE STREAM s (»size« INT);", &format!("line 1:18: Syntax Error\n{}", detail("size")));
    check("DROP STREAM »FROM«;", &format!("line 1:13: Syntax Error\n{}", detail("FROM")));
}

#[test]
fn unknown_statements() {
    check(
        "»SELCT« * FROM s;",
        "line 1:1: Syntax Error\nUnknown statement 'SELCT'\nDid you mean 'SELECT'?",
    );
    check(
        "»CREAT« STREAM s;",
        "line 1:1: Syntax Error\nUnknown statement 'CREAT'\nDid you mean 'CREATE'?",
    );
    check("»frobnicate«;", "line 1:1: Syntax Error\nUnknown statement 'frobnicate'");
}

#[test]
fn texts_that_parse_but_make_no_sense() {
    let cases = [
        (
            "SELECT »9223372036854775808« FROM s;",
            "line 1:9: Invalid numeric literal: 9223372036854775808",
        ),
        ("SELECT -»1E999« FROM s;", "Number overflows DOUBLE: -1E999"),
        ("SELECT * FROM s LIMIT »1.5«;", "Value must be integer for command: LIMIT"),
        ("SELECT * FROM s LIMIT »-1«;", "Value must not be negative for command: LIMIT"),
        ("SELECT * FROM s LIMIT »9223372036854775808«;", "Value is too large for command: LIMIT"),
        ("INSERT INTO s (»a«, b) VALUES (1);", "Expected number columns and values to match: 2, 1"),
        (
            "CREATE TABLE INPUT (»ID« INT KEY);",
            "Line: 1, Col: 21: Column `ID` is a 'KEY' column: please use 'PRIMARY KEY' for tables.",
        ),
        (
            "CREATE STREAM S (A INT,\n »ID« INT PRIMARY KEY);",
            "Line: 2, Col: 2: Column `ID` is a 'PRIMARY KEY' column: please use 'KEY' for streams.",
        ),
        (
            "SELECT CAST(a AS »DECIMAL(0,0)«) FROM s;",
            "DECIMAL precision must be >= 1: DECIMAL(0,0)",
        ),
        (
            "SELECT CAST(a AS »DECIMAL(1,2)«) FROM s;",
            "DECIMAL precision must be >= scale: DECIMAL(1,2)",
        ),
        ("SELECT »DATE« '2020-01-01' FROM s;", "Unknown type: DATE"),
        ("CREATE STREAM s WITH (a=1, »'A'«=2);", "Duplicate property: A"),
        ("SELECT a LIKE 'b' ESCAPE »'cc'« FROM s;", "Expected single character escape but got: cc"),
        ("SELECT DECIMAL »'x'« FROM s;", "Invalid numeric literal: x"),
    ];
    for (marked, message) in cases {
        check(marked, &format!("Failed to prepare statement: {message}"));
    }
    let error = parse("SELECT * FROM s LIMIT 1.5;").expect_err("no whole number");
    assert_eq!(error.kind, SqlErrorKind::Invalid);
}

#[test]
fn type_parameters() {
    let detail = "Expecting {'STRING', INTEGER_VALUE}";
    check("CREATE STREAM INPUT (K STRING (»KEY«));", &format!("line 1:32: Syntax Error\n{detail}"));
    check("CREATE STREAM INPUT (K INT (»KEY«));", &format!("line 1:29: Syntax Error\n{detail}"));
}

#[test]
fn carets_and_hints() {
    let sql = "SHOW TOPICS;\nSELECT a FROM s GROUP BY;";
    let error = parse(sql).expect_err("no expression");
    let expected = "line 2:25: Syntax Error\nSyntax error at or near ';' at line 2:25\n  \
                    SELECT a FROM s GROUP BY;\n                          ^\n\
                    hint: expected an expression";
    assert_eq!(error.render(sql), expected);
    let error = parse("SELECT COUNT(*) FROM s GROUP BY a > b;").expect_err("no parentheses");
    let hint = error.hint.expect("a hint");
    assert_eq!(hint, "a condition stands in parentheses here: GROUP BY (a > b)");
}

#[test]
fn parts_and_single_statements() {
    assert!(parse_expression("a b").is_err());
    assert!(parse_expression("").is_err());
    assert!(parse_expression("a;").is_err());
    assert!(parse_type("INT INT").is_err());
    assert_eq!(parse_statement("").expect_err("none").message, "There is no statement");
    let two = parse_statement("SHOW TOPICS; SHOW TABLES;").expect_err("two");
    assert_eq!(two.message, "One statement was expected, there are 2");
}
