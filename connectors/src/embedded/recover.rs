//! Opening: the changes in the journal are read and made again, a torn tail is cut off.
//!
//! Of closed segments only the headers are read; records are checked when a reader loads them. The
//! last segment is checked whole. Damage there is a torn tail unless a later frame says that the
//! place was durable already: then the disk has lost what it had promised, and opening fails.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use millrace_engine::seams::Disk;

use super::core::Core;
use super::core::chunk::Place;
use super::core::entry::Entry;
use super::frame::{self, MAGIC, PREFIX_BYTES};
use super::journal::{FOLDER, Journal, path};

/// Bytes read at a time.
const WINDOW_BYTES: usize = 512 * 1024;

/// Reads the journal on `disk` and continues it.
///
/// # Errors
/// Those of the disk, and damage that is no torn tail.
pub fn open(disk: Arc<dyn Disk>, segment_bytes_max: u64) -> io::Result<(Core, Journal)> {
    let mut core = Core::default();
    let mut sizes = BTreeMap::new();
    let segments = segments(&*disk)?;
    for (i, segment) in segments.iter().enumerate() {
        let last = i + 1 == segments.len();
        let size = Replay::new(&*disk, *segment)?.run(last, &mut core)?;
        if last {
            disk.truncate(&path(*segment), size)?;
            disk.sync(&path(*segment))?;
        }
        if size == 0 {
            disk.remove(&path(*segment))?;
        } else {
            sizes.insert(*segment, size);
        }
    }
    core.forget_events();
    Ok((core, Journal::new(disk, segment_bytes_max, sizes)))
}

fn segments(disk: &dyn Disk) -> io::Result<Vec<u32>> {
    let number = |name: String| name.strip_suffix(".log")?.parse().ok();
    let mut segments: Vec<u32> = disk.list(FOLDER)?.into_iter().filter_map(number).collect();
    segments.sort_unstable();
    for pair in segments.windows(2) {
        if pair[1] != pair[0] + 1 {
            let missing = path(pair[0] + 1);
            return Err(io::Error::other(format!("{missing} is missing from the embedded log")));
        }
    }
    Ok(segments)
}

/// One segment being read.
struct Replay<'a> {
    disk: &'a dyn Disk,
    segment: u32,
    path: String,
    len: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Replay<'a> {
    fn new(disk: &'a dyn Disk, segment: u32) -> io::Result<Self> {
        let path = path(segment);
        let len = disk.len(&path)?.unwrap_or(0);
        Ok(Replay { disk, segment, path, len, window: Vec::new(), window_at: 0 })
    }

    /// Applies all frames; the length of what is sound.
    fn run(mut self, last: bool, core: &mut Core) -> io::Result<u64> {
        let mut at = 0;
        while at < self.len {
            match self.frame(at, last)? {
                Some((entry, end)) => {
                    core.apply(&entry);
                    at = end;
                }
                None if last => {
                    self.check_torn(at)?;
                    tracing::warn!(
                        file = self.path,
                        at,
                        bytes = self.len - at,
                        "cut off the torn end of the embedded log; no acknowledged transaction \
                         was in it unless the machine lost power",
                    );
                    break;
                }
                None => return Err(self.damaged(at)),
            }
        }
        Ok(at)
    }

    /// The frame at `at` and where it ends, or `None` if it is damaged or cut.
    fn frame(&mut self, at: u64, check_data: bool) -> io::Result<Option<(Entry, u64)>> {
        let Some(prefix) = frame::prefix(self.bytes(at, PREFIX_BYTES)?) else { return Ok(None) };
        let data_at = at + (PREFIX_BYTES + prefix.header_bytes) as u64;
        let end = data_at.saturating_add(prefix.data_bytes);
        if end > self.len {
            return Ok(None);
        }
        let segment = self.segment;
        let head = self.bytes(at, PREFIX_BYTES + prefix.header_bytes)?;
        let Some(entry) = frame::decode(head, (segment, at)) else { return Ok(None) };
        if check_data && !self.data_sound(&entry)? {
            return Ok(None);
        }
        Ok(Some((entry, end)))
    }

    fn data_sound(&mut self, entry: &Entry) -> io::Result<bool> {
        for chunk in entry.parts.iter().flat_map(|patch| &patch.chunks) {
            let Place::Stored { at, .. } = chunk.place else { continue };
            if crc32fast::hash(self.bytes(at, chunk.bytes as usize)?) != chunk.crc {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Up to `count` bytes at `at`; fewer at the end of the file.
    fn bytes(&mut self, at: u64, count: usize) -> io::Result<&[u8]> {
        let end = at.saturating_add(count as u64).min(self.len);
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            self.window = self.disk.read_at(&self.path, at, count.max(WINDOW_BYTES))?;
            self.window_at = at;
        }
        let from = (at - self.window_at) as usize;
        let to = ((end - self.window_at) as usize).min(self.window.len());
        Ok(self.window.get(from..to).unwrap_or_default())
    }

    /// Fails if the bytes at `at` were durable once.
    fn check_torn(&self, at: u64) -> io::Result<()> {
        let rest = self.disk.read_at(&self.path, at, (self.len - at) as usize)?;
        for from in memchr::memmem::find_iter(&rest, &MAGIC) {
            let here = at + from as u64;
            let Some(prefix) = frame::prefix(&rest[from..]) else { continue };
            let whole = frame::decode(&rest[from..], (self.segment, here)).is_some();
            if whole && prefix.synced > at {
                return Err(self.damaged(at));
            }
        }
        Ok(())
    }

    fn damaged(&self, at: u64) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the embedded log is damaged: {} at byte {at}; this part had been written safely \
                 before, so the disk may be failing: restore the state directory from a copy, or \
                 move it away to begin anew",
                self.path
            ),
        )
    }
}
