//! From group key (and window) to slot number.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::error::{EngineError, Result};

/// Mixes the window into the hash of the key.
const WINDOW_MIX: u64 = 0x9E37_79B9_7F4A_7C15;

/// Bytes of a window's start in front of a key.
pub(crate) const WINDOW_BYTES: usize = 8;

/// A window's start as the first bytes of a store key: ordered as the numbers are.
pub(crate) fn window_bytes(start: i64) -> [u8; WINDOW_BYTES] {
    (start ^ i64::MIN).to_be_bytes()
}

/// The inverse of [`window_bytes`].
pub(crate) fn window_of(bytes: [u8; WINDOW_BYTES]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

/// Window start and group key of a store key.
///
/// # Errors
/// `State` when the key is too short to have a window.
pub(crate) fn split_window(key: &[u8]) -> Result<(i64, &[u8])> {
    let (window, key) = key.split_first_chunk().ok_or_else(|| {
        let what = format!("a windowed store has a key of {} bytes", key.len());
        EngineError::State(what)
    })?;
    Ok((window_of(*window), key))
}

/// Group key, start and end of a session's store key.
///
/// # Errors
/// `State` when the key is too short to have bounds.
pub(crate) fn split_session(key: &[u8]) -> Result<(&[u8], i64, i64)> {
    let short = || {
        let what = format!("a session store has a key of {} bytes", key.len());
        EngineError::State(what)
    };
    let (rest, start) = key.split_last_chunk().ok_or_else(short)?;
    let (rest, end) = rest.split_last_chunk().ok_or_else(short)?;
    Ok((rest, window_of(*start), window_of(*end)))
}

/// Store keys of the slots in one arena, found by hash. Slots are only added; [`SlotTable::retain`]
/// is how they go.
pub(crate) struct SlotTable {
    windowed: bool,
    table: HashTable<u32>,
    arena: Vec<u8>,
    /// End of each slot's store key in the arena.
    ends: Vec<u32>,
    hasher: RandomState,
}

impl SlotTable {
    /// `windowed`: store keys start with a window's start.
    pub fn new(windowed: bool) -> Self {
        let hasher = RandomState::default();
        SlotTable { windowed, table: HashTable::new(), arena: Vec::new(), ends: Vec::new(), hasher }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The store key of a slot.
    #[inline]
    pub fn key(&self, slot: u32) -> &[u8] {
        key_at(&self.arena, &self.ends, slot)
    }

    /// The group's key without the window.
    pub fn group_key(&self, slot: u32) -> &[u8] {
        let key = self.key(slot);
        if self.windowed { &key[WINDOW_BYTES..] } else { key }
    }

    /// Start of the slot's window; 0 when there are no windows.
    pub fn window(&self, slot: u32) -> i64 {
        if !self.windowed {
            return 0;
        }
        self.key(slot).first_chunk().map_or(0, |bytes| window_of(*bytes))
    }

    /// Hash of a group key, for [`SlotTable::find_or_insert`].
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        hash_key(&self.hasher, key)
    }

    /// The slot of `key` in the window that starts at `window`, and whether it is new.
    ///
    /// # Errors
    /// `State` when the keys no longer fit into 4 GiB.
    #[inline]
    pub fn find_or_insert(&mut self, hash: u64, window: i64, key: &[u8]) -> Result<(u32, bool)> {
        let prefix = window_bytes(window);
        let prefix = if self.windowed { prefix.as_slice() } else { &[] };
        let hash = if self.windowed { mix(hash, window) } else { hash };
        let (arena, ends) = (&self.arena, &self.ends);
        let equal = |slot: &u32| {
            let found = key_at(arena, ends, *slot);
            found.len() == prefix.len() + key.len()
                && &found[prefix.len()..] == key
                && &found[..prefix.len()] == prefix
        };
        if let Some(slot) = self.table.find(hash, equal) {
            return Ok((*slot, false));
        }
        self.insert(hash, prefix.len(), window, key).map(|slot| (slot, true))
    }

    fn insert(&mut self, hash: u64, prefix: usize, window: i64, key: &[u8]) -> Result<u32> {
        let end = u32::try_from(self.arena.len() + prefix + key.len()).map_err(|_| {
            let what = "an aggregation holds more than 4 GiB of group keys between two commits";
            EngineError::State(what.into())
        })?;
        let slot = self.ends.len() as u32;
        self.arena.extend_from_slice(&window_bytes(window)[..prefix]);
        self.arena.extend_from_slice(key);
        self.ends.push(end);
        let (arena, ends, hasher, windowed) =
            (&self.arena, &self.ends, &self.hasher, self.windowed);
        self.table.insert_unique(hash, slot, |slot| {
            hash_store_key(hasher, windowed, key_at(arena, ends, *slot))
        });
        Ok(slot)
    }

    /// Keeps the slots in `keep` (ascending) and numbers them from 0.
    pub fn retain(&mut self, keep: &[u32]) {
        let old = std::mem::replace(self, SlotTable::new(self.windowed));
        self.hasher = old.hasher.clone();
        self.ends.reserve_exact(keep.len());
        self.table.reserve(keep.len(), |_| 0);
        for (slot, kept) in keep.iter().enumerate() {
            let key = key_at(&old.arena, &old.ends, *kept);
            self.arena.extend_from_slice(key);
            self.ends.push(self.arena.len() as u32);
            let hash = hash_store_key(&self.hasher, self.windowed, key);
            let (arena, ends, hasher) = (&self.arena, &self.ends, &self.hasher);
            self.table.insert_unique(hash, slot as u32, |slot| {
                hash_store_key(hasher, old.windowed, key_at(arena, ends, *slot))
            });
        }
    }

    pub fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
            + self.arena.capacity()
            + self.ends.capacity() * size_of::<u32>()
    }
}

#[inline]
fn key_at<'a>(arena: &'a [u8], ends: &[u32], slot: u32) -> &'a [u8] {
    let slot = slot as usize;
    let start = if slot == 0 { 0 } else { ends[slot - 1] as usize };
    &arena[start..ends[slot] as usize]
}

fn hash_store_key(hasher: &RandomState, windowed: bool, key: &[u8]) -> u64 {
    match key.split_first_chunk() {
        Some((window, key)) if windowed => mix(hash_key(hasher, key), window_of(*window)),
        _ => hash_key(hasher, key),
    }
}

#[inline]
fn hash_key(hasher: &RandomState, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

#[inline]
fn mix(hash: u64, window: i64) -> u64 {
    let wide = u128::from(hash ^ window as u64) * u128::from(WINDOW_MIX);
    wide as u64 ^ (wide >> 64) as u64
}
