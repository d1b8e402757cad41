//! FILTER, REDUCE and TRANSFORM: functions of collections that take lambdas. Collections are
//! flattened, and a lambda sees all items of a batch at once; REDUCE goes by position.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use hashbrown::HashSet;

use super::lists::{Lists, Maps, Picked};
use super::registry::{Body::Lambda, Scalar};
use crate::expr::frame;
use crate::expr::hash_order;
use crate::expr::kernel::{mismatch, true_rows};
use crate::expr::lambda::LambdaCall;
use crate::expr::ops::{equality, map_from};

const LAMBDA: &str = "LAMBDA";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "FILTER",
        category: LAMBDA,
        about: "The items of an array, or the entries of a map, for which the lambda is TRUE.",
        example: ("CAST(FILTER(ARRAY[1, 5, 3], x => x > 2) AS STRING)", "[5, 3]"),
        overloads: &[
            ("(ARRAY<T>, T => BOOLEAN) -> ARRAY<T>", Lambda(filter_array)),
            ("(MAP<K, V>, (K, V) => BOOLEAN) -> MAP<K, V>", Lambda(filter_map)),
        ],
    },
    Scalar {
        name: "REDUCE",
        category: LAMBDA,
        about: "Starts with the second argument and lets the lambda combine it with each item of \
                an array, or each key and value of a map, in turn.",
        example: ("REDUCE(ARRAY[1, 2, 3], 10, (s, x) => s + x)", "16"),
        overloads: &[
            ("(ARRAY<T>, S, (S, T) => S) -> S", Lambda(reduce_array)),
            ("(MAP<K, V>, S, (S, K, V) => S) -> S", Lambda(reduce_map)),
        ],
    },
    Scalar {
        name: "TRANSFORM",
        category: LAMBDA,
        about: "The array of what the lambda makes of each item; or the map of what one lambda \
                makes of each entry's key and another of its value.",
        example: ("CAST(TRANSFORM(ARRAY[1, 2], x => x * 10) AS STRING)", "[10, 20]"),
        overloads: &[
            ("(ARRAY<T>, T => R) -> ARRAY<R>", Lambda(transform_array)),
            ("(MAP<K, V>, (K, V) => K2, (K, V) => V2) -> MAP<K2, V2>", Lambda(transform_map)),
        ],
    },
];

/// The items of the rows that count, one after the other.
struct Flat {
    /// Row of each item.
    rows: Vec<u32>,
    items: Picked,
}

impl Flat {
    /// `range`: the items of a row; `None`: it is NULL.
    fn of(call: &LambdaCall<'_>, range: impl Fn(usize) -> Option<Range<usize>>) -> Flat {
        let live = live_rows(call.args.rows);
        let mut flat = Flat { rows: Vec::new(), items: Picked::new(call.args.rows) };
        for row in 0..call.args.rows {
            let items = range(row).filter(|_| live.value(row));
            let count = items.as_ref().map_or(0, Range::len);
            flat.rows.resize(flat.rows.len() + count, row as u32);
            flat.items.row(items);
        }
        flat
    }

    fn take(&self, values: &ArrayRef) -> DfResult<ArrayRef> {
        Ok(take(values, &self.items.items(), None)?)
    }

    /// Items of each row, as ranges of what [`Flat::take`] gives; `None`: the row is NULL.
    fn ranges(&self) -> Vec<Option<Range<usize>>> {
        let nulls = self.items.nulls();
        let mut start = 0;
        let ranges = self.items.lengths().into_iter().enumerate().map(|(row, length)| {
            let range = start..start + length;
            start = range.end;
            nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)).then_some(range)
        });
        ranges.collect()
    }
}

/// The rows that count: in the branch that is taken, and without an error so far.
fn live_rows(rows: usize) -> BooleanBuffer {
    let all = BooleanBuffer::new_set(rows);
    frame::current(|frame| frame.still_live(all.clone())).unwrap_or(all)
}

