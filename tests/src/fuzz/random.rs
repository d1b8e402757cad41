//! Random numbers that a seed repeats, and random damage to bytes.

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// Longest input.
const INPUT_BYTES_MAX: usize = 64 << 10;
/// Numbers that lengths and counts are tampered with.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_ffff,
];

/// Damages `bytes` a few times. `words`: pieces that mean something in the format; `others`: valid
/// inputs to splice with.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>, words: &[&[u8]], others: &[Vec<u8>]) {
    for _ in 0..=random.below(6) {
        damage_once(random, bytes, words, others);
        bytes.truncate(INPUT_BYTES_MAX);
    }
}

fn damage_once(random: &mut Random, bytes: &mut Vec<u8>, words: &[&[u8]], others: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    match random.below(11) {
        0 => bytes.truncate(at),
        1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        2 if at < bytes.len() => bytes[at] = random.next() as u8,
        3 => insert(bytes, at, &random.next().to_le_bytes()),
        4 => {
            let end = (at + random.below(16)).min(bytes.len());
            bytes.drain(at..end);
        }
        5 => {
            let end = (at + 1 + random.below(32)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let times = if random.chance(10) { 1 + random.below(4000) } else { 2 };
            let times = times.min(INPUT_BYTES_MAX / piece.len().max(1));
            insert(bytes, at, &piece.repeat(times));
        }
        6 => {
            let other = random.pick(others);
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        7 => overwrite(bytes, at, &number(random)),
        8 => insert(bytes, at, &number(random)),
        _ if !words.is_empty() => {
            let word = *random.pick(words);
            let times = if random.chance(5) { 1 + random.below(3000) } else { 1 };
            insert(bytes, at, &word.repeat(times));
        }
        _ => bytes.reverse(),
    }
}

/// A number as formats write it: fixed or in groups of seven bits.
fn number(random: &mut Random) -> Vec<u8> {
    let mut value = *random.pick(&NUMBERS);
    match random.below(4) {
        0 => (value as u32).to_be_bytes().to_vec(),
        1 => value.to_be_bytes().to_vec(),
        2 => (value as u32).to_le_bytes().to_vec(),
        _ => {
            let mut out = Vec::new();
            while value >= 0x80 {
                out.push(value as u8 | 0x80);
                value >>= 7;
            }
            out.push(value as u8);
            out
        }
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

fn overwrite(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let end = (at + piece.len()).min(bytes.len());
    bytes.splice(at..end, piece.iter().copied());
}
