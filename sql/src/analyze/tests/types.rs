use super::*;

fn scene() -> Scene {
    let mut scene = Scene::new(SCENE);
    let ty = |sql: &str| parser::parse_type(sql).and_then(|t| t.resolve(&|_| None)).expect(sql);
    scene.catalog.types.insert("ADDR".to_owned(), ty("STRUCT<STREET STRING, ZIP INT>"));
    scene
}

#[test]
fn names_stand_for_their_types() {
    let scene = scene();
    let columns = |sql: &str| match scene.one(sql) {
        Ok(Analyzed::CreateSource(new)) => describe(&new.source.columns),
        Ok(Analyzed::AlterSource(source)) => describe(&source.columns),
        other => panic!("{sql}\n{other:?}"),
    };
    let addr = "STRUCT<`STREET` STRING, `ZIP` INTEGER>";
    assert_eq!(
        columns("CREATE STREAM X (A addr, B ARRAY<ADDR>) WITH (KAFKA_TOPIC='x', FORMAT='JSON');"),
        format!("A {addr}, B ARRAY<{addr}>")
    );
    let altered = columns("ALTER STREAM NK ADD COLUMN H ADDR, ADD COLUMN I INT;");
    assert_eq!(altered, format!("A INTEGER, B STRING, H {addr}, I INTEGER"));
    match scene.one("CREATE TYPE HOMES AS MAP<STRING, ADDR>;") {
        Ok(Analyzed::CreateType(new)) => {
            assert_eq!(new.name, "HOMES");
            assert_eq!(new.ty.to_string(), format!("MAP<STRING, {addr}>"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(scene.one("DROP TYPE addr;"), Ok(Analyzed::DropType(name)) if name == "ADDR"));
    let cast = "SELECT CAST(NULL AS ADDR)->ZIP AS Z FROM S EMIT CHANGES;";
    assert!(matches!(scene.one(cast), Ok(Analyzed::Push(_))));
}

#[test]
fn statements_about_types_and_columns_that_are_refused() {
    let err = |sql: &str, part: &str| check_err_in(&scene(), sql, part);
    err("CREATE TYPE ADDR AS INT;", "Cannot register custom type 'ADDR' since it is already");
    err("DROP TYPE X;", "Type X does not exist.");
    err("CREATE TYPE Y AS ARRAY<NOPE>;", "Cannot resolve unknown type: NOPE");
    err("ALTER STREAM X ADD COLUMN A INT;", "Source X does not exist.");
    err("ALTER TABLE S ADD COLUMN Q INT;", "Incompatible data source type is STREAM, but");
    err("ALTER STREAM S ADD COLUMN A INT;", "Cannot add column `A` to schema. A column with the");
    for fine in ["CREATE TYPE IF NOT EXISTS ADDR AS INT;", "DROP TYPE IF EXISTS X;"] {
        assert!(matches!(scene().one(fine), Ok(Analyzed::Nothing(_))), "{fine}");
    }
}