fn fault(row: u32, message: &'static str) {
    frame::current(|frame| frame.fault(row as usize, message));
}

fn transform_array(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let DataType::List(item) = call.args.returns else {
        return Err(mismatch("ARRAY", call.args.returns).into());
    };
    let lists = Lists::new(call.args.col(0)?)?;
    let flat = Flat::of(call, |row| lists.row(row));
    let items = flat.take(lists.values())?;
    let values = call.lambda(0)?.map(&[items], &flat.rows, call.captures)?;
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(flat.items.lengths());
    let nulls = flat.items.nulls();
    Ok(Arc::new(arrow::array::ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
}

fn transform_map(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let maps = Maps::new(call.args.col(0)?)?;
    let flat = Flat::of(call, |row| maps.row(row));
    let entry = [flat.take(maps.map.keys())?, flat.take(maps.map.values())?];
    let keys = call.lambda(0)?.map(&entry, &flat.rows, call.captures)?;
    let values = call.lambda(1)?.map(&entry, &flat.rows, call.captures)?;
    let same = equality(&keys, &keys)?;
    let mut kept = Picked::new(call.args.rows);
    for range in flat.ranges() {
        let Some(range) = range else {
            kept.row(None::<Range<usize>>);
            continue;
        };
        let mut seen = HashSet::new();
        let duplicate = |entry: usize| match keys.as_string_opt::<i32>() {
            Some(texts) => !seen.insert(texts.value(entry)),
            None => range.clone().take_while(|other| *other < entry).any(|o| same(o, entry)),
        };
        let problem = problem_of(&keys, &values, range.clone(), duplicate);
        if let (Some(problem), Some(row)) = (problem, flat.rows.get(range.start)) {
            fault(*row, problem);
        }
        kept.row(Some(range).filter(|_| problem.is_none()));
    }
    let picked = kept.items();
    let (keys, values) = (take(&keys, &picked, None)?, take(&values, &picked, None)?);
    Ok(map_from(call.args.returns, keys, values, kept.lengths(), kept.nulls())?)
}

/// Why entries cannot be a map.
fn problem_of(
    keys: &ArrayRef,
    values: &ArrayRef,
    mut entries: Range<usize>,
    mut duplicate: impl FnMut(usize) -> bool,
) -> Option<&'static str> {
    entries.find_map(|entry| {
        if keys.is_null(entry) {
            Some("a key of the new map is NULL")
        } else if values.is_null(entry) {
            Some("a value of the new map is NULL")
        } else if duplicate(entry) {
            Some("Duplicate key in the new map")
        } else {
            None
        }
    })
}

fn filter_array(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let lists = Lists::new(call.args.col(0)?)?;
    let flat = Flat::of(call, |row| lists.row(row));
    let items = flat.take(lists.values())?;
    let keep = passes(call, &[Arc::clone(&items)], &flat.rows)?;
    let mut kept = Picked::new(call.args.rows);
    for range in flat.ranges() {
        kept.row(range.map(|range| range.filter(|item| keep.value(*item))));
    }
    Ok(kept.finish(&items, call.args.returns)?)
}

fn filter_map(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let maps = Maps::new(call.args.col(0)?)?;
    let flat = Flat::of(call, |row| maps.row(row));
    let (keys, values) = (flat.take(maps.map.keys())?, flat.take(maps.map.values())?);
    let keep = passes(call, &[Arc::clone(&keys), Arc::clone(&values)], &flat.rows)?;
    for entry in keep.set_indices().filter(|entry| values.is_null(*entry)) {
        fault(flat.rows[entry], "a value of the new map is NULL");
    }
    let mut kept = Picked::new(call.args.rows);
    for range in flat.ranges() {
        kept.row(range.map(|range| range.filter(|entry| keep.value(*entry))));
    }
    let picked = kept.items();
    let (keys, values) = (take(&keys, &picked, None)?, take(&values, &picked, None)?);
    Ok(map_from(call.args.returns, keys, values, kept.lengths(), kept.nulls())?)
}

/// The items that FILTER's lambda says TRUE of; NULL is an error of the row.
fn passes(call: &LambdaCall<'_>, items: &[ArrayRef], rows: &[u32]) -> DfResult<BooleanBuffer> {
    let said = call.lambda(0)?.map(items, rows, call.captures)?;
    if let Some(nulls) = said.nulls().filter(|nulls| nulls.null_count() > 0) {
        for item in (!nulls.inner()).set_indices() {
            fault(rows[item], "the lambda of FILTER gave NULL");
        }
    }
    Ok(true_rows(&said)?)
}

fn reduce_array(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let lists = Lists::new(call.args.col(0)?)?;
    let items = |row| lists.row(row).map(|items| items.map(|item| item as u32).collect());
    reduce(call, &[lists.values()], items)
}

fn reduce_map(call: &LambdaCall<'_>) -> DfResult<ArrayRef> {
    let maps = Maps::new(call.args.col(0)?)?;
    let entries = |row| {
        let order = hash_order(maps.map.keys(), maps.row(row)?);
        Some(order.into_iter().map(|entry| entry as u32).collect())
    };
    reduce(call, &[maps.map.keys(), maps.map.values()], entries)
}

/// Rows whose collection goes on, and their states side by side.
struct Running {
    rows: Vec<u32>,
    states: ArrayRef,
}

/// Step n combines the states of all rows that have an n-th item with these items.
fn reduce(
    call: &LambdaCall<'_>,
    parts: &[&ArrayRef],
    items_of: impl Fn(usize) -> Option<Vec<u32>>,
) -> DfResult<ArrayRef> {
    let lambda = call.lambda(0)?;
    let initial = call.args.array(1)?;
    let live = live_rows(call.args.rows);
    let counted = |row: usize| live.value(row) && initial.is_valid(row);
    let items: Vec<Vec<u32>> = (0..call.args.rows)
        .map(|row| if counted(row) { items_of(row).unwrap_or_default() } else { Vec::new() })
        .collect();
    // Where the state of each row is: in the initial ones, or in those of the step that ended it.
    let mut ended: Vec<ArrayRef> = vec![Arc::clone(&initial)];
    let mut place: Vec<(usize, usize)> = (0..call.args.rows).map(|row| (0, row)).collect();
    let first = (0..call.args.rows as u32).filter(|row| !items[*row as usize].is_empty());
    let rows: Vec<u32> = first.collect();
    let states = take(&initial, &UInt32Array::from(rows.clone()), None)?;
    let mut running = Running { rows, states };
    let mut step = 0;
    while !running.rows.is_empty() {
        let at = running.rows.iter().map(|row| items[*row as usize][step]);
        let at = UInt32Array::from_iter_values(at);
        let mut params = vec![running.states];
        for part in parts {
            params.push(take(part, &at, None)?);
        }
        let states = lambda.map(&params, &running.rows, call.captures)?;
        step += 1;
        running = go_on(running.rows, states, step, &items, &mut ended, &mut place)?;
    }
    let ended: Vec<&dyn Array> = ended.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&ended, &place)?)
}

/// Keeps the rows that have an item more, and notes the final states of the others.
fn go_on(
    rows: Vec<u32>,
    states: ArrayRef,
    step: usize,
    items: &[Vec<u32>],
    ended: &mut Vec<ArrayRef>,
    place: &mut [(usize, usize)],
) -> DfResult<Running> {
    let goes_on = |row: &u32| items[*row as usize].len() > step;
    if rows.iter().all(goes_on) {
        return Ok(Running { rows, states });
    }
    let mut stay = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        if goes_on(row) {
            stay.push(at as u32);
        } else {
            place[*row as usize] = (ended.len(), at);
        }
    }
    let next = take(&states, &UInt32Array::from(stay.clone()), None)?;
    ended.push(states);
    let rows = stay.into_iter().map(|at| rows[at as usize]).collect();
    Ok(Running { rows, states: next })
}
