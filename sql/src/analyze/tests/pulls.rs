use std::ops::Bound;

use super::super::PullPlan;
use super::*;
use crate::expr::conjuncts;
use crate::lookup::{Bounds, Keys, Lookup, Seekable};
use crate::plan::{ScanNode, as_node};
use datafusion::logical_expr::LogicalPlan;
use datafusion::scalar::ScalarValue;

const TABLES: &str = "
    CREATE TABLE AGG AS SELECT ID, COUNT(*) AS N FROM S GROUP BY ID;
    CREATE TABLE WIN AS SELECT B, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 SECOND) GROUP BY B;
    CREATE TABLE TWO AS SELECT K1, K2, COUNT(*) AS N FROM MK GROUP BY K1, K2;
";

fn scene() -> Scene {
    Scene::new(&format!("{SCENE}{TABLES}"))
}

#[track_caller]
fn pull(sql: &str) -> PullPlan {
    match scene().one(sql) {
        Ok(Analyzed::Pull(plan)) => *plan,
        other => panic!("{sql}\n{other:?}"),
    }
}

/// What the WHERE of a statement without LIMIT means.
#[track_caller]
fn lookup(sql: &str) -> Lookup {
    let plan = pull(sql).plan;
    let LogicalPlan::Projection(projection) = &plan else { panic!("{sql}") };
    let LogicalPlan::Filter(filter) = projection.input.as_ref() else { panic!("{sql}") };
    let scan = as_node::<ScanNode>(&filter.input).expect("a scan");
    Seekable::of(scan).lookup(&conjuncts(&filter.predicate))
}

fn int(value: i32) -> ScalarValue {
    ScalarValue::Int32(Some(value))
}

fn exact(keys: &[i32]) -> Keys {
    Keys::Exact(keys.iter().map(|k| vec![int(*k)]).collect())
}

#[test]
fn everything_is_a_scan() {
    let plan = pull("SELECT * FROM AGG LIMIT 2;");
    assert_eq!(plan.tables["AGG"], "CTAS_AGG_0");
    assert_eq!(describe(&plan.columns), "ID INTEGER KEY, N BIGINT");
    let text = plan.plan.display_indent().to_string();
    let want = "Limit: skip=0, fetch=2\n  Projection: ID, N\n    Scan Pull: Table AGG (topic AGG) \
                materialized [ID, N, ROWTIME]";
    assert_eq!(text, want);
}

#[test]
fn windowed_tables_show_their_bounds() {
    let plan = pull("SELECT * FROM WIN;");
    let want = "B STRING KEY, WINDOWSTART BIGINT KEY, WINDOWEND BIGINT KEY, N BIGINT";
    assert_eq!(describe(&plan.columns), want);
}

#[test]
fn columns_count_by_their_names() {
    let columns = |items: &str| describe(&pull(&format!("SELECT {items} FROM WIN;")).columns);
    assert_eq!(columns("N, B"), "N BIGINT, B STRING KEY");
    assert_eq!(columns("B AS X, N + 1 AS B"), "X STRING, B BIGINT KEY");
    assert_eq!(columns("WINDOWEND, WINDOWSTART + 1"), "WINDOWEND BIGINT KEY, KSQL_COL_0 BIGINT");
}

#[test]
fn keys_are_found() {
    let keys = |filter: &str| lookup(&format!("SELECT * FROM AGG WHERE {filter};")).keys;
    assert_eq!(keys("ID = 1"), exact(&[1]));
    assert_eq!(keys("1 = ID AND N > 3"), exact(&[1]));
    assert_eq!(keys("ID = 1 OR ID = 2 OR ID = 1"), exact(&[1, 2]));
    assert_eq!(keys("ID IN (1, 2)"), exact(&[1, 2]));
    assert_eq!(keys("ID IN (1, 2) AND N = 5"), exact(&[1, 2]));
    assert_eq!(keys("ID = 1 OR N = 5"), Keys::All);
    assert_eq!(keys("N = 5"), Keys::All);
    assert_eq!(keys("ID + 1 = 5"), Keys::All);
    assert_eq!(keys("ID = 2 + 3"), exact(&[5]));
}

#[test]
fn ranges_are_found() {
    let keys = |filter: &str| lookup(&format!("SELECT * FROM AGG WHERE {filter};")).keys;
    let range = |low, high| Keys::Range(Bounds { low, high });
    assert_eq!(keys("ID > 1"), range(Bound::Excluded(int(1)), Bound::Unbounded));
    assert_eq!(keys("1 < ID AND ID <= 9"), range(Bound::Excluded(int(1)), Bound::Included(int(9))));
    assert_eq!(
        keys("ID BETWEEN 1 AND 9 AND ID > 3"),
        range(Bound::Excluded(int(3)), Bound::Included(int(9)))
    );
}

