//! The client of a controller.

use std::time::Instant;

use millrace_engine::olap::{OlapResult, OlapState};
use millrace_sql::olap::OlapTable;
use serde_json::Value;

use super::document::{Dialect, documents};
use super::health::{self, Consuming};
use crate::olap::http::{Answer, Site};
use crate::olap::limits::{READY_PAUSE, READY_TIMEOUT};
use crate::olap::same::difference;

/// Talks to a controller.
pub struct PinotClient<'a> {
    pub(super) site: Site<'a>,
}

/// What is to be done for a table.
pub enum Plan {
    /// It is there just so.
    Present,
    Make {
        document: Value,
        /// A making that broke off has left the schema, which is in the way.
        half: bool,
    },
}

impl<'a> PinotClient<'a> {
    pub fn new(site: Site<'a>) -> Self {
        PinotClient { site }
    }

    /// What is to be done; the document is one that this version understands wholly.
    ///
    /// # Errors
    /// No usable answer, a document that is refused, another table of that name.
    pub fn check(&self, table: &OlapTable, brokers: &str) -> OlapResult<Plan> {
        let document = self.understood(table, brokers)?;
        let Some((schema, config)) = self.present(table)? else {
            let half = self.has_half(&table.name, &document["schema"])?;
            return Ok(Plan::Make { document, half });
        };
        let other = difference(&document["schema"], &without_defaults(&schema))
            .or_else(|| self.config_differs(&document["realtime"], &config));
        match other {
            None => Ok(Plan::Present),
            Some(why) => Err(format!(
                "Pinot has a table {} of another shape already ({why}); name another one with \
                 TABLE in WITH, or delete it there",
                table.name
            )),
        }
    }

    /// # Errors
    /// As for [`Self::check`], or it does not get ready; then it is deleted again.
    pub fn create(&self, table: &OlapTable, brokers: &str) -> OlapResult<()> {
        let Plan::Make { document, half } = self.check(table, brokers)? else {
            return self.await_ready(table);
        };
        if half {
            self.site.delete(&format!("/tableConfigs/{}", table.name))?;
        }
        let made = self.site.post("/tableConfigs", &document).and_then(|answer| {
            match answer.is_success() {
                true => recognised(&answer),
                false => {
                    Err(format!("Pinot does not make table {}: {}", table.name, answer.message()))
                }
            }
        });
        made.and_then(|()| self.await_ready(table)).map_err(|why| match self.delete(table) {
            Ok(()) => why,
            Err(left) => format!("{why}; it may be there in part, and was not deleted: {left}"),
        })
    }

    /// # Errors
    /// No usable answer, or the table of that name reads another topic.
    pub fn delete(&self, table: &OlapTable) -> OlapResult<()> {
        let name = &table.name;
        if let Some((_, config)) = self.present(table)?
            && topic_of(&config) != Some(&table.topic)
        {
            return Err(format!(
                "Pinot's table {name} reads another topic than {}: it is not this sink's",
                table.topic
            ));
        }
        let answer = self.site.delete(&format!("/tableConfigs/{name}"))?;
        if answer.is_success() || answer.status == 404 {
            return self.await_gone(name);
        }
        Err(format!("Pinot does not delete table {name}: {}", answer.message()))
    }

    /// # Errors
    /// No usable answer.
    pub fn state(&self, table: &OlapTable) -> OlapResult<OlapState> {
        if self.present(table)?.is_none() {
            return Ok(OlapState {
                state: "MISSING".to_owned(),
                last_error: Some(format!("Pinot has no table {} any more", table.name)),
                ..OlapState::default()
            });
        }
        let consuming = self.consuming(table)?;
        let debug = self.site.get(&format!("/debug/tables/{}?type=REALTIME", table.name))?;
        let debug = if debug.is_success() { debug.json() } else { Value::Null };
        Ok(health::told(consuming, &debug))
    }

    /// The first of our documents that the server understands to the last word.
    ///
    /// # Errors
    /// No usable answer, or it understands none.
    pub fn understood(&self, table: &OlapTable, brokers: &str) -> OlapResult<Value> {
        let mut refusals = Vec::new();
        for dialect in [Dialect::Current, Dialect::Old] {
            let document = documents(table, brokers, dialect);
            let answer = self.site.ask("/tableConfigs/validate", &document)?;
            match answer.status {
                404 | 405 => {
                    return Err(format!(
                        "{} is no Pinot controller, or one before 0.10: it has no /tableConfigs",
                        self.site.url
                    ));
                }
                _ if !answer.is_success() => refusals.push(answer.message()),
                _ => match recognised(&answer) {
                    Ok(()) => return Ok(document),
                    Err(why) => refusals.push(why),
                },
            }
        }
        Err(format!("Pinot at {} refuses the table: {}", self.site.url, refusals.join("; or ")))
    }

