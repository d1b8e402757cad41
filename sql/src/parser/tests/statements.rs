//! Statements and queries. The canonical text has its line breaks turned into spaces.

use crate::ast::Statement;
use crate::parser::{parse, parse_statement, parse_test_script};
use crate::unparse::to_sql;

fn one_line(statement: &Statement) -> String {
    statement.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn check(cases: &[(&str, &str)]) {
    for (sql, expected) in cases {
        let sql = format!("{sql};");
        let statement = parse_statement(&sql).unwrap_or_else(|e| panic!("{}", e.render(&sql)));
        assert_eq!(one_line(&statement), *expected, "{sql}");
        assert_eq!(parse_statement(&to_sql(&statement)), Ok(statement), "{sql}");
    }
}

/// Texts that are canonical already.
fn same(cases: &[&str]) {
    check(&cases.iter().map(|sql| (*sql, *sql)).collect::<Vec<_>>());
}

#[test]
fn select_lists() {
    same(&[
        "SELECT * FROM S",
        "SELECT A, B FROM S",
        "SELECT A B FROM S",
        "SELECT S.*, A FROM S",
        "SELECT A->B->* FROM S",
        "SELECT F(A)->* FROM S",
        "SELECT (A + B)->* FROM S",
        "SELECT COUNT(*) TOTAL FROM S",
        "SELECT 1 `one`, 'x' `EMIT` FROM S",
        "SELECT *, * FROM `s` `t`",
    ]);
    check(&[
        ("select a as b, c d from s as x", "SELECT A B, C D FROM S X"),
        ("select a emit from s emit", "SELECT A `EMIT` FROM S `EMIT`"),
        ("select a->b c from s", "SELECT A->B C FROM S"),
        ("select -1 from s", "SELECT -1 FROM S"),
        ("select a b from s b emit changes", "SELECT A B FROM S B EMIT CHANGES"),
        ("select * from s emit emit changes", "SELECT * FROM S `EMIT` EMIT CHANGES"),
        ("select * from s partition by a", "SELECT * FROM S PARTITION BY A"),
        ("select * from s partition partition by a", "SELECT * FROM S `PARTITION` PARTITION BY A"),
    ]);
}

#[test]
fn clauses() {
    same(&[
        "SELECT * FROM S WHERE A > 1 AND B IS NULL",
        "SELECT * FROM S EMIT CHANGES",
        "SELECT * FROM S EMIT FINAL",
        "SELECT * FROM S LIMIT 5",
        "SELECT * FROM S EMIT CHANGES LIMIT 5",
        "SELECT A, COUNT(*) FROM S GROUP BY A HAVING COUNT(*) > 1 EMIT CHANGES",
        "SELECT * FROM S PARTITION BY A, B",
        "SELECT * FROM S PARTITION BY null",
        "SELECT A FROM S WHERE B GROUP BY A PARTITION BY C HAVING D EMIT CHANGES LIMIT 1",
    ]);
    check(&[
        ("select a from s group by (a, b)", "SELECT A FROM S GROUP BY A, B"),
        ("select a from s group by (a)", "SELECT A FROM S GROUP BY A"),
        ("select a from s group by (a), b", "SELECT A FROM S GROUP BY A, B"),
        ("select a from s group by (a) + b, c", "SELECT A FROM S GROUP BY A + B, C"),
        ("select a from s group by (a + b) * c", "SELECT A FROM S GROUP BY (A + B) * C"),
        ("select a from s group by (a IS NULL)", "SELECT A FROM S GROUP BY (A IS NULL)"),
        ("select a from s group by (f(a, b))", "SELECT A FROM S GROUP BY F(A, B)"),
        ("select a from s group by (a, b) emit final", "SELECT A FROM S GROUP BY A, B EMIT FINAL"),
        (
            "select a from s partition by (a, b) having c",
            "SELECT A FROM S PARTITION BY A, B HAVING C",
        ),
    ]);
}

#[test]
fn windows() {
    same(&[
        "SELECT A FROM S WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY A",
        "SELECT A FROM S WINDOW TUMBLING (SIZE 1 DAYS, RETENTION 7 DAYS) GROUP BY A",
        "SELECT A FROM S WINDOW TUMBLING (SIZE 1 HOURS, GRACE PERIOD 0 SECONDS) GROUP BY A",
        "SELECT A FROM S WINDOW TUMBLING (SIZE 1 HOURS, RETENTION 2 DAYS, GRACE PERIOD 3 DAYS)",
        "SELECT A FROM S WINDOW HOPPING (SIZE 10 SECONDS, ADVANCE BY 5 SECONDS) GROUP BY A",
        "SELECT A FROM S WINDOW SESSION (60 MINUTES) GROUP BY A",
        "SELECT A FROM S WINDOW SESSION (5 MILLISECONDS, GRACE PERIOD 1 SECONDS) GROUP BY A",
        "SELECT A FROM S WINDOW W TUMBLING (SIZE 10 SECONDS) GROUP BY A",
    ]);
    check(&[
        (
            "select a from s window tumbling (size 1 hour) where b group by a emit final",
            "SELECT A FROM S WINDOW TUMBLING (SIZE 1 HOURS) WHERE B GROUP BY A EMIT FINAL",
        ),
        (
            "select A from s window hopping(size 3 second, advance by 1 second, \
             grace period 1 day)",
            "SELECT A FROM S WINDOW HOPPING \
             (SIZE 3 SECONDS, ADVANCE BY 1 SECONDS, GRACE PERIOD 1 DAYS)",
        ),
        (
            "select a from s window session session (1 minute)",
            "SELECT A FROM S WINDOW `SESSION` SESSION (1 MINUTES)",
        ),
    ]);
}

#[test]
fn joins() {
    same(&[
        "SELECT * FROM A INNER JOIN B ON A.ID = B.ID",
        "SELECT * FROM A X LEFT OUTER JOIN B Y ON X.ID = Y.ID",
        "SELECT * FROM A INNER JOIN B WITHIN 1 HOURS ON A.ID = B.ID",
        "SELECT * FROM A FULL OUTER JOIN B WITHIN (1 HOURS, 2 DAYS) ON A.ID = B.ID",
        "SELECT * FROM A INNER JOIN B WITHIN 1 HOURS GRACE PERIOD 5 MINUTES ON A.ID = B.ID",
        "SELECT * FROM A INNER JOIN B ON A.X = B.Y INNER JOIN C ON A.X = C.Y WHERE A.Z",
    ]);
    check(&[
        ("select * from a join b on a.x=b.x", "SELECT * FROM A INNER JOIN B ON A.X = B.X"),
        ("select * from a left join b on c", "SELECT * FROM A LEFT OUTER JOIN B ON C"),
        ("select * from a right outer join b on c", "SELECT * FROM A RIGHT OUTER JOIN B ON C"),
        ("select * from a full join b on c", "SELECT * FROM A FULL OUTER JOIN B ON C"),
        (
            "select * from a as x join b as y within (5 second, 5 seconds) on x.i=y.i emit changes",
            "SELECT * FROM A X INNER JOIN B Y WITHIN 5 SECONDS ON X.I = Y.I EMIT CHANGES",
        ),
    ]);
}

#[test]
fn create_sources() {
    same(&[
        "CREATE STREAM S",
        "CREATE STREAM S (A INTEGER KEY, B STRING) WITH (KAFKA_TOPIC='t', FORMAT='JSON')",
        "CREATE TABLE T (A INTEGER PRIMARY KEY, B STRING) WITH (KAFKA_TOPIC='t', PARTITIONS=4)",
        "CREATE OR REPLACE SOURCE STREAM IF NOT EXISTS S (A INTEGER)",
        "CREATE SOURCE TABLE T (A INTEGER PRIMARY KEY)",
        "CREATE STREAM S (H ARRAY<STRUCT<KEY STRING, VALUE BYTES>> HEADERS)",
        "CREATE STREAM S (H BYTES HEADER('k'), KEY STRING KEY)",
        "CREATE STREAM S WITH (A=null, B=true, C=-1, D=1.5, E=1E3, F='x''y')",
        "CREATE STREAM `s` (`a` STRING)",
        "CREATE STREAM S AS SELECT * FROM T",
        "CREATE OR REPLACE TABLE IF NOT EXISTS T WITH (PARTITIONS=1) AS SELECT A FROM S GROUP BY A",
    ]);
    check(&[
        (
            "create stream s (a int) with (kafka_topic='T')",
            "CREATE STREAM S (A INTEGER) WITH (KAFKA_TOPIC='T')",
        ),
        ("CREATE STREAM S WITH ('kafka_topic'='T')", "CREATE STREAM S WITH ('kafka_topic'='T')"),
        ("CREATE STREAM S WITH ('FORMAT'='JSON')", "CREATE STREAM S WITH (FORMAT='JSON')"),
        ("create table t (a varchar(10) primary key)", "CREATE TABLE T (A STRING PRIMARY KEY)"),
        ("create stream s (a int array key)", "CREATE STREAM S (A ARRAY<INTEGER> KEY)"),
    ]);
}

#[test]
fn other_data_statements() {
    same(&[
        "INSERT INTO S SELECT * FROM T",
        "INSERT INTO S WITH (QUERY_ID='q') SELECT * FROM T",
        "INSERT INTO S (A, B) VALUES (1, 'x')",
        "INSERT INTO S VALUES (1 + 2, F(3), null, ARRAY[1], STRUCT(A:=1))",
        "INSERT INTO S VALUES ((A = B))",
        "DROP STREAM S",
        "DROP TABLE IF EXISTS T DELETE TOPIC",
        "ALTER STREAM S ADD COLUMN A INTEGER",
        "ALTER TABLE T ADD COLUMN A INTEGER, ADD COLUMN B STRUCT<C STRING>",
        "CREATE TYPE T AS STRUCT<A INTEGER>",
        "CREATE TYPE IF NOT EXISTS T AS INTEGER",
        "DROP TYPE T",
        "DROP TYPE IF EXISTS T",
    ]);
    check(&[("alter stream s add a int", "ALTER STREAM S ADD COLUMN A INTEGER")]);
}

#[test]
fn queries_and_introspection() {
    same(&[
        "TERMINATE CSAS_S_1",
        "TERMINATE ALL",
        "PAUSE `q`",
        "RESUME ALL",
        "EXPLAIN CSAS_S_1",
        "EXPLAIN SELECT * FROM S",
        "EXPLAIN CREATE STREAM S AS SELECT * FROM T",
        "SHOW TOPICS",
        "SHOW ALL TOPICS EXTENDED",
        "SHOW STREAMS",
        "SHOW TABLES EXTENDED",
        "SHOW QUERIES EXTENDED",
        "SHOW FUNCTIONS",
        "SHOW CONNECTORS",
        "SHOW SOURCE CONNECTORS",
        "SHOW SINK CONNECTORS",
        "SHOW CONNECTOR PLUGINS",
        "SHOW TYPES",
        "SHOW VARIABLES",
        "SHOW PROPERTIES",
        "DESCRIBE S",
        "DESCRIBE S EXTENDED",
        "DESCRIBE STREAMS EXTENDED",
        "DESCRIBE TABLES",
        "DESCRIBE FUNCTION COUNT",
        "DESCRIBE CONNECTOR C",
        "PRINT orders",
        "PRINT Topic_1 FROM BEGINNING INTERVAL 2 LIMIT 3",
        "PRINT `my-topic` LIMIT 1",
    ]);
    check(&[
        ("list streams", "SHOW STREAMS"),
        ("describe function", "DESCRIBE `FUNCTION`"),
        ("describe function extended", "DESCRIBE `FUNCTION` EXTENDED"),
        ("print 'a.b' sample 3", "PRINT `a.b` INTERVAL 3"),
        ("terminate csas_s_1", "TERMINATE CSAS_S_1"),
        ("explain show streams", "EXPLAIN SHOW STREAMS"),
        ("explain show", "EXPLAIN SHOW"),
        ("explain explain select * from s", "EXPLAIN EXPLAIN SELECT * FROM S"),
    ]);
}

#[test]
fn properties_variables_connectors_and_asserts() {
    same(&[
        "SET 'auto.offset.reset'='earliest'",
        "UNSET 'auto.offset.reset'",
        "ALTER SYSTEM 'a'='b'",
        "DEFINE V='x'",
        "UNDEFINE V",
        "RUN SCRIPT 'a.sql'",
        "CREATE SOURCE CONNECTOR C WITH ('a.b'='c', 'tasks.max'=1)",
        "CREATE SINK CONNECTOR IF NOT EXISTS `c` WITH ('a'='c')",
        "DROP CONNECTOR IF EXISTS C",
        "CREATE SINK S FOR PINOT FROM T",
        "CREATE SINK IF NOT EXISTS `s` FOR DRUID FROM T WITH (ROUTER='http://r')",
        "CREATE OR REPLACE SINK S FOR PINOT FROM T WITH ('TABLE'='s_2')",
        "DROP SINK IF EXISTS S DELETE TABLE DELETE TOPIC",
        "PAUSE SINK S",
        "RESUME SINK `s`",
        "PAUSE `SINK`",
        "SHOW SINKS",
        "DESCRIBE SINK S EXTENDED",
        "DESCRIBE `SINK` EXTENDED",
        "CREATE SINK S FOR PINOT FROM T WITH ('TABLE'='t')",
        "ASSERT TOPIC t",
        "ASSERT NOT EXISTS TOPIC `t-1` WITH (PARTITIONS=1) TIMEOUT 5 SECONDS",
        "ASSERT SCHEMA SUBJECT s ID 5 TIMEOUT 1 MINUTES",
        "ASSERT NOT EXISTS SCHEMA ID 5",
    ]);
}

#[test]
fn only_the_test_runner_knows_these() {
    let cases = [
        "ASSERT VALUES S (A, B) VALUES (1, 2)",
        "ASSERT NULL VALUES S (A) KEY (1)",
        "ASSERT STREAM S (A INTEGER) WITH (FORMAT='JSON')",
        "ASSERT TABLE T (A INTEGER PRIMARY KEY)",
    ];
    for sql in cases {
        let sql = format!("{sql};");
        let parsed = parse_test_script(&sql).expect(&sql);
        assert_eq!(to_sql(&parsed[0].statement), sql);
        let error = parse(&sql).expect_err(&sql);
        let message = "line 1:8: Syntax Error\nSyntax error at or near";
        assert!(error.message.starts_with(message), "{error}");
    }
}

#[test]
fn texts_and_places_of_several_statements() {
    let sql = "  -- first\n SHOW TOPICS ; /* ; */ SELECT ';' FROM `;`;\n\n-- done\n";
    let parsed = parse(sql).expect("fine");
    let texts: Vec<&str> = parsed.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(texts, ["SHOW TOPICS ;", "SELECT ';' FROM `;`;"]);
    for statement in &parsed {
        assert_eq!(&sql[statement.span.start..statement.span.end], statement.text);
    }
    assert_eq!(parse("").expect("no statement"), []);
    assert_eq!(parse(" -- nothing").expect("no statement"), []);
}

#[test]
fn layout_has_one_clause_per_line() {
    let sql = "create table t as select a, count(*) n from s group by a emit changes;";
    let expected =
        "CREATE TABLE T AS SELECT\n  A,\n  COUNT(*) N\nFROM S\nGROUP BY A\nEMIT CHANGES;";
    assert_eq!(to_sql(&parse_statement(sql).expect("fine")), expected);
}