#[test]
fn keys_of_several_columns() {
    let keys = |filter: &str| lookup(&format!("SELECT * FROM TWO WHERE {filter};")).keys;
    let text = |t: &str| ScalarValue::Utf8(Some(t.to_string()));
    assert_eq!(keys("K2 = 'x' AND K1 = 1"), Keys::Exact(vec![vec![int(1), text("x")]]));
    assert_eq!(keys("K1 = 1"), Keys::All);
    assert_eq!(keys("K1 > 1 AND K2 > 'a'"), Keys::All);
}

#[test]
fn windows_are_bounded() {
    let lookup = lookup(
        "SELECT * FROM WIN WHERE B = 'x' AND WINDOWSTART >= 5 AND WINDOWSTART < 9 \
         AND '1970-01-01T00:00:00.007' > WINDOWEND;",
    );
    let text = ScalarValue::Utf8(Some("x".to_string()));
    assert_eq!(lookup.keys, Keys::Exact(vec![vec![text]]));
    let bounds = Bounds { low: Bound::Included(5), high: Bound::Excluded(9) };
    assert_eq!(lookup.window_start, bounds);
    let bounds = Bounds { low: Bound::Unbounded, high: Bound::Excluded(7) };
    assert_eq!(lookup.window_end, bounds);
}

#[test]
fn what_ksqldb_does_not_do() {
    let mut scene = scene();
    scene.settings = settings(&[("millrace.extensions", "false")]);
    let err = |sql: &str, part: &str| check_err_in(&scene, sql, part);
    err(
        "SELECT * FROM AGG A JOIN TWO B ON A.ID = B.K1;",
        "Pull queries don't support JOIN clauses.",
    );
    err("SELECT COUNT(*) FROM AGG GROUP BY ID;", "Pull queries don't support GROUP BY clauses.");
    err("SELECT * FROM AGG A JOIN S ON A.ID = S.ID;", "Pull queries don't support JOIN clauses.");
    err("SELECT A, COUNT(*) FROM S GROUP BY A;", "Pull queries don't support GROUP BY clauses.");
    err("SELECT COUNT(*) FROM AGG;", "SELECT does not support aggregate functions: COUNT is an");
    err("SELECT ID FROM AGG HAVING ID > 1;", "Pull queries don't support HAVING clauses.");
    // ksqlDB takes ORDER for an alias where one may stand.
    err("SELECT * FROM AGG ORDER BY N;", "line 1:25: Syntax Error");
    err("SELECT * FROM AGG\nWHERE N = 1 ORDER BY N;", "line 2:13: Syntax Error");
    err("SELECT * FROM AGG A ORDER BY N;", "line 1:21: Syntax Error");
    err("SELECT * FROM S EMIT CHANGES ORDER BY A;", "line 1:30: Syntax Error");
}

#[test]
fn what_no_pull_query_does() {
    let err = |sql: &str, part: &str| check_err_in(&scene(), sql, part);
    err("SELECT * FROM S EMIT CHANGES ORDER BY A;", "ORDER BY needs rows that come to an end");
    err("SELECT DISTINCT A FROM S EMIT CHANGES;", "SELECT DISTINCT needs rows that come to an end");
    err("SELECT * FROM AGG A JOIN T ON A.ID = T.ID;", "The `T` table isn't queryable.");
    err(
        "SELECT N FROM AGG GROUP BY ID;",
        "Non-aggregate SELECT expression(s) not part of GROUP BY",
    );
    err("SELECT ID FROM AGG ORDER BY 2;", "ORDER BY position 2 is not among the 1 columns");
    err("SELECT ID FROM AGG ORDER BY ROWOFFSET;", "Pull queries over tables don't support the");
    err("SELECT ARRAY[N] AS L FROM AGG ORDER BY L;", "ORDER BY cannot order values of type");
    err(
        "SELECT * FROM S WINDOW TUMBLING (SIZE 1 SECOND);",
        "Pull queries don't support WINDOW clauses. See https://cnfl.io/queries for more \
         info.\nAdd EMIT CHANGES if you intended to issue a push query.",
    );
    err(
        "SELECT * FROM T;",
        "The `T` table isn't queryable. To derive a queryable table, you can do 'CREATE TABLE \
         QUERYABLE_T AS SELECT * FROM T'.",
    );
    err(
        "SELECT ID, ROWPARTITION FROM S;",
        "Pull queries don't support the following columns in SELECT clauses: `ROWPARTITION`",
    );
    err(
        "SELECT * FROM AGG WHERE ID = '10';",
        "Error in WHERE expression: Cannot compare ID (INTEGER) to '10' (STRING) with \
         EQUAL.\nStatement: (ID = '10')",
    );
    err("SELECT *, N FROM AGG;", "Pull queries only support wildcards in the projects if they are");
    err(
        "SELECT * FROM AGG WHERE ID LIKE 12;",
        "The column type for Like condition must be VARCHAR. The column type is INTEGER",
    );
    err(
        "SELECT * FROM AGG WHERE ID BETWEEN 'x' AND 3;",
        "Invalid expression: Cannot compare ID (INTEGER) to 'x' (STRING) with \
         GREATER_THAN_OR_EQUAL",
    );
    err(
        "SELECT * FROM AGG WHERE ID IN ('10', 8);",
        "'10' can not be converted to the type of the key column: ID INTEGER KEY",
    );
}

