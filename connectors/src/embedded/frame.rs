//! One change as bytes of the journal.
//!
//! A frame is a prefix of 32 bytes (magic, version, length of the header, CRC32 of the rest of the
//! prefix and the header, length of the data, how much of the segment was durable when the frame
//! was written), the header, and the records of the chunks in the order in which the header lists
//! them. Each chunk has a CRC32 of its own. All little endian.

use millrace_engine::ids::{TopicId, Tp};

use super::core::chunk::{Chunk, Place};
use super::core::entry::{Entry, PartPatch};

/// Bytes before a frame's header.
pub const PREFIX_BYTES: usize = 32;
/// First bytes of a frame.
pub const MAGIC: [u8; 4] = *b"MLrf";
/// Version of this format.
const VERSION: u32 = 1;
/// A longer header is taken for damage.
const HEADER_BYTES_MAX: usize = 1 << 30;

/// What the first bytes of a frame say.
#[derive(Debug, Clone, Copy)]
pub struct Prefix {
    pub header_bytes: usize,
    pub data_bytes: u64,
    /// The segment was durable up to here when the frame was written.
    pub synced: u64,
    crc: u32,
}

/// Appends `entry` to `out`, which is to be written at `at` of `segment`, and sets the places of
/// its chunks accordingly.
pub fn encode(entry: &mut Entry, out: &mut Vec<u8>, (segment, at): (u32, u64), synced: u64) {
    let begin = out.len();
    let chunks = entry.parts.iter().flat_map(|patch| &patch.chunks);
    out.reserve(chunks.map(|chunk| chunk.bytes as usize).sum());
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    put_header(entry, out);
    let header_bytes = out.len() - begin - PREFIX_BYTES;
    let data_at = out.len();
    for chunk in entry.parts.iter_mut().flat_map(|patch| &mut patch.chunks) {
        if let Place::Memory(data) = &chunk.place {
            let place = Place::Stored { segment, at: at + (out.len() - begin) as u64 };
            out.extend_from_slice(data);
            chunk.place = place;
        }
    }
    let data_bytes = (out.len() - data_at) as u64;
    let prefix = &mut out[begin..data_at];
    prefix[..4].copy_from_slice(&MAGIC);
    prefix[4..8].copy_from_slice(&VERSION.to_le_bytes());
    prefix[8..12].copy_from_slice(&(header_bytes as u32).to_le_bytes());
    prefix[16..24].copy_from_slice(&data_bytes.to_le_bytes());
    prefix[24..32].copy_from_slice(&synced.to_le_bytes());
    let crc = checksum(&prefix[..PREFIX_BYTES], &prefix[PREFIX_BYTES..]);
    prefix[12..16].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(prefix: &[u8], header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&prefix[..12]);
    hasher.update(&prefix[16..]);
    hasher.update(header);
    hasher.finalize()
}

/// Reads the first bytes of a frame; `None` if they cannot be one.
pub fn prefix(bytes: &[u8]) -> Option<Prefix> {
    let mut input = Input(bytes.get(..PREFIX_BYTES)?);
    let (magic, version) = (input.take::<4>()?, input.u32()?);
    let header_bytes = input.u32()? as usize;
    let crc = input.u32()?;
    let (data_bytes, synced) = (input.u64()?, input.u64()?);
    let sound = magic == MAGIC && version == VERSION && header_bytes <= HEADER_BYTES_MAX;
    sound.then_some(Prefix { header_bytes, data_bytes, synced, crc })
}

/// Reads the change of a frame that begins at `at` of `segment`, given its bytes without the
/// records; `None` if they are damaged.
pub fn decode(bytes: &[u8], (segment, at): (u32, u64)) -> Option<Entry> {
    let found = prefix(bytes)?;
    let header = bytes.get(PREFIX_BYTES..PREFIX_BYTES.checked_add(found.header_bytes)?)?;
    if checksum(&bytes[..PREFIX_BYTES], header) != found.crc {
        return None;
    }
    let data_at = at + (PREFIX_BYTES + header.len()) as u64;
    let mut entry = get_header(&mut Input(header))?;
    let mut next = data_at;
    for chunk in entry.parts.iter_mut().flat_map(|patch| &mut patch.chunks) {
        chunk.place = Place::Stored { segment, at: next };
        next += u64::from(chunk.bytes);
    }
    (next - data_at == found.data_bytes).then_some(entry)
}

fn put_header(entry: &Entry, out: &mut Vec<u8>) {
    let topics = match entry.topics.is_empty() {
        true => Vec::new(),
        false => serde_json::to_vec(&entry.topics).expect("names and numbers are JSON"),
    };
    put_u32(out, topics.len());
    out.extend_from_slice(&topics);
    put_u32(out, entry.parts.len());
    for patch in &entry.parts {
        out.extend_from_slice(&patch.tp.topic.0.to_le_bytes());
        put_u32(out, patch.tp.partition.0 as usize);
        put_i64s(out, &[patch.start, patch.end]);
        put_u32(out, patch.cut.len());
        patch.cut.iter().for_each(|(from, to)| put_i64s(out, &[*from, *to]));
        put_u32(out, patch.chunks.len());
        for chunk in &patch.chunks {
            put_i64s(out, &[chunk.base, chunk.next, chunk.max_timestamp, chunk.appended_ms]);
            put_u32(out, chunk.records as usize);
            put_u32(out, chunk.bytes as usize);
            put_u32(out, chunk.crc as usize);
        }
    }
}

fn put_u32(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&(number as u32).to_le_bytes());
}

fn put_i64s(out: &mut Vec<u8>, numbers: &[i64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn get_header(input: &mut Input<'_>) -> Option<Entry> {
    let mut entry = Entry::default();
    let topics_bytes = input.u32()? as usize;
    let topics = input.bytes(topics_bytes)?;
    if !topics.is_empty() {
        entry.topics = serde_json::from_slice(topics).ok()?;
    }
    for _ in 0..input.u32()? {
        let topic = TopicId(u128::from_le_bytes(input.take()?));
        let mut patch = PartPatch::new(Tp::new(topic, input.u32()?));
        (patch.start, patch.end) = (input.i64()?, input.i64()?);
        for _ in 0..input.u32()? {
            patch.cut.push((input.i64()?, input.i64()?));
        }
        for _ in 0..input.u32()? {
            patch.chunks.push(get_chunk(input)?);
        }
        entry.parts.push(patch);
    }
    Some(entry)
}

fn get_chunk(input: &mut Input<'_>) -> Option<Chunk> {
    Some(Chunk {
        base: input.i64()?,
        next: input.i64()?,
        max_timestamp: input.i64()?,
        appended_ms: input.i64()?,
        records: input.u32()?,
        bytes: input.u32()?,
        crc: input.u32()?,
        place: Place::Stored { segment: 0, at: 0 },
    })
}

/// Bytes that are left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}
