//! Tables of a stub, and who reads their topics: a segment or task keeps the columns that it began
//! with, and loses the values of others for good.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, Tp};
use millrace_engine::log::{Cursor, Log, PollLimits, ReadClass};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use crate::local::answer;

/// How long the readers of a table take to be renewed.
const RENEWAL: Duration = Duration::from_millis(700);
const PAUSE: Duration = Duration::from_millis(10);

/// A row as it is kept: columns that it has no value for are left out.
pub type Row = Map<String, Value>;

#[derive(Default)]
pub struct Tables {
    tables: BTreeMap<String, Table>,
    /// Of tables that are not there.
    pub schemas: BTreeMap<String, Value>,
    /// Where the topics are, if rows are read at all.
    pub log: Option<Arc<dyn Log>>,
    /// What a server says of a segment that it fills, for tables of Pinot.
    pub failing: Option<String>,
}

pub struct Table {
    pub document: Value,
    pub topic: String,
    /// Whoever reads from the next renewal on knows them.
    pub columns: BTreeSet<String>,
    /// What the present readers know.
    known: BTreeSet<String>,
    /// Which readers those are.
    pub generation: u32,
    renew_at: Option<Instant>,
    /// The offset after the last record read, by partition.
    pub next: BTreeMap<u32, i64>,
    rows: Vec<Row>,
}

impl Table {
    pub fn new(document: Value, topic: &str, columns: BTreeSet<String>) -> Table {
        Table {
            document,
            topic: topic.to_owned(),
            known: columns.clone(),
            columns,
            generation: 0,
            renew_at: None,
            next: BTreeMap::from([(0, 0)]),
            rows: Vec::new(),
        }
    }

    /// The readers are replaced after a while.
    pub fn renew(&mut self) {
        self.renew_at = Some(Instant::now() + RENEWAL);
    }

    fn settle(&mut self) {
        if self.renew_at.is_some_and(|at| at <= Instant::now()) {
            self.renew_at = None;
            self.generation += 1;
            self.known = self.columns.clone();
        }
    }
}

impl Tables {
    /// None yet.
    pub fn over(log: Option<Arc<dyn Log>>) -> Tables {
        Tables { log, ..Tables::default() }
    }

    pub fn names(&self) -> Vec<String> {
        self.tables.keys().cloned().collect()
    }

    pub fn get(&mut self, name: &str) -> Option<&mut Table> {
        let table = self.tables.get_mut(name)?;
        table.settle();
        Some(table)
    }

    /// It reads all partitions of its topic from then on.
    pub fn add(&mut self, name: &str, mut table: Table) {
        if let Some(log) = &self.log
            && let Ok(Some(info)) = answer(log.as_ref(), || log.describe(&table.topic))
        {
            table.next = (0..info.partitions).map(|partition| (partition, 0)).collect();
        }
        self.tables.insert(name.to_owned(), table);
    }

    pub fn remove(&mut self, name: &str) {
        self.tables.remove(name);
        self.schemas.remove(name);
    }

    pub fn document(&self, name: &str) -> Value {
        self.tables.get(name).map(|table| table.document.clone()).unwrap_or_default()
    }

    pub fn spoil(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        if let Some(table) = self.tables.get_mut(name) {
            change(&mut table.document);
        }
    }

    pub fn rows(&self, name: &str) -> Vec<Row> {
        self.tables.get(name).map(|table| table.rows.clone()).unwrap_or_default()
    }
}

/// Reads what is committed to the topics of all tables, for as long as the process lives.
pub fn read_on(log: &dyn Log, tables: &Mutex<Tables>) {
    let mut cursors: BTreeMap<String, Box<dyn Cursor>> = BTreeMap::new();
    loop {
        let wanted: Vec<(String, String)> = tables
            .lock()
            .tables
            .iter()
            .map(|(n, table)| (n.clone(), table.topic.clone()))
            .collect();
        cursors.retain(|name, _| wanted.iter().any(|(wanted, _)| wanted == name));
        for (name, topic) in wanted {
            if !cursors.contains_key(&name) {
                let Ok(Some(info)) = answer(log, || log.describe(&topic)) else { continue };
                let tps = (0..info.partitions).map(|p| (Tp::new(info.id, p), Offset(0)));
                let mut cursor = log.cursor(ReadClass::Restore);
                cursor.assign(&tps.collect::<Vec<_>>());
                cursors.insert(name.clone(), cursor);
            }
            if let Some(cursor) = cursors.get_mut(&name) {
                read(cursor.as_mut(), &name, tables);
            }
        }
        std::thread::sleep(PAUSE);
    }
}

fn read(cursor: &mut dyn Cursor, name: &str, tables: &Mutex<Tables>) {
    let mut batches = Vec::new();
    let limits = PollLimits { records_max: 200, bytes_max: 1 << 20 };
    if cursor.poll(&limits, &mut batches).is_err() {
        return;
    }
    let mut tables = tables.lock();
    let Some(table) = tables.get(name) else { return };
    for batch in &batches {
        for at in 0..batch.records.len() {
            let row = batch.value(at).and_then(|value| serde_json::from_slice::<Row>(value).ok());
            let Some(mut row) = row else { continue };
            row.retain(|column, _| table.known.contains(column));
            table.rows.push(row);
        }
        if let Some(position) = cursor.position(batch.tp) {
            table.next.insert(batch.tp.partition.0, position.next.0);
        }
    }
}
