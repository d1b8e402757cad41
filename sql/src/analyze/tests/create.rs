use super::*;
use crate::catalog::{FormatKind, FormatSpec, KeyWindow, TimestampSpec};

fn source(sql: &str) -> Source {
    match Scene::new("").one(sql) {
        Ok(Analyzed::CreateSource(new)) => new.source,
        other => panic!("{sql}\n{other:?}"),
    }
}

fn columns(sql: &str, expected: &str) {
    assert_eq!(describe(&source(sql).columns), expected, "{sql}");
}

fn err(sql: &str, part: &str) {
    check_err_in(&Scene::new(""), sql, part);
}

#[test]
fn columns_keep_their_order_and_roles() {
    columns(
        "CREATE STREAM X (V INT, K STRING KEY, `w x` DECIMAL(4,2)) \
         WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');",
        "V INTEGER, K STRING KEY, w x DECIMAL(4, 2)",
    );
    columns(
        "CREATE TABLE X (K1 INT PRIMARY KEY, K2 BIGINT PRIMARY KEY, A ARRAY<MAP<STRING, DATE>>, \
         S STRUCT<F TIME, G TIMESTAMP>) WITH (KAFKA_TOPIC='x', FORMAT='JSON');",
        "K1 INTEGER KEY, K2 BIGINT KEY, A ARRAY<MAP<STRING, DATE>>, \
         S STRUCT<`F` TIME, `G` TIMESTAMP>",
    );
}

#[test]
fn formats_have_defaults() {
    let x =
        source("CREATE STREAM X (K INT KEY, V INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');");
    let spec = |kind, wrapped| FormatSpec::new(kind, wrapped);
    assert_eq!(x.key_format, spec(FormatKind::Kafka, false));
    assert_eq!(x.value_format, spec(FormatKind::Json, true));
    let x = source(
        "CREATE STREAM X (K INT KEY, V INT) WITH (KAFKA_TOPIC='x', KEY_FORMAT='delimited', \
         VALUE_FORMAT='DELIMITED', VALUE_DELIMITER='TAB');",
    );
    assert_eq!(x.key_format, spec(FormatKind::Delimited, false));
    assert_eq!(x.value_format.delimiter, '\t');
    let x = source(
        "CREATE STREAM X (V INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON', WRAP_SINGLE_VALUE=false);",
    );
    assert_eq!(x.value_format, spec(FormatKind::Json, false));
}

#[test]
fn settings_give_default_formats() {
    let mut scene = Scene::new("");
    scene.settings = settings(&[
        ("ksql.persistence.default.format.key", "JSON"),
        ("ksql.persistence.default.format.value", "DELIMITED"),
        ("ksql.persistence.wrap.single.values", "false"),
    ]);
    let Ok(Analyzed::CreateSource(new)) =
        scene.one("CREATE STREAM X (K INT KEY, V INT) WITH (KAFKA_TOPIC='x');")
    else {
        panic!("accepted")
    };
    assert_eq!(new.source.key_format.kind, FormatKind::Json);
    assert_eq!(new.source.value_format.kind, FormatKind::Delimited);
}

#[test]
fn time_windows_and_topic_wishes_are_read() {
    let x = source(
        "CREATE STREAM X (K INT KEY, TS STRING) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON', \
         TIMESTAMP='ts', TIMESTAMP_FORMAT='yyyy', WINDOW_TYPE='Hopping', WINDOW_SIZE='2 minutes');",
    );
    let timestamp = TimestampSpec { column: "TS".into(), pattern: Some("yyyy".into()) };
    assert_eq!(x.timestamp, Some(timestamp));
    assert_eq!(x.window, Some(KeyWindow::Time { size_ms: 120_000, hopping: true }));
    let new = Scene::new("").one(
        "CREATE STREAM X (K INT KEY, V INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON', \
         PARTITIONS='3', REPLICAS=2, RETENTION_MS=1000);",
    );
    let Ok(Analyzed::CreateSource(new)) = new else { panic!("{new:?}") };
    let wish = new.create_topic.expect("PARTITIONS is given");
    assert_eq!((wish.partitions, wish.replicas, wish.retention_ms), (3, Some(2), Some(1000)));
}

