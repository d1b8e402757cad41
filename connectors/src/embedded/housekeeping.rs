//! What is done now and then: transaction time-outs, retention, compaction, and giving back the
//! room of journal segments that hold little of use.

use std::io;

use millrace_engine::ids::Tp;

use super::core::chunk::{Chunk, Place};
use super::core::entry::{Entry, PartPatch};
use super::shared::Shared;

/// Chunks moved under one lock, so that writers do not wait long.
const MOVED_AT_ONCE: usize = 16;
/// The journal may be this many times as large as what is of use in it.
const SPACE_FACTOR: u64 = 2;

/// Does all of it once.
///
/// # Errors
/// The first failure to read or write.
pub fn run(shared: &Shared) -> io::Result<()> {
    shared.expire_transactions();
    expire(shared)?;
    let tps = shared.state.lock().core.to_compact();
    for tp in tps {
        compact(shared, tp)?;
    }
    reclaim(shared)
}

/// Drops records that are older than their topic keeps them.
///
/// # Errors
/// A failed write.
pub fn expire(shared: &Shared) -> io::Result<()> {
    let now_ms = shared.now_ms();
    shared.with(|state| {
        let entry = state.core.expire_entry(now_ms);
        state.make(entry).map_err(io::Error::other)
    })
}

/// Compacts a partition now, if its topic is compacted.
///
/// # Errors
/// A failed read or write, or damaged records.
pub fn compact(shared: &Shared, tp: Tp) -> io::Result<()> {
    let Some(job) = shared.state.lock().core.compaction(tp) else { return Ok(()) };
    let broken = |chunk: &Chunk| {
        let what = format!("a record of {tp:?} from {} on is cut short", chunk.base);
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let result = job.run(shared.now_ms(), |chunk| shared.load(chunk), broken);
    shared.with(|state| {
        if state.core.outdated(&job) {
            return Ok(());
        }
        let patch = result?;
        if patch.cut.is_empty() {
            return Ok(());
        }
        state.make(Entry::parts(vec![patch])).map_err(io::Error::other)
    })
}

/// Removes segments that hold nothing of use, and moves what is left in the oldest one to the end
/// when the journal has become much larger than what is of use in it.
///
/// # Errors
/// A failed read or write.
pub fn reclaim(shared: &Shared) -> io::Result<()> {
    loop {
        let (oldest, live, wasteful) = {
            let state = shared.state.lock();
            let Some(journal) = &state.journal else { return Ok(()) };
            let Some(oldest) = journal.oldest() else { return Ok(()) };
            let live = state.core.live();
            let total: u64 = live.values().sum();
            let bound = total * SPACE_FACTOR + 2 * journal.segment_bytes_max();
            (oldest, live.get(&oldest).copied().unwrap_or(0), journal.bytes() > bound)
        };
        if live > 0 && !wasteful {
            return Ok(());
        }
        if live > 0 {
            evacuate(shared, oldest)?;
        }
        drop_oldest(shared, oldest)?;
    }
}

fn drop_oldest(shared: &Shared, segment: u32) -> io::Result<()> {
    // What made the segment useless must be durable before it goes.
    shared.sync()?;
    shared.with(|state| {
        let useless = state.core.live().get(&segment).copied().unwrap_or(0) == 0;
        match &mut state.journal {
            Some(journal) if useless => journal.drop_oldest(segment)?,
            _ => return Ok(()),
        }
        state.core.forget_segment(segment);
        Ok(())
    })
}

/// Writes the live chunks of a segment again, at the end of the journal.
fn evacuate(shared: &Shared, segment: u32) -> io::Result<()> {
    loop {
        let chunks = chunks_in(shared, segment);
        if chunks.is_empty() {
            return Ok(());
        }
        let mut moved = Vec::with_capacity(chunks.len());
        for (tp, chunk) in chunks {
            match shared.load(&chunk) {
                Ok(data) => moved.push((tp, Chunk { place: Place::Memory(data), ..chunk })),
                Err(error) if still_there(shared, tp, &chunk, segment) => return Err(error),
                Err(_) => {}
            }
        }
        shared.with(|state| {
            let mut entry = Entry::default();
            for (tp, chunk) in moved {
                let there = state.core.partition(tp).and_then(|p| p.visible(chunk.base));
                if there.is_some_and(|there| same(there, &chunk, segment)) {
                    let cut = vec![(chunk.base, chunk.next)];
                    entry.parts.push(PartPatch { cut, chunks: vec![chunk], ..PartPatch::new(tp) });
                }
            }
            state.make(entry).map_err(io::Error::other)
        })?;
    }
}

fn same(there: &Chunk, chunk: &Chunk, segment: u32) -> bool {
    there.base == chunk.base && there.place.segment() == Some(segment)
}

fn still_there(shared: &Shared, tp: Tp, chunk: &Chunk, segment: u32) -> bool {
    let state = shared.state.lock();
    let there = state.core.partition(tp).and_then(|partition| partition.visible(chunk.base));
    there.is_some_and(|there| same(there, chunk, segment))
}

fn chunks_in(shared: &Shared, segment: u32) -> Vec<(Tp, Chunk)> {
    let state = shared.state.lock();
    let all = state
        .core
        .partitions()
        .flat_map(|(tp, _, partition)| partition.chunks().map(move |chunk| (tp, chunk)));
    let here = all.filter(|(_, chunk)| chunk.place.segment() == Some(segment));
    here.take(MOVED_AT_ONCE).map(|(tp, chunk)| (tp, chunk.clone())).collect()
}
