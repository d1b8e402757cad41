//! COUNT_DISTINCT: HyperLogLog with 2^14 registers (standard error 0.8%), as in ksqlDB.
//!
//! The estimate follows O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches"
//! (2017), algorithm 6: no bias tables, right from 0 up.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use millrace_sql::types::SqlType;

use super::bytes::{Reader, corrupt, put_u64};
use super::class::{Column, Encoded};
use super::kernel::Kernel;
use super::number::first;
use crate::codec::key::KeyBuffer;
use crate::error::Result;

const REGISTER_BITS: u32 = 14;
const REGISTERS: usize = 1 << REGISTER_BITS;
/// Ranks are 0..=51: bits of the hash that are not the register's number, plus one.
const RANK_MAX: usize = (64 - REGISTER_BITS + 1) as usize;
/// Registers that a sketch keeps one by one before it holds all of them.
const SPARSE_REGISTERS_MAX: usize = 1024;

/// An estimate of the number of distinct values that are not NULL.
pub(super) struct CountDistinct(Encoded);

impl CountDistinct {
    pub fn new(ty: &SqlType) -> Self {
        CountDistinct(Encoded::new(ty))
    }
}

/// The registers of one group.
pub(super) enum Sketch {
    /// `register << 8 | rank`, ascending; rank > 0.
    Sparse(Vec<u32>),
    Dense(Box<Dense>),
}

/// All registers, and how many have each rank.
pub(super) struct Dense {
    ranks: [u8; REGISTERS],
    histogram: [u16; RANK_MAX + 1],
}

impl Default for Sketch {
    fn default() -> Self {
        Sketch::Sparse(Vec::new())
    }
}

impl Sketch {
    fn insert_hash(&mut self, hash: u64) {
        let register = (hash >> (64 - REGISTER_BITS)) as usize;
        let rank = ((hash << REGISTER_BITS) | 1 << (REGISTER_BITS - 1)).leading_zeros() + 1;
        self.raise(register, rank as u8);
    }

    fn raise(&mut self, register: usize, rank: u8) {
        let entries = match self {
            Sketch::Dense(dense) => return dense.raise(register, rank),
            Sketch::Sparse(entries) => entries,
        };
        let at = entries.partition_point(|entry| (entry >> 8) < register as u32);
        let entry = (register as u32) << 8 | u32::from(rank);
        if entries.get(at).is_some_and(|old| *old >> 8 == register as u32) {
            entries[at] = entry.max(entries[at]);
        } else if entries.len() < SPARSE_REGISTERS_MAX {
            entries.insert(at, entry);
        } else {
            let mut dense = Dense::new();
            self.each(|register, rank| dense.raise(register, rank));
            dense.raise(register, rank);
            *self = Sketch::Dense(dense);
        }
    }

    /// Calls `visit` with the registers that are not 0, ascending.
    fn each(&self, mut visit: impl FnMut(usize, u8)) {
        match self {
            Sketch::Sparse(entries) => {
                entries.iter().for_each(|entry| visit((entry >> 8) as usize, *entry as u8));
            }
            Sketch::Dense(dense) => {
                let set = dense.ranks.iter().enumerate().filter(|(_, rank)| **rank > 0);
                set.for_each(|(register, rank)| visit(register, *rank));
            }
        }
    }

    fn estimate(&self) -> i64 {
        match self {
            Sketch::Dense(dense) => estimate(&dense.histogram),
            Sketch::Sparse(entries) => {
                let mut histogram = [0u16; RANK_MAX + 1];
                histogram[0] = (REGISTERS - entries.len()) as u16;
                entries.iter().for_each(|entry| histogram[*entry as u8 as usize] += 1);
                estimate(&histogram)
            }
        }
    }
}

impl Dense {
    fn new() -> Box<Self> {
        let mut histogram = [0; RANK_MAX + 1];
        histogram[0] = REGISTERS as u16;
        Box::new(Dense { ranks: [0; REGISTERS], histogram })
    }

    fn raise(&mut self, register: usize, rank: u8) {
        let old = &mut self.ranks[register];
        if rank > *old {
            self.histogram[*old as usize] -= 1;
            self.histogram[rank as usize] += 1;
            *old = rank;
        }
    }
}

/// `histogram[r]`: registers with rank r.
fn estimate(histogram: &[u16; RANK_MAX + 1]) -> i64 {
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(histogram[RANK_MAX])) / m);
    for rank in (1..RANK_MAX).rev() {
        z = 0.5 * (z + f64::from(histogram[rank]));
    }
    z += m * sigma(f64::from(histogram[0]) / m);
    let alpha = 0.5 / std::f64::consts::LN_2;
    (alpha * m * m / z).round() as i64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// A hash that never changes, since registers are saved: 8 bytes at a time, folded multiplication.
