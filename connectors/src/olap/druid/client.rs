//! The client of a router.

use std::collections::BTreeMap;
use std::time::Instant;

use millrace_engine::olap::{OlapResult, OlapState};
use millrace_sql::olap::OlapTable;
use serde_json::Value;

use super::spec::spec;
use crate::olap::http::{Answer, Site};
use crate::olap::limits::{READY_PAUSE, READY_TIMEOUT};
use crate::olap::same::difference;

pub(super) const SUPERVISOR: &str = "/druid/indexer/v1/supervisor";

/// Talks to a router, which knows the way to overlord and coordinator.
pub struct DruidClient<'a> {
    pub(super) site: Site<'a>,
}

/// What is to be done for a table.
pub enum Plan {
    /// It is there just so.
    Present,
    Make(Value),
}

impl<'a> DruidClient<'a> {
    pub fn new(site: Site<'a>) -> Self {
        DruidClient { site }
    }

    /// # Errors
    /// No usable answer, or something of that name that is not this sink's.
    pub fn check(&self, table: &OlapTable, brokers: &str) -> OlapResult<Plan> {
        let (name, spec) = (&table.name, spec(table, brokers));
        if let Some(has) = self.present(name)? {
            return match difference(&spec, &has) {
                None => Ok(Plan::Present),
                Some(why) => Err(format!(
                    "Druid has a supervisor {name} of another shape already ({why}); name \
                     another datasource with TABLE in WITH, or terminate it there"
                )),
            };
        }
        let rows = self.site.get(&format!("/druid/coordinator/v1/datasources/{name}"))?;
        match rows.status {
            404 | 204 => Ok(Plan::Make(spec)),
            200 => Err(format!(
                "Druid has a datasource {name} with rows already; name another one with TABLE in \
                 WITH, or drop it there"
            )),
            _ => Err(self.failed(&rows)),
        }
    }

    /// # Errors
    /// As for [`Self::check`], or it does not get ready; then it is terminated again.
    pub fn create(&self, table: &OlapTable, brokers: &str) -> OlapResult<()> {
        let name = &table.name;
        let Plan::Make(spec) = self.check(table, brokers)? else { return self.await_ready(table) };
        let made = self.site.post(SUPERVISOR, &spec).and_then(|answer| match answer.is_success() {
            true => self.recognised(name, &spec),
            false => Err(format!("Druid refuses supervisor {name}: {}", answer.message())),
        });
        made.and_then(|()| self.await_ready(table)).map_err(|why| match self.delete(table) {
            Ok(()) => why,
            Err(left) => format!("{why}; it may be there, and was not terminated: {left}"),
        })
    }

    /// Ends the supervisor, waits for its tasks, and gives up the rows.
    ///
    /// # Errors
    /// No usable answer, a supervisor of another topic, tasks that do not end.
    pub fn delete(&self, table: &OlapTable) -> OlapResult<()> {
        let name = &table.name;
        let Some(has) = self.present(name)? else { return self.drop_rows(name) };
        if has["spec"]["ioConfig"]["topic"] != table.topic.as_str() {
            return Err(format!(
                "Druid's supervisor {name} reads another topic than {}: it is not this sink's",
                table.topic
            ));
        }
        let nothing = Value::Object(serde_json::Map::new());
        let ended = self.site.post(&format!("{SUPERVISOR}/{name}/terminate"), &nothing)?;
        if !ended.is_success() && ended.status != 404 {
            return Err(self.failed(&ended));
        }
        // A task that publishes later would bring its rows back.
        let start = Instant::now();
        while self.has_tasks(name)? {
            if start.elapsed() > READY_TIMEOUT {
                return Err(format!("Druid's tasks of {name} do not end; try again"));
            }
            std::thread::sleep(READY_PAUSE);
        }
        self.drop_rows(name)
    }

    /// # Errors
    /// No usable answer.
    pub fn state(&self, table: &OlapTable) -> OlapResult<OlapState> {
        let answer = self.site.get(&format!("{SUPERVISOR}/{}/status", table.name))?;
        if answer.status == 404 {
            return Ok(OlapState {
                state: "MISSING".to_owned(),
                last_error: Some(format!("Druid has no supervisor {} any more", table.name)),
                ..OlapState::default()
            });
        }
        if !answer.is_success() {
            return Err(self.failed(&answer));
        }
        let status = answer.json();
        let last_error = match recent_error(&status["payload"]) {
            None => self.parse_error(&table.name)?,
            some => some,
        };
        let (state, next) = read_status(&status["payload"]);
        Ok(OlapState { state, read: None, next, last_error })
    }

