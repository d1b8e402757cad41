//! What of a store a pull query reads: point lookups and ranges where its WHERE clause allows, and
//! only the partitions that its keys can be in.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use datafusion::scalar::ScalarValue;
use millrace_sql::lookup::{Bounds, Keys, Lookup};
use millrace_sql::types::SqlType;

use crate::codec::buffer::KeyBuffer;
use crate::codec::key::KeyCodec;
use crate::error::{EngineError, Result};
use crate::format::{EncodedRows, partition_for_key};
use crate::ids::LaneId;
use crate::query::QueryDef;
use crate::service::Inner;
use crate::state::{Shape, StoreId};
use crate::topology::Input;
use crate::worker::{Entry, ReadRequest, ReadWhat};

/// What is asked of which lanes.
pub(super) struct Reading {
    pub by_lane: BTreeMap<LaneId, Vec<StoreId>>,
    pub shape: Shape,
    pub what: ReadWhat,
}

impl Reading {
    /// Every partition of the store that is read, with its lane.
    pub fn stores(&self) -> impl Iterator<Item = (LaneId, StoreId)> {
        self.by_lane.iter().flat_map(|(lane, stores)| stores.iter().map(|store| (*lane, *store)))
    }

    /// A read of some of the partitions, of at most `page` rows if there are pages.
    pub fn request(
        &self,
        stores: Vec<StoreId>,
        what: ReadWhat,
        page: Option<usize>,
    ) -> impl FnOnce(SyncSender<Result<Vec<Entry>>>, usize) -> ReadRequest + use<> {
        let shape = self.shape;
        move |reply, rows_max| ReadRequest { stores, shape, what, page, rows_max, reply }
    }
}

impl Inner {
    /// Where the entries of a store are that `lookup` can mean; the plan filters again, so more is
    /// never wrong.
    pub(super) fn reading(
        &self,
        query: &QueryDef,
        store: usize,
        lookup: &Lookup,
        key_types: &[SqlType],
    ) -> Result<Reading> {
        let spec = &query.topology.stores[store];
        let sub = query.facts.subs.get(spec.sub);
        let sub = sub.ok_or_else(|| EngineError::Bug("a store without facts".to_owned()))?;
        let what = read_what(lookup, spec.shape, key_types)?;
        let wanted = match &lookup.keys {
            Keys::Exact(keys) => self.partitions_of(query, spec.sub, keys, key_types)?,
            _ => None,
        };
        let mut by_lane: BTreeMap<LaneId, Vec<StoreId>> = BTreeMap::new();
        let asked = |partition: &u32| wanted.as_ref().is_none_or(|all| all.contains(partition));
        for partition in (0..sub.partitions).filter(asked) {
            let lane = sub.lane(partition, self.lanes());
            by_lane.entry(lane).or_default().push(query.store_id(store, partition));
        }
        Ok(Reading { by_lane, shape: spec.shape, what })
    }

    /// Partitions that the keys hash to; `None` when any partition may hold them. Only topics that
    /// this service writes are sure to be partitioned by our hash of the key.
    fn partitions_of(
        &self,
        query: &QueryDef,
        sub: usize,
        keys: &[Vec<ScalarValue>],
        key_types: &[SqlType],
    ) -> Result<Option<BTreeSet<u32>>> {
        let Some(Input::Repartition(at)) = query.topology.subs[sub].inputs.first() else {
            return Ok(None);
        };
        if query.topology.subs[sub].inputs.len() > 1 {
            return Ok(None);
        }
        let (key_format, columns) = query.repartition_key(*at)?;
        if columns.len() != key_types.len() {
            return Ok(None);
        }
        let columns: Vec<(String, SqlType)> =
            columns.into_iter().zip(key_types).map(|((name, _), ty)| (name, ty.clone())).collect();
        let rows = key_batch(keys, &columns)?;
        let mut encoder = self.seams.formats.key_encoder(&key_format, &columns)?;
        let mut encoded = EncodedRows::default();
        encoder.encode_keys(&rows, &mut encoded)?;
        let partitions = query.repartition_topic(*at)?.partitions;
        let partition = |range| partition_for_key(&encoded.data[range], partitions);
        let all: Option<BTreeSet<u32>> =
            encoded.rows.iter().map(|row| row.key.clone().map(partition)).collect();
        // A key that cannot be written is in no partition, or in all for what we know.
        Ok(all.filter(|_| encoded.errors.is_empty()))
    }
}

/// What of the store must be read.
fn read_what(lookup: &Lookup, shape: Shape, key_types: &[SqlType]) -> Result<ReadWhat> {
    let keys = match &lookup.keys {
        Keys::Exact(keys) => Some(encoded_keys(keys, key_types)?),
        _ => None,
    };
    Ok(match (shape, keys) {
        (Shape::KeyValue, Some(keys)) => ReadWhat::Keys(keys),
        (Shape::KeyFirst, Some(keys)) => ReadWhat::Prefixes(keys),
        (Shape::WindowFirst, Some(keys)) => {
            let (from, to) = windows(&lookup.window_start);
            ReadWhat::InWindows { from, to, keys }
        }
        (Shape::WindowFirst, None) => {
            let (from, to) = windows(&lookup.window_start);
            ReadWhat::Range(from, to)
        }
        (Shape::KeyValue, None) => match &lookup.keys {
            Keys::Range(bounds) => key_range(bounds, key_types)?,
            _ => ReadWhat::Range(Vec::new(), Vec::new()),
        },
        (Shape::KeyFirst, None) => ReadWhat::Range(Vec::new(), Vec::new()),
    })
}