#[test]
fn without_table_scans_the_key_must_be_told() {
    let mut scene = scene();
    let off = [
        ("ksql.query.pull.table.scan.enabled", "false"),
        ("ksql.query.pull.range.scan.enabled", "false"),
    ];
    scene.settings = settings(&off);
    let err = |sql: &str, part: &str| check_err_in(&scene, sql, part);
    err("SELECT * FROM AGG;", "Query requires table scan to be enabled");
    err("SELECT * FROM AGG WHERE N = 1;", "WHERE clause missing key column for disjunct: (N = 1)");
    err("SELECT * FROM AGG WHERE ID > 1;", "Query requires table scan to be enabled");
    err("SELECT * FROM AGG WHERE ID != 1;", "Bound on key columns '[`ID` INTEGER KEY]' must");
    err("SELECT * FROM AGG WHERE ID = N;", "A comparison must be between a key column and a");
    err(
        "SELECT * FROM AGG WHERE ID + 1 = 2;",
        "A comparison must directly reference a key column.",
    );
    err("SELECT * FROM AGG WHERE 0 < ID AND ID < 9;", "A comparison condition on the key column");
    err("SELECT * FROM TWO WHERE K1 = 1;", "Multi-column sources must specify every key");
    assert!(scene.one("SELECT * FROM AGG WHERE ID = 1;").is_ok());
}

#[test]
fn ranges_of_keys_are_no_table_scans() {
    let mut scene = scene();
    scene.settings = settings(&[("ksql.query.pull.table.scan.enabled", "false")]);
    assert!(scene.one("SELECT * FROM AGG WHERE ID > 1;").is_ok());
    let err = |sql: &str, part: &str| check_err_in(&scene, sql, part);
    err("SELECT * FROM WIN WHERE B > 'x';", "Query requires table scan to be enabled");
    err("SELECT * FROM AGG WHERE ID > 1 OR ID < 0;", "Query requires table scan to be enabled");
}

#[test]
fn streams_are_scanned() {
    let analyzed = scene().one("SELECT A FROM S LIMIT 1;");
    assert!(matches!(analyzed, Ok(Analyzed::PullStream(_))), "{analyzed:?}");
}

#[track_caller]
fn check_plan(sql: &str, want: &[&str]) {
    let plan = pull(sql).plan.display_indent().to_string();
    assert_eq!(plan.lines().collect::<Vec<_>>(), want, "{sql}");
}

#[test]
fn groups_are_made_in_one_place() {
    check_plan(
        "SELECT N, COUNT(*) AS C FROM AGG WHERE ID > 1 GROUP BY N HAVING SUM(ID) > 5;",
        &[
            "Projection: N, KSQL_AGG_VARIABLE_0 AS C",
            "  Filter: >(KSQL_AGG_VARIABLE_1, Int32(5))",
            "    StreamAggregate Aggregate: group=[N] calls=[COUNT() AS KSQL_AGG_VARIABLE_0, \
             SUM(ID) AS KSQL_AGG_VARIABLE_1] emit=changes",
            "      Projection: N, ID",
            "        Filter: >(ID, Int32(1))",
            "          Scan Pull: Table AGG (topic AGG) materialized [ID, N, ROWTIME]",
        ],
    );
}

#[test]
fn what_orders_and_is_not_selected_goes_again() {
    check_plan(
        "SELECT ID AS X FROM AGG ORDER BY N DESC, X LIMIT 3;",
        &[
            "Projection: X",
            "  Limit: skip=0, fetch=3",
            "    Sort: KSQL_ORDER_1 DESC NULLS FIRST, X ASC NULLS LAST, fetch=3",
            "      Projection: ID AS X, N AS KSQL_ORDER_1",
            "        Scan Pull: Table AGG (topic AGG) materialized [ID, N, ROWTIME]",
        ],
    );
}
