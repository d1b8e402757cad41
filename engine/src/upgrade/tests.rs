//! Which queries can go on as which others.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_sql::analyze::{Analyzed, NewQuery, Settings, analyze};
use millrace_sql::catalog::Catalog;
use millrace_sql::parser;

use super::upgraded;
use crate::error::Result;
use crate::topology::Topology;

const SCENE: &str = "
    CREATE STREAM S (K INT KEY, A INT, B STRING) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
    CREATE STREAM R (K INT KEY, A INT, B STRING) WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON');
    CREATE TABLE T (K INT PRIMARY KEY, A INT, B STRING)
        WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON');
";

fn run(catalog: &mut Catalog, sql: &str) -> Option<NewQuery> {
    let statement = parser::parse_statement(sql).unwrap();
    let settings = Settings::from(&BTreeMap::new());
    match analyze(&statement, sql, catalog, &settings).unwrap_or_else(|e| panic!("{sql}: {e}")) {
        Analyzed::CreateSource(new) => {
            let mut source = new.source;
            source.partitions = 2;
            catalog.sources.insert(source.name.clone(), Arc::new(source));
            None
        }
        Analyzed::CreateAs(new) => {
            catalog.sources.insert(new.source.name.clone(), Arc::new(new.source.clone()));
            Some(*new)
        }
        other => panic!("{other:?}"),
    }
}

fn upgrade(old: &str, new: &str) -> Result<Topology> {
    let mut catalog = Catalog::default();
    for statement in SCENE.split_inclusive(';').filter(|s| s.contains("CREATE")) {
        run(&mut catalog, statement);
    }
    let old = run(&mut catalog, &format!("CREATE {old};")).unwrap();
    let new = run(&mut catalog, &format!("CREATE OR REPLACE {new};")).unwrap();
    upgraded(&Topology::of(&old.plan).unwrap(), &new.plan)
}

#[track_caller]
fn fits(old: &str, new: &str) -> Topology {
    upgrade(old, new).unwrap_or_else(|e| panic!("{old}\n{new}\n{e}"))
}

#[track_caller]
fn refused(old: &str, new: &str, why: &str) {
    match upgrade(old, new) {
        Ok(_) => panic!("{old}\n{new}\nwas accepted"),
        Err(error) => assert!(error.to_string().contains(why), "{new}\n{error}"),
    }
}

#[test]
fn filters_and_projections_come_and_go() {
    fits("STREAM O AS SELECT K, A FROM S", "STREAM O AS SELECT K, A, B FROM S WHERE A > 1");
    fits("STREAM O AS SELECT K, A FROM S WHERE B = 'x'", "STREAM O AS SELECT K, A + 1 AS A FROM S");
    fits("TABLE O AS SELECT K, A FROM T", "TABLE O AS SELECT K, A, B FROM T");
    fits(
        "TABLE O AS SELECT A, COUNT(*) AS N FROM S GROUP BY A",
        "TABLE O AS SELECT A, COUNT(*) * 2 AS N FROM S WHERE B = 'x' GROUP BY A HAVING COUNT(*) > 1",
    );
    fits(
        "STREAM O AS SELECT S.K, S.A, R.B FROM S JOIN R WITHIN 1 HOUR ON S.K = R.K",
        "STREAM O AS SELECT S.K, S.A, R.B FROM S JOIN R WITHIN 1 HOUR ON S.K = R.K WHERE S.A > 1",
    );
}

#[test]
fn stores_keep_their_numbers() {
    let names = |t: &Topology| t.stores.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
    // The new filter does without a store of what was there; the old one's stays behind.
    let with = fits("TABLE O AS SELECT K, A FROM T", "TABLE O AS SELECT K, A FROM T WHERE A > 1");
    assert_eq!(names(&with), ["Project"]);
    let without =
        fits("TABLE O AS SELECT K, A FROM T WHERE A > 1", "TABLE O AS SELECT K, A FROM T");
    assert_eq!(names(&without), ["Project", "KsqlTopic-Reduce"]);
    assert_eq!(without.materialized(), Some(0));
}

#[test]
fn what_holds_state_stays() {
    let matching = "Query is not upgradeable. Plan step of type";
    refused(
        "TABLE O AS SELECT A, SUM(A) AS N FROM S GROUP BY A",
        "TABLE O AS SELECT A, SUM(K) AS N FROM S GROUP BY A",
        "must have matching schema",
    );
    refused(
        "TABLE O AS SELECT K, SUM(A) AS N FROM S GROUP BY K",
        "TABLE O AS SELECT K, MAX(A) AS N FROM S GROUP BY K",
        "StreamAggregate must have matching aggregate functions",
    );
    refused(
        "TABLE O AS SELECT A AS X, COUNT(*) AS N FROM S GROUP BY A",
        "TABLE O AS SELECT K AS X, COUNT(*) AS N FROM S GROUP BY K",
        "Query is not upgradeable.",
    );
    refused(
        "TABLE O AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 HOUR) GROUP BY K",
        "TABLE O AS SELECT K, COUNT(*) AS N FROM S WINDOW TUMBLING (SIZE 1 HOUR, GRACE PERIOD 1 HOUR) \
         GROUP BY K",
        "must have matching window",
    );
    refused(
        "STREAM O AS SELECT K, A FROM S",
        "STREAM O AS SELECT K, A FROM R",
        "Query is not upgradeable. Plan step of type StreamSource must have matching topicName. \
         Values differ: \"s\" vs. \"r\"",
    );
    refused(
        "STREAM O AS SELECT S.K AS K, S.A AS A FROM S",
        "STREAM O AS SELECT S.K AS K, S.A AS A FROM S JOIN T ON S.K = T.K",
        "Query is not upgradeable. Cannot change a non-join source into a join source.",
    );
    refused(
        "STREAM O AS SELECT S.K, S.A, R.B FROM S JOIN R WITHIN 1 HOUR ON S.K = R.K",
        "STREAM O AS SELECT S.K, S.A, R.B FROM S JOIN R WITHIN 2 HOURS ON S.K = R.K",
        matching,
    );
}
