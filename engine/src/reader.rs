//! What a lane reads. Tasks at the same position of a partition share the fetch and the decoding
//! (R19); a task at another position reads through a cursor of its own until they meet.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use millrace_sql::plan::ScanColumn;

use crate::batch::{Batch, RowHeaders};
use crate::error::{EngineError, Result};
use crate::format::{Formats, RejectKind, RowDecoder};
use crate::held::Held;
use crate::ids::{Offset, Tp};
use crate::log::{Cursor, Log, PollLimits, RawBatch, ReadClass, ReadError};
use crate::progress::TaskKey;
use crate::repartition::{Read, RepartitionReader};
use crate::task::{Pending, PendingReject, Task};
use crate::topology::Input;
use crate::upstream::Upstream;

/// Readers of one lane.
pub struct Reader {
    log: Arc<dyn Log>,
    formats: Arc<dyn Formats>,
    /// The first is the lane's main cursor, the others catch up.
    slots: Vec<Slot>,
    /// Tasks for whose positions there is no cursor yet, in the order they came.
    waiting: Vec<TaskKey>,
}

/// The main cursor and those that catch up (R19). A task with more inputs than that may read all of them.
const CURSORS_MAX: usize = 3;

/// A cursor and who listens to it.
struct Slot {
    cursor: Box<dyn Cursor>,
    feeds: BTreeMap<Tp, Feed>,
    changed: bool,
}

/// One partition of a cursor.
struct Feed {
    next: Offset,
    groups: Vec<Group>,
    paused: bool,
    /// Fetched, but not decoded: a schema is missing.
    held: Held,
    /// What all listeners know of its end: most of them are idle most of the time.
    told: Option<(Offset, bool)>,
}

/// Listeners that decode alike.
struct Group {
    spec: DecodeSpec,
    decoder: Decoder,
    listeners: Vec<(TaskKey, usize)>,
}

/// What makes two inputs decode to the same batch.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DecodeSpec {
    Source(Arc<millrace_sql::catalog::Source>, Vec<ScanColumn>),
    Repartition(String, usize),
}

enum Decoder {
    Source(Box<dyn RowDecoder>),
    Repartition(RepartitionReader),
}

/// A partition that cannot be read any more, and the queries that read it.
pub struct ReadFailure {
    pub error: ReadError,
    pub queries: Vec<String>,
}

/// What one poll gave.
#[derive(Default)]
pub struct Polled {
    pub records: usize,
    /// Tasks may have got rows, also of earlier polls.
    pub delivered: bool,
    pub failures: Vec<ReadFailure>,
}

impl Reader {
    pub fn new(log: Arc<dyn Log>, formats: Arc<dyn Formats>) -> Self {
        Reader { log, formats, slots: Vec::new(), waiting: Vec::new() }
    }