    /// Schema and configuration of the table, if it is there.
    pub(super) fn present(&self, table: &OlapTable) -> OlapResult<Option<(Value, Value)>> {
        let name = &table.name;
        let answer = self.site.get(&format!("/tables/{name}?type=realtime"))?;
        let config = answer.json()["REALTIME"].clone();
        match answer.status {
            404 => return Ok(None),
            _ if !answer.is_success() => return Err(self.failed(&answer)),
            _ if config.is_null() => return Ok(None),
            _ => {}
        }
        let schema = self.site.get(&format!("/schemas/{name}"))?;
        Ok(Some((schema.json(), config)))
    }

    /// True if there is just this schema, without a table.
    ///
    /// # Errors
    /// No usable answer, or another schema of that name.
    fn has_half(&self, name: &str, wanted: &Value) -> OlapResult<bool> {
        let answer = self.site.get(&format!("/schemas/{name}"))?;
        if !answer.is_success() {
            return if answer.status == 404 { Ok(false) } else { Err(self.failed(&answer)) };
        }
        match difference(wanted, &without_defaults(&answer.json())) {
            None => Ok(true),
            Some(why) => Err(format!(
                "Pinot has a schema {name} of another shape already, without a table ({why}); name \
                 another table with TABLE in WITH, or delete that schema there"
            )),
        }
    }

    fn config_differs(&self, wanted: &Value, has: &Value) -> Option<String> {
        let mut wanted = wanted.clone();
        // Pinot gives the name back with its kind.
        if let Some(name) = wanted["tableName"].as_str().map(|name| format!("{name}_REALTIME")) {
            wanted["tableName"] = name.into();
        }
        difference(&wanted, has)
    }

    pub(super) fn consuming(&self, table: &OlapTable) -> OlapResult<Consuming> {
        let answer = self.site.get(&format!("/tables/{}/consumingSegmentsInfo", table.name))?;
        if !answer.is_success() {
            return Err(self.failed(&answer));
        }
        Ok(Consuming::of(&answer.json()))
    }

    fn await_ready(&self, table: &OlapTable) -> OlapResult<()> {
        let start = Instant::now();
        loop {
            let state = self.consuming(table);
            if state.as_ref().is_ok_and(|consuming| consuming.whole) {
                return Ok(());
            }
            if start.elapsed() > READY_TIMEOUT {
                let why = state.err().unwrap_or_else(|| "no segment consumes".to_owned());
                let seconds = READY_TIMEOUT.as_secs();
                return Err(format!(
                    "Pinot's table {} does not read topic {} after {seconds} s: {why}",
                    table.name, table.topic
                ));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }

    fn await_gone(&self, name: &str) -> OlapResult<()> {
        let start = Instant::now();
        while start.elapsed() < READY_TIMEOUT {
            let view = self.site.get(&format!("/tables/{name}/externalview"))?;
            let there = view.is_success() && view.json()["REALTIME"].is_object();
            if !there {
                return Ok(());
            }
            std::thread::sleep(READY_PAUSE);
        }
        Err(format!("Pinot's servers still hold table {name}; try again"))
    }

    pub(super) fn failed(&self, answer: &Answer) -> String {
        format!("Pinot at {} fails: {} ({})", self.site.url, answer.message(), answer.status)
    }
}

/// # Errors
/// When the server left out something that it does not know.
pub(super) fn recognised(answer: &Answer) -> OlapResult<()> {
    let unknown = &answer.json()["unrecognizedProperties"];
    match unknown.as_object().is_some_and(|unknown| !unknown.is_empty()) {
        true => Err(format!("this version does not know {unknown}")),
        false => Ok(()),
    }
}

pub(super) fn topic_of(config: &Value) -> Option<&str> {
    let streams = &config["ingestionConfig"]["streamIngestionConfig"]["streamConfigMaps"];
    streams[0]["stream.kafka.topic.name"].as_str()
}

/// Lists that an answer leaves out when they are empty.
fn without_defaults(schema: &Value) -> Value {
    let mut schema = schema.clone();
    for list in ["dimensionFieldSpecs", "metricFieldSpecs", "dateTimeFieldSpecs"] {
        if schema[list].is_null() {
            schema[list] = Value::Array(Vec::new());
        }
    }
    schema
}
