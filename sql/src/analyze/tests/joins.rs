use super::*;

#[test]
fn stream_table_by_key() {
    check(
        "CREATE STREAM O AS SELECT S.ID, S.A, NAME FROM S LEFT JOIN T ON S.ID = T.ID;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: Join-key AS S_ID, S_A, T_NAME AS NAME",
            "    StreamJoin Join: Left StreamTable on S_ID = T_ID",
            "      Scan KafkaTopic_Left: Stream S (topic s) [S_ID, S_A]",
            "      Scan KafkaTopic_Right: Table T (topic t) materialized [T_ID, T_NAME]",
        ],
    );
}

#[test]
fn a_stream_that_is_keyed_otherwise_is_sent_first() {
    check(
        "CREATE STREAM O AS SELECT S.A, B, NAME FROM S JOIN T ON T.ID = S.A;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: Join-key AS S_A, S_B AS B, T_NAME AS NAME",
            "    StreamJoin Join: Inner StreamTable on S_A = T_ID",
            "      Repartition Join by [S_A]",
            "        Scan KafkaTopic_Left: Stream S (topic s) [S_ID, S_A, S_B]",
            "      Scan KafkaTopic_Right: Table T (topic t) materialized [T_ID, T_NAME]",
        ],
    );
}

#[test]
fn streams_within_a_span() {
    check(
        "CREATE STREAM O AS SELECT * FROM S L JOIN S2 R WITHIN (1 SECOND, 2 SECONDS) \
         GRACE PERIOD 3 SECONDS ON L.A = R.A;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: Join-key AS L_A, L_ID, L_B, L_C, R_ID, R_A, R_D",
            "    StreamJoin Join: Inner StreamStream { before_ms: 1000, after_ms: 2000, grace_ms: \
             Some(3000) } on L_A = R_A",
            "      Repartition Join-left by [L_A]",
            "        Scan KafkaTopic_Left: Stream S (topic s) [L_ID, L_A, L_B, L_C]",
            "      Repartition Join-right by [R_A]",
            "        Scan KafkaTopic_Right: Stream S2 (topic s2) [R_ID, R_A, R_D]",
        ],
    );
}

#[test]
fn full_joins_have_a_key_of_their_own() {
    check(
        "CREATE TABLE O AS SELECT ROWKEY AS ID, NAME, CITY FROM T FULL OUTER JOIN T2 \
         ON T.ID = T2.ID;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: ROWKEY AS ID, T_NAME AS NAME, T2_CITY AS CITY",
            "    StreamJoin Join: Full TableTable on T_ID = T2_ID",
            "      Scan KafkaTopic_Left: Table T (topic t) materialized [T_ID, T_NAME]",
            "      Scan KafkaTopic_Right: Table T2 (topic t2) materialized [T2_ID, T2_CITY]",
        ],
    );
    check_columns(
        "CREATE TABLE O AS SELECT * FROM T FULL OUTER JOIN T2 ON T.ID = T2.ID;",
        "ROWKEY INTEGER KEY, T_ID INTEGER, T_NAME STRING, T_A INTEGER, T2_ID INTEGER, \
         T2_CITY STRING",
    );
    check_err(
        "CREATE TABLE O AS SELECT T.ID, NAME FROM T FULL OUTER JOIN T2 ON T.ID = T2.ID;",
        "must include the join expression ROWKEY in its projection (eg, SELECT ROWKEY...).\n\
         ROWKEY was added as a synthetic key column because",
    );
}

#[test]
fn several_joins_nest_to_the_left() {
    check(
        "CREATE STREAM O AS SELECT S.ID, S.A, NAME, CITY FROM S JOIN T ON S.ID = T.ID \
         LEFT JOIN T2 ON S.ID = T2.ID;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: Join-key AS S_ID, S_A, T_NAME AS NAME, T2_CITY AS CITY",
            "    StreamJoin Join: Left StreamTable on L_Join-key = T2_ID",
            "      StreamJoin L_Join: Inner StreamTable on S_ID = T_ID",
            "        Scan L_KafkaTopic_Left: Stream S (topic s) [S_ID, S_A]",
            "        Scan L_KafkaTopic_Right: Table T (topic t) materialized [T_ID, T_NAME]",
            "      Scan KafkaTopic_Right: Table T2 (topic t2) materialized [T2_ID, T2_CITY]",
        ],
    );
    check_err(
        "CREATE STREAM O AS SELECT S.A, NAME, CITY FROM S JOIN T ON S.ID = T.ID \
         JOIN T2 ON S.ID = T2.ID;",
        "must include the join expressions S.ID, T.ID or T2.ID in its projection (eg, SELECT \
         S.ID...).",
    );
}

