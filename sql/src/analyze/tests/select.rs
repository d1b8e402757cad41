use super::*;
use crate::catalog::{FormatKind, KeyWindow};

#[test]
fn scans_read_only_what_is_used() {
    check(
        "CREATE STREAM O AS SELECT ID, B FROM S;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: ID, B",
            "    Scan KsqlTopic: Stream S (topic s) [ID, B]",
        ],
    );
    check(
        "SELECT C, ROWTIME FROM S EMIT CHANGES;",
        &["Projection: C, ROWTIME", "  Scan KsqlTopic: Stream S (topic s) [ID, C, ROWTIME]"],
    );
}

#[test]
fn keys_come_first_in_a_sink_and_where_they_stand_in_a_push_query() {
    check_columns(
        "CREATE STREAM O AS SELECT B, ID, A FROM S;",
        "ID INTEGER KEY, B STRING, A INTEGER",
    );
    let scene = Scene::new(SCENE);
    let plan = scene.one("SELECT B, ID, A FROM S EMIT CHANGES LIMIT 3;");
    let plan = plan.expect("accepted");
    assert_eq!(plan_of(&plan).key, [1]);
    assert_eq!(plan_of(&plan).limit, Some(3));
}

#[test]
fn stars_and_names() {
    check_columns(
        "CREATE STREAM O AS SELECT * FROM S;",
        "ID INTEGER KEY, A INTEGER, B STRING, C DOUBLE",
    );
    check_columns(
        "CREATE STREAM O AS SELECT S.*, A AS A2 FROM S;",
        "ID INTEGER KEY, A INTEGER, B STRING, C DOUBLE, A2 INTEGER",
    );
    check_columns(
        "CREATE STREAM O AS SELECT X.ID AS KEY, X.B `b` FROM S X;",
        "KEY INTEGER KEY, b STRING",
    );
    check_columns(
        "CREATE STREAM O AS SELECT K1, K2, 1, 'a', V AS KSQL_COL_7 FROM MK;",
        "K1 INTEGER KEY, K2 STRING KEY, KSQL_COL_0 INTEGER, KSQL_COL_1 STRING, KSQL_COL_7 INTEGER",
    );
}

#[test]
fn structs_are_taken_apart() {
    check_columns(
        "CREATE STREAM O AS SELECT K1, K2, W->* FROM MK;",
        "K1 INTEGER KEY, K2 STRING KEY, X INTEGER, Y STRUCT<`Z` STRING>",
    );
    check_columns(
        "CREATE STREAM O AS SELECT K1, K2, W->Y->Z, W->Y->Z AS Q, W->Y->Z FROM MK;",
        "K1 INTEGER KEY, K2 STRING KEY, Z STRING, Q STRING, Z_1 STRING",
    );
    check_err(
        "CREATE STREAM O AS SELECT K1, K2, V->* FROM MK;",
        "Column `V` is not a STRUCT type.",
    );
}

#[test]
fn the_projection_must_hold_the_key() {
    check_err(
        "CREATE STREAM O AS SELECT A FROM S;",
        "The query used to build `O` must include the key column ID in its projection (eg, SELECT \
         ID...).",
    );
    check_err(
        "CREATE STREAM O AS SELECT K1, V FROM MK;",
        "must include the key columns K1 and K2 in its projection (eg, SELECT K1, K2...).",
    );
    check_err(
        "CREATE STREAM O AS SELECT ID, ID AS ID2, A FROM S;",
        "The projection contains a key column (`ID`) more than once, aliased as: ID and ID2.",
    );
    check_err("CREATE STREAM O AS SELECT ID FROM S;", "The projection contains no value columns.");
    check_columns(
        "CREATE STREAM O AS SELECT ID, AS_VALUE(ID) AS ID2 FROM S;",
        "ID INTEGER KEY, ID2 INTEGER",
    );
}

#[test]
fn reserved_names_need_an_alias() {
    check_err(
        "CREATE STREAM O AS SELECT ID, ROWTIME FROM S;",
        "Reserved column name in select: `ROWTIME`. Please remove or alias the column.",
    );
    check_err(
        "CREATE STREAM O AS SELECT ID, A AS ROWTIME FROM S;",
        "`ROWTIME` is a reserved column name. You cannot use it as an alias for a column.",
    );
    check_columns("CREATE STREAM O AS SELECT ID, ROWTIME AS T FROM S;", "ID INTEGER KEY, T BIGINT");
    check_err(
        "CREATE STREAM O AS SELECT ID, A AS B, B FROM S;",
        "Duplicate value columns found in schema: `B` STRING",
    );
}

#[test]
fn partition_by_makes_the_key() {
    check(
        "CREATE STREAM O AS SELECT A, B FROM S PARTITION BY A;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: A, B",
            "    Scan KsqlTopic: Stream S (topic s) [ID, A, B]",
        ],
    );
    check_columns(
        "CREATE STREAM O AS SELECT * FROM S PARTITION BY A;",
        "A INTEGER KEY, B STRING, C DOUBLE, ID INTEGER",
    );
    check_columns(
        "CREATE STREAM O AS SELECT W, K1, V AS X FROM MK PARTITION BY K1;",
        "K1 INTEGER KEY, W STRUCT<`X` INTEGER, `Y` STRUCT<`Z` STRING>>, X INTEGER",
    );
}