    pub(super) fn present(&self, name: &str) -> OlapResult<Option<Value>> {
        let answer = self.site.get(&format!("{SUPERVISOR}/{name}"))?;
        match answer.status {
            // A supervisor that is not there has a text for an answer; so has a wrong server.
            404 => self.is_druid().map(|()| None),
            _ if answer.is_success() => Ok(Some(answer.json())),
            _ => Err(self.failed(&answer)),
        }
    }

    fn is_druid(&self) -> OlapResult<()> {
        let answer = self.site.get("/druid/indexer/v1/supervisor")?;
        match answer.is_success() && answer.json().is_array() {
            true => Ok(()),
            false => Err(format!(
                "{} is no Druid router with its management proxy, and no overlord: {}",
                self.site.url,
                answer.message()
            )),
        }
    }

    /// Druid drops what it does not know without a word: what it gives back tells.
    pub(super) fn recognised(&self, name: &str, spec: &Value) -> OlapResult<()> {
        let has = self.present(name)?.unwrap_or_default();
        match difference(spec, &has) {
            None => Ok(()),
            Some(why) => Err(format!("Druid did not understand all of supervisor {name}: {why}")),
        }
    }

    fn await_ready(&self, table: &OlapTable) -> OlapResult<()> {
        let start = Instant::now();
        loop {
            let answer = self.site.get(&format!("{SUPERVISOR}/{}/status", table.name));
            let status = answer.map(|answer| answer.json()["payload"].clone());
            if status.as_ref().is_ok_and(runs) {
                return Ok(());
            }
            if start.elapsed() > READY_TIMEOUT {
                let why = match status {
                    Err(why) => why,
                    Ok(status) => recent_error(&status).unwrap_or_else(|| {
                        "no task reads it; are there enough slots for tasks?".to_owned()
                    }),
                };
                let seconds = READY_TIMEOUT.as_secs();
                return Err(format!(
                    "Druid's supervisor {} does not read topic {} after {seconds} s: {why}",
                    table.name, table.topic
                ));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }

    fn has_tasks(&self, name: &str) -> OlapResult<bool> {
        for state in ["running", "pending", "waiting"] {
            let path = format!("/druid/indexer/v1/tasks?state={state}&datasource={name}");
            let answer = self.site.get(&path)?;
            if !answer.is_success() {
                return Err(self.failed(&answer));
            }
            if answer.json().as_array().is_some_and(|tasks| !tasks.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn drop_rows(&self, name: &str) -> OlapResult<()> {
        let answer = self.site.delete(&format!("/druid/coordinator/v1/datasources/{name}"))?;
        if answer.is_success() || matches!(answer.status, 404) {
            return Ok(());
        }
        Err(format!("Druid does not drop the rows of {name}: {}", answer.message()))
    }

    /// The newest row that could not be read.
    fn parse_error(&self, name: &str) -> OlapResult<Option<String>> {
        let answer = self.site.get(&format!("{SUPERVISOR}/{name}/parseErrors"))?;
        let errors = answer.json();
        Ok(errors[0]["details"][0].as_str().map(str::to_owned))
    }

    pub(super) fn failed(&self, answer: &Answer) -> String {
        format!("Druid at {} fails: {} ({})", self.site.url, answer.message(), answer.status)
    }
}

/// `RUNNING` alone proves little: it holds while the task waits for a slot.
pub(super) fn runs(status: &Value) -> bool {
    let tasks = status["activeTasks"].as_array().is_some_and(|tasks| !tasks.is_empty());
    status["state"] == "RUNNING" && tasks
}

pub(super) fn recent_error(status: &Value) -> Option<String> {
    let errors = status["recentErrors"].as_array()?;
    errors.last()?["message"].as_str().map(str::to_owned)
}

fn read_status(status: &Value) -> (String, BTreeMap<u32, i64>) {
    let state = status["state"].as_str().unwrap_or("UNKNOWN").to_owned();
    let mut next = BTreeMap::new();
    let tasks = status["activeTasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    for offsets in tasks.iter().filter_map(|task| task["currentOffsets"].as_object()) {
        for (partition, offset) in offsets {
            if let (Ok(partition), Some(offset)) = (partition.parse(), offset.as_i64()) {
                next.insert(partition, offset);
            }
        }
    }
    (state, next)
}
