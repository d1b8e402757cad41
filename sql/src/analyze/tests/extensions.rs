use super::*;
use crate::analyze::EXTENSIONS;
use crate::parser::{SUBQUERIES_MAX, SUBQUERY_DEPTH_MAX};
use crate::unparse;

fn off() -> Scene {
    let mut scene = Scene::new(SCENE);
    scene.settings = settings(&[(EXTENSIONS, "false")]);
    scene
}

/// Taken with extensions; without them refused with ksqlDB's words.
#[track_caller]
fn check_switch(sql: &str, refusal: &str) {
    let taken = Scene::new(SCENE).one(sql);
    assert!(taken.is_ok(), "{sql}\n{taken:?}");
    check_err_in(&off(), sql, refusal);
}

#[test]
fn the_switch_brings_back_each_refusal() {
    for (sql, refusal) in [
        (
            "SELECT * FROM S A JOIN S B WITHIN 1 HOUR ON A.ID = B.ID EMIT CHANGES;",
            "Can not join 'S' to 'S': self joins are not yet supported.",
        ),
        ("SELECT * FROM S JOIN T ON S.ID = T.ID AND S.A < T.A EMIT CHANGES;", "Unsupported join"),
        (
            "SELECT A, MAX(ID) FROM T GROUP BY A EMIT CHANGES;",
            "function MAX cannot be applied to a table",
        ),
        (
            "SELECT A, MIN(ID) FROM T GROUP BY A EMIT CHANGES;",
            "function MIN cannot be applied to a table",
        ),
        (
            "SELECT A, TOPK(ID, 2) FROM T GROUP BY A EMIT CHANGES;",
            "function TOPK cannot be applied",
        ),
        (
            "SELECT A, TOPKDISTINCT(ID, 2) FROM T GROUP BY A EMIT CHANGES;",
            "function TOPKDISTINCT cannot be applied to a table",
        ),
        (
            "SELECT A FROM (SELECT ID, A FROM S) AS Q EMIT CHANGES;",
            "line 1:15: Syntax Error\nSyntax error at or near '(' at line 1:15",
        ),
        (
            "SELECT Q.A FROM T JOIN (SELECT X.ID AS ID, A FROM T2 X JOIN T Y ON X.ID = Y.ID) Q \
             ON T.ID = Q.ID EMIT CHANGES;",
            "near '(' at line 1:24",
        ),
        (
            "CREATE STREAM O AS WITH Q AS (SELECT * FROM S) SELECT * FROM Q;",
            "near 'WITH' at line 1:20",
        ),
        ("WITH Q AS (SELECT * FROM S) SELECT * FROM S EMIT CHANGES;", "near 'WITH' at line 1:1"),
        (
            "CREATE STREAM O AS SELECT ID, A FROM S UNION ALL SELECT ID, A FROM S2;",
            "near 'ALL' at line 1:46",
        ),
        (
            "CREATE STREAM O AS SELECT ID, A FROM S WHERE A > 1 UNION ALL SELECT ID, A FROM S2;",
            "near 'UNION' at line 1:52",
        ),
        ("INSERT INTO S SELECT * FROM S UNION ALL SELECT * FROM S;", "near 'ALL' at line 1:37"),
        (
            "SELECT ID, A FROM S UNION ALL SELECT ID, A FROM S2 EMIT CHANGES;",
            "near 'ALL' at line 1:27",
        ),
        (
            "CREATE TABLE O WITH (ROW_TTL='7 DAYS') AS SELECT A, COUNT(*) FROM S GROUP BY A;",
            "Invalid config variable(s) in the WITH clause: ROW_TTL",
        ),
        (
            "EXPLAIN CREATE STREAM O AS SELECT ID, A FROM (SELECT * FROM S) Q;",
            "near '(' at line 1:46",
        ),
    ] {
        check_switch(sql, refusal);
    }
}

