//! `parse(format(ast)) == ast`, for random trees; and that the full form means the same.

use proptest::prelude::*;

use super::{arbitrary, parenthesized, to_sql};
use crate::parser::{parse_expression, parse_test_script, parse_type};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn expressions_read_back(expr in arbitrary::expr()) {
        let text = expr.to_string();
        let back = parse_expression(&text).map_err(|e| e.render(&text));
        prop_assert_eq!(back, Ok(expr), "{}", text);
    }

    #[test]
    fn parenthesized_expressions_read_back(expr in arbitrary::expr()) {
        let text = parenthesized(&expr).to_string();
        let back = parse_expression(&text).map_err(|e| e.render(&text));
        prop_assert_eq!(back, Ok(expr), "{}", text);
    }

    #[test]
    fn types_read_back(ty in arbitrary::ty()) {
        let text = ty.to_string();
        prop_assert_eq!(parse_type(&text).map_err(|e| e.render(&text)), Ok(ty), "{}", text);
    }

    #[test]
    fn statements_read_back(statement in arbitrary::statement()) {
        let text = to_sql(&statement);
        let back = parse_test_script(&text).map_err(|e| e.render(&text));
        let back = back.map(|list| list.into_iter().map(|s| s.statement).collect::<Vec<_>>());
        prop_assert_eq!(back, Ok(vec![statement]), "{}", text);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,40}") {
        let _ = crate::parser::parse(&text);
    }

    #[test]
    fn any_words_are_answered(words in prop::collection::vec(0..WORDS.len(), 0..40)) {
        let text: Vec<&str> = words.into_iter().map(|i| WORDS[i]).collect();
        let text = text.join(" ") + ";";
        if let Err(error) = crate::parser::parse(&text) {
            let span = error.span.expect("every syntax error has a place");
            prop_assert!(span.start <= span.end && span.end <= text.len(), "{}", text);
            prop_assert!(error.render(&text).contains('^'));
        }
    }
}

/// Pieces of statements, so that random texts get deep into the grammar.
const WORDS: [&str; 60] = [
    "SELECT",
    "FROM",
    "s",
    "*",
    ",",
    "(",
    ")",
    "WHERE",
    "a",
    "=",
    "1",
    "AND",
    "NOT",
    "CASE",
    "WHEN",
    "THEN",
    "END",
    "[",
    "]",
    "->",
    "=>",
    "GROUP BY",
    "EMIT CHANGES",
    "CREATE",
    "STREAM",
    "TABLE",
    "AS",
    "WITH",
    "'x'",
    ":=",
    "ARRAY",
    "MAP",
    "STRUCT",
    "<",
    ">",
    "INT",
    "WINDOW",
    "TUMBLING",
    "SIZE",
    "SECONDS",
    "INSERT INTO",
    "VALUES",
    "CAST",
    "IN",
    "BETWEEN",
    "LIKE",
    "IS",
    "NULL",
    "-",
    ";",
    ".",
    "JOIN",
    "ON",
    "WITHIN",
    "LIMIT",
    "PRINT",
    "ASSERT",
    "SHOW",
    "1.5",
    "EXPLAIN",
];
