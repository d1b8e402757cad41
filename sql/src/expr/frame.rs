//! Errors of single rows, and how far they travel.
//!
//! Kernels put errors into the current [`Frame`]. Guards (arguments of functions, casts, members
//! of constructors) open a frame of their own, so that an error stops there; what no guard stops
//! reaches the evaluator's frame, which makes the whole value of that row NULL.

use std::borrow::Cow;
use std::cell::RefCell;

use arrow::array::{Array, ArrayRef, BooleanArray, BooleanBufferBuilder};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::nullif;
use arrow::error::ArrowError;

/// A row whose expression could not be computed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Row of the batch, from 0.
    pub row: usize,
    pub message: String,
}

/// Why a kernel has no value for a row.
pub(crate) type Fault = Cow<'static, str>;

/// The errors of one expression over one batch.
#[derive(Default)]
pub(crate) struct Frame {
    /// Rows whose errors count; `None`: all. Branches not taken are evaluated, but are silent.
    live: Option<BooleanBuffer>,
    /// Rows in error. Only as long as the last one.
    faulty: Option<BooleanBufferBuilder>,
    faults: Vec<RowError>,
    /// Errors that a guard has stopped.
    stopped: Vec<RowError>,
}

impl Frame {
    pub(crate) fn new(live: Option<BooleanBuffer>) -> Self {
        Frame { live, ..Frame::default() }
    }

    /// Sets `row` in error, unless it is already or does not count.
    pub(crate) fn fault(&mut self, row: usize, message: impl Into<Fault>) {
        if self.live.as_ref().is_some_and(|live| !live.value(row)) || self.is_faulty(row) {
            return;
        }
        let faulty = self.faulty.get_or_insert_with(|| BooleanBufferBuilder::new(row + 1));
        if faulty.len() <= row {
            faulty.resize(row + 1);
        }
        faulty.set_bit(row, true);
        self.faults.push(RowError { row, message: message.into().into_owned() });
    }

    /// Sets every NULL row of `array` in error.
    pub(crate) fn fault_nulls(&mut self, nulls: Option<&NullBuffer>, message: &'static str) {
        let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else { return };
        for row in (!nulls.inner()).set_indices() {
            self.fault(row, message);
        }
    }

    fn is_faulty(&self, row: usize) -> bool {
        self.faulty.as_ref().is_some_and(|faulty| row < faulty.len() && faulty.get_bit(row))
    }

    pub(crate) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The rows among `rows` that count and are not in error.
    pub(crate) fn still_live(&self, rows: BooleanBuffer) -> BooleanBuffer {
        let rows = match &self.live {
            Some(live) => &rows & live,
            None => rows,
        };
        match self.faulty_rows(rows.len()) {
            Some(faulty) => &rows & &!&faulty,
            None => rows,
        }
    }

    pub(crate) fn faulty_rows(&self, len: usize) -> Option<BooleanBuffer> {
        let faulty = self.faulty.as_ref()?;
        let mut all = BooleanBufferBuilder::new(len);
        all.append_buffer(&BooleanBuffer::new(faulty_buffer(faulty), 0, faulty.len()));
        all.resize(len);
        Some(all.finish())
    }

    /// `array` with the rows in error set to NULL.
    pub(crate) fn null_faulty(&self, array: ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self.faulty_rows(array.len()) {
            Some(faulty) => nullif(&array, &BooleanArray::new(faulty, None)),
            None => Ok(array),
        }
    }

    /// Takes over the errors of a frame that did not guard.
    fn absorb(&mut self, inner: Frame) {
        for fault in inner.faults {
            self.fault(fault.row, fault.message);
        }
        self.stopped.extend(inner.stopped);
    }

    /// Takes over the errors of items: `rows` tells the row that each item belongs to.
    pub(crate) fn absorb_items(&mut self, inner: Frame, rows: &[u32]) {
        let row_of = |item: usize| rows.get(item).map_or(0, |row| *row as usize);
        for fault in inner.faults {
            self.fault(row_of(fault.row), fault.message);
        }
        let stopped = inner.stopped.into_iter();
        self.stopped.extend(stopped.map(|e| RowError { row: row_of(e.row), ..e }));
    }

    /// One error per row, by row.
    pub(crate) fn into_errors(self) -> Vec<RowError> {
        let mut errors = self.faults;
        errors.extend(self.stopped);
        errors.sort_by_key(|error| error.row);
        errors.dedup_by_key(|error| error.row);
        errors
    }
}

fn faulty_buffer(bits: &BooleanBufferBuilder) -> arrow::buffer::Buffer {
    arrow::buffer::Buffer::from_slice_ref(bits.as_slice())
}

thread_local! {
    /// The open frames of the expression that is being evaluated, innermost last.
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Opens `frame`, runs `f`, and returns the frame with what happened in it.
pub(crate) fn within<R>(frame: Frame, f: impl FnOnce() -> R) -> (R, Frame) {
    FRAMES.with_borrow_mut(|frames| frames.push(frame));
    let result = f();
    let frame = FRAMES.with_borrow_mut(|frames| frames.pop());
    (result, frame.unwrap_or_default())
}

/// Runs `f` with the current frame; `None` when no expression is being evaluated.
pub(crate) fn current<R>(f: impl FnOnce(&mut Frame) -> R) -> Option<R> {
    FRAMES.with_borrow_mut(|frames| frames.last_mut().map(f))
}

/// Opens a frame whose errors stop here; they are told, and their rows are NULL in the result.
pub(crate) fn guarded<E: From<ArrowError>>(
    f: impl FnOnce() -> Result<ArrayRef, E>,
) -> Result<ArrayRef, E> {
    let live = current(|frame| frame.live.clone()).flatten();
    let (result, mut inner) = within(Frame::new(live), f);
    let array = inner.null_faulty(result?)?;
    current(|frame| {
        frame.stopped.append(&mut inner.faults);
        frame.stopped.append(&mut inner.stopped);
    });
    Ok(array)
}

/// Runs `f` such that only errors of the rows `live` count, and go on to the current frame.
pub(crate) fn only<R>(live: BooleanBuffer, f: impl FnOnce() -> R) -> R {
    let (result, inner) = within(Frame::new(Some(live)), f);
    current(|frame| frame.absorb(inner));
    result
}