#[test]
fn keys_are_checked() {
    let with = "WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');";
    err(
        &format!("CREATE TABLE X (ID INT KEY, V INT) {with}"),
        "Column `ID` is a 'KEY' column: please use 'PRIMARY KEY' for tables.",
    );
    err(
        &format!("CREATE STREAM X (ID INT PRIMARY KEY, V INT) {with}"),
        "Column `ID` is a 'PRIMARY KEY' column: please use 'KEY' for streams.",
    );
    err(&format!("CREATE TABLE X (V INT) {with}"), "Tables require a PRIMARY KEY.");
    err(&format!("CREATE STREAM X (V INT, V INT) {with}"), "Duplicate column names: V");
    err(
        &format!("CREATE STREAM X (ROWTIME INT) {with}"),
        "'ROWTIME' is a reserved column name. You cannot use it as a name for a column.",
    );
    err(
        &format!("CREATE STREAM X (K MAP<STRING, INT> KEY, V INT) {with}"),
        "Map keys, including types that contain maps, are not supported",
    );
}

#[test]
fn formats_carry_what_they_can() {
    let with = |list: &str| format!("WITH (KAFKA_TOPIC='x', {list});");
    err(
        &format!("CREATE STREAM X (A INT, B INT) {}", with("VALUE_FORMAT='KAFKA'")),
        "Value format does not support schema.\nformat: KAFKA\nschema: Persistence{columns=[`A` \
         INTEGER, `B` INTEGER], features=[]}\nreason: The 'KAFKA' format only supports a single \
         field. Got: [`A` INTEGER, `B` INTEGER]",
    );
    err(
        &format!("CREATE STREAM X (A BOOLEAN) {}", with("VALUE_FORMAT='KAFKA'")),
        "The 'KAFKA' format does not support type 'BOOLEAN'",
    );
    err(
        &format!("CREATE STREAM X (K ARRAY<DOUBLE> KEY, V INT) {}", with("FORMAT='DELIMITED'")),
        "reason: The 'DELIMITED' format does not support type 'ARRAY', column: `K`",
    );
    err(
        &format!("CREATE STREAM X (A MAP<INT, INT>) {}", with("FORMAT='JSON'")),
        "JSON only supports MAP types with STRING keys",
    );
    err(
        &format!("CREATE STREAM X (A MAP<INT, INT>) {}", with("VALUE_FORMAT='AVRO'")),
        "Avro only supports MAPs with STRING keys",
    );
    err(
        &format!("CREATE STREAM X (A MAP<INT, INT>) {}", with("VALUE_FORMAT='PROTOBUF'")),
        "PROTOBUF format only supports MAP types with STRING keys",
    );
    err(
        &format!("CREATE STREAM X (A INT) {}", with("VALUE_FORMAT='NONE'")),
        "The 'NONE' format can only be used when no columns are defined. Got: [`A` INTEGER]",
    );
}

#[test]
fn properties_are_understood_or_refused() {
    let x = |list: &str| format!("CREATE STREAM X (A INT, B INT) WITH ({list});");
    err(&x("VALUE_FORMAT='JSON'"), "Missing required property \"KAFKA_TOPIC\"");
    err(&x("KAFKA_TOPIC='x'"), "Statement is missing the 'VALUE_FORMAT' property");
    err(&x("KAFKA_TOPIC='x', FORMAT='FOO'"), "Unknown format: FOO");
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', VALUE_FORMAT='JSON'"),
        "Cannot supply both 'VALUE_FORMAT' and 'FORMAT' properties",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', FOO='x'"),
        "Invalid config variable(s) in the WITH clause: FOO",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', KEY_SCHEMA_ID=1"),
        "KEY_FORMAT should support schema inference when KEY_SCHEMA_ID is provided. Current \
         format is JSON.",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', VALUE_SCHEMA_FULL_NAME='a.B'"),
        "JSON does not support the following configs: [fullSchemaName]",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='AVRO', VALUE_AVRO_SCHEMA_FULL_NAME=' '"),
        "fullSchemaName cannot be empty. Format configuration: {fullSchemaName=}",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='AVRO', VALUE_PROTOBUF_NULLABLE_REPRESENTATION='OPTIONAL'"),
        "VALUE_PROTOBUF_NULLABLE_REPRESENTATION can only be enabled with protobuf format",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='PROTOBUF', WRAP_SINGLE_VALUE=false"),
        "Format 'PROTOBUF' does not support 'WRAP_SINGLE_VALUE' set to 'false'.",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', VALUE_DELIMITER='|'"),
        "JSON does not support the following configs: [delimiter]",
    );
    err(&x("KAFKA_TOPIC='x', FORMAT='DELIMITED', VALUE_DELIMITER=''"), "Delimiter cannot be empty");
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', WRAP_SINGLE_VALUE=true"),
        "'WRAP_SINGLE_VALUE' is only valid for single-field value schemas",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='DELIMITED', WRAP_SINGLE_VALUE=true"),
        "Format 'DELIMITED' does not support 'WRAP_SINGLE_VALUE' set to 'true'.",
    );
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', WINDOW_TYPE='HOPPING', WINDOW_SIZE='30 bobs'"),
        "Configuration WINDOW_SIZE is invalid: Invalid duration: '30 bobs'. Unknown time unit: \
         'BOBS'",
    );
    err(&x("KAFKA_TOPIC='x', FORMAT='JSON', TIMESTAMP='C'"), "does not exist in the schema: 'C'");
    err(
        &x("KAFKA_TOPIC='x', FORMAT='JSON', PARTITIONS=0"),
        "Invalid value 0 for property PARTITIONS",
    );
}

