//! `${name}`.

use crate::parser::{Variables, parse, parse_with};

fn variables() -> Variables {
    [
        ("name", "orders"),
        ("quoted", "`My Stream`"),
        ("text", "'it''s'"),
        ("bare", "it's"),
        ("number", "5"),
        ("negative", "-5"),
        ("yes", "true"),
        ("two", "a, b"),
        ("attack", "x; DROP STREAM s"),
        ("close", "'a' OR 'b'"),
        ("comment", "a -- b"),
        ("word", "SELECT"),
        ("empty", ""),
        ("open", "'a"),
        ("nested", "${name}"),
    ]
    .into_iter()
    .collect()
}

fn check(sql: &str, expected: &str) {
    let parsed = parse_with(sql, &variables()).unwrap_or_else(|e| panic!("{}", e.render(sql)));
    let texts: Vec<String> = parsed.iter().map(|p| p.statement.to_string()).collect();
    let words: Vec<&str> = texts.iter().flat_map(|t| t.split_whitespace()).collect();
    assert_eq!(words.join(" "), expected, "{sql}");
}

#[test]
fn one_constant_or_name() {
    check("SELECT * FROM ${name};", "SELECT * FROM ORDERS");
    check("SELECT ${NAME} FROM ${quoted};", "SELECT ORDERS FROM `My Stream`");
    check(
        "SELECT ${text}, ${number}, ${negative}, ${yes} FROM s;",
        "SELECT 'it''s', 5, -5, true FROM S",
    );
    check("SELECT ${number} - ${negative} FROM s LIMIT ${number};", "SELECT 5 - -5 FROM S LIMIT 5");
    check(
        "CREATE STREAM s WITH (KAFKA_TOPIC=${text});",
        "CREATE STREAM S WITH (KAFKA_TOPIC='it''s')",
    );
}

#[test]
fn text_inside_of_quotes() {
    check("SET 'a'='x-${name}-${bare}';", "SET 'a'='x-orders-it''s'");
    check("SELECT '${attack}' FROM `${name}`;", "SELECT 'x; DROP STREAM s' FROM `orders`");
    check(
        "SELECT '${', '$', '${1 }', '$${name}' FROM s;",
        "SELECT '${', '$', '${1 }', '$orders' FROM S",
    );
    check("SELECT '${nested}' FROM s;", "SELECT '${name}' FROM S");
}

#[test]
fn nothing_else() {
    for name in ["two", "attack", "close", "comment2", "word", "empty", "open", "nested", "unknown"]
    {
        let sql = format!("SELECT ${{{name}}} FROM s;");
        let error = parse_with(&sql, &variables()).expect_err(&sql);
        let span = error.span.expect("a place");
        assert_eq!(&sql[span.start..span.end], format!("${{{name}}}"), "{error}");
    }
    let error = parse_with("SELECT '${nope}' FROM s;", &variables()).expect_err("unknown");
    assert_eq!(error.message, "Variable nope is not defined");
}

#[test]
fn a_comment_is_no_part_of_the_value() {
    check("SELECT ${comment} FROM s;", "SELECT A FROM S");
}

#[test]
fn definitions_work_on_what_follows() {
    check("DEFINE v = 'x'; SELECT ${v} FROM s;", "DEFINE V='x' SELECT X FROM S");
    check(
        "DEFINE a = '1'; DEFINE b = '${a}2'; SELECT ${b} FROM s;",
        "DEFINE A='1' DEFINE B='12' SELECT 12 FROM S",
    );
    let sql = "DEFINE v = 'x'; UNDEFINE v; SELECT ${v} FROM s;";
    assert!(parse_with(sql, &Variables::default()).is_err());
}

#[test]
fn without_variables_text_stays_and_a_bare_one_is_refused() {
    let parsed = parse("SELECT '${x}' FROM s;").expect("text");
    assert_eq!(parsed[0].statement.to_string(), "SELECT\n  '${x}'\nFROM S");
    assert!(parse("SELECT ${x} FROM s;").is_err());
}
