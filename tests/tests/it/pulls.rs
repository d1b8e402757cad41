//! Pull queries over tables of the embedded log: what they answer, what they read for it, and what
//! `millrace.extensions` adds to them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use millrace_connectors::embedded::{EmbeddedLog, Options};
use millrace_engine::api::{Api, ApiError, ExplainTarget, Properties, QueryState};
use millrace_tests::local::{Local, Setup, answer as answer_of, await_some, describe};

const STATEMENTS: [&str; 10] = [
    "CREATE STREAM s (k VARCHAR KEY, v INTEGER, t VARCHAR) \
     WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=3);",
    "CREATE TABLE agg AS SELECT k, COUNT(*) AS n, SUM(v) AS total, LATEST_BY_OFFSET(t) AS t \
     FROM s GROUP BY k;",
    "CREATE TABLE win AS SELECT t, COUNT(*) AS n FROM s WINDOW TUMBLING (SIZE 1 SECOND) \
     GROUP BY t;",
    "CREATE TABLE sess AS SELECT k, COUNT(*) AS n FROM s WINDOW SESSION (1 SECOND) GROUP BY k;",
    "CREATE TABLE by_t AS SELECT t, COUNT(*) AS n FROM s GROUP BY t;",
    "CREATE TABLE two WITH (KEY_FORMAT='JSON') AS SELECT k, t, COUNT(*) AS n FROM s \
     GROUP BY k, t;",
    "CREATE TABLE base (id VARCHAR PRIMARY KEY, x INTEGER, y DOUBLE) \
     WITH (KAFKA_TOPIC='base', VALUE_FORMAT='JSON', PARTITIONS=2);",
    "CREATE TABLE kept AS SELECT id, x, y FROM base WHERE x > 0 OR x IS NULL;",
    "CREATE STREAM many (k VARCHAR KEY, v INTEGER) \
     WITH (KAFKA_TOPIC='many', VALUE_FORMAT='JSON', PARTITIONS=2);",
    "CREATE TABLE last AS SELECT k, LATEST_BY_OFFSET(v) AS v FROM many GROUP BY k;",
];

/// Rows of `last`: more than one page.
const MANY: usize = 1500;