#[test]
fn any_column_that_equals_the_key_will_do() {
    check_columns(
        "CREATE STREAM O AS SELECT T.ID, S.A FROM S JOIN T ON S.ID = T.ID;",
        "T_ID INTEGER KEY, S_A INTEGER",
    );
    check_columns(
        "CREATE STREAM O AS SELECT T.ID, S.ID AS K, B FROM S JOIN T ON S.ID = T.ID;",
        "K INTEGER KEY, T_ID INTEGER, B STRING",
    );
}

#[test]
fn conditions_are_checked() {
    let on = |on: &str| format!("SELECT * FROM S JOIN T ON {on} EMIT CHANGES;");
    check_err(
        &on("S.ID = 0"),
        "Invalid comparison expression '0' in join '(S.ID = 0)'. Each side of the join \
         comparision must contain references from exactly one source.",
    );
    check_err(
        &on("S.ID = S.A"),
        "Each side of the join must reference exactly one source and not the same source. Left \
         side references `S` and right references `S`",
    );
    check_err(&on("S.ID > T.ID"), "Only equality");
    check_err(&on("S.X = T.ID"), "JOIN ON column 'S.X' cannot be resolved.");
    check_err(&on("ID = T.ID"), "Column 'ID' is ambiguous. Could be S.ID or T.ID.");
    check_err(
        &on("S.B = T.ID"),
        "Invalid join condition: types don't match. Got S.B{STRING} = T.ID{INTEGER}.",
    );
    check_err(
        &on("S.ID = T.A"),
        "Invalid join condition: stream-table joins require to join on the table's primary key. \
         Got S.ID = T.A.",
    );
}

#[test]
fn a_table_of_several_keys_is_refused_with_a_way_out() {
    let scene = Scene::new(&format!(
        "{SCENE} CREATE TABLE MT (K1 INT PRIMARY KEY, K2 STRING PRIMARY KEY, V INT) \
         WITH (KAFKA_TOPIC='mt', FORMAT='JSON');"
    ));
    for on in ["MK.K1 = MT.K1 AND MK.K2 = MT.K2", "MK.K1 = MT.K1"] {
        let sql = format!("SELECT MK.K1 FROM MK JOIN MT ON {on} EMIT CHANGES;");
        let error = refused(&scene, &sql);
        assert!(error.message.contains("join on the table's primary key. Got MK.K1 = MT.K1."));
        let hint = error.hint.as_deref().unwrap_or_default();
        assert!(hint.contains("the key of MT is K1, K2: keep a table with one key"), "{hint}");
    }
}

#[test]
fn kinds_of_joins_are_checked() {
    check_err(
        "SELECT * FROM S FULL OUTER JOIN T ON S.ID = T.ID EMIT CHANGES;",
        "Invalid join type: full-outer join not supported for stream-table join. Got S [FULL] \
         OUTER JOIN T.",
    );
    check_err(
        "SELECT * FROM S RIGHT JOIN T ON S.ID = T.ID EMIT CHANGES;",
        "Invalid join type encountered: RIGHT [OUTER] JOIN",
    );
    check_err(
        "SELECT * FROM T LEFT JOIN S ON S.ID = T.ID EMIT CHANGES;",
        "Invalid join order: table-stream joins are not supported; only stream-table joins. Got T \
         LEFT [OUTER] JOIN S.",
    );
    check_err(
        "SELECT * FROM S JOIN S2 ON S.ID = S2.ID EMIT CHANGES;",
        "Stream-Stream joins must have a WITHIN clause specified.",
    );
    check_err(
        "SELECT * FROM S JOIN T WITHIN 1 HOUR ON S.ID = T.ID EMIT CHANGES;",
        "A window definition was provided for a Stream-Table join.",
    );
    check_err("SELECT * FROM T JOIN T2 ON T.ID = T2.CITY EMIT CHANGES;", "types don't match");
    check_err(
        "SELECT * FROM S JOIN W WITHIN 1 HOUR ON S.ID = W.ID EMIT CHANGES;",
        "Can not join windowed source to non-windowed source.\n`S` is not windowed\n`W` is SESSION \
         windowed",
    );
}

