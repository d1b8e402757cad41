//! More columns for a datasource that is there.

use std::collections::BTreeSet;
use std::time::Instant;

use millrace_engine::olap::OlapResult;
use millrace_sql::olap::OlapTable;
use serde_json::Value;

use super::client::{DruidClient, SUPERVISOR, recent_error, runs};
use super::spec::spec;
use crate::olap::limits::{READY_PAUSE, READY_TIMEOUT};
use crate::olap::same::difference;

impl DruidClient<'_> {
    /// Gives the supervisor more dimensions, and waits until tasks read that know them: those that
    /// run read on with what they began with.
    ///
    /// # Errors
    /// No usable answer, no such supervisor, or one that somebody else has changed.
    pub fn alter(&self, old: &OlapTable, new: &OlapTable, brokers: &str) -> OlapResult<()> {
        let name = &new.name;
        let Some(has) = self.present(name)? else {
            return Err(format!("Druid has no supervisor {name} any more"));
        };
        let wanted = spec(new, brokers);
        let others = [&spec(old, brokers), &wanted].map(|spec| difference(spec, &has));
        if let [Some(why), Some(_)] = others {
            return Err(format!(
                "Druid's supervisor {name} was changed by somebody else ({why}); change it back"
            ));
        }
        let before = self.active_tasks(name)?;
        let answer = self.site.post(SUPERVISOR, &wanted)?;
        if !answer.is_success() {
            return Err(format!("Druid refuses supervisor {name}: {}", answer.message()));
        }
        self.recognised(name, &wanted)?;
        // Newer versions tell when the tasks that run know all of it already.
        let before = if answer.json()["restarted"] == false { BTreeSet::new() } else { before };
        self.await_renewed(new, &before)
    }

    fn active_tasks(&self, name: &str) -> OlapResult<BTreeSet<String>> {
        let answer = self.site.get(&format!("{SUPERVISOR}/{name}/status"))?;
        match answer.is_success() {
            true => Ok(ids(&answer.json()["payload"])),
            false => Err(self.failed(&answer)),
        }
    }

    fn await_renewed(&self, table: &OlapTable, before: &BTreeSet<String>) -> OlapResult<()> {
        let start = Instant::now();
        loop {
            let answer = self.site.get(&format!("{SUPERVISOR}/{}/status", table.name));
            let status = answer.map(|answer| answer.json()["payload"].clone());
            let renewed =
                |status: &Value| runs(status) && ids(status).intersection(before).next().is_none();
            if status.as_ref().is_ok_and(renewed) {
                return Ok(());
            }
            if start.elapsed() > READY_TIMEOUT {
                let why = status.map(|status| recent_error(&status));
                let why = why.unwrap_or_else(Some);
                return Err(format!(
                    "Druid's supervisor {} knows new columns, but none of its tasks reads with \
                     them after {} s: {}",
                    table.name,
                    READY_TIMEOUT.as_secs(),
                    why.as_deref().unwrap_or("are there enough slots for tasks?")
                ));
            }
            std::thread::sleep(READY_PAUSE);
        }
    }
}

/// Of the tasks that read.
fn ids(status: &Value) -> BTreeSet<String> {
    let tasks = status["activeTasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    tasks.iter().filter_map(|task| task["id"].as_str().map(str::to_owned)).collect()
}
