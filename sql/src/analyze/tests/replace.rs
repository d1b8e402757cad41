use super::*;

const OLD: &str = "
    CREATE STREAM X (K INT KEY, A INT, B STRING) WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');
    CREATE STREAM O AS SELECT ID, A FROM S;
";

fn scene() -> Scene {
    Scene::new(&format!("{SCENE}{OLD}"))
}

fn check_replaced(sql: &str, columns: &str) {
    let source = match scene().one(sql) {
        Ok(Analyzed::CreateSource(new)) => new.source,
        Ok(Analyzed::CreateAs(new)) => {
            assert!(new.replaces.is_some(), "{sql}");
            new.source
        }
        other => panic!("{sql}\n{other:?}"),
    };
    assert_eq!(describe(&source.columns), columns, "{sql}");
}

#[test]
fn columns_may_follow() {
    check_replaced(
        "CREATE OR REPLACE STREAM X (K INT KEY, A INT, B STRING, C DOUBLE) \
         WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');",
        "K INTEGER KEY, A INTEGER, B STRING, C DOUBLE",
    );
    check_replaced(
        "CREATE OR REPLACE STREAM O AS SELECT ID, A, B FROM S;",
        "ID INTEGER KEY, A INTEGER, B STRING",
    );
}

#[test]
fn the_rest_stays() {
    let refused = |sql: &str, why: &str| check_err_in(&scene(), sql, why);
    refused(
        "CREATE OR REPLACE STREAM O AS SELECT ID, B FROM S;",
        "Cannot upgrade data source: DataSource '`O`' has schema = `ID` INTEGER KEY, `A` INTEGER which \
         is not upgradeable to `ID` INTEGER KEY, `B` STRING. (The following columns are changed, \
         missing or reordered: [`A` INTEGER])",
    );
    refused(
        "CREATE OR REPLACE STREAM X (Z INT KEY, A INT, B STRING) \
         WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');",
        "(Key columns must be identical. The following key columns are changed, missing or reordered: \
         [`K` INTEGER KEY])",
    );
    refused(
        "CREATE OR REPLACE TABLE X (K INT PRIMARY KEY, A INT, B STRING) \
         WITH (KAFKA_TOPIC='y', VALUE_FORMAT='JSON');",
        "has type = KSTREAM which is not upgradeable to KTABLE\n\tAND DataSource '`X`' has topic = ",
    );
    refused(
        "CREATE OR REPLACE STREAM S WITH (KAFKA_TOPIC='s') AS SELECT * FROM S;",
        "Cannot replace `S`: the query reads from it.",
    );
}

#[test]
fn it_may_be_switched_off_for_queries() {
    let mut scene = scene();
    scene.settings = settings(&[("ksql.create.or.replace.enabled", "false")]);
    check_err_in(
        &scene,
        "CREATE OR REPLACE STREAM O AS SELECT ID, A, B FROM S;",
        "Cannot add stream 'O': A stream with the same name already exists",
    );
    // What no query writes may change: ksqlDB's switch is not about that.
    for sql in [
        "CREATE OR REPLACE STREAM N AS SELECT ID, A, B FROM S;",
        "CREATE OR REPLACE STREAM X (K INT KEY, A INT, B STRING, C DOUBLE) \
         WITH (KAFKA_TOPIC='x', VALUE_FORMAT='JSON');",
    ] {
        assert!(scene.one(sql).is_ok(), "{sql}");
    }
}