#[test]
fn partitions_must_match_unless_a_side_is_sent() {
    let setup = "
        CREATE STREAM L (ID INT KEY, A INT)
            WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON', PARTITIONS=1);
        CREATE TABLE R (ID INT PRIMARY KEY, B INT)
            WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=2);";
    let scene = Scene::new(setup);
    check_err_in(
        &scene,
        "SELECT * FROM L JOIN R ON L.ID = R.ID EMIT CHANGES;",
        "Can't join `L` with `R` since the number of partitions don't match. `L` partitions = 1; \
         `R` partitions = 2.",
    );
    assert!(scene.one("SELECT * FROM L JOIN R ON L.A = R.ID EMIT CHANGES;").is_ok());
}

#[test]
fn a_stream_is_sent_when_key_formats_differ() {
    let setup = "
        CREATE STREAM L (ID INT KEY, A INT) WITH (KAFKA_TOPIC='l', VALUE_FORMAT='JSON');
        CREATE TABLE R (ID INT PRIMARY KEY, B INT) WITH (KAFKA_TOPIC='r', FORMAT='JSON');";
    check_in(
        &Scene::new(setup),
        "SELECT B FROM L JOIN R ON L.ID = R.ID EMIT CHANGES;",
        &[
            "Projection: R_B AS B",
            "  StreamJoin Join: Inner StreamTable on L_ID = R_ID",
            "    Repartition Join by [L_ID]",
            "      Scan KafkaTopic_Left: Stream L (topic l) [L_ID]",
            "    Scan KafkaTopic_Right: Table R (topic r) materialized [R_ID, R_B]",
        ],
    );
}

#[test]
fn a_table_may_name_the_rows_of_another() {
    check(
        "CREATE TABLE O AS SELECT T.ID, NAME, CITY FROM T LEFT JOIN T2 ON T.A = T2.ID;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: T_ID, T_NAME AS NAME, T2_CITY AS CITY",
            "    ForeignKeyJoin Join: Left on T_A = T2_ID",
            "      Scan KafkaTopic_Left: Table T (topic t) materialized [T_ID, T_NAME, T_A]",
            "      Scan KafkaTopic_Right: Table T2 (topic t2) materialized [T2_ID, T2_CITY]",
        ],
    );
    check(
        "CREATE TABLE O AS SELECT T.ID, CITY, TOWN FROM T JOIN T2 ON T2.ID = T.A + 1 \
         LEFT JOIN T3 ON T.ID = T3.ID;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: Join-key AS T_ID, T2_CITY AS CITY, T3_TOWN AS TOWN",
            "    StreamJoin Join: Left TableTable on T_ID = T3_ID",
            "      ForeignKeyJoin L_Join: Inner on L_Join-left-key = T2_ID",
            "        Projection: T_ID, T_A, +(T_A, Int32(1)) AS L_Join-left-key",
            "          Scan L_KafkaTopic_Left: Table T (topic t) materialized [T_ID, T_A]",
            "        Scan L_KafkaTopic_Right: Table T2 (topic t2) materialized [T2_ID, T2_CITY]",
            "      Scan KafkaTopic_Right: Table T3 (topic t3) materialized [T3_ID, T3_TOWN]",
        ],
    );
}

#[test]
fn foreign_keys_are_checked() {
    let joined =
        |items: &str, join: &str| format!("CREATE TABLE O AS SELECT {items} FROM T {join};");
    check_err(
        &joined("NAME, CITY", "JOIN T2 ON T.A = T2.ID"),
        "Primary key column missing in projection. For foreign-key table-table joins, the \
         projection must include all primary key columns from the left input table (`T`). Missing \
         column: `ID`.",
    );
    check_err(
        &joined("T.ID, T.ID AS X, CITY", "JOIN T2 ON T.A = T2.ID"),
        "The projection contains a key column (`T_ID`) more than once, aliased as: T_ID and X.",
    );
    check_err(
        &joined("*", "FULL JOIN T2 ON T.A = T2.ID"),
        "Invalid join type: full-outer join not supported for foreign-key table-table join. Got T \
         [FULL] OUTER JOIN T2.",
    );
    check_err(
        &joined("*", "RIGHT JOIN T2 ON T.A = T2.ID"),
        "RIGHT OUTER JOIN on a foreign key is not supported",
    );
    check_err(
        &joined("*", "JOIN T2 ON T.A = T2.ID JOIN T3 ON T.A = T3.ID"),
        "Invalid join condition: foreign-key table-table joins are not supported as part of n-way \
         joins. Got T.A = T3.ID.",
    );
}

