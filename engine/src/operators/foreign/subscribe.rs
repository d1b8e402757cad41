//! What a change of a left row asks of the right side, and what it says at once.

use arrow::array::{Array, ArrayRef};
use arrow::compute;
use hashbrown::HashMap;
use millrace_sql::plan::{ForeignJoinNode, JoinKind};

use super::messages::{Ask, types};
use super::{columns, numbered, unnumbered};
use crate::batch::Batch;
use crate::codec::buffer::{KeyBuffer, RowBuffer};
use crate::codec::key::KeyCodec;
use crate::codec::row::RowCodec;
use crate::error::Result;
use crate::operators::StepContext;
use crate::state::{Shape, StoreId};

/// Keeps the left rows and compares each with the one before.
pub(super) struct Subscriber {
    pub store: StoreId,
    kind: JoinKind,
    key: Vec<usize>,
    foreign: usize,
    keys: KeyCodec,
    foreign_keys: KeyCodec,
    rows: RowCodec,
    /// Changes so far; each has a number of its own.
    pub number: i64,
}

/// What a batch of changes gives. Rows are rows of the batch.
#[derive(Default)]
pub(super) struct Changes {
    /// Subscriptions: where the foreign key is (see [`Changes::keys`]), row, number, ask.
    pub foreign: Vec<u32>,
    pub asker: Vec<u32>,
    pub number: Vec<i64>,
    pub ask: Vec<i32>,
    /// Results that need no answer: row, and whether it lives without a right row.
    pub row: Vec<u32>,
    pub live: Vec<bool>,
    /// Foreign keys of the batch, then of the rows that it replaces.
    pub keys: Option<ArrayRef>,
}

/// A foreign key: where it is, and what it is.
#[derive(Clone, Copy)]
struct Place<'a> {
    at: u32,
    null: bool,
    id: &'a [u8],
}

impl Subscriber {
    /// `store`: the left rows of this task's partition.
    pub fn new(node: &ForeignJoinNode, store: StoreId) -> Result<Self> {
        let types = types(&node.left)?;
        let key_types: Vec<_> = node.left_key.iter().map(|i| types[*i].clone()).collect();
        Ok(Subscriber {
            store,
            kind: node.kind,
            key: node.left_key.clone(),
            foreign: node.foreign_key,
            keys: KeyCodec::new(&key_types),
            foreign_keys: KeyCodec::new(std::slice::from_ref(&types[node.foreign_key])),
            rows: RowCodec::new(&types),
            number: 0,
        })
    }

    /// Rows whose key is there at all; a table has no row without one.
    pub fn keyed(&self, batch: &Batch) -> Result<Batch> {
        let keys = columns(&batch.rows, &self.key);
        let is_keyed = |row: usize| keys.iter().any(|key| key.is_valid(row));
        batch.filter(&(0..batch.len()).map(is_keyed).collect())
    }

    /// Writes the rows of `batch`, all of them keyed.
    pub fn take(&mut self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<Changes> {
        let (mut keys, mut rows) = (KeyBuffer::new(), RowBuffer::new());
        self.keys.encode(&columns(&batch.rows, &self.key), &mut keys)?;
        self.rows.encode(batch.rows.columns(), 0..batch.len(), &mut rows)?;
        let values = ctx.state.get_many(self.store, Shape::KeyValue, &keys.slices())?;
        let foreign = self.foreign_of(batch, &values)?;
        let mut ids = KeyBuffer::new();
        self.foreign_keys.encode(std::slice::from_ref(&foreign), &mut ids)?;
        let place = |at: usize| Place { at: at as u32, null: foreign.is_null(at), id: ids.get(at) };

        let mut changes = Changes::default();
        let mut last: HashMap<&[u8], Option<usize>> = HashMap::new();
        let mut next_stored = batch.len();
        for (row, value) in values.iter().enumerate() {
            let before = value.is_some().then_some(next_stored);
            next_stored += usize::from(value.is_some());
            let (key, time) = (keys.get(row), batch.times[row]);
            let new = batch.is_live(row).then_some(row);
            let old = last.insert(key, new).unwrap_or(before);
            self.number += 1;
            self.compare(old.map(place), new.map(place), row, &mut changes);
            let value = new.map(|row| numbered(self.number, time, rows.get(row)));
            ctx.state.put(self.store, Shape::KeyValue, key, value.as_deref(), time)?;
        }
        changes.keys = Some(foreign);
        Ok(changes)
    }

    fn foreign_of(&self, batch: &Batch, values: &[Option<Vec<u8>>]) -> Result<ArrayRef> {
        let stored = values.iter().flatten().map(|value| Ok(unnumbered(value)?.1));
        let stored: Vec<&[u8]> = stored.collect::<Result<_>>()?;
        let foreign = batch.column(self.foreign).clone();
        if stored.is_empty() {
            return Ok(foreign);
        }
        let before = &self.rows.decode(&stored)?[self.foreign];
        Ok(compute::concat(&[foreign.as_ref(), before.as_ref()])?)
    }

    /// A change from foreign key `old` to `new`; `None`: there is no row.
    fn compare(&self, old: Option<Place>, new: Option<Place>, row: usize, changes: &mut Changes) {
        let left = self.kind == JoinKind::Left;
        let asked = old.filter(|old| !old.null);
        let key = new.filter(|new| !new.null);
        let changed = asked.filter(|old| key.is_none_or(|key| key.id != old.id));
        if let Some(old) = changed {
            self.ask(old, row, Ask::Forget, changes);
        }
        match (new, key) {
            (_, Some(key)) => {
                // What the row before joined must be unset where the new key joins nothing.
                let tell = left || changed.is_some();
                self.ask(key, row, if tell { Ask::Tell } else { Ask::TellIfFound }, changes);
            }
            (Some(_), None) if left => changes.tell(row, true),
            // Whether it had joined something is known to nobody here.
            (Some(_), None) if asked.is_some() => changes.tell(row, false),
            (None, None) if asked.is_some() || (left && old.is_some()) => changes.tell(row, false),
            _ => {}
        }
    }

    fn ask(&self, place: Place, row: usize, ask: Ask, changes: &mut Changes) {
        changes.foreign.push(place.at);
        changes.asker.push(row as u32);
        changes.number.push(self.number);
        changes.ask.push(ask as i32);
    }
}

impl Changes {
    fn tell(&mut self, row: usize, live: bool) {
        self.row.push(row as u32);
        self.live.push(live);
    }
}
