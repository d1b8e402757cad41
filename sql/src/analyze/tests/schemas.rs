//! Columns that the registry knows, and schemas that are chosen by id.

use super::*;
use crate::analyze::{Inference, Side, check_registered, inferences, with_columns};
use crate::types::SqlType;

fn parsed(sql: &str) -> Statement {
    crate::parser::parse_statement(sql).expect("a statement")
}

fn asked(sql: &str) -> String {
    let show = |wanted: &Inference| {
        let Inference { side, topic, format } = wanted;
        let wrapped = if format.wrapped { "" } else { " single" };
        let id = format.schema.id.map(|id| format!(" {id}")).unwrap_or_default();
        format!("{side:?} {topic} {}{wrapped}{id}", format.kind.name())
    };
    match inferences(&parsed(sql), &Settings::default()) {
        Ok(wanted) => wanted.iter().map(show).collect::<Vec<_>>().join("; "),
        Err(error) => error.message,
    }
}

#[test]
fn what_a_statement_leaves_out_is_asked_for() {
    let check = |columns: &str, properties: &str, want: &str| {
        let sql = format!("CREATE STREAM X {columns} WITH (KAFKA_TOPIC='t', {properties});");
        assert_eq!(asked(&sql), want, "{sql}");
    };
    check("(K INT KEY, V INT)", "FORMAT='AVRO'", "");
    check("(V INT)", "VALUE_FORMAT='AVRO'", "");
    check("", "VALUE_FORMAT='AVRO'", "Value t AVRO");
    check("", "VALUE_FORMAT='JSON'", "");
    check("(K INT KEY)", "VALUE_FORMAT='PROTOBUF'", "Value t PROTOBUF");
    check("", "FORMAT='PROTOBUF'", "Key t PROTOBUF; Value t PROTOBUF");
    check("(V INT)", "FORMAT='JSON_SR'", "Key t JSON_SR single");
    check("", "VALUE_FORMAT='AVRO', WRAP_SINGLE_VALUE=false", "Value t AVRO single");
    check("", "VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=7", "Value t AVRO 7");
    check("", "VALUE_FORMAT='PROTOBUF_NOSR'", "");
    let both = "Table elements and VALUE_SCHEMA_ID cannot both exist for create statement.";
    check("(V INT)", "VALUE_FORMAT='AVRO', VALUE_SCHEMA_ID=7", both);
    let odd = "VALUE_FORMAT should support schema inference when VALUE_SCHEMA_ID is provided. \
               Current format is KAFKA.";
    check("", "VALUE_FORMAT='KAFKA', VALUE_SCHEMA_ID=7", odd);
}

#[test]
fn columns_go_into_the_statement() {
    let int = |name: &str| vec![(name.to_string(), SqlType::Integer)];
    let sql = "CREATE TABLE X (H BYTES HEADER('h')) WITH (KAFKA_TOPIC='t', FORMAT='AVRO');";
    let statement = with_columns(&parsed(sql), Side::Value, &int("v"), Some("a.B"));
    let statement = with_columns(&statement, Side::Key, &int("ROWKEY"), None);
    let want = "CREATE TABLE X (H BYTES HEADER('h'), ROWKEY INTEGER PRIMARY KEY, `v` INTEGER) \
                WITH (KAFKA_TOPIC='t', FORMAT='AVRO', VALUE_SCHEMA_FULL_NAME='a.B')";
    assert_eq!(crate::unparse::to_sql(&statement).trim_end_matches(';'), want);
}

#[test]
fn schemas_chosen_by_id_hold_the_columns_in_their_places() {
    let catalog = Catalog::default();
    let sql = "CREATE STREAM X (K INT KEY, A INT, B STRING) WITH (KAFKA_TOPIC='t', FORMAT='AVRO');";
    let source = match analyze(&parsed(sql), sql, &catalog, &Settings::default()) {
        Ok(Analyzed::CreateSource(new)) => new.source,
        other => panic!("{other:?}"),
    };
    let check = |known: &[(&str, SqlType)], want: &str| {
        let known: Vec<_> = known.iter().map(|(name, ty)| (name.to_string(), ty.clone())).collect();
        let got = check_registered(&source, Side::Value, &known);
        assert_eq!(got.map_or_else(|e| e.message, |()| String::new()), want);
    };
    let (int, string) = (SqlType::Integer, SqlType::String);
    check(&[("A", int.clone()), ("B", string.clone()), ("C", int.clone())], "");
    check(
        &[("A", string.clone()), ("B", string)],
        "The following value columns are changed, missing or reordered: [`A` INTEGER]. Schema \
         from schema registry is [`A` STRING, `B` STRING]",
    );
    check(
        &[("B", int)],
        "The following value columns are changed, missing or reordered: [`A` INTEGER, `B` \
         STRING]. Schema from schema registry is [`B` INTEGER]",
    );
}
