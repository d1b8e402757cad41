//! Data-driven tests: statements that set the scene, one statement, and what it becomes.

mod create;
mod extensions;
mod flat;
mod group;
mod inserts;
mod joins;
mod olap;
mod pulls;
mod replace;
mod schemas;
mod select;
mod types;

use std::sync::Arc;

use super::{Analyzed, NewQuery, Settings, analyze};
use crate::ast::Statement;
use crate::catalog::{Catalog, Column, ColumnRole, QueryInfo, Source, SourceKind};
use crate::error::{Result, SqlError};
use crate::parser;
use crate::plan::{QueryPlan, SinkNode, as_node};

/// Partitions of topics whose statement does not say.
const PARTITIONS: u32 = 4;

/// The scene of most tests.
const SCENE: &str = "
    CREATE STREAM S (ID INT KEY, A INT, B STRING, C DOUBLE)
        WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
    CREATE STREAM S2 (ID INT KEY, A INT, D STRING)
        WITH (KAFKA_TOPIC='s2', VALUE_FORMAT='JSON');
    CREATE STREAM NK (A INT, B STRING) WITH (KAFKA_TOPIC='nk', FORMAT='JSON');
    CREATE STREAM MK (K1 INT KEY, K2 STRING KEY, V INT, W STRUCT<X INT, Y STRUCT<Z STRING>>)
        WITH (KAFKA_TOPIC='mk', FORMAT='JSON');
    CREATE TABLE T (ID INT PRIMARY KEY, NAME STRING, A INT)
        WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
    CREATE TABLE T2 (ID INT PRIMARY KEY, CITY STRING)
        WITH (KAFKA_TOPIC='t2', VALUE_FORMAT='JSON');
    CREATE TABLE T3 (ID INT PRIMARY KEY, TOWN STRING)
        WITH (KAFKA_TOPIC='t3', VALUE_FORMAT='JSON');
    CREATE STREAM W (ID INT KEY, A INT)
        WITH (KAFKA_TOPIC='w', VALUE_FORMAT='JSON', WINDOW_TYPE='SESSION');
    CREATE STREAM W2 (ID INT KEY, A INT)
        WITH (KAFKA_TOPIC='w2', VALUE_FORMAT='JSON', WINDOW_TYPE='SESSION');
";

fn settings(pairs: &[(&str, &str)]) -> Settings {
    Settings(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect())
}

/// Runs statements against a catalog as the engine would.
struct Scene {
    catalog: Catalog,
    settings: Settings,
    queries: usize,
}

impl Scene {
    fn new(sql: &str) -> Scene {
        let settings = Settings::default();
        let mut scene = Scene { catalog: Catalog::default(), settings, queries: 0 };
        for parsed in parser::parse(sql).expect("the scene parses") {
            scene.run(&parsed.statement, &parsed.text).expect("the scene is valid");
        }
        scene
    }

    fn analyze(&self, statement: &Statement, text: &str) -> Result<Analyzed> {
        analyze(statement, text, &self.catalog, &self.settings)
    }

    fn run(&mut self, statement: &Statement, text: &str) -> Result<Analyzed> {
        let analyzed = self.analyze(statement, text)?;
        match &analyzed {
            Analyzed::CreateSource(new) => self.register(new.source.clone()),
            Analyzed::CreateAs(new) => {
                let prefix = match new.source.kind {
                    SourceKind::Stream => "CSAS",
                    SourceKind::Table => "CTAS",
                };
                let id = format!("{prefix}_{}_{}", new.source.name, self.queries);
                self.queries += 1;
                self.register_query(&id, &new.plan, &new.source);
                self.register(Source { query: Some(id), ..new.source.clone() });
            }
            Analyzed::InsertInto(insert) => {
                let id = format!("INSERTQUERY_{}", self.queries);
                self.queries += 1;
                self.register_query(&id, &insert.plan, &insert.target);
            }
            Analyzed::Drop(drop) => {
                self.catalog.sources.remove(&drop.source.name);
            }
            _ => (),
        }
        Ok(analyzed)
    }

    fn register(&mut self, mut source: Source) {
        if source.partitions == 0 {
            source.partitions = PARTITIONS;
        }
        self.catalog.sources.insert(source.name.clone(), Arc::new(source));
    }

    fn register_query(&mut self, id: &str, plan: &QueryPlan, sink: &Source) {
        let info = QueryInfo {
            id: id.to_string(),
            sql: String::new(),
            reads: plan.reads.clone(),
            writes: sink.name.clone(),
            paused: false,
            materialized: sink.kind == SourceKind::Table,
        };
        self.catalog.queries.insert(id.to_string(), Arc::new(info));
    }