/// Keys as a store has them, sorted.
fn encoded_keys(keys: &[Vec<ScalarValue>], key_types: &[SqlType]) -> Result<Vec<Vec<u8>>> {
    let mut encoded = Vec::with_capacity(keys.len());
    for key in keys {
        encoded.push(encoded_key(key, key_types)?);
    }
    encoded.sort_unstable();
    encoded.dedup();
    Ok(encoded)
}

fn encoded_key(key: &[ScalarValue], key_types: &[SqlType]) -> Result<Vec<u8>> {
    let columns: Vec<ArrayRef> = key
        .iter()
        .map(|value| value.to_array().map_err(EngineError::from))
        .collect::<Result<_>>()?;
    let mut buffer = KeyBuffer::new();
    KeyCodec::new(key_types).encode(&columns, &mut buffer)?;
    Ok(buffer.get(0).to_vec())
}

/// Keys are in SQL order in the store, and none is a prefix of another: a zero byte after one
/// stands between it and the next.
fn key_range(bounds: &Bounds<ScalarValue>, key_types: &[SqlType]) -> Result<ReadWhat> {
    let at = |value: &ScalarValue, after: bool| -> Result<Vec<u8>> {
        let mut key = encoded_key(std::slice::from_ref(value), key_types)?;
        if after {
            key.push(0);
        }
        Ok(key)
    };
    let from = match &bounds.low {
        Bound::Included(value) => at(value, false)?,
        Bound::Excluded(value) => at(value, true)?,
        Bound::Unbounded => Vec::new(),
    };
    let to = match &bounds.high {
        Bound::Included(value) => at(value, true)?,
        Bound::Excluded(value) => at(value, false)?,
        Bound::Unbounded => Vec::new(),
    };
    Ok(ReadWhat::Range(from, to))
}

/// Windows are first in the key: bounds on their start are a range of the store.
fn windows(bounds: &Bounds<i64>) -> (Vec<u8>, Vec<u8>) {
    let from = match bounds.low {
        Bound::Included(ms) | Bound::Excluded(ms) => window_prefix(ms),
        Bound::Unbounded => Vec::new(),
    };
    let to = match bounds.high {
        Bound::Included(ms) | Bound::Excluded(ms) => {
            ms.checked_add(1).map(window_prefix).unwrap_or_default()
        }
        Bound::Unbounded => Vec::new(),
    };
    (from, to)
}

/// First bytes of all keys of a window of a `WindowFirst` store.
fn window_prefix(start_ms: i64) -> Vec<u8> {
    ((start_ms as u64) ^ (1 << 63)).to_be_bytes().to_vec()
}

/// One row per key, one column per key column.
fn key_batch(keys: &[Vec<ScalarValue>], columns: &[(String, SqlType)]) -> Result<RecordBatch> {
    let mut arrays = Vec::with_capacity(columns.len());
    for at in 0..columns.len() {
        let values = keys.iter().filter_map(|key| key.get(at).cloned());
        arrays.push(ScalarValue::iter_to_array(values)?);
    }
    let field = |(name, ty): &(String, SqlType)| Field::new(name, ty.to_arrow(), true);
    let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
    Ok(RecordBatch::try_new(schema, arrays)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> ScalarValue {
        ScalarValue::Utf8(Some(value.to_owned()))
    }

    fn check(low: Bound<&str>, high: Bound<&str>, inside: &[&str]) {
        let bounds = Bounds { low: low.map(text), high: high.map(text) };
        let Ok(ReadWhat::Range(from, to)) = key_range(&bounds, &[SqlType::String]) else {
            panic!("a range of keys is a range of the store");
        };
        let all = ["", "a", "a\0", "ab", "b", "ba", "c"];
        let is_inside = |key: &&&str| {
            let key = encoded_key(&[text(key)], &[SqlType::String]).expect("it can be encoded");
            key >= from && (to.is_empty() || key < to)
        };
        let got: Vec<&str> = all.iter().filter(is_inside).copied().collect();
        assert_eq!(got, inside, "{low:?} {high:?}");
    }

    #[test]
    fn ranges_of_keys_are_ranges_of_the_store() {
        use Bound::{Excluded, Included, Unbounded};
        check(Unbounded, Unbounded, &["", "a", "a\0", "ab", "b", "ba", "c"]);
        check(Included("a"), Excluded("b"), &["a", "a\0", "ab"]);
        check(Excluded("a"), Included("b"), &["a\0", "ab", "b"]);
        check(Included("bz"), Unbounded, &["c"]);
    }
}
