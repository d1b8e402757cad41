use super::*;
use crate::olap::OlapTable;

const MORE: &str = "
    CREATE TABLE ODD (ID INT PRIMARY KEY, `a` INT, A INT) WITH (KAFKA_TOPIC='odd', FORMAT='JSON');
    CREATE TABLE OWN (ID INT PRIMARY KEY, _VERSION INT) WITH (KAFKA_TOPIC='own', FORMAT='JSON');
    CREATE TABLE DOT (ID INT PRIMARY KEY, `a.b` INT) WITH (KAFKA_TOPIC='dot', FORMAT='JSON');
    CREATE TABLE ST (ID INT PRIMARY KEY, `WINDOWEND ` INT) WITH (KAFKA_TOPIC='st', FORMAT='JSON');
    CREATE TABLE TW (ID INT PRIMARY KEY, A INT)
        WITH (KAFKA_TOPIC='tw', FORMAT='JSON', WINDOW_TYPE='TUMBLING', WINDOW_SIZE='1 MINUTE');
    CREATE TABLE TS (ID INT PRIMARY KEY, A INT)
        WITH (KAFKA_TOPIC='ts', FORMAT='JSON', WINDOW_TYPE='SESSION');
";

fn scene() -> Scene {
    Scene::new(&format!("{SCENE}{MORE}"))
}

fn check_table(sql: &str, expected: &str) {
    let table: OlapTable = match scene().one(sql) {
        Ok(Analyzed::CreateSink(new)) => new.sink.table,
        Err(e) => panic!("{sql}\n{}", e.render(sql)),
        other => panic!("{sql}\n{other:?}"),
    };
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| format!("{} {}{}", c.name, c.ty, if c.key { " KEY" } else { "" }))
        .collect();
    let mut got = format!("{} <- {}: {}", table.name, table.topic, columns.join(", "));
    for (name, value) in &table.options {
        got.push_str(&format!("; {name}={value}"));
    }
    assert_eq!(got, expected, "{sql}");
}

fn check_refused(sql: &str, part: &str) {
    check_err_in(&scene(), sql, part);
}

#[test]
fn tables_of_sinks() {
    check_table(
        "CREATE SINK X FOR PINOT FROM T;",
        "x <- X_OLAP: id INTEGER KEY, name STRING, a INTEGER",
    );
    check_table(
        "CREATE SINK X FOR DRUID FROM S WITH (TABLE='My-1', KAFKA_TOPIC='o', ROUTER='http://r');",
        "My-1 <- o: id INTEGER, a INTEGER, b STRING, c DOUBLE",
    );
    check_table(
        "CREATE SINK X FOR PINOT FROM NK WITH (FLUSH_ROWS=5, TABLE_RETENTION_DAYS=3);",
        "x <- X_OLAP: a INTEGER, b STRING; FLUSH_ROWS=5; TABLE_RETENTION_DAYS=3",
    );
    check_table(
        "CREATE SINK X FOR PINOT FROM TW WITH (TABLE_RETENTION_DAYS=3);",
        "x <- X_OLAP: id INTEGER KEY, windowstart BIGINT KEY, windowend BIGINT, a INTEGER; \
         TABLE_RETENTION_DAYS=3",
    );
    check_table(
        "CREATE SINK X FOR DRUID FROM TS WITH (SEGMENT_GRANULARITY='month');",
        "x <- X_OLAP: id INTEGER KEY, windowstart BIGINT KEY, windowend BIGINT KEY, a INTEGER; \
         SEGMENT_GRANULARITY=MONTH",
    );
    check_table(
        "CREATE SINK X FOR DRUID FROM W;",
        "x <- X_OLAP: id INTEGER, windowstart BIGINT, windowend BIGINT, a INTEGER",
    );
}

#[test]
fn the_plan() {
    let sql = "CREATE SINK X FOR PINOT FROM T;";
    let Ok(Analyzed::CreateSink(new)) = scene().one(sql) else { panic!("{sql}") };
    let text = new.plan.plan.display_indent().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "Sink: Stream x (topic X_OLAP)",
            "  Olap: rows for PINOT [id, name, a]",
            "    Scan KsqlTopic: Table T (topic t) [id, name, a]",
        ]
    );
    assert_eq!(describe(&new.target.columns), "id INTEGER KEY, _row STRING");
    assert_eq!(new.topic.retention_ms, Some(-1));
}

#[test]
fn what_is_refused() {
    let with = |with: &str| format!("CREATE SINK X FOR PINOT FROM T WITH ({with});");
    check_refused("CREATE SINK X FOR PINOT FROM NOBODY;", "NOBODY does not exist");
    check_refused("CREATE SINK X FOR PINOT FROM ODD;", "the name `a` in lower case");
    check_refused("CREATE SINK X FOR PINOT FROM OWN;", "reserved");
    check_refused("CREATE SINK X FOR PINOT FROM DOT;", "do not take");
    check_refused("CREATE SINK X FOR PINOT FROM ST;", "do not take");
    check_refused("CREATE SINK `a b` FOR PINOT FROM T;", "cannot be the name of a table");
    check_refused(&with("TABLE='a__b'"), "cannot be the name of a table");
    check_refused(&with("KAFKA_TOPIC='t'"), "is the one that T reads");
    check_refused(&with("ROUTER='http://r'"), "ROUTER");
    check_refused(&with("PASSWORD='x'"), "PASSWORD");
    check_refused(&with("CONTROLLER='p:9000'"), "expected http://host:port");
    check_refused(&with("CONTROLLER='http://u:p@h'"), "belong in the configuration");
    check_refused(&with("TABLE_RETENTION_DAYS=3"), "would delete rows");
    check_refused(&with("FLUSH_ROWS=0"), "at least 1");
    check_refused(
        "CREATE SINK X FOR DRUID FROM T WITH (SEGMENT_GRANULARITY='FORTNIGHT');",
        "one of HOUR",
    );
}

#[test]
fn sinks_are_known_by_name() {
    let mut scene = scene();
    let Ok(Analyzed::CreateSink(new)) = scene.one("CREATE SINK X FOR PINOT FROM T;") else {
        panic!("a sink")
    };
    scene.catalog.sinks.insert("X".to_string(), Arc::new(new.sink));
    check_err_in(&scene, "CREATE SINK X FOR DRUID FROM S;", "already exists");
    check_err_in(&scene, "DROP SINK Y;", "does not exist");
    check_err_in(&scene, "DROP SINK X DELETE TOPIC;", "DELETE TABLE");
    for sql in ["CREATE SINK IF NOT EXISTS X FOR DRUID FROM S;", "DROP SINK IF EXISTS Y;"] {
        assert!(matches!(scene.one(sql), Ok(Analyzed::Nothing(_))), "{sql}");
    }
    let dropped = scene.one("DROP SINK X DELETE TABLE DELETE TOPIC;");
    assert!(matches!(dropped, Ok(Analyzed::DropSink(_))), "{dropped:?}");
}