    /// Forgets all assignments.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.waiting.clear();
    }

    /// Adds the inputs of `task` at their positions, now or when there is a cursor for each.
    pub fn attach(&mut self, task: &Task) -> Result<()> {
        // All inputs or none: a join must not go on with one side.
        if !self.has_room(task) {
            self.waiting.push(task.key.clone());
            return Ok(());
        }
        for at in 0..task.inputs.len() {
            self.attach_input(task, at)?;
        }
        Ok(())
    }

    /// Whether there is, or may be, a cursor for each input. It changes nothing: a cursor that is assigned
    /// anew fetches again, and tasks wait for many polls.
    fn has_room(&self, task: &Task) -> bool {
        let cursors_max = CURSORS_MAX.max(task.inputs.len()).max(self.slots.len());
        let mut taken: Vec<(usize, Tp, Offset)> = Vec::with_capacity(task.inputs.len());
        for input in &task.inputs {
            let next = |at: usize| {
                let mine = taken.iter().find(|(slot, tp, _)| (*slot, *tp) == (at, input.tp));
                let feed = || self.slots.get(at)?.feeds.get(&input.tp).map(|feed| feed.next);
                mine.map(|(_, _, from)| *from).or_else(feed)
            };
            let fits = |at: &usize| next(*at).is_none_or(|next| next == input.position);
            let Some(at) = (0..cursors_max).find(fits) else { return false };
            taken.push((at, input.tp, input.position));
        }
        true
    }

    /// Cursors may have met, or moved to where somebody waits.
    fn attach_waiting(&mut self, tasks: &BTreeMap<TaskKey, Task>) -> Result<()> {
        for key in std::mem::take(&mut self.waiting) {
            if let Some(task) = tasks.get(&key) {
                self.attach(task)?;
            }
        }
        Ok(())
    }

    /// Takes the inputs of a task out.
    pub fn detach(&mut self, task: &TaskKey) {
        self.waiting.retain(|key| key != task);
        for slot in &mut self.slots {
            for feed in slot.feeds.values_mut() {
                for group in &mut feed.groups {
                    group.listeners.retain(|(key, _)| key != task);
                }
                feed.groups.retain(|group| !group.listeners.is_empty());
            }
            let before = slot.feeds.len();
            slot.feeds.retain(|_, feed| !feed.groups.is_empty());
            slot.changed |= slot.feeds.len() != before;
        }
    }

    /// Polls all cursors and hands what came to the tasks.
    pub fn poll(
        &mut self,
        limits: &PollLimits,
        tasks: &mut BTreeMap<TaskKey, Task>,
    ) -> Result<Polled> {
        let mut polled = Polled::default();
        for slot in &mut self.slots {
            slot.reassign();
            let mut batches = Vec::new();
            if let Err(error) = slot.cursor.poll(limits, &mut batches) {
                polled.failures.push(slot.failure(error)?);
                continue;
            }
            for raw in batches {
                polled.records += raw.records.len();
                if let Some(feed) = slot.feeds.get_mut(&raw.tp) {
                    feed.held.push(raw);
                }
            }
            for feed in slot.feeds.values_mut().filter(|feed| !feed.held.is_empty()) {
                polled.delivered = true;
                feed.deliver(tasks)?;
            }
            slot.note_ends(tasks);
        }
        self.merge();
        if !self.waiting.is_empty() {
            self.attach_waiting(tasks)?;
        }
        Ok(polled)
    }

    /// True while a partition is not fetched because its listeners are behind.
    pub fn is_paused(&self) -> bool {
        self.slots.iter().any(|slot| slot.feeds.values().any(|feed| feed.paused))
    }

    /// Stops fetching partitions whose slowest listener has `buffered_max` rows waiting, or that
    /// wait for a schema.
    pub fn balance(&mut self, buffered_max: usize, tasks: &BTreeMap<TaskKey, Task>) {
        for slot in &mut self.slots {
            for (tp, feed) in &mut slot.feeds {
                let listeners = feed.groups.iter().flat_map(|g| &g.listeners);
                let full = listeners
                    .filter_map(|(key, at)| tasks.get(key).map(|task| task.inputs[*at].buffered))
                    .any(|buffered| buffered >= buffered_max)
                    || !feed.held.is_empty();
                if full != feed.paused {
                    feed.paused = full;
                    slot.cursor.pause(*tp, full);
                }
            }
        }
    }

    fn attach_input(&mut self, task: &Task, at: usize) -> Result<()> {
        let input = &task.inputs[at];
        let (tp, from) = (input.tp, input.position);
        let sub = &task.query.topology.subs[task.key.sub as usize];
        let spec = match &sub.inputs[at] {
            Input::Scan(scan) => DecodeSpec::Source(scan.source.clone(), scan.columns.clone()),
            Input::Repartition(topic) => DecodeSpec::Repartition(task.query.id.clone(), *topic),
        };
        let listener = (task.key.clone(), at);
        let formats = self.formats.clone();
        let slot = self.slot_for(tp, from);
        let feed = match slot.feeds.get_mut(&tp) {
            Some(feed) => feed,
            None => {
                slot.changed = true;
                let (groups, held) = (Vec::new(), Held::default());
                let feed = Feed { next: from, groups, paused: false, held, told: None };
                slot.feeds.entry(tp).or_insert(feed)
            }
        };
        feed.told = None;
        if let Some(group) = feed.groups.iter_mut().find(|group| group.spec == spec) {
            group.listeners.push(listener);
            return Ok(());
        }
        let decoder = match &spec {
            DecodeSpec::Source(source, columns) => {
                Decoder::Source(formats.decoder(source, columns)?)
            }
            DecodeSpec::Repartition(_, topic) => {
                Decoder::Repartition(RepartitionReader::new(&task.query, *topic)?)
            }
        };
        feed.groups.push(Group { spec, decoder, listeners: vec![listener] });
        Ok(())
    }

    /// The first cursor that reads `tp` at `from`, or does not read it at all; see [`Self::has_room`].
    fn slot_for(&mut self, tp: Tp, from: Offset) -> &mut Slot {
        let fits = |slot: &Slot| slot.feeds.get(&tp).is_none_or(|feed| feed.next == from);
        let at = match self.slots.iter().position(fits) {
            Some(at) => at,
            None => {
                let class =
                    if self.slots.is_empty() { ReadClass::Shared } else { ReadClass::CatchUp };
                let cursor = self.log.cursor(class);
                self.slots.push(Slot { cursor, feeds: BTreeMap::new(), changed: false });
                self.slots.len() - 1
            }
        };
        &mut self.slots[at]
    }

    /// Moves feeds of catch-up cursors that have reached the main cursor's position.
    fn merge(&mut self) {
        let Some((main, others)) = self.slots.split_first_mut() else { return };
        for slot in others {
            let met: Vec<Tp> = slot
                .feeds
                .iter()
                .filter(|(tp, feed)| main.feeds.get(tp).is_none_or(|m| m.next == feed.next))
                .map(|(tp, _)| *tp)
                .collect();
            for tp in met {
                let Some(feed) = slot.feeds.remove(&tp) else { continue };
                slot.changed = true;
                main.changed |= !main.feeds.contains_key(&tp);
                match main.feeds.get_mut(&tp) {
                    Some(into) => into.absorb(feed),
                    None => {
                        let held = Held::default();
                        main.feeds.insert(tp, Feed { paused: false, held, told: None, ..feed });
                    }
                }
            }
        }
    }
}

