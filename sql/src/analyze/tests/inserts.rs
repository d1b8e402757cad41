use super::*;

#[test]
fn results_must_have_the_targets_columns() {
    check(
        "INSERT INTO S2 SELECT ID, A, B AS D FROM S;",
        &[
            "Sink: Stream S2 (topic s2)",
            "  Projection: ID, A, B AS D",
            "    Scan KsqlTopic: Stream S (topic s) [ID, A, B]",
        ],
    );
    check_err(
        "INSERT INTO S2 SELECT ID, A FROM S;",
        "Incompatible schema between results and sink.\nResult schema is `ID` INTEGER KEY, `A` \
         INTEGER\nSink schema is `ID` INTEGER KEY, `A` INTEGER, `D` STRING",
    );
    check_err("INSERT INTO S2 SELECT ID, A, B FROM S;", "Incompatible schema between results");
    check_err("INSERT INTO S2 SELECT ID, A, C AS D FROM S;", "Incompatible schema between results");
}

#[test]
fn targets_are_streams() {
    check_err(
        "INSERT INTO T SELECT ID, B AS NAME, A FROM S;",
        "INSERT INTO can only be used to insert into a stream. T is a table.",
    );
    check_err("INSERT INTO X SELECT * FROM S;", "Source `X` does not exist.");
}

#[test]
fn query_ids_may_be_chosen() {
    let sql =
        |id: &str| format!("INSERT INTO S2 WITH (QUERY_ID='{id}') SELECT ID, A, B AS D FROM S;");
    match Scene::new(SCENE).one(&sql("mine")) {
        Ok(Analyzed::InsertInto(insert)) => assert_eq!(insert.query_id.as_deref(), Some("MINE")),
        other => panic!("{other:?}"),
    }
    check_err(
        &sql("CSAS_X"),
        "Query IDs must not start with a reserved query ID prefix (INSERTQUERY_, CTAS_, CSAS_, CST_). Got 'CSAS_X'.",
    );
    check_err(&sql("a-b"), "only alphanumeric");
}

fn values(sql: &str) -> (Vec<String>, Option<String>) {
    match Scene::new(SCENE).one(sql) {
        Ok(Analyzed::InsertValues(row)) => (
            row.values.iter().map(ToString::to_string).collect(),
            row.rowtime.map(|e| e.to_string()),
        ),
        other => panic!("{sql}\n{other:?}"),
    }
}

#[test]
fn rows_of_values() {
    let (row, time) = values("INSERT INTO S (ID, ROWTIME, B) VALUES (1, 5, 'x');");
    assert_eq!(row, ["Int32(1)", "Int32(NULL)", "Utf8(\"x\")", "Float64(NULL)"]);
    assert_eq!(time.as_deref(), Some("Int64(5)"));
    let (row, _) = values("INSERT INTO S2 VALUES ('7', 8, 9);");
    assert_eq!(row, ["Int32(7)", "Int32(8)", "Utf8(\"9\")"]);
}

#[test]
fn rows_of_values_are_checked() {
    check_err(
        "INSERT INTO S (ID, A) VALUES (1);",
        "Expected number columns and values to match: 2, 1",
    );
    check_err("INSERT INTO S (ID, X) VALUES (1, 2);", "Column name `X` does not exist.");
    check_err(
        "INSERT INTO S (ID, ROWPARTITION) VALUES (1, 2);",
        "Inserting into column `ROWPARTITION` is not allowed.",
    );
    check_err(
        "INSERT INTO T (NAME) VALUES ('x');",
        "Value for primary key column(s) ID is required",
    );
    check_err(
        "INSERT INTO S (ID, A) VALUES (1, 'x');",
        "Failed to insert values into 'S'. Expected type INTEGER for field `A` but got STRING(x)",
    );
    check_err(
        "INSERT INTO s3 VALUES (1);",
        "Cannot insert values into an unknown stream/table: `S3`",
    );
    check_err("INSERT INTO W VALUES (1, 2);", "Cannot insert values into windowed stream/table!");
    check_err(
        "INSERT INTO `s` VALUES (1);",
        "Did you mean S? Hint: try removing double quotes from the source name.",
    );
}

#[test]
fn headers_are_left_out_of_rows_of_values() {
    let scene = Scene::new(
        "CREATE STREAM H (K INT KEY, A INT, HS BYTES HEADER('x'))
             WITH (KAFKA_TOPIC='h', VALUE_FORMAT='JSON');",
    );
    let refused = "Cannot insert into HEADER columns: HS";
    check_err_in(&scene, "INSERT INTO H VALUES (1, 2, 'YQ==');", refused);
    check_err_in(&scene, "INSERT INTO H (K, HS) VALUES (1, 'YQ==');", refused);
    match scene.one("INSERT INTO H (K, A) VALUES (1, 2);") {
        Ok(Analyzed::InsertValues(row)) => assert!(row.values.len() == 3),
        other => panic!("{other:?}"),
    }
}
