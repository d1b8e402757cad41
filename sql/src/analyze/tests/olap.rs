use super::*;
use crate::analyze::{following, sink_plan};
use crate::olap::{OlapSink, OlapTable};

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
fn what_rolls_up() {
    let more = "CREATE TABLE N (ID INT PRIMARY KEY, A INT, B BIGINT) \
                    WITH (KAFKA_TOPIC='n', FORMAT='JSON');
                CREATE TABLE NS (ID INT PRIMARY KEY, A INT, A_SET INT) \
                    WITH (KAFKA_TOPIC='n', FORMAT='JSON');
                CREATE TABLE ND (ID DOUBLE PRIMARY KEY, A INT) WITH (KAFKA_TOPIC='n', FORMAT='JSON');
                CREATE TABLE NA (ID ARRAY<INT> PRIMARY KEY, A INT) \
                    WITH (KAFKA_TOPIC='n', FORMAT='JSON');";
    let scene = Scene::new(&format!("{SCENE}{MORE}{more}"));
    let sql = |source: &str| format!("CREATE SINK X FOR DRUID FROM {source} WITH (ROLLUP=true);");
    let Ok(Analyzed::CreateSink(new)) = scene.one(&sql("N")) else { panic!("a sink") };
    let text = new.plan.plan.display_indent().to_string();
    assert!(text.contains("Olap: changes for DRUID [id, a, b]"), "{text}");
    check_err_in(&scene, &sql("S"), "a stream's rows are no changes");
    check_err_in(&scene, &sql("T"), "column name is STRING");
    check_err_in(&scene, &sql("TW"), "EMIT FINAL");
    check_err_in(&scene, &sql("NS"), "a column a_set of its own");
    check_err_in(&scene, &sql("ND"), "id is DOUBLE");
    check_err_in(&scene, &sql("NA"), "id is ARRAY<INTEGER>");
    check_err_in(&scene, "CREATE SINK X FOR PINOT FROM N WITH (ROLLUP=true);", "ROLLUP");
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
    check_err_in(&scene, "CREATE OR REPLACE SINK IF NOT EXISTS X FOR DRUID FROM S;", "exclude");
    check_err_in(&scene, "DROP SINK Y;", "does not exist");
    check_err_in(&scene, "DROP SINK X DELETE TOPIC;", "DELETE TABLE");
    for sql in ["CREATE SINK IF NOT EXISTS X FOR DRUID FROM S;", "DROP SINK IF EXISTS Y;"] {
        assert!(matches!(scene.one(sql), Ok(Analyzed::Nothing(_))), "{sql}");
    }
    let dropped = scene.one("DROP SINK X DELETE TABLE DELETE TOPIC;");
    assert!(matches!(dropped, Ok(Analyzed::DropSink(_))), "{dropped:?}");
}

/// A scene with the sink X of T, and T with more columns.
fn replaced(columns: &str) -> Scene {
    let mut scene = scene();
    let Ok(Analyzed::CreateSink(new)) = scene.one("CREATE SINK X FOR PINOT FROM T;") else {
        panic!("a sink")
    };
    let sink = OlapSink { query: "SINK_X_1".to_string(), ..new.sink };
    scene.catalog.sinks.insert("X".to_string(), Arc::new(sink));
    let sql = format!(
        "CREATE OR REPLACE TABLE T (ID INT PRIMARY KEY, {columns}) \
         WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');"
    );
    let source = match scene.one(&sql) {
        Ok(Analyzed::CreateSource(new)) => new.source,
        other => panic!("{sql}\n{other:?}"),
    };
    scene.catalog.sources.insert("T".to_string(), Arc::new(source));
    scene
}

const SAME: &str = "NAME STRING, A INT";
const MORE_COLUMNS: &str = "NAME STRING, A INT, B DECIMAL(4, 2), C STRING";

