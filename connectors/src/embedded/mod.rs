//! The embedded log: durable, transactional, in this process, with nothing installed.
//!
//! [`core`] is the state machine, shared with the simulator; [`journal`] keeps its changes on disk
//! and [`recover`] reads them back; [`shared`] puts them together behind one lock; cursors and
//! writers are handles on that. What was committed survives the end of the process; see
//! [`Durability`] for a loss of power. Uncommitted transactions are aborted by a crash.

mod admin;
pub mod core;
mod cursor;
mod disk;
mod frame;
pub mod housekeeping;
mod journal;
mod keeper;
mod members;
mod memory_disk;
mod options;
mod recover;
mod shared;
mod signal;
mod writer;
mod writes;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{
    AppendIf, Cursor, Ends, EnsureError, Log, LogError, LogEvent, Members, ReadClass, Record,
    TopicInfo, TopicSpec, Writer,
};
use millrace_engine::seams::{Clock, Disk, Entropy, SeededEntropy, SystemClock};
use parking_lot::Mutex;

pub use cursor::LocalCursor;
pub use disk::FileDisk;
pub use members::OnlyMember;
pub use memory_disk::MemoryDisk;
pub use options::{Durability, Options, SYNC_EVERY_DEFAULT};
pub use shared::Shared;
pub use writer::LocalWriter;

use keeper::Keeper;

/// A log in files of one process. Cheap to share behind an `Arc`; cursors and writers may outlive
/// it, but nothing is made durable in the background after it is dropped.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    events_from: Mutex<u64>,
    _keeper: Keeper,
}

impl EmbeddedLog {
    /// Opens the log in a folder, which is locked against other processes meanwhile.
    ///
    /// # Errors
    /// A folder that cannot be made or is in use, a failing disk, or damaged files.
    pub fn open(folder: &Path, options: Options) -> io::Result<Self> {
        let disk = Arc::new(FileDisk::open(folder)?);
        Self::open_on(disk, (Arc::new(SystemClock::default()), Self::os_entropy()), options)
    }

    /// Opens the log on any disk, with any clock.
    ///
    /// # Errors
    /// A failing disk or damaged files.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        seams: (Arc<dyn Clock>, Arc<dyn Entropy>),
        options: Options,
    ) -> io::Result<Self> {
        let (core, journal) = recover::open(disk.clone(), options.segment_bytes_max)?;
        let shared = Arc::new(Shared::new((core, Some(journal)), Some(disk), seams, options));
        let keeper = Keeper::start(shared.clone())?;
        Ok(EmbeddedLog { shared, events_from: Mutex::new(0), _keeper: keeper })
    }

    fn os_entropy() -> Arc<dyn Entropy> {
        Arc::new(SeededEntropy::from_os())
    }

    /// Positions last published for `group` by [`Log::publish_lag`].
    pub fn lag(&self, group: &str) -> Vec<(Tp, Offset)> {
        self.shared.lag(group)
    }

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// An unknown topic, or a count that is not above the present one.
    pub fn set_partitions(&self, topic: TopicId, partitions: u32) -> Result<(), LogError> {
        self.shared.grow(topic, partitions)
    }

    /// Applies retention now.
    ///
    /// # Errors
    /// A failed write.
    pub fn expire(&self) -> io::Result<()> {
        housekeeping::expire(&self.shared)
    }

    /// Compacts a partition now, whatever its share of new records.
    ///
    /// # Errors
    /// A failed read or write.
    pub fn compact(&self, tp: Tp) -> io::Result<()> {
        housekeeping::compact(&self.shared, tp)
    }

    /// Gives back the room of segments that hold little of use.
    ///
    /// # Errors
    /// A failed read or write.
    pub fn reclaim(&self) -> io::Result<()> {
        housekeeping::reclaim(&self.shared)
    }

    /// Makes all that was written durable now.
    ///
    /// # Errors
    /// A failing disk; the log takes no more writes then.
    pub fn sync(&self) -> io::Result<()> {
        self.shared.sync()
    }
}

impl Log for EmbeddedLog {
    fn describe(&self, name: &str) -> Poll<Result<Option<TopicInfo>, LogError>> {
        Poll::Ready(Ok(self.shared.describe(name)))
    }

    fn list(&self) -> Poll<Result<Vec<TopicInfo>, LogError>> {
        Poll::Ready(Ok(self.shared.list()))
    }

    fn ensure(&self, spec: &TopicSpec) -> Poll<Result<TopicInfo, EnsureError>> {
        Poll::Ready(self.shared.ensure(spec))
    }

    fn delete(&self, topic: TopicId) -> Poll<Result<(), LogError>> {
        Poll::Ready(self.shared.delete(topic))
    }

    fn purge(&self, below: &[(Tp, Offset)]) -> Poll<Result<(), LogError>> {
        Poll::Ready(self.shared.purge(below))
    }

    fn ends(&self, tps: &[Tp]) -> Poll<Result<Vec<Ends>, LogError>> {
        Poll::Ready(self.shared.ends(tps))
    }

    fn events(&self) -> Vec<LogEvent> {
        self.shared.events(&mut self.events_from.lock())
    }

    fn cursor(&self, _class: ReadClass) -> Box<dyn Cursor> {
        Box::new(LocalCursor::new(self.shared.clone()))
    }

    fn writer(&self, id: &str) -> Poll<Result<Box<dyn Writer>, LogError>> {
        Poll::Ready(Ok(Box::new(LocalWriter::open(&self.shared, id))))
    }

    fn append(&self, tp: Tp, records: &[Record]) -> Poll<Result<Offset, LogError>> {
        Poll::Ready(self.shared.append(tp, records))
    }

    fn append_if(&self, id: &str, tp: Tp, end: Offset, record: &Record) -> Poll<AppendIf> {
        Poll::Ready(self.shared.append_if(id, tp, end, record))
    }

    fn join(&self, _group: &str, _topic: &str, _node: &str, slots: u32) -> Box<dyn Members> {
        Box::new(OnlyMember::new(slots))
    }

    fn publish_lag(&self, group: &str, at: &[(Tp, Offset)]) {
        self.shared.publish_lag(group, at);
    }

    fn park(&self, at_most: Duration) {
        self.shared.signal.park(at_most);
    }

    fn wake(&self) {
        self.shared.signal.bump();
    }
}
