//! More columns for a table that is there.

use std::collections::BTreeSet;
use std::time::Instant;

use millrace_engine::olap::OlapResult;
use millrace_sql::olap::OlapTable;
use serde_json::{Value, json};

use super::client::{PinotClient, recognised, topic_of};
use crate::olap::limits::{READY_PAUSE, READY_TIMEOUT};

const LISTS: [&str; 3] = ["dimensionFieldSpecs", "metricFieldSpecs", "dateTimeFieldSpecs"];

impl PinotClient<'_> {
    /// Adds what the schema has not, and waits until every partition is read by a segment that knows
    /// it: a segment that is being filled keeps the columns that it began with.
    ///
    /// # Errors
    /// No usable answer, no such table, a column of that name with another type.
    pub fn alter(&self, table: &OlapTable, brokers: &str) -> OlapResult<()> {
        let name = &table.name;
        let Some((schema, config)) = self.present(table)? else {
            return Err(format!("Pinot has no table {name} any more"));
        };
        if topic_of(&config) != Some(&table.topic) {
            return Err(format!("Pinot's table {name} reads another topic than {}", table.topic));
        }
        let wanted = self.understood(table, brokers)?["schema"].clone();
        let schema = extended(&schema, &wanted)
            .map_err(|why| format!("Pinot's table {name} cannot get its columns: {why}"))?;
        let before = self.consuming(table)?.segments;
        let answer = self.site.put(&format!("/schemas/{name}?reload=true"), &schema)?;
        if !answer.is_success() {
            return Err(format!("Pinot does not change schema {name}: {}", answer.message()));
        }
        recognised(&answer)?;
        // A reload renews the segments that are being filled in newer versions only.
        let committed = self.site.post(&format!("/tables/{name}/forceCommit"), &json!({}))?;
        self.await_renewed(table, &before).map_err(|why| match committed.is_success() {
            true => why,
            false => format!("{why}; {}", self.failed(&committed)),
        })
    }

    fn await_renewed(&self, table: &OlapTable, before: &BTreeSet<String>) -> OlapResult<()> {
        let start = Instant::now();
        loop {
            let now = self.consuming(table);
            let renewed = |now: &super::health::Consuming| {
                now.whole && now.segments.intersection(before).next().is_none()
            };
            if now.as_ref().is_ok_and(renewed) {
                return Ok(());
            }
            if start.elapsed() > READY_TIMEOUT {
                let kept = |now: &super::health::Consuming| {
                    let kept = now.segments.intersection(before).next();
                    kept.map(|segment| format!("segment {segment} is still being filled"))
                };
                let kept = now.map(|now| kept(&now).unwrap_or("not all are filled".to_owned()));
                return Err(format!(
                    "Pinot's table {} has new columns, but its segments do not know them after {} \
                     s: {}",
                    table.name,
                    READY_TIMEOUT.as_secs(),
                    kept.unwrap_or_else(|why| why)
                ));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
}

/// The schema that is there, with the fields of `wanted` that it has not. What others have added
/// stays.
///
/// # Errors
/// A field of the same name that is another.
fn extended(schema: &Value, wanted: &Value) -> Result<Value, String> {
    let mut extended = schema.clone();
    for list in LISTS {
        for field in wanted[list].as_array().map(Vec::as_slice).unwrap_or_default() {
            let has = find(schema, &field["name"]);
            match has {
                Some((at, has)) if at == list && has["dataType"] == field["dataType"] => {}
                Some((_, has)) => {
                    return Err(format!(
                        "it has a column {} of type {}, and {} is wanted",
                        field["name"], has["dataType"], field["dataType"]
                    ));
                }
                None => {
                    if extended[list].is_null() {
                        extended[list] = json!([]);
                    }
                    if let Some(fields) = extended[list].as_array_mut() {
                        fields.push(field.clone());
                    }
                }
            }
        }
    }
    Ok(extended)
}

fn find<'a>(schema: &'a Value, name: &Value) -> Option<(&'static str, &'a Value)> {
    LISTS.into_iter().find_map(|list| {
        let fields = schema[list].as_array()?;
        fields.iter().find(|field| field["name"] == *name).map(|field| (list, field))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_only_grow() {
        let field = |name: &str, ty: &str| json!({ "name": name, "dataType": ty });
        let has = json!({ "schemaName": "t", "dimensionFieldSpecs": [
            field("k", "STRING"), { "name": "mine", "dataType": "INT", "defaultNullValue": 7 },
        ]});
        let check = |wanted: Value, expected: Result<&[&str], &str>| {
            let got = extended(&has, &wanted).map(|schema| {
                let of = |list: &str| schema[list].as_array().cloned().unwrap_or_default();
                let all = LISTS.iter().flat_map(|list| of(list));
                all.map(|field| field["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            });
            match (got, expected) {
                (Ok(got), Ok(names)) => assert_eq!(got, names, "{wanted}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{wanted}: {why}"),
                (got, _) => panic!("{wanted}: {got:?}"),
            }
        };
        check(json!({ "dimensionFieldSpecs": [field("k", "STRING")] }), Ok(&["k", "mine"]));
        check(
            json!({
                "dimensionFieldSpecs": [field("k", "STRING"), field("n", "LONG")],
                "metricFieldSpecs": [field("d", "BIG_DECIMAL")],
            }),
            Ok(&["k", "mine", "n", "d"]),
        );
        check(json!({ "dimensionFieldSpecs": [field("mine", "LONG")] }), Err("\"INT\""));
        check(json!({ "metricFieldSpecs": [field("mine", "INT")] }), Err("is wanted"));
    }
}