#[test]
fn what_the_forms_do_not_take_is_refused() {
    for (sql, message) in [
        ("SELECT A FROM (SELECT ID, A FROM S) EMIT CHANGES;", "near"),
        ("SELECT A FROM (SELECT A FROM S EMIT CHANGES) Q EMIT CHANGES;", "EMIT is not supported"),
        ("SELECT A FROM (SELECT A FROM S LIMIT 1) Q EMIT CHANGES;", "LIMIT is not supported"),
        ("SELECT A FROM (SELECT A FROM T) Q EMIT CHANGES;", "Key missing from projection"),
        (
            "SELECT N FROM (SELECT ID, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY \
             ID) Q EMIT CHANGES;",
            "A subquery that gives a windowed table is not supported.",
        ),
        ("SELECT N FROM (SELECT COUNT(*) AS N FROM S) Q EMIT CHANGES;", "without a GROUP BY"),
        ("SELECT ROWTIME FROM (SELECT ID, A FROM S) Q EMIT CHANGES;", "'ROWTIME' cannot be"),
        ("SELECT A FROM (SELECT ID AS X, A FROM S) Q WHERE ID = 1 EMIT CHANGES;", "'ID' cannot be"),
        (
            "SELECT A FROM (SELECT ID, A FROM S UNION ALL SELECT ID, A FROM S2) Q EMIT CHANGES;",
            "UNION ALL is not supported in a subquery.",
        ),
        (
            "SELECT ID FROM S UNION ALL SELECT ID FROM S2;",
            "UNION ALL is not supported in a pull query.",
        ),
        (
            "SELECT ID, A FROM S UNION ALL SELECT ID, D FROM S2 EMIT CHANGES;",
            "The SELECTs of UNION ALL must have the same columns, keys and windows.",
        ),
        (
            "SELECT ID, A FROM T UNION ALL SELECT ID, A FROM S EMIT CHANGES;",
            "UNION ALL joins streams, and one of its SELECTs gives a table.",
        ),
        (
            "INSERT INTO S SELECT ID, A FROM S2 UNION ALL SELECT * FROM S2;",
            "Incompatible schema between results and sink.",
        ),
        (
            "CREATE STREAM O AS SELECT ID, A FROM S UNION ALL SELECT ID, D FROM S2;",
            "The SELECTs of UNION ALL must have the same columns, keys and windows.",
        ),
        (
            "CREATE STREAM O AS SELECT ID, A FROM S UNION ALL SELECT ID, A FROM T;",
            "UNION ALL joins streams, and one of its SELECTs gives a table.",
        ),
        (
            "SELECT * FROM S JOIN T ON S.ID = T.ID AND S.B EMIT CHANGES;",
            "error in JOIN ON expression",
        ),
        ("SELECT * FROM S JOIN T ON S.A < T.A AND S.A > 1 EMIT CHANGES;", "Unsupported join"),
        (
            "SELECT * FROM S JOIN T ON S.ID = T.ID AND T.ID = T2.ID JOIN T2 ON S.ID = T2.ID EMIT \
             CHANGES;",
            "The join condition uses `T2`, which is joined later.",
        ),
        (
            "SELECT * FROM T FULL JOIN T2 ON T.ID = T2.ID AND T.A > 1 EMIT CHANGES;",
            "In the condition of FULL OUTER JOIN",
        ),
    ] {
        check_err(sql, message);
    }
}

#[test]
fn subqueries_are_bounded() {
    let nested = |depth: usize| {
        let open = "SELECT * FROM (".repeat(depth);
        let close: String = (0..depth).map(|at| format!(") Q{at}")).collect();
        format!("{open}SELECT * FROM S{close} EMIT CHANGES;")
    };
    assert!(Scene::new(SCENE).one(&nested(SUBQUERY_DEPTH_MAX)).is_ok());
    check_err(&nested(SUBQUERY_DEPTH_MAX + 1), "subqueries nested deeper");
    let mut doubling = "WITH Q0 AS (SELECT * FROM S)".to_string();
    for at in 1..=SUBQUERIES_MAX.ilog2() {
        let before = at - 1;
        doubling.push_str(&format!(
            ", Q{at} AS (SELECT A.* FROM Q{before} A JOIN Q{before} B WITHIN 1 HOUR ON A.ID = B.ID)"
        ));
    }
    check_err(&format!("{doubling} SELECT * FROM Q1 EMIT CHANGES;"), "more than 64 subqueries");
}

/// The text that is recorded has the queries of WITH in their places, and parses to the same.
#[test]
fn texts_of_queries_parse_to_the_same() {
    for sql in [
        "SELECT A FROM (SELECT ID, A FROM S WHERE A > 1) AS Q EMIT CHANGES;",
        "CREATE STREAM O AS WITH P AS (SELECT * FROM S), Q AS (SELECT * FROM P) SELECT Q.ID AS ID, \
         X.A AS A FROM Q JOIN P X WITHIN 1 HOUR ON Q.ID = X.ID;",
        "CREATE STREAM O AS SELECT ID, A FROM S WHERE A > 1 UNION ALL SELECT ID, A FROM S2 EMIT \
         CHANGES;",
        "INSERT INTO S WITH Q AS (SELECT * FROM S) SELECT * FROM Q;",
        "SELECT UNION.ID FROM S UNION EMIT CHANGES;",
    ] {
        let parsed = parser::parse_statement(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
        let text = unparse::to_sql(&parsed);
        let again = parser::parse_statement(&text).unwrap_or_else(|e| panic!("{text}\n{e}"));
        assert_eq!(parsed, again, "{text}");
        let taken = Scene::new(SCENE).one(&text);
        assert!(taken.is_ok(), "{text}\n{taken:?}");
    }
}

#[test]
fn a_subquery_has_steps_of_its_own() {
    let new = created(
        "CREATE TABLE O AS SELECT N, COUNT(*) AS GROUPS FROM (SELECT B, COUNT(*) AS N FROM S X JOIN \
         (SELECT ID FROM S2) Y WITHIN 1 HOUR ON X.A = Y.ID GROUP BY B) Q GROUP BY N;",
    );
    let text = new.plan.plan.display_indent().to_string();
    let steps = [
        "StreamAggregate Aggregate:",
        "Repartition Aggregate-GroupBy by [N]",
        "StreamAggregate Q1_Aggregate:",
        "Repartition Q1_Aggregate-GroupBy",
        "StreamJoin Q1_Join:",
        "Scan Q1_KafkaTopic_Left:",
        "Scan Q1_Q2_KsqlTopic:",
    ];
    let places: Vec<Option<usize>> = steps.iter().map(|step| text.find(step)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{text}");
    assert_eq!(new.plan.reads, ["S", "S2"]);
}