    fn one(&self, sql: &str) -> Result<Analyzed> {
        let parsed = parser::parse(sql)?.pop().expect("one statement");
        self.analyze(&parsed.statement, &parsed.text)
    }
}

fn plan_of(analyzed: &Analyzed) -> &QueryPlan {
    match analyzed {
        Analyzed::CreateAs(new) => &new.plan,
        Analyzed::InsertInto(insert) => &insert.plan,
        Analyzed::Push(plan) | Analyzed::PullStream(plan) => plan,
        other => panic!("no plan in {other:?}"),
    }
}

/// The plan as text, one node a line, indented by two.
#[track_caller]
fn check_in(scene: &Scene, sql: &str, expected: &[&str]) {
    let analyzed = scene.one(sql).unwrap_or_else(|e| panic!("{sql}\n{}", e.render(sql)));
    let text = plan_of(&analyzed).plan.display_indent().to_string();
    let got: Vec<&str> = text.lines().collect();
    assert_eq!(got, expected, "{sql}\n{text}");
}

#[track_caller]
fn check(sql: &str, expected: &[&str]) {
    check_in(&Scene::new(SCENE), sql, expected);
}

/// The sink's columns, e.g. ``K INTEGER KEY, V STRING``.
#[track_caller]
fn check_columns(sql: &str, expected: &str) {
    let analyzed = Scene::new(SCENE).one(sql);
    let analyzed = analyzed.unwrap_or_else(|e| panic!("{sql}\n{}", e.render(sql)));
    let columns: Vec<Column> = match &analyzed {
        Analyzed::CreateSource(new) => new.source.columns.clone(),
        Analyzed::CreateAs(new) => new.source.columns.clone(),
        Analyzed::Pull(plan) => plan.columns.clone(),
        other => panic!("no columns in {other:?}"),
    };
    assert_eq!(describe(&columns), expected, "{sql}");
}

fn describe(columns: &[Column]) -> String {
    let column = |c: &Column| {
        let key = if c.role == ColumnRole::Key { " KEY" } else { "" };
        format!("{} {}{key}", c.name, c.ty)
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn refused(scene: &Scene, sql: &str) -> SqlError {
    match scene.one(sql) {
        Err(error) => error,
        Ok(analyzed) => panic!("{sql}\nwas accepted: {analyzed:?}"),
    }
}

/// The statement is refused with a message that contains `part`.
#[track_caller]
fn check_err_in(scene: &Scene, sql: &str, part: &str) {
    let error = refused(scene, sql);
    assert!(error.message.contains(part), "{sql}\ngot:  {}\nwant: {part}", error.message);
}

#[track_caller]
fn check_err(sql: &str, part: &str) {
    check_err_in(&Scene::new(SCENE), sql, part);
}

/// What a user meets often is told with its place in the text and a hint.
#[test]
fn refusals_have_a_place_and_a_hint() {
    for (sql, place, hint) in [
        (
            "SELECT COUNT(*) FROM S GROUP BY ID EMIT FINAL;",
            "SELECT COUNT(*) FROM S",
            "write EMIT CHANGES",
        ),
        ("CREATE STREAM O AS SELECT A, B FROM S;", "A, B", "add ID to the SELECT list"),
        (
            "CREATE TABLE O AS SELECT B, A, COUNT(*) AS N FROM S GROUP BY A, B;",
            "O",
            "set KEY_FORMAT in the WITH clause",
        ),
        ("INSERT INTO S (ID, A) VALUES (1);", "ID", "give each named column one value"),
        ("INSERT INTO S VALUES (1);", "S", "S has ID, A"),
    ] {
        let error = refused(&Scene::new(SCENE), sql);
        let span = error.span.unwrap_or_else(|| panic!("{sql}: no place for {}", error.message));
        assert!(sql[span.start..span.end].starts_with(place), "{sql}: {}", error.render(sql));
        let told = error.hint.as_deref().unwrap_or_default();
        assert!(told.contains(hint), "{sql}: {}", error.render(sql));
    }
}

fn created(sql: &str) -> Box<NewQuery> {
    match Scene::new(SCENE).one(sql) {
        Ok(Analyzed::CreateAs(new)) => new,
        other => panic!("{sql}\n{other:?}"),
    }
}

fn sink_of(new: &NewQuery) -> &SinkNode {
    as_node::<SinkNode>(&new.plan.plan).expect("the root is a sink")
}