#[test]
fn windowed_streams_meet_in_equal_windows() {
    check(
        "CREATE STREAM O AS SELECT W.ID, W.A, W2.A FROM W LEFT JOIN W2 WITHIN 1 MINUTE \
         ON W.ID = W2.ID;",
        &[
            "Sink: Stream O (topic O)",
            "  Projection: Join-key AS W_ID, W_A, W2_A, WINDOWSTART, WINDOWEND",
            "    StreamJoin Join: Left StreamStream { before_ms: 60000, after_ms: 60000, \
             grace_ms: None } on W_ID = W2_ID",
            "      Scan KafkaTopic_Left: Stream W (topic w) [W_ID, W_WINDOWSTART, W_WINDOWEND, W_A]",
            "      Scan KafkaTopic_Right: Stream W2 (topic w2) [W2_ID, W2_WINDOWSTART, \
             W2_WINDOWEND, W2_A]",
        ],
    );
    check_columns(
        "CREATE STREAM O AS SELECT * FROM W JOIN W2 WITHIN 1 MINUTE ON W.ID = W2.ID;",
        "W_ID INTEGER KEY, W_WINDOWSTART BIGINT, W_WINDOWEND BIGINT, W_A INTEGER, W2_ID INTEGER, \
         W2_WINDOWSTART BIGINT, W2_WINDOWEND BIGINT, W2_A INTEGER",
    );
    let moved = "Implicit repartitioning of windowed sources is not supported. See \
                 https://github.com/confluentinc/ksql/issues/4385.";
    check_err("SELECT * FROM W JOIN W2 WITHIN 1 MINUTE ON W.A = W2.ID EMIT CHANGES;", moved);
    check_err("SELECT * FROM W PARTITION BY A EMIT CHANGES;", moved);
    check(
        "CREATE TABLE O AS SELECT ID, COUNT(*) AS N FROM W GROUP BY ID;",
        &[
            "Sink: Table O (topic O)",
            "  Projection: ID, KSQL_AGG_VARIABLE_0 AS N",
            "    StreamAggregate Aggregate: group=[ID] calls=[COUNT() AS KSQL_AGG_VARIABLE_0] \
             emit=changes",
            "      Repartition Aggregate-GroupBy by [ID]",
            "        Projection: ID",
            "          Scan KsqlTopic: Stream W (topic w) [ID, WINDOWSTART, WINDOWEND]",
        ],
    );
}

#[test]
fn a_key_has_no_maps() {
    let setup = "
        CREATE STREAM L (ID INT KEY, M STRUCT<F MAP<STRING, INT>>) WITH (KAFKA_TOPIC='l', FORMAT='JSON');
        CREATE STREAM R (ID INT KEY, M STRUCT<F MAP<STRING, INT>>) WITH (KAFKA_TOPIC='r', FORMAT='JSON');";
    check_err_in(
        &Scene::new(setup),
        "CREATE STREAM O AS SELECT L.M, R.ID FROM L JOIN R WITHIN 1 HOUR ON L.M = R.M;",
        "Key column name: `L_M`. Column type: STRUCT<`F` MAP<STRING, INTEGER>>.",
    );
}

#[test]
fn streams_whose_keys_have_schemas_are_sent_again() {
    let setup = "
        CREATE STREAM L (ID INT KEY, A INT) WITH (KAFKA_TOPIC='l', FORMAT='AVRO');
        CREATE STREAM M (ID INT KEY, A INT) WITH (KAFKA_TOPIC='m', FORMAT='AVRO');
        CREATE TABLE R (ID INT PRIMARY KEY, B INT) WITH (KAFKA_TOPIC='r', FORMAT='AVRO');
        CREATE TABLE Q (ID INT PRIMARY KEY, B INT) WITH (KAFKA_TOPIC='q', FORMAT='AVRO');";
    let lines = |sql: &str| {
        let analyzed = Scene::new(setup).one(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let text = plan_of(&analyzed).plan.display_indent().to_string();
        text.lines().filter(|line| line.contains("Repartition")).count()
    };
    let sent = lines("SELECT L.ID, M.A FROM L JOIN M WITHIN 1 HOUR ON L.ID = M.ID EMIT CHANGES;");
    assert_eq!(sent, 2);
    assert_eq!(lines("SELECT L.ID, B FROM L JOIN R ON L.ID = R.ID EMIT CHANGES;"), 1);
    assert_eq!(lines("SELECT R.ID, R.B FROM R JOIN Q ON R.ID = Q.ID EMIT CHANGES;"), 0);
}