#[test]
fn partition_by_checks() {
    check_err(
        "CREATE STREAM O AS SELECT B FROM S PARTITION BY A;",
        "must include the partitioning expression S.A in its projection (eg, SELECT S.A...).",
    );
    check_err(
        "CREATE STREAM O AS SELECT A, B FROM S PARTITION BY X;",
        "PARTITION BY column 'X' cannot be resolved. 'X' must be a column in the source schema \
         since PARTITION BY is applied on the input.",
    );
    check_err(
        "CREATE STREAM O AS SELECT A, B FROM S PARTITION BY NULL, A;",
        "Cannot PARTITION BY multiple columns including NULL",
    );
    check_err(
        "CREATE STREAM O AS SELECT A, B, C FROM S PARTITION BY A, B;",
        "The 'KAFKA' format only supports a single field. Got: [`A` INTEGER KEY, `B` STRING KEY]",
    );
    check_err(
        "CREATE STREAM O WITH (KEY_FORMAT='JSON') AS SELECT A FROM S PARTITION BY NULL;",
        "Key format specified for stream without key columns.",
    );
    let new = created("CREATE STREAM O AS SELECT A, ID FROM S PARTITION BY NULL;");
    assert_eq!(new.source.key_format.kind, FormatKind::None);
    assert_eq!(describe(&new.source.columns), "A INTEGER, ID INTEGER");
}

#[test]
fn names_that_mean_nothing() {
    check_err("SELECT X FROM S EMIT CHANGES;", "SELECT column 'X' cannot be resolved.");
    check_err("SELECT Q.X FROM S EMIT CHANGES;", "SELECT column 'Q.X' cannot be resolved.");
    check_err("SELECT * FROM S WHERE X EMIT CHANGES;", "WHERE column 'X' cannot be resolved.");
    check_err("SELECT Q.* FROM S EMIT CHANGES;", "'Q' is not a valid stream/table name or alias.");
    check_err("SELECT * FROM NOPE EMIT CHANGES;", "NOPE does not exist.");
    check_err(
        "SELECT WINDOWSTART FROM S EMIT CHANGES;",
        "column 'WINDOWSTART' cannot be resolved.",
    );
    let sql = "SELECT PRICE, NAEM FROM T EMIT CHANGES;";
    assert!(refused(&Scene::new(SCENE), sql).render(sql).contains("^^^^^"));
}

#[test]
fn tables_keep_their_result() {
    let new = created("CREATE TABLE O AS SELECT ID, NAME FROM T;");
    assert_eq!(sink_of(&new).materialize.as_deref(), Some("Project"));
    check_err("CREATE STREAM O AS SELECT ID, NAME FROM T;", "Please use CREATE TABLE AS SELECT");
    check_err("CREATE TABLE O AS SELECT ID, A FROM S;", "Please use CREATE STREAM AS SELECT");
    check_err("CREATE TABLE O AS SELECT ID, A FROM S LIMIT 1;", "don't support LIMIT clause.");
}

#[test]
fn sinks_inherit_and_override() {
    let new = created("CREATE STREAM O AS SELECT ID, A, B FROM S;");
    assert_eq!(new.source.topic, "O");
    assert_eq!(new.topic.partitions, PARTITIONS);
    assert_eq!(new.source.key_format.kind, FormatKind::Kafka);
    assert_eq!(new.source.value_format.kind, FormatKind::Json);
    let new = created(
        "CREATE STREAM O WITH (KAFKA_TOPIC='o', PARTITIONS=2, REPLICAS=3, KEY_FORMAT='JSON', \
         VALUE_FORMAT='DELIMITED', VALUE_DELIMITER=';', TIMESTAMP='C2') \
         AS SELECT ID, A, ROWTIME AS C2 FROM S;",
    );
    assert_eq!(new.source.topic, "o");
    assert_eq!((new.topic.partitions, new.topic.replicas), (2, Some(3)));
    assert_eq!(new.source.value_format.delimiter, ';');
    assert_eq!(new.source.timestamp.as_ref().map(|t| t.column.as_str()), Some("C2"));
    check_err(
        "CREATE STREAM O WITH (WINDOW_TYPE='SESSION') AS SELECT ID, A FROM S;",
        "Invalid config variable(s) in the WITH clause: WINDOW_TYPE",
    );
}

#[test]
fn windowed_streams_keep_their_window() {
    check(
        "CREATE STREAM O AS SELECT * FROM W;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: ID, A, WINDOWSTART, WINDOWEND",
            "    Scan KsqlTopic: Stream W (topic w) [ID, WINDOWSTART, WINDOWEND, A]",
        ],
    );
    let new = created("CREATE STREAM O AS SELECT ID, A, WINDOWSTART AS WS FROM W;");
    assert_eq!(new.source.window, Some(KeyWindow::Session));
    assert_eq!(describe(&new.source.columns), "ID INTEGER KEY, A INTEGER, WS BIGINT");
    check_err(
        "CREATE STREAM O AS SELECT ID, A, WINDOWSTART FROM W;",
        "Reserved column name in select: `WINDOWSTART`. Please remove or alias the column.",
    );
}

#[test]
fn where_must_be_boolean() {
    check_err(
        "SELECT * FROM S WHERE 'not a boolean' EMIT CHANGES;",
        "Type error in WHERE expression: Should evaluate to boolean but is 'not a boolean' \
         (STRING) instead.",
    );
}
