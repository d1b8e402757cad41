//! Pathological texts are answered at once, on the stack that threads of the server have.

use std::time::{Duration, Instant};

use crate::parser::{HEIGHT_MAX, NESTING_MAX, STACK_BYTES, parse, parse_expression, parse_type};
use crate::unparse::parenthesized;

/// Far above what any of these takes; an exponential parser would never end.
const LONGEST: Duration = Duration::from_secs(5);

fn refused(sql: &str, message: &str) {
    let start = Instant::now();
    let error = parse_expression(sql).expect_err("too much");
    assert!(error.message.contains(message), "{error}");
    assert!(start.elapsed() < LONGEST);
}

/// Runs `test` on such a stack.
fn on_a_thread(test: fn()) {
    let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
    builder.spawn(test).expect("a thread").join().expect("the test holds");
}

#[test]
fn deep_nesting_is_refused() {
    on_a_thread(refuse_deep_nesting);
}

fn refuse_deep_nesting() {
    let deep = format!("nested deeper than {NESTING_MAX} levels");
    refused(&"(".repeat(10_000), &deep);
    for open in [
        "(",
        "case ",
        "case when ",
        "case when a then ",
        "f(",
        "not ",
        "- ",
        "+",
        "ARRAY[",
        "a[",
        "cast(",
        "MAP(",
        "STRUCT(a:=",
        "f(x => ",
        "f((x, y) => ",
        "a + (",
        "a IN (",
        "a BETWEEN (",
        "CASE WHEN a THEN 1 ELSE ",
        "f(a, (",
        "a OR NOT (",
    ] {
        refused(&open.repeat(5_000), &deep);
    }
}

#[test]
fn deep_types_are_refused() {
    for open in ["ARRAY<", "MAP<STRING, ", "STRUCT<a "] {
        assert!(parse_type(&open.repeat(10_000)).is_err());
    }
    assert!(parse_type(&format!("INT{}", " ARRAY".repeat(10_000))).is_err());
    assert!(parse_type(&format!("INT{}", " ARRAY".repeat(100))).is_ok());
}

#[test]
fn tall_trees_are_refused() {
    let tall = format!("more than {HEIGHT_MAX} operators");
    for chain in [" + a", " AND a", " OR a = 1", " || 'x'", "->b", "[1]", " - -1"] {
        refused(&format!("a{}", chain.repeat(5_000)), &tall);
    }
}

#[test]
fn long_but_flat_texts_are_taken() {
    let list = vec!["1"; 10_000].join(", ");
    assert!(parse_expression(&format!("a IN ({list})")).is_ok());
    assert!(parse_expression(&format!("f({list})")).is_ok());
    assert!(parse_expression(&format!("f({})", vec!["(a)"; 5_000].join(", "))).is_ok());
    let whens = " WHEN a THEN 1".repeat(5_000);
    assert!(parse_expression(&format!("CASE{whens} END")).is_ok());
    let chain = format!("a{}", " AND b".repeat(200));
    assert!(parse_expression(&chain).is_ok());
    assert_eq!(parse(&"SHOW TOPICS;".repeat(5_000)).expect("fine").len(), 5_000);
}

#[test]
fn the_deepest_that_is_taken_reads_back() {
    on_a_thread(read_back_the_deepest);
}

fn read_back_the_deepest() {
    let depth = NESTING_MAX as usize - 1;
    let nested = format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse_expression(&nested).is_ok());
    assert!(parse_expression(&format!("({nested})")).is_err());
    for open in ["f(", "ARRAY[", "NOT ", "- "] {
        let close = match open {
            "f(" => ")",
            "ARRAY[" => "]",
            _ => "",
        };
        let sql = format!("{}a{}", open.repeat(depth), close.repeat(depth));
        let expr = parse_expression(&sql).expect("deep enough");
        assert_eq!(parse_expression(&expr.to_string()), Ok(expr.clone()));
        assert!(!parenthesized(&expr).to_string().is_empty());
    }
    let chain = format!("a{}", " - a".repeat(HEIGHT_MAX as usize - 2));
    let expr = parse_expression(&chain).expect("tall enough");
    assert_eq!(parse_expression(&expr.to_string()), Ok(expr));
}

#[test]
fn statements_that_nest_are_bounded() {
    let error = parse(&format!("{}SELECT * FROM s;", "EXPLAIN ".repeat(10_000))).expect_err("deep");
    assert!(error.message.contains("nested deeper"), "{error}");
    let half_open = format!("SELECT a FROM s GROUP BY {};", "(".repeat(10_000));
    assert!(parse(&half_open).is_err());
}