#[test]
fn names_that_are_taken() {
    let scene = Scene::new(SCENE);
    let sql =
        |not: &str| format!("CREATE STREAM {not} S (A INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON');");
    check_err_in(&scene, &sql(""), "Cannot add stream 'S': A stream with the same name already");
    let same = scene.one(&sql("IF NOT EXISTS"));
    match same {
        Ok(Analyzed::Nothing(nothing)) => assert_eq!(
            nothing.message,
            "Cannot add stream `S`: A stream with the same name already exists."
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_of_headers_may_be_switched_off() {
    let mut scene = Scene::new(SCENE);
    scene.settings = settings(&[("ksql.headers.columns.enabled", "false")]);
    let sql = |kind: &str, key: &str, column: &str| {
        format!("CREATE {kind} X (K INT {key}, {column}) WITH (KAFKA_TOPIC='x', FORMAT='JSON');")
    };
    let disabled = "because schema with headers columns is disabled.";
    let all = sql("STREAM", "KEY", "H ARRAY<STRUCT<key STRING, value BYTES>> HEADERS");
    check_err_in(&scene, &all, &format!("Cannot create Stream {disabled}"));
    let one = sql("TABLE", "PRIMARY KEY", "V INT, H BYTES HEADER('h')");
    check_err_in(&scene, &one, &format!("Cannot create Table {disabled}"));
    assert!(scene.one(&sql("STREAM", "KEY", "H BYTES")).is_ok());
    scene.settings = settings(&[("ksql.headers.columns.enabled", "true")]);
    assert!(scene.one(&one).is_ok());
}

#[test]
fn drop_needs_the_right_kind_and_no_users() {
    let scene = Scene::new(&format!("{SCENE} CREATE STREAM O AS SELECT ID, A FROM S;"));
    check_err_in(
        &scene,
        "DROP TABLE S;",
        "Incompatible data source type is stream, but statement was DROP table",
    );
    check_err_in(
        &scene,
        "DROP STREAM S;",
        "Cannot drop S.\nThe following streams and/or tables read from this source: [O].\nYou need to \
         drop them before dropping S.",
    );
    let inserts = format!(
        "{SCENE} CREATE STREAM O AS SELECT ID, A FROM S; INSERT INTO O SELECT ID, A FROM S;"
    );
    check_err_in(
        &Scene::new(&inserts),
        "DROP STREAM S;",
        "The following queries read from this source: [INSERTQUERY_1].\nThe following queries write \
         into this source: [].\nYou need to terminate them before dropping S.",
    );
    check_err_in(&scene, "DROP STREAM X;", "Stream X does not exist.");
    check_err_in(&scene, "DROP TABLE X;", "Table X does not exist.");
    assert!(matches!(scene.one("DROP STREAM IF EXISTS X;"), Ok(Analyzed::Nothing(_))));
    match scene.one("DROP STREAM O DELETE TOPIC;") {
        Ok(Analyzed::Drop(drop)) => {
            assert_eq!(drop.terminates.as_deref(), Some("CSAS_O_0"));
            assert!(drop.delete_topic);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_writes_to_sources_of_others() {
    let scene = Scene::new(&format!(
        "{SCENE} CREATE SOURCE STREAM X (A INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');"
    ));
    let cases = [
        ("INSERT INTO X SELECT A FROM X;", "Cannot insert into read-only stream: X"),
        ("INSERT INTO X VALUES (1);", "Cannot insert values into read-only stream: X"),
        ("DROP STREAM X DELETE TOPIC;", "Cannot delete topic for read-only source: X"),
        (
            "ALTER STREAM X ADD COLUMN B INT;",
            "Cannot alter stream 'X': ALTER operations are not supported on source streams.",
        ),
        (
            "CREATE OR REPLACE STREAM X (A INT) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');",
            "Cannot add stream 'X': CREATE OR REPLACE is not supported on source streams.",
        ),
        (
            "CREATE OR REPLACE SOURCE TABLE Y (A INT PRIMARY KEY) \
             WITH (KAFKA_TOPIC='y', VALUE_FORMAT='JSON');",
            "Cannot add table 'Y': CREATE OR REPLACE is not supported on source tables.",
        ),
    ];
    for (sql, want) in cases {
        check_err_in(&scene, sql, want);
    }
}

#[test]
fn headers_are_columns() {
    let with = |columns: &str| {
        format!("CREATE STREAM X (A INT, {columns}, B INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON');")
    };
    let all = "H ARRAY<STRUCT<key STRING, value BYTES>> HEADERS";
    let x = source(&with(&format!("{all}, H1 BYTES HEADER('a'), H2 BYTES HEADER('b')")));
    let roles: Vec<&ColumnRole> = x.columns.iter().map(|c| &c.role).collect();
    let one = |name: &str| ColumnRole::Headers(Some(name.to_string()));
    let value = ColumnRole::Value;
    assert_eq!(roles, [&value, &ColumnRole::Headers(None), &one("a"), &one("b"), &value]);
    err(
        &with("H BYTES HEADERS"),
        "Invalid type for HEADERS column: expected ARRAY<STRUCT<`KEY` STRING, `VALUE` BYTES>>, got \
         BYTES",
    );
    err(
        &with("H STRING HEADER('a')"),
        "Invalid type for HEADER('a') column: expected BYTES, got STRING",
    );
    err(&with(&format!("{all}, G{}", &all[1..])), "Schema already contains a HEADERS column.");
    let twice = "H1 BYTES HEADER('a'), H2 BYTES HEADER('a')";
    err(&with(twice), "Schema already contains a HEADER('a') column.");
}

#[test]
fn read_only_sources_may_be_switched_off() {
    let mut scene = Scene::new(SCENE);
    scene.settings = settings(&[("ksql.source.table.materialization.enabled", "false")]);
    for sql in [
        "CREATE SOURCE TABLE X (K INT PRIMARY KEY, A INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON');",
        "CREATE SOURCE STREAM X (K INT KEY, A INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON');",
    ] {
        check_err_in(&scene, sql, "because source table materialization is disabled.");
    }
}

#[test]
fn values_of_properties_are_checked_as_in_ksqldb() {
    for (with, message) in [
        ("WINDOW_TYPE='TUMBLING', WINDOW_SIZE='30'", "Expected 2 tokens, got: 1"),
        ("WINDOW_TYPE='TUMBLING', WINDOW_SIZE='x seconds'", "Not numeric: 'x'"),
        ("WINDOW_SIZE='3 seconds'", "'WINDOW_SIZE' should not be set for SESSION windows."),
        ("WINDOW_TYPE='x'", "Invalid value X for property WINDOW_TYPE: String must be one of"),
        (
            "TIMESTAMP='S', TIMESTAMP_FORMAT='foo'",
            "Invalid datetime format for config:TIMESTAMP_FORMAT, reason:",
        ),
        ("TIMESTAMP='S'", "has been specified without also specifying the timestamp_format"),
        (
            "TIMESTAMP='A', TIMESTAMP_FORMAT='yyyy'",
            "can only be used when the timestamp column is of type STRING.",
        ),
        (
            "TIMESTAMP='A'",
            "Timestamp column, `A`, should be LONG(INT64), TIMESTAMP, or a String with a timestamp_format specified.",
        ),
        ("PARTITIONS='x'", "Invalid value x for property PARTITIONS: Not a number of type INT"),
        (
            "REPLICAS=true",
            "Expected value to be a 16-bit integer (i.e. short), but it was a java.lang.Boolean",
        ),
        (
            "WRAP_SINGLE_VALUE='x'",
            "Invalid value x for property WRAP_SINGLE_VALUE: Expected value to be either true or false",
        ),
        (
            "TIMESTAMP=1.5",
            "Invalid value 1.5 for property TIMESTAMP: Expected value to be a string, but it was a java.math.BigDecimal",
        ),
        ("CLEANUP_POLICY='delete'", "Users can't set the CLEANUP_POLICY config manually."),
    ] {
        let sql = format!(
            "CREATE STREAM X (K INT KEY, A INT, S STRING) WITH (KAFKA_TOPIC='x', FORMAT='JSON', {with});"
        );
        check_err(&sql, message);
    }
    let connector =
        "CREATE STREAM X (A INT) WITH (KAFKA_TOPIC='x', FORMAT='JSON', SOURCED_BY_CONNECTOR='c');";
    assert!(Scene::new(SCENE).one(connector).is_ok());
}
