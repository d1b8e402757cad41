//! The page of the documentation, and that every function says enough about itself.

use super::super::{FunctionKind, page, registry};
use super::{check, value};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/functions.md");

/// With `MILLRACE_BLESS=1` the page is written anew.
#[test]
fn the_page_is_what_the_registry_gives() {
    if std::env::var_os("MILLRACE_BLESS").is_some() {
        std::fs::write(PATH, page()).expect("the page can be written");
    }
    let found = std::fs::read_to_string(PATH).expect("docs/functions.md is there");
    assert!(found == page(), "docs/functions.md is old: run this test with MILLRACE_BLESS=1");
}

#[test]
fn every_function_has_an_example() {
    let count = |kind| registry::built_in().iter().filter(|doc| doc.kind == kind).count();
    assert_eq!(count(FunctionKind::Scalar), 129);
    assert_eq!(count(FunctionKind::Aggregate), 18);
    assert_eq!(count(FunctionKind::Table), 2);
    for doc in registry::built_in() {
        assert!(!doc.example.is_empty() && !doc.example_result.is_empty(), "{}", doc.name);
        assert_eq!(doc.kind == FunctionKind::Aggregate, !doc.example_rows.is_empty());
    }
}

#[test]
fn examples_of_table_functions_hold() {
    for doc in registry::built_in().iter().filter(|doc| doc.kind == FunctionKind::Table) {
        let call = crate::parser::parse_expression(doc.example).expect("the example parses");
        let crate::ast::ExprKind::Call { name, args } = call.kind else { panic!("no call") };
        let args = args
            .iter()
            .map(|arg| super::typed(arg, &super::Constants).expect("the arguments are literals"));
        let rows = super::super::resolve_table(&name.value, args.collect()).expect("it resolves");
        let want = format!("[{}]", doc.example_result.replace('\n', ", "));
        assert_eq!(super::value_of(doc.example, &rows), want);
    }
}

#[test]
fn cubes() {
    let cube = |list: &str| {
        let arg = crate::parser::parse_expression(list).expect("it parses");
        let arg = super::typed(&arg, &super::Constants).expect("a literal");
        let rows = super::super::resolve_table("CUBE_EXPLODE", vec![arg]).expect("it resolves");
        super::value_of(list, &rows)
    };
    assert_eq!(cube("ARRAY[NULL, 1]"), "[[null, null], [null, 1]]");
    assert_eq!(cube("CAST(NULL AS ARRAY<INT>)"), "null");
    assert!(cube("GENERATE_SERIES(1, 21)").starts_with("error: CUBE_EXPLODE takes at most 20"));
    check(&[("EXPLODE(ARRAY[1])", "refused: Can't find any functions with the name 'EXPLODE'")]);
    assert_eq!(value("1"), "1");
}
