//! Functions of MAP.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder, StructArray};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::lists::{Lists, Maps, Picked};
use super::registry::{Body::*, Scalar};
use crate::expr::frame::Frame;
use crate::expr::hash_order;
use crate::expr::kernel::{Args, Bool, Str, mismatch};
use crate::expr::ops::map_from;

const MAP: &str = "MAP";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "AS_MAP",
        category: MAP,
        about: "The map of an array of keys to an array of values.",
        example: ("CAST(AS_MAP(ARRAY['a', 'b'], ARRAY[1, 2]) AS STRING)", "{a=1, b=2}"),
        overloads: &[("(ARRAY<STRING>, ARRAY<T>) -> MAP<STRING, T>", Kernel(as_map))],
    },
    Scalar {
        name: "ENTRIES",
        category: MAP,
        about: "The entries as an array of STRUCT<K, V>, by key if the second argument is TRUE.",
        example: ("CAST(ENTRIES(MAP('a' := 1), TRUE) AS STRING)", "[Struct{K=a,V=1}]"),
        overloads: &[
            ("(MAP<STRING, INT>, BOOLEAN) -> ARRAY<STRUCT<K STRING, V INT>>", Kernel(entries)),
            (
                "(MAP<STRING, BIGINT>, BOOLEAN) -> ARRAY<STRUCT<K STRING, V BIGINT>>",
                Kernel(entries),
            ),
            (
                "(MAP<STRING, DOUBLE>, BOOLEAN) -> ARRAY<STRUCT<K STRING, V DOUBLE>>",
                Kernel(entries),
            ),
            (
                "(MAP<STRING, BOOLEAN>, BOOLEAN) -> ARRAY<STRUCT<K STRING, V BOOLEAN>>",
                Kernel(entries),
            ),
            (
                "(MAP<STRING, STRING>, BOOLEAN) -> ARRAY<STRUCT<K STRING, V STRING>>",
                Kernel(entries),
            ),
        ],
    },
    Scalar {
        name: "MAP_KEYS",
        category: MAP,
        about: "The keys.",
        example: ("CAST(MAP_KEYS(MAP('a' := 1, 'b' := 2)) AS STRING)", "[a, b]"),
        overloads: &[(
            "(MAP<STRING, V>) -> ARRAY<STRING>",
            Kernel(|args, _| parts(args, |maps| maps.map.keys())),
        )],
    },
    Scalar {
        name: "MAP_UNION",
        category: MAP,
        about: "The entries of both maps; the second wins.",
        example: (
            "CAST(MAP_UNION(MAP('a' := 1), MAP('a' := 2, 'b' := 3)) AS STRING)",
            "{a=2, b=3}",
        ),
        overloads: &[("(MAP<STRING, V>, MAP<STRING, V>) -> MAP<STRING, V>", Kernel(union))],
    },
    Scalar {
        name: "MAP_VALUES",
        category: MAP,
        about: "The values.",
        example: ("CAST(MAP_VALUES(MAP('a' := 1, 'b' := 2)) AS STRING)", "[1, 2]"),
        overloads: &[(
            "(MAP<STRING, V>) -> ARRAY<V>",
            Kernel(|args, _| parts(args, |maps| maps.map.values())),
        )],
    },
    Scalar {
        name: "SPLIT_TO_MAP",
        category: MAP,
        about: "The map in a text, given what separates entries and what separates key and value.",
        example: ("CAST(SPLIT_TO_MAP('a:1;b:2', ';', ':') AS STRING)", "{a=1, b=2}"),
        overloads: &[("(STRING, STRING, STRING) -> MAP<STRING, STRING>", Kernel(split_to_map))],
    },
];

fn parts(
    args: &Args<'_>,
    part: for<'a> fn(&'a Maps<'a>) -> &'a ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    let maps = Maps::new(args.col(0)?)?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        out.row(maps.row(row).map(|entries| hash_order(maps.map.keys(), entries)));
    }
    out.finish(part(&maps), args.returns)
}

/// Of entries with the same key the last, at the place of the first.
fn unique(keys: &StringArray, entries: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut places: hashbrown::HashMap<&str, usize> = hashbrown::HashMap::new();
    let mut out: Vec<usize> = Vec::new();
    for entry in entries {
        let place = *places.entry(keys.value(entry)).or_insert(out.len());
        match out.get_mut(place) {
            Some(known) => *known = entry,
            None => out.push(entry),
        }
    }
    out
}

fn strings(array: &ArrayRef) -> Result<&StringArray, ArrowError> {
    let found = array.as_any().downcast_ref();
    found.ok_or_else(|| mismatch("STRING", array.data_type()))
}