pub(super) fn hash64(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0x9E37_79B9_7F4A_7C15;
    const STEP: u64 = 0xD6E8_FEB8_6659_FD93;
    let fold = |a: u64, b: u64| {
        let wide = u128::from(a) * u128::from(b);
        wide as u64 ^ (wide >> 64) as u64
    };
    let (chunks, tail) = bytes.as_chunks::<8>();
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(STEP);
    for chunk in chunks {
        hash = fold(hash ^ u64::from_le_bytes(*chunk), STEP).wrapping_add(SEED);
    }
    let mut last = [0; 8];
    last[..tail.len()].copy_from_slice(tail);
    hash = fold(hash ^ u64::from_le_bytes(last), STEP).wrapping_add(SEED);
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(STEP);
    hash ^= hash >> 29;
    hash.wrapping_mul(SEED) ^ hash >> 31
}

impl Kernel for CountDistinct {
    type Cell = Sketch;
    type Input = Column<KeyBuffer>;
    type Out = Vec<i64>;
    const FORMAT: u8 = 0x60;

    fn bind(&self, args: &[ArrayRef]) -> Result<Self::Input> {
        self.0.encode(first(args)?)
    }
    fn add(&self, cell: &mut Sketch, input: &Self::Input, row: usize, _: i64) -> Result<()> {
        if !input.is_null(row) {
            cell.insert_hash(hash64(input.values.get(row)));
        }
        Ok(())
    }
    fn merge(&self, into: &mut Sketch, from: Sketch) -> Result<()> {
        from.each(|register, rank| into.raise(register, rank));
        Ok(())
    }
    fn out(&self, rows: usize) -> Vec<i64> {
        Vec::with_capacity(rows)
    }
    fn emit(&self, cell: &Sketch, out: &mut Vec<i64>) {
        out.push(cell.estimate());
    }
    fn finish(&self, out: Vec<i64>) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(out)))
    }
    /// Sparse: count and gaps between registers with their ranks. Dense: all ranks.
    fn save(&self, cell: &Sketch, out: &mut Vec<u8>) {
        match cell {
            Sketch::Dense(dense) => {
                out.push(1);
                out.extend_from_slice(&dense.ranks);
            }
            Sketch::Sparse(entries) => {
                out.push(0);
                put_u64(entries.len() as u64, out);
                for entry in entries {
                    put_u64(u64::from(entry >> 8), out);
                    out.push(*entry as u8);
                }
            }
        }
    }
    fn load(&self, from: &mut Reader<'_>) -> Result<Sketch> {
        let mut sketch = Sketch::default();
        let mut raise = |register: u64, rank: u8| {
            if register >= REGISTERS as u64 || usize::from(rank) > RANK_MAX {
                return Err(corrupt("a register of COUNT_DISTINCT is out of range"));
            }
            if rank > 0 {
                sketch.raise(register as usize, rank);
            }
            Ok(())
        };
        if from.u8()? == 1 {
            for (register, rank) in from.array::<REGISTERS>()?.into_iter().enumerate() {
                raise(register as u64, rank)?;
            }
        } else {
            for _ in 0..from.count()? {
                raise(from.u64()?, from.u8()?)?;
            }
        }
        Ok(sketch)
    }
    fn heap_bytes(&self, cell: &Sketch) -> usize {
        match cell {
            Sketch::Sparse(entries) => entries.capacity() * size_of::<u32>(),
            Sketch::Dense(_) => size_of::<Dense>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_within_three_percent() {
        for count in [0u64, 1, 2, 10, 1_000, 5_000, 40_000, 60_000, 300_000] {
            let mut sketch = Sketch::default();
            for value in 0..count {
                sketch.insert_hash(hash64(&value.to_be_bytes()));
                sketch.insert_hash(hash64(&value.to_be_bytes()));
            }
            let error = (sketch.estimate() - count as i64).abs() as f64;
            assert!(error <= 0.03 * count as f64, "{count}: {}", sketch.estimate());
        }
    }

    #[test]
    fn the_hash_is_part_of_the_saved_form() {
        assert_eq!(hash64(b""), hash64(b""));
        assert_ne!(hash64(b"a"), hash64(b"a\0"));
        assert_ne!(hash64(b"12345678"), hash64(b"12345678\0"));
    }
}
