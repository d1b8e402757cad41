//! Which record of an input a row comes from, for the processing log. Nothing is computed until a row is
//! told of: a batch on its way takes along only the masks that it went through.

use arrow::buffer::BooleanBuffer;

/// Which rows of the batch that it was given an operator handed on, in order, as one batch.
#[derive(Debug, Clone, Copy)]
pub enum Passed<'a> {
    /// Others, or not known.
    Others,
    All,
    These(&'a BooleanBuffer),
}

/// What a batch went through since it left its input; the latest last.
#[derive(Debug, Clone, Default)]
pub struct Lineage(Vec<BooleanBuffer>);

impl Lineage {
    /// Of a batch of which only these rows were kept; `None`: all of them.
    pub fn of(kept: Option<&BooleanBuffer>) -> Lineage {
        Lineage(kept.cloned().into_iter().collect())
    }

    /// That of what an operator handed on; `None`: its rows are not those of the input any more.
    pub fn then(&self, passed: Passed<'_>) -> Option<Lineage> {
        let mut then = self.clone();
        match passed {
            Passed::Others => return None,
            Passed::All => {}
            Passed::These(rows) => then.0.push(rows.clone()),
        }
        Some(then)
    }

    /// The row of the input that row `row` was.
    pub fn origin(&self, row: usize) -> Option<usize> {
        self.0.iter().rev().try_fold(row, |row, passed| passed.set_indices().nth(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_through_all_masks() {
        let mask = |bits: &[bool]| BooleanBuffer::from(bits.to_vec());
        let first = mask(&[false, true, true, false, true]);
        let second = mask(&[true, false, true]);
        let input = Lineage::default();
        let once = input.then(Passed::These(&first)).unwrap();
        let twice = once.then(Passed::All).unwrap().then(Passed::These(&second)).unwrap();
        let check = |lineage: &Lineage, expected: &[Option<usize>]| {
            let found: Vec<_> = (0..expected.len()).map(|row| lineage.origin(row)).collect();
            assert_eq!(found, expected);
        };
        check(&input, &[Some(0), Some(1)]);
        check(&once, &[Some(1), Some(2), Some(4), None]);
        check(&twice, &[Some(1), Some(4), None]);
        check(&Lineage::of(Some(&second)), &[Some(0), Some(2), None]);
        check(&Lineage::of(None), &[Some(0)]);
        assert!(once.then(Passed::Others).is_none());
    }
}