impl Feed {
    /// Decodes what was fetched, as far as its schemas are here, and hands it to the tasks.
    fn deliver(&mut self, tasks: &mut BTreeMap<TaskKey, Task>) -> Result<()> {
        loop {
            let groups = &mut self.groups;
            let ready = |raw: &RawBatch, range: Range<usize>| {
                let ends = groups.iter_mut().map(|g| g.decoder.ready(raw, range.clone()));
                ends.min().unwrap_or(range.end)
            };
            let Some((raw, part)) = self.held.next(ready) else { return Ok(()) };
            for group in &mut self.groups {
                let decoded = group.decoder.decode(raw, part.range.clone())?;
                for (key, at) in &group.listeners {
                    let Some(task) = tasks.get_mut(key) else { continue };
                    let Decoding { batch, offsets, rejects, upstream, marks } = decoded.clone();
                    let mut pending = Pending::new(batch, offsets, part.next, rejects);
                    (pending.upstream, pending.marks) = (upstream, marks);
                    task.deliver(*at, pending);
                }
            }
            self.next = part.next;
            self.held.take(&part);
        }
    }

    fn absorb(&mut self, other: Feed) {
        self.told = None;
        for group in other.groups {
            match self.groups.iter_mut().find(|mine| mine.spec == group.spec) {
                Some(mine) => mine.listeners.extend(group.listeners),
                None => self.groups.push(group),
            }
        }
    }
}

impl Slot {
    fn reassign(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        let at: Vec<(Tp, Offset)> = self.feeds.iter().map(|(tp, feed)| (*tp, feed.next)).collect();
        self.cursor.assign(&at);
        for (tp, feed) in &mut self.feeds {
            // It is fetched once more.
            feed.held.clear();
            if feed.paused {
                self.cursor.pause(*tp, true);
            }
        }
    }

    /// Tells tasks which of their inputs have nothing more to read for now, and moves idle
    /// positions behind control records.
    fn note_ends(&mut self, tasks: &mut BTreeMap<TaskKey, Task>) {
        for (tp, feed) in &mut self.feeds {
            let Some(position) = self.cursor.position(*tp) else { continue };
            let waits = !feed.held.is_empty();
            let caught_up = !waits && position.lso.is_some_and(|lso| position.next >= lso);
            if position.next > feed.next && !waits {
                feed.next = position.next;
            }
            if feed.told == Some((feed.next, caught_up)) {
                continue;
            }
            let mut all_know = true;
            for (key, at) in feed.groups.iter().flat_map(|group| &group.listeners) {
                if let Some(task) = tasks.get_mut(key) {
                    all_know &= task.note_end(*at, feed.next, caught_up);
                }
            }
            feed.told = all_know.then_some((feed.next, caught_up));
        }
    }

