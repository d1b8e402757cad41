//! The journal: all changes of the log in the order in which they happened, in segments. The
//! records in it are the log's only copy; the core keeps where each chunk lies.
//!
//! Each segment begins with the state of all topics, so the oldest can be dropped once nothing in
//! it is in use. Segments go oldest first only: a later change may undo what an older one did.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use millrace_engine::seams::Disk;

use super::core::Core;
use super::core::entry::Entry;
use super::frame;

/// Folder of the segments.
pub const FOLDER: &str = "journal";
/// A segment is closed beyond this size unless configured otherwise.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
/// The buffer in which frames are put together keeps at most this much memory.
const BUFFER_BYTES_KEPT: usize = 1024 * 1024;

/// File of a segment.
pub fn path(segment: u32) -> String {
    format!("{FOLDER}/{segment:010}.log")
}

/// The open journal.
pub struct Journal {
    disk: Arc<dyn Disk>,
    segment_bytes_max: u64,
    /// Sizes of all segments in bytes; the last is written to.
    sizes: BTreeMap<u32, u64>,
    segment: u32,
    /// The present segment is durable up to here.
    synced: u64,
    buffer: Vec<u8>,
    broken: Option<String>,
}

/// What must be made durable: the end of the journal when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub segment: u32,
    pub at: u64,
}

impl Journal {
    /// A journal of the given segments; the last of them must be durable and whole.
    pub fn new(disk: Arc<dyn Disk>, segment_bytes_max: u64, sizes: BTreeMap<u32, u64>) -> Self {
        let (segment, synced) = sizes.last_key_value().map_or((0, 0), |(s, size)| (*s, *size));
        let buffer = Vec::new();
        Journal { disk, segment_bytes_max, sizes, segment, synced, buffer, broken: None }
    }

    /// Writes a change that `core` is about to make, and sets where its chunks lie.
    ///
    /// # Errors
    /// When it was not written. After a failure that cannot be undone, all later calls fail.
    pub fn write(&mut self, core: &Core, entry: &mut Entry) -> io::Result<()> {
        self.check()?;
        if self.at() >= self.segment_bytes_max || self.sizes.is_empty() {
            self.roll(core)?;
        }
        self.append(entry)
    }

    fn at(&self) -> u64 {
        self.sizes.get(&self.segment).copied().unwrap_or(0)
    }

    fn check(&self) -> io::Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(io::Error::other(format!(
                "the embedded log takes no more writes since an earlier one failed ({why}); make \
                 room or repair the disk, then restart"
            ))),
        }
    }

    fn roll(&mut self, core: &Core) -> io::Result<()> {
        if !self.sizes.is_empty() {
            let path = path(self.segment);
            self.disk.sync(&path).inspect_err(|error| self.broken = Some(error.to_string()))?;
            self.segment += 1;
        } else {
            self.segment = 1;
        }
        self.synced = 0;
        self.sizes.insert(self.segment, 0);
        self.append(&mut core.state_entry())
    }

    fn append(&mut self, entry: &mut Entry) -> io::Result<()> {
        let at = self.at();
        self.buffer.clear();
        frame::encode(entry, &mut self.buffer, (self.segment, at), self.synced);
        let path = path(self.segment);
        if let Err(error) = self.disk.append(&path, &self.buffer) {
            if let Err(worse) = self.disk.truncate(&path, at) {
                self.broken = Some(format!("{error}; then {worse}"));
            }
            return Err(error);
        }
        self.sizes.insert(self.segment, at + self.buffer.len() as u64);
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(())
    }

    /// The end of the journal if it is not durable yet.
    pub fn unsynced(&self) -> Option<Mark> {
        let mark = Mark { segment: self.segment, at: self.at() };
        (mark.at > self.synced && self.broken.is_none()).then_some(mark)
    }

    /// Notes how an attempt to make the journal durable up to `mark` ended.
    pub fn synced(&mut self, mark: &Mark, result: &io::Result<()>) {
        match result {
            Err(error) => self.broken = Some(error.to_string()),
            Ok(()) if mark.segment == self.segment => self.synced = self.synced.max(mark.at),
            Ok(()) => {}
        }
    }

    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.sizes.values().sum()
    }

    pub fn segment_bytes_max(&self) -> u64 {
        self.segment_bytes_max
    }

    /// The oldest segment unless it is the one being written.
    pub fn oldest(&self) -> Option<u32> {
        let (segment, _) = self.sizes.first_key_value()?;
        (*segment != self.segment).then_some(*segment)
    }

    /// Removes the oldest segment; all later ones must be durable.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn drop_oldest(&mut self, segment: u32) -> io::Result<()> {
        self.disk.remove(&path(segment))?;
        self.sizes.remove(&segment);
        Ok(())
    }
}