#[test]
fn sinks_follow_their_source() {
    let check = |columns: &str, expected: &[&str]| {
        let old = scene();
        let mut scene = replaced(columns);
        let new = scene.catalog.sources.insert("T".to_string(), old.catalog.sources["T"].clone());
        let changes = following(&scene.catalog, &new.expect("T")).expect(columns);
        let got: Vec<String> = changes
            .iter()
            .map(|change| {
                let names: Vec<&str> =
                    change.sink.table.columns.iter().map(|c| c.name.as_str()).collect();
                let (plan, target) =
                    sink_plan(&change.sink, &Arc::new(change.source.clone())).expect("a plan");
                let plan = plan.plan.display_indent().to_string();
                let olap = plan.lines().nth(1).unwrap_or_default().trim().to_string();
                format!("{} {}: {olap} -> {}", change.sink.name, names.join(" "), target.topic)
            })
            .collect();
        assert_eq!(got, expected, "{columns}");
    };
    check(SAME, &[]);
    check(MORE_COLUMNS, &["X id name a b c: Olap: rows for PINOT [id, name, a, b, c] -> X_OLAP"]);
}

#[test]
fn sinks_that_cannot_follow() {
    let check = |columns: &str, part: &str| {
        let old = scene();
        let mut scene = replaced(columns);
        let new = scene.catalog.sources.insert("T".to_string(), old.catalog.sources["T"].clone());
        let why = following(&scene.catalog, &new.expect("T")).expect_err(columns);
        assert!(why.message.contains(part), "{columns}: {why}");
    };
    check(&format!("{SAME}, `name` INT"), "the name `name` in lower case");
    check(&format!("{SAME}, _VERSION INT"), "reserved");
}

#[test]
fn what_or_replace_may_do() {
    let scene = replaced(MORE_COLUMNS);
    let altered = scene.one("CREATE OR REPLACE SINK X FOR PINOT FROM T;");
    let Ok(Analyzed::AlterSink(change)) = altered else { panic!("{altered:?}") };
    assert_eq!((change.sink.query.as_str(), change.sink.table.columns.len()), ("SINK_X_1", 5));
    let same = replaced(SAME);
    let nothing = same.one("CREATE OR REPLACE SINK X FOR PINOT FROM T;");
    assert!(matches!(nothing, Ok(Analyzed::Nothing(_))), "{nothing:?}");
    let new = same.one("CREATE OR REPLACE SINK Y FOR PINOT FROM T;");
    assert!(matches!(new, Ok(Analyzed::CreateSink(_))), "a new one: {new:?}");

    let check = |sql: &str, expected: &str| {
        let Ok(Analyzed::CreateSink(new)) = same.one(sql) else { panic!("{sql}") };
        let got = format!(
            "{} {} {:?}",
            new.sink.table.name,
            new.sink.table.topic,
            new.former.as_deref().unwrap_or_default()
        );
        assert_eq!(got, expected, "{sql}");
    };
    let with = |with: &str| format!("CREATE OR REPLACE SINK X FOR PINOT FROM T WITH ({with});");
    check(&with("TABLE='x_2'"), "x_2 X_2_OLAP \"X_OLD\"");
    check(&with("TABLE='x_2', KAFKA_TOPIC='own'"), "x_2 own \"X_OLD\"");
    check("CREATE OR REPLACE SINK X FOR DRUID FROM T;", "x X_OLAP_2 \"X_OLD\"");
    check("CREATE OR REPLACE SINK X FOR DRUID FROM S;", "x X_OLAP_2 \"X_OLD\"");

    let check_refused = |sql: &str, part: &str| check_err_in(&same, sql, part);
    check_refused("CREATE OR REPLACE SINK X FOR PINOT FROM S;", "it is fed from T, not from S");
    check_refused(&with("FLUSH_ROWS=5"), "FLUSH_ROWS is not set, not 5");
    check_refused(&with("KAFKA_TOPIC='other'"), "it reads topic X_OLAP, not other");
    check_refused(&with("TABLE='x_2', KAFKA_TOPIC='X_OLAP'"), "is that of sink X");
    let mut twice = same.catalog.clone();
    twice.sinks.insert("X_OLD".to_string(), twice.sinks["X"].clone());
    let twice = Scene { catalog: twice, ..replaced(SAME) };
    check_err_in(&twice, &with("TABLE='x_3'"), "a former table, as sink X_OLD");
}