    fn failure(&self, error: ReadError) -> Result<ReadFailure> {
        let tp = match &error {
            ReadError::OutOfRange { tp, .. }
            | ReadError::Gone(tp)
            | ReadError::Denied(tp)
            | ReadError::Corrupt { tp, .. } => *tp,
            ReadError::Unreachable(_) => return Err(EngineError::Read(error)),
        };
        let feed = self.feeds.get(&tp).into_iter();
        let listeners = feed.flat_map(|feed| feed.groups.iter().flat_map(|g| &g.listeners));
        let mut queries: Vec<String> = listeners.map(|(key, _)| key.query.clone()).collect();
        queries.sort_unstable();
        queries.dedup();
        if queries.is_empty() {
            return Err(EngineError::Bug(format!("a cursor failed on {tp:?}, which no one reads")));
        }
        Ok(ReadFailure { error, queries })
    }
}

/// A decoded raw batch, to be shared by several tasks.
#[derive(Clone)]
struct Decoding {
    batch: Batch,
    offsets: Vec<i64>,
    rejects: Vec<PendingReject>,
    upstream: Option<Vec<Upstream>>,
    marks: Option<Vec<bool>>,
}

impl Decoder {
    fn ready(&mut self, raw: &RawBatch, range: Range<usize>) -> usize {
        match self {
            Decoder::Repartition(_) => range.end,
            Decoder::Source(decoder) => decoder.ready(raw, range),
        }
    }

    fn decode(&mut self, raw: &RawBatch, range: Range<usize>) -> Result<Decoding> {
        match self {
            Decoder::Repartition(reader) => {
                let Read { batch, upstream, marks } = reader.read(raw)?;
                let offsets = raw.records.iter().map(|r| r.offset.0).collect();
                Ok(Decoding { batch, offsets, rejects: Vec::new(), upstream, marks })
            }
            Decoder::Source(decoder) => {
                let decoded = decoder.decode(raw, range)?;
                let offset = |i: &u32| raw.records[*i as usize].offset.0;
                let offsets = decoded.origin.iter().map(offset).collect();
                let rejects = decoded
                    .rejects
                    .into_iter()
                    .map(|reject| PendingReject {
                        offset: offset(&reject.record),
                        kind: reject.what,
                        reason: reject.reason,
                        bytes: rejected_bytes(raw, reject.record as usize, reject.what),
                    })
                    .collect();
                let batch = Batch {
                    headers: headers(raw, decoded.origin.iter().map(|i| *i as usize)),
                    rows: decoded.rows,
                    times: decoded.times,
                    live: decoded.live,
                    clock: None,
                    old: None,
                };
                Ok(Decoding { batch, offsets, rejects, upstream: None, marks: None })
            }
        }
    }
}

/// Headers of records, if there are any.
pub(crate) fn headers(
    raw: &RawBatch,
    records: impl Iterator<Item = usize> + Clone,
) -> Option<RowHeaders> {
    let some = records.clone().any(|i| raw.header_bytes(i).is_some());
    some.then(|| records.map(|i| raw.header_bytes(i).map(Arc::from)).collect())
}

fn rejected_bytes(raw: &RawBatch, record: usize, kind: RejectKind) -> Option<Vec<u8>> {
    let bytes = match kind {
        RejectKind::DeserializeKey => raw.key(record),
        _ => raw.value(record),
    };
    bytes.map(<[u8]>::to_vec)
}

/// Positions per partition, e.g. for purging and for consumer groups.
pub fn positions<'a>(tasks: impl Iterator<Item = &'a Task>) -> HashMap<Tp, Offset> {
    let mut at: HashMap<Tp, Offset> = HashMap::new();
    for input in tasks.flat_map(|task| &task.inputs) {
        let slot = at.entry(input.tp).or_insert(input.committed);
        *slot = (*slot).min(input.committed);
    }
    at
}