fn union(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (left, right) = (Maps::new(args.col(0)?)?, Maps::new(args.col(1)?)?);
    let shift = left.map.keys().len();
    let keys = concat(&[left.map.keys().as_ref(), right.map.keys().as_ref()])?;
    let values = concat(&[left.map.values().as_ref(), right.map.values().as_ref()])?;
    let names = strings(&keys)?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let (l, r) = (left.row(row), right.row(row));
        let none = l.is_none() && r.is_none();
        let entries = l.into_iter().flatten().chain(r.into_iter().flatten().map(|at| at + shift));
        out.row((!none).then(|| unique(names, entries)));
    }
    finish_map(out, &keys, &values, args.returns)
}

fn finish_map(
    out: Picked,
    keys: &ArrayRef,
    values: &ArrayRef,
    ty: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let picked = out.items();
    let (keys, values) = (take(keys, &picked, None)?, take(values, &picked, None)?);
    map_from(ty, keys, values, out.lengths(), out.nulls())
}

fn as_map(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (keys, values) = (Lists::new(args.col(0)?)?, Lists::new(args.col(1)?)?);
    let names = strings(keys.values())?;
    let (mut key_items, mut value_items) = (Vec::<u32>::new(), Vec::<Option<u32>>::new());
    let (mut lengths, mut valid) = (Vec::new(), Vec::new());
    for row in 0..args.rows {
        let before = key_items.len();
        let both = keys.row(row).zip(values.row(row));
        valid.push(both.is_some());
        if let Some((key_range, value_range)) = both {
            if key_range.clone().any(|key| names.is_null(key)) {
                frame.fault(row, "a key of AS_MAP is NULL");
            } else {
                for key in unique(names, key_range.clone()) {
                    let value = value_range.start + (key - key_range.start);
                    key_items.push(key as u32);
                    value_items.push(value_range.contains(&value).then_some(value as u32));
                }
            }
        }
        lengths.push(key_items.len() - before);
    }
    let keys = take(keys.values(), &arrow::array::UInt32Array::from(key_items), None)?;
    let values = take(values.values(), &arrow::array::UInt32Array::from(value_items), None)?;
    map_from(args.returns, keys, values, lengths, Some(valid.into()))
}

fn entries(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let DataType::List(item) = args.returns else { return Err(mismatch("ARRAY", args.returns)) };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(mismatch("STRUCT", args.returns));
    };
    let maps = Maps::new(args.col(0)?)?;
    let names = strings(maps.map.keys())?;
    let mut out = Picked::new(args.rows);
    for row in 0..args.rows {
        let Some(sorted) = args.col(1)?.get::<Bool>(row)? else {
            frame.fault(row, "the second argument of ENTRIES is NULL");
            out.row(None::<Vec<usize>>);
            continue;
        };
        out.row(maps.row(row).map(|entries| {
            if !sorted {
                return hash_order(maps.map.keys(), entries);
            }
            let mut entries: Vec<usize> = entries.collect();
            entries.sort_by_key(|entry| names.value(*entry));
            entries
        }));
    }
    let columns = vec![Arc::clone(maps.map.keys()), Arc::clone(maps.map.values())];
    let pairs: ArrayRef = Arc::new(StructArray::try_new(fields.clone(), columns, None)?);
    out.finish(&pairs, args.returns)
}

fn split_to_map(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let (mut keys, mut values) = (StringBuilder::new(), StringBuilder::new());
    let mut out = Picked::new(args.rows);
    let mut made = 0;
    for row in 0..args.rows {
        let get = |index: usize| args.col(index)?.get::<Str>(row);
        let (Some(text), Some(between), Some(inside)) = (get(0)?, get(1)?, get(2)?) else {
            out.row(None::<std::ops::Range<usize>>);
            continue;
        };
        if between.is_empty() || inside.is_empty() || between == inside {
            out.row(None::<std::ops::Range<usize>>);
            continue;
        }
        let before = made;
        for entry in text.split(between) {
            let mut pieces = entry.split(inside);
            if let (Some(key), Some(value)) = (pieces.next(), pieces.next()) {
                keys.append_value(key);
                values.append_value(value);
                made += 1;
            }
        }
        out.row(Some(before..made));
    }
    let (keys, values): (ArrayRef, ArrayRef) = (Arc::new(keys.finish()), Arc::new(values.finish()));
    let names = strings(&keys)?;
    let mut picked = Picked::new(args.rows);
    let (mut start, nulls) = (0, out.nulls());
    for (row, length) in out.lengths().into_iter().enumerate() {
        let known = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        picked.row(known.then(|| unique(names, start..start + length)));
        start += length;
    }
    finish_map(picked, &keys, &values, args.returns)
}