/// Key, value and time of the rows of `s`, then of `base`.
const EVENTS: [(&str, &str, i64); 7] = [
    ("a", r#"{"v":1,"t":"x"}"#, 100),
    ("a", r#"{"v":2,"t":"y"}"#, 900),
    ("b", r#"{"v":3,"t":"x"}"#, 1100),
    ("c", r#"{"v":null,"t":"z"}"#, 1200),
    ("c", r#"{"v":0,"t":"x"}"#, 2100),
    ("d", r#"{"v":-4,"t":"z"}"#, 2200),
    ("d", r#"{"v":8,"t":"z"}"#, 2300),
];
const BASE: [(&str, &str, i64); 4] = [
    ("a", r#"{"x":10,"y":0.5}"#, 100),
    ("b", r#"{"x":null,"y":1.5}"#, 100),
    ("q", r#"{"x":5,"y":null}"#, 100),
    ("r", r#"{"x":-1,"y":2.5}"#, 100),
];

fn open(dir: &Path) -> Local {
    let log = EmbeddedLog::open(&dir.join("log"), Options::default()).expect("a log");
    Local::start(Arc::new(log), &Setup::new("pulls_", &dir.join("state")))
}

fn start(dir: &Path) -> Local {
    let local = open(dir);
    STATEMENTS.iter().for_each(|sql| local.run(sql));
    let owned = |(k, v, t): &(&'static str, &str, i64)| (*k, (*v).to_owned(), *t);
    local.load("s", EVENTS.iter().map(owned));
    local.load("base", BASE.iter().map(owned));
    let keys: Vec<String> = (0..MANY).map(|i| format!("k{i}")).collect();
    local
        .load("many", keys.iter().zip(0..).map(|(k, v)| (k.as_str(), format!("{{\"v\":{v}}}"), v)));
    await_some("many rows", || match local.pull("SELECT k FROM last;")?.len() {
        MANY => Ok(()),
        rows => Err(format!("{rows} rows")),
    });
    local.await_pull("SELECT n FROM agg WHERE k = 'd';", &["2"]);
    local.await_pull("SELECT n FROM by_t WHERE t = 'z';", &["3"]);
    local.await_pull("SELECT n FROM two WHERE t = 'z' AND k = 'd';", &["2"]);
    local.await_pull("SELECT n FROM win WHERE t = 'z' AND WINDOWSTART = 2000;", &["2"]);
    local.await_pull("SELECT n FROM sess WHERE k = 'd';", &["2"]);
    local.await_pull("SELECT y FROM kept WHERE id = 'q';", &[""]);
    local
}

/// The answer in order of its lines, unless the query orders it.
fn answer(local: &Local, sql: &str) -> Vec<String> {
    let mut rows = local.pull(sql).unwrap_or_else(|e| panic!("{sql}\n{e}"));
    if !sql.contains("ORDER BY") {
        rows.sort();
    }
    rows
}

fn check(local: &Local, sql: &str, want: &[&str]) {
    assert_eq!(answer(local, sql), want, "{sql}");
}

/// The physical plan has this line.
fn check_plan(local: &Local, sql: &str, line: &str) {
    let explained = local.service.explain(ExplainTarget::Statement(sql), &Properties::new());
    let plan = explained.unwrap_or_else(|e| panic!("{sql}\n{e:?}")).topology;
    assert!(plan.lines().any(|l| l.trim() == line), "{sql}\n{plan}\nwanted {line}");
}

fn refused(local: &Local, sql: &str, properties: &Properties) -> String {
    match local.service.pull(sql, properties) {
        Err(ApiError::Statement { error, .. }) => error.message,
        Err(ApiError::Engine(error)) => error.to_string(),
        other => panic!("{sql}\n{other:?}"),
    }
}

#[test]
fn pull_queries() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = start(dir.path());
    plain(&local);
    seeks(&local);
    extended(&local);
    subqueries(&local);
    streams(&local);
    aggregates(&local);
    refusals(&local);
    local.stop();
}

/// State that is not loaded is no empty table.
#[test]
fn a_table_whose_query_was_paused_before_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = start(dir.path());
    local.run("PAUSE ALL;");
    check(&local, "SELECT n FROM agg WHERE k = 'd';", &["2"]);
    local.stop();
    let local = open(dir.path());
    let refusal = "the query that fills the table has been paused or stopped since before this \
                   server started, so its state is not loaded";
    await_some("a refusal", || match local.pull("SELECT n FROM agg WHERE k = 'd';") {
        Err(why) if why.contains(refusal) => Ok(()),
        // The lanes are still being taken and restored.
        Err(why) => Err(why),
        Ok(rows) => panic!("{rows:?}"),
    });
    local.run("RESUME ALL;");
    await_some("rows", || match local.pull("SELECT n FROM agg WHERE k = 'd';") {
        Ok(rows) if rows == ["2"] => Ok(()),
        other => Err(other),
    });
    local.stop();
}

/// What a stopped query has kept is not what the table is now.
#[test]
fn a_table_whose_query_has_failed() {
    let dir = tempfile::tempdir().expect("a folder");
    let local = start(dir.path());
    let topic = describe(&*local.log, "s").id;
    answer_of(&*local.log, || local.log.delete(topic)).expect("the topic is deleted");
    local.await_state("AGG", QueryState::Error);
    let on = Properties::new();
    for sql in [
        "SELECT * FROM agg WHERE k = 'a';",
        "SELECT k FROM agg LIMIT 1;",
        "SELECT b.y FROM kept b JOIN agg a ON a.k = b.id;",
    ] {
        let refusal = refused(&local, sql, &on);
        for said in
            ["the table AGG is out of date: its query CTAS_AGG_", "state ERROR", "was deleted"]
        {
            assert!(refusal.contains(said), "{sql}\n{refusal}");
        }
    }
    // Queries of other topics run on.
    check(&local, "SELECT id FROM kept WHERE id = 'a';", &["a"]);
    local.stop();
}

/// What ksqlDB has.
fn plain(local: &Local) {
    let check = |sql: &str, want: &[&str]| check(local, sql, want);
    check("SELECT * FROM agg;", &["a 2 3 y", "b 1 3 x", "c 2 0 x", "d 2 4 z"]);
    check("SELECT k FROM agg LIMIT 0;", &[]);
    assert_eq!(answer(local, "SELECT k FROM agg LIMIT 3;").len(), 3);
    assert_eq!(answer(local, "SELECT k FROM agg WHERE n > 1 LIMIT 2;").len(), 2);
    // Page by page nothing is left out and nothing comes twice.
    let all: BTreeSet<String> =
        answer(local, "SELECT k FROM last LIMIT 9000;").into_iter().collect();
    assert_eq!(all.len(), MANY);
    assert_eq!(answer(local, "SELECT k FROM last LIMIT 1100;").len(), 1100);
    assert_eq!(answer(local, "SELECT k FROM last WHERE v >= 1480 LIMIT 300;").len(), 20);
    check("SELECT k FROM agg WHERE k > 'a' AND k <= 'c';", &["b", "c"]);
    check("SELECT k FROM agg WHERE k IN ('c', 'x', 'a', 'c');", &["a", "c"]);
    check("SELECT k FROM agg WHERE k = 'a' OR (k = 'b' AND n = 7);", &["a"]);
    // Windows.
    check("SELECT * FROM win WHERE t = 'x';", &["x 0 1000 1", "x 1000 2000 1", "x 2000 3000 1"]);
    check("SELECT t FROM win WHERE WINDOWSTART > 0 AND WINDOWEND < 3000;", &["x", "z"]);
    check("SELECT k, WINDOWSTART, WINDOWEND FROM sess WHERE k = 'a';", &["a 100 900"]);
    // A row whose condition fails is dropped; a column that fails is NULL.
    check("SELECT k FROM agg WHERE 12 / total > 2;", &["a", "b", "d"]);
    check("SELECT k, 12 / total FROM agg;", &["a 4", "b 4", "c ", "d 3"]);
    check("SELECT k FROM agg WHERE k = 'b' OR 12 / total > 3;", &["a", "b"]);
    check("SELECT COALESCE(12 / total, -1) FROM agg WHERE k = 'c';", &["-1"]);
    // Comparisons with NULL do not hold, so their NOT does.
    check("SELECT id FROM kept WHERE x > 5;", &["a"]);
    check("SELECT id FROM kept WHERE NOT (x > 5);", &["b", "q"]);
    check("SELECT id FROM kept WHERE x IS DISTINCT FROM 5;", &["a", "b"]);
    check("SELECT id, y FROM kept WHERE y IN (0.5, 1.5);", &["a 0.5", "b 1.5"]);
}

/// Keys and windows are sought, not filtered out of everything.
fn seeks(local: &Local) {
    let check = |sql: &str, line: &str| check_plan(local, sql, line);
    check("SELECT * FROM agg WHERE k = 'a' AND n > 1;", "SnapshotExec: AGG, 1 keys sought");
    check("SELECT * FROM agg WHERE k IN ('a', 'b');", "SnapshotExec: AGG, 2 keys sought");
    check("SELECT * FROM agg WHERE 'a' <= k AND k < 'c';", "SnapshotExec: AGG, keys in [a, c)");
    check("SELECT * FROM agg WHERE n = 1;", "SnapshotExec: AGG, all keys");
    check("SELECT * FROM agg WHERE NOT (k = 'a');", "SnapshotExec: AGG, all keys");
    check("SELECT * FROM two WHERE t = 'z' AND k = 'd';", "SnapshotExec: TWO, 1 keys sought");
    check("SELECT * FROM agg LIMIT 2;", "SnapshotExec: AGG, all keys, page by page");
    check(
        "SELECT * FROM win WHERE t = 'x' AND WINDOWSTART >= 1000 AND WINDOWSTART < 2000;",
        "SnapshotExec: WIN, 1 keys sought, WINDOWSTART in [1000, 2000)",
    );
}

/// What `millrace.extensions` adds.
fn extended(local: &Local) {
    let check = |sql: &str, want: &[&str]| check(local, sql, want);
    // Aggregates are ours: their types and NULLs are those of continuous queries.
    check("SELECT COUNT(*), SUM(total), AVG(n), MIN(n) FROM agg;", &["4 10 1.75 1"]);
    check("SELECT COUNT(*), SUM(n) FROM agg WHERE k = 'nobody';", &["0 0"]);
    check(
        "SELECT t, COUNT(*), SUM(n) FROM win GROUP BY t HAVING COUNT(*) > 1;",
        &["x 3 3", "z 2 3"],
    );
    check("SELECT t, COUNT_DISTINCT(k) FROM two GROUP BY t;", &["x 3", "y 1", "z 2"]);
    check(
        "SELECT WINDOWSTART, SUM(n) FROM win GROUP BY WINDOWSTART;",
        &["0 2", "1000 2", "2000 3"],
    );
    check("SELECT t FROM two GROUP BY t;", &["x", "y", "z"]);
    check("SELECT x, COUNT(*) FROM kept GROUP BY x;", &["10 1", "5 1"]);
    check("SELECT 12 / total, COUNT(*) FROM agg GROUP BY 12 / total;", &["3 1", "4 2"]);
    // Order.
    check("SELECT k, n FROM agg ORDER BY n DESC, k;", &["a 2", "c 2", "d 2", "b 1"]);
    check("SELECT id FROM kept ORDER BY x;", &["q", "a", "b"]);
    check("SELECT id FROM kept ORDER BY x DESC;", &["b", "a", "q"]);
    check("SELECT id FROM kept ORDER BY x DESC NULLS LAST;", &["a", "q", "b"]);
    check("SELECT id FROM kept ORDER BY x NULLS FIRST;", &["b", "q", "a"]);
    check("SELECT k AS z FROM agg ORDER BY total * -1, z LIMIT 2;", &["d", "a"]);
    check("SELECT n, k FROM agg ORDER BY 2 DESC LIMIT 1;", &["2 d"]);
    check("SELECT k FROM agg ORDER BY 12 / total DESC, k;", &["c", "a", "b", "d"]);
    check("SELECT k FROM agg ORDER BY k LIMIT 0;", &[]);
    check("SELECT t FROM two GROUP BY t ORDER BY COUNT(*) DESC, t LIMIT 2;", &["x", "z"]);
    // Joins.
    let sql = "SELECT a.k, a.n, b.y FROM agg a JOIN kept b ON a.k = b.id;";
    check(sql, &["a 2 0.5", "b 1 1.5"]);
    let sql = "SELECT a.k, b.x FROM agg a LEFT JOIN kept b ON a.k = b.id;";
    check(sql, &["a 10", "b ", "c ", "d "]);
    let sql = "SELECT a.k, b.id FROM agg a FULL OUTER JOIN kept b ON a.k = b.id;";
    check(sql, &[" q", "a a", "b b", "c ", "d "]);
    let sql = "SELECT a.k, b.id FROM agg a RIGHT JOIN kept b ON UCASE(b.id) = UCASE(a.k);";
    check(sql, &[" q", "a a", "b b"]);
    let sql = "SELECT w.t, w.WINDOWSTART, b.n FROM win w JOIN by_t b ON w.t = b.t \
               WHERE w.WINDOWSTART = 2000;";
    check(sql, &["x 2000 3", "z 2000 3"]);
    let sql = "SELECT b.t, SUM(a.total) FROM two w JOIN agg a ON w.k = a.k JOIN by_t b ON w.t = b.t \
               GROUP BY b.t ORDER BY 2 DESC;";
    check(sql, &["x 6", "z 4", "y 3"]);
    let sql = "SELECT a.n, b.y FROM agg a LEFT JOIN kept b ON a.k = b.id WHERE a.k = 'a';";
    check(sql, &["2 0.5"]);
    check_plan(local, sql, "SnapshotExec: AGG, 1 keys sought");
    check_plan(local, sql, "SnapshotExec: KEPT, 1 keys sought");
    let sql = "SELECT a.k, b.x FROM agg a LEFT JOIN kept b ON a.k = b.id WHERE b.x IS NULL;";
    check(sql, &["b ", "c ", "d "]);
}

fn subqueries(local: &Local) {
    let check = |sql: &str, want: &[&str]| check(local, sql, want);
    check("SELECT DISTINCT t FROM two;", &["x", "y", "z"]);
    check("SELECT DISTINCT x FROM kept;", &["", "10", "5"]);
    check("SELECT DISTINCT n, n > 1 AS many FROM agg ORDER BY n;", &["1 false", "2 true"]);
    check("SELECT DISTINCT COUNT(*) FROM two GROUP BY t;", &["1", "2", "3"]);
    check("SELECT DISTINCT k FROM agg ORDER BY 1 DESC LIMIT 2;", &["d", "c"]);
    let sql =
        "SELECT m, COUNT(*) FROM (SELECT k, n * 2 AS m FROM agg WHERE k <> 'b') q GROUP BY m;";
    check(sql, &["4 3"]);
    let sql = "SELECT AVG(n) FROM (SELECT n FROM agg ORDER BY total DESC, k LIMIT 2) q;";
    check(sql, &["2.0"]);
    let sql = "WITH top AS (SELECT t, SUM(n) AS s FROM win GROUP BY t), \
               best AS (SELECT MAX(s) AS s FROM top) \
               SELECT top.t, top.s FROM top JOIN best ON top.s = best.s ORDER BY top.t;";
    check(sql, &["x 3", "z 3"]);
    let sql = "SELECT a.k, b.x FROM agg a LEFT JOIN (SELECT id, x FROM kept WHERE x > 5) b \
               ON a.k = b.id;";
    check(sql, &["a 10", "b ", "c ", "d "]);
    let sql = "SELECT WINDOWSTART, n FROM (SELECT * FROM win) q WHERE t = 'z' ORDER BY 1;";
    check(sql, &["1000 1", "2000 2"]);
    check("SELECT ROWTIME FROM (SELECT ROWTIME, k FROM agg) q WHERE k = 'a';", &["900"]);
    // The same error of one row inside and outside.
    check("SELECT z FROM (SELECT k, 12 / total AS z FROM agg) q WHERE k = 'c';", &[""]);
    // A condition reaches the store through what only passes a column on.
    let sql = "SELECT key, n FROM (SELECT k AS key, n FROM agg WHERE n > 1) q WHERE key = 'a';";
    check(sql, &["a 2"]);
    check_plan(local, sql, "SnapshotExec: AGG, 1 keys sought");
    let sql = "SELECT key FROM (SELECT k AS key FROM agg LIMIT 3) q WHERE key = 'a';";
    check_plan(local, sql, "SnapshotExec: AGG, all keys, page by page");
}

/// Streams are read from their beginning to their end.
fn streams(local: &Local) {
    let check = |sql: &str, want: &[&str]| check(local, sql, want);
    check("SELECT k, COUNT(*), SUM(v) FROM s GROUP BY k;", &["a 2 3", "b 1 3", "c 2 0", "d 2 4"]);
    check("SELECT COUNT(*), MAX(v) FROM many;", &["1500 1499"]);
    check("SELECT k, v FROM s ORDER BY v DESC LIMIT 3;", &["c ", "d 8", "b 3"]);
    check("SELECT DISTINCT t FROM s WHERE v > 0;", &["x", "y", "z"]);
    check("SELECT t FROM s GROUP BY t HAVING COUNT(*) > 2;", &["x", "z"]);
    check("SELECT ROWTIME, k FROM s WHERE v = 8 ORDER BY ROWTIME;", &["2300 d"]);
    check("SELECT COUNT(*) FROM s WHERE ROWOFFSET < 0;", &["0"]);
    let sql = "SELECT s.v, a.n FROM s JOIN agg a ON s.k = a.k WHERE s.k = 'd' ORDER BY s.v;";
    check(sql, &["-4 2", "8 2"]);
    let sql = "SELECT l.v, r.v FROM s l LEFT JOIN s r ON l.k = r.k AND l.t = r.t \
               WHERE l.k = 'a' ORDER BY l.v;";
    check(sql, &["1 1", "2 2"]);
    let sql = "SELECT t, n FROM (SELECT t, COUNT(*) AS n FROM s GROUP BY t) q WHERE n < 3;";
    check(sql, &["y 1"]);
    let sql = "SELECT v FROM (SELECT k, v FROM s WHERE t = 'x') q WHERE k = 'b';";
    check(sql, &["3"]);
    check("SELECT k FROM s ORDER BY k LIMIT 0;", &[]);
}

/// Every aggregate, over a stream, a table and a windowed table.
fn aggregates(local: &Local) {
    // Of `s` where t = 'z', of `agg`, and of `win` where t = 'z'; values in the order of keys.
    let cases = [
        ("COUNT(n)", "4", "2"),
        ("SUM(n)", "7", "3"),
        ("AVG(n)", "1.75", "1.5"),
        ("MIN(n)", "1", "1"),
        ("MAX(n)", "2", "2"),
        ("ATTR(n > 0)", "true", "true"),
        ("COUNT_DISTINCT(n)", "2", "2"),
        ("TOPK(n, 1)", "[2]", "[2]"),
        ("TOPKDISTINCT(n, 2)", "[2, 1]", "[2, 1]"),
        ("ARRAY_LENGTH(COLLECT_LIST(n))", "4", "2"),
        ("ARRAY_SORT(COLLECT_SET(n))", "[1, 2]", "[1, 2]"),
        ("HISTOGRAM(CAST(n > 5 AS STRING))", "{false: 4}", "{false: 2}"),
        ("STDDEV_SAMP(n)", "0.25", "0.5"),
        ("STDDEV_SAMPLE(n)", "0.5", "0.7071067811865476"),
        ("SUM_LIST(ARRAY[n, 1])", "11", "5"),
        ("CORRELATION(n, n)", "1.0", "1.0"),
        ("EARLIEST_BY_OFFSET(n) > 0", "true", "true"),
        ("LATEST_BY_OFFSET(n) > 0", "true", "true"),
    ];
    for (call, of_table, of_windows) in cases {
        let pull = |from: &str| answer(local, &format!("SELECT {call} FROM {from};"));
        assert_eq!(pull("agg"), [of_table], "{call}");
        assert_eq!(pull("win WHERE t = 'z'"), [of_windows], "{call}");
        let of_stream = pull("(SELECT CAST(v / v + 1 AS BIGINT) AS n FROM s WHERE v > 2) q");
        let same = pull("(SELECT n FROM agg WHERE k IN ('a', 'c')) q");
        assert_eq!(of_stream, same, "{call}");
    }
}

/// With the switch off, what ksqlDB says; with it on, what cannot be.
fn refusals(local: &Local) {
    let off = ("millrace.extensions".to_owned(), "false".to_owned());
    let off = Properties::from([off]);
    let clause = |name: &str| {
        format!(
            "Pull queries don't support {name} clauses. See https://cnfl.io/queries for more \
             info.\nAdd EMIT CHANGES if you intended to issue a push query."
        )
    };
    let cases: [(&str, &str); 9] = [
        ("SELECT a.k FROM agg a JOIN kept b ON a.k = b.id;", &clause("JOIN")),
        ("SELECT n, COUNT(*) FROM agg GROUP BY n;", &clause("GROUP BY")),
        ("SELECT n FROM agg HAVING n > 1;", &clause("HAVING")),
        (
            "SELECT COUNT(*) FROM agg;",
            "SELECT does not support aggregate functions: COUNT is an aggregate function.",
        ),
        ("SELECT * FROM agg ORDER BY n;", "line 1:25: Syntax Error\n"),
        (
            "SELECT DISTINCT n FROM agg;",
            "line 1:8: Syntax Error\nSyntax error at or near 'DISTINCT' at line 1:8",
        ),
        (
            "SELECT n FROM (SELECT n FROM agg) q;",
            "line 1:15: Syntax Error\nSyntax error at or near '(' at line 1:15",
        ),
        ("SELECT v, COUNT(*) FROM s GROUP BY v;", &clause("GROUP BY")),
        ("SELECT * FROM agg WHERE n = 1 ORDER BY n;", "line 1:31: Syntax Error\n"),
    ];
    for (sql, want) in cases {
        assert_eq!(refused(local, sql, &off), want, "{sql}");
    }
    let on = Properties::new();
    let cases = [
        ("SELECT a.k FROM agg a JOIN base b ON a.k = b.id;", "The `BASE` table isn't queryable."),
        (
            "SELECT a.k FROM s a JOIN agg b WITHIN 1 HOUR ON a.k = b.k;",
            "A join in a pull query has no WITHIN",
        ),
        (
            "SELECT a.k FROM s a LEFT JOIN agg b ON a.k = b.k AND a.v < b.n;",
            "An outer join in a pull query takes equalities of both sides only.",
        ),
        (
            "SELECT a.k FROM s a JOIN agg b ON a.v < b.n;",
            "Only equality join criteria is supported.",
        ),
        ("SELECT k FROM s UNION ALL SELECT k FROM s;", "UNION ALL is not supported in a pull"),
        ("SELECT k FROM (SELECT k FROM s EMIT CHANGES) q;", "EMIT is not supported in a subquery"),
        ("SELECT k FROM (SELECT id AS k FROM base) q;", "The `BASE` table isn't queryable."),
        ("SELECT n FROM (SELECT k FROM agg) q;", "SELECT column 'N' cannot be resolved."),
        ("SELECT DISTINCT k FROM agg ORDER BY n;", "With SELECT DISTINCT, ORDER BY takes only"),
        ("SELECT DISTINCT MAP(k := n) FROM agg;", "SELECT DISTINCT cannot compare `KSQL_COL_0`"),
        (
            "SELECT a.ROWOFFSET FROM agg a JOIN kept b ON a.k = b.id;",
            "Pull queries over tables don't",
        ),
        (
            "SELECT k, COUNT(*) FROM s WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k;",
            "Pull queries don't support WINDOW clauses.",
        ),
        ("SELECT k FROM agg GROUP BY k ORDER BY n;", "Non-aggregate SELECT expression(s) not part"),
        ("SELECT k, ARRAY[n] AS l FROM agg ORDER BY l;", "ORDER BY cannot order values of type"),
        ("SELECT k FROM agg ORDER BY 2;", "ORDER BY position 2 is not among the 1 columns"),
        ("SELECT k FROM agg HAVING n > 1;", "HAVING requires a GROUP BY clause."),
        ("SELECT k FROM agg PARTITION BY k;", "Pull queries don't support PARTITION BY clauses."),
    ];
    for (sql, want) in cases {
        let got = refused(local, sql, &on);
        assert!(got.starts_with(want), "{sql}\n{got}");
    }
}
