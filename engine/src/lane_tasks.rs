//! Which tasks a lane has, and what goes when their query is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::lane::Lane;
use crate::progress::{self, TaskKey};
use crate::query::QueryDef;
use crate::task::Task;

impl Lane {
    /// Tasks that this lane should run.
    pub(crate) fn wanted(&self) -> BTreeMap<TaskKey, Arc<QueryDef>> {
        let mut wanted = BTreeMap::new();
        let runnable = self.registry.runnable().into_iter();
        for query in runnable.filter(|query| self.trials.admits(&query.id)) {
            for key in self.own_tasks(&query) {
                wanted.insert(key, query.clone());
            }
        }
        wanted
    }

    /// A task that cannot be made stops its query only.
    pub(crate) fn make_tasks(
        &mut self,
        wanted: Vec<(TaskKey, Arc<QueryDef>)>,
    ) -> Result<Vec<Task>> {
        let mut tasks = Vec::with_capacity(wanted.len());
        for (key, query) in wanted {
            match Task::new(query, key.clone(), self.world.formats.as_ref(), &self.world.caches) {
                Ok(task) => tasks.push(task),
                Err(error) => self.eject(&key.query, &error.to_string()),
            }
        }
        Ok(tasks)
    }

    /// Progress and stores of queries that no longer exist.
    pub(crate) fn forget_dropped(&mut self) {
        let exists = |id: &str| self.registry.get(id).is_some();
        self.restored.retain(|query, _| exists(query));
        let gone: Vec<String> = self
            .progress
            .keys()
            .filter(|key| progress::query_of(key).is_some_and(|query| !exists(query)))
            .cloned()
            .collect();
        if !gone.is_empty() {
            self.obsolete = gone;
            self.header_due();
        }
        for (store, shape) in self.registry.take_dropped_stores(self.id) {
            self.state.drop_store(store, shape);
            self.remove_changelog(store);
        }
    }
}
