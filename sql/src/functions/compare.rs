//! GREATEST and LEAST, ELT and FIELD.

use arrow::array::{Array, ArrayRef, make_comparator};
use arrow::compute::{SortOptions, interleave};
use arrow::error::ArrowError;
use std::cmp::Ordering;
use std::sync::Arc;

use super::registry::{Body::*, Scalar};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Int, Str};

const COMPARE: &str = "CONDITIONAL";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "ELT",
        category: COMPARE,
        about: "The n-th of the strings, from 1; NULL if there is none.",
        example: ("ELT(2, 'a', 'b')", "b"),
        overloads: &[("(INT, STRING...) -> STRING", Kernel(elt))],
    },
    Scalar {
        name: "FIELD",
        category: COMPARE,
        about: "The position, from 1, of the first string among the others; 0 if it is not there.",
        example: ("FIELD('b', 'a', 'b')", "2"),
        overloads: &[("(STRING, STRING...) -> INT", Kernel(field))],
    },
    Scalar {
        name: "GREATEST",
        category: COMPARE,
        about: "The largest argument that is not NULL.",
        example: ("GREATEST(1, 3, 2)", "3"),
        overloads: &[
            ("(INT, INT...) -> INT", Kernel(greatest)),
            ("(BIGINT, BIGINT...) -> BIGINT", Kernel(greatest)),
            ("(DECIMAL, DECIMAL...) -> DECIMAL", Kernel(greatest)),
            ("(DOUBLE, DOUBLE...) -> DOUBLE", Kernel(greatest)),
            ("(STRING, STRING...) -> STRING", Kernel(greatest)),
            ("(BYTES, BYTES...) -> BYTES", Kernel(greatest)),
            ("(DATE, DATE...) -> DATE", Kernel(greatest)),
            ("(TIME, TIME...) -> TIME", Kernel(greatest)),
            ("(TIMESTAMP, TIMESTAMP...) -> TIMESTAMP", Kernel(greatest)),
        ],
    },
    Scalar {
        name: "LEAST",
        category: COMPARE,
        about: "The smallest argument that is not NULL.",
        example: ("LEAST(2, 3, 1)", "1"),
        overloads: &[
            ("(INT, INT...) -> INT", Kernel(least)),
            ("(BIGINT, BIGINT...) -> BIGINT", Kernel(least)),
            ("(DECIMAL, DECIMAL...) -> DECIMAL", Kernel(least)),
            ("(DOUBLE, DOUBLE...) -> DOUBLE", Kernel(least)),
            ("(STRING, STRING...) -> STRING", Kernel(least)),
            ("(BYTES, BYTES...) -> BYTES", Kernel(least)),
            ("(DATE, DATE...) -> DATE", Kernel(least)),
            ("(TIME, TIME...) -> TIME", Kernel(least)),
            ("(TIMESTAMP, TIMESTAMP...) -> TIMESTAMP", Kernel(least)),
        ],
    },
];

fn greatest(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    extreme(args, Ordering::Greater)
}

fn least(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    extreme(args, Ordering::Less)
}

fn extreme(args: &Args<'_>, want: Ordering) -> Result<ArrayRef, ArrowError> {
    let mut best = args.array(0)?;
    for other in &args.cols[1..] {
        let compare = make_comparator(&other.array, &best, SortOptions::default())?;
        let picks: Vec<(usize, usize)> = (0..args.rows)
            .map(|row| {
                let at = other.row(row);
                let better = !other.is_null(row) && (best.is_null(row) || compare(at, row) == want);
                if better { (1, at) } else { (0, row) }
            })
            .collect();
        best = interleave(&[best.as_ref(), other.array.as_ref()], &picks)?;
    }
    Ok(best)
}

fn elt(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = arrow::array::StringBuilder::with_capacity(args.rows, args.rows * 8);
    for row in 0..args.rows {
        let Some(position) = args.col(0)?.get::<Int>(row)? else {
            frame.fault(row, "the position of ELT is NULL");
            out.append_null();
            continue;
        };
        let col = usize::try_from(position).ok().filter(|at| *at > 0);
        match col.and_then(|at| args.cols.get(at)) {
            Some(col) => out.append_option(col.get::<Str>(row)?),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}

fn field(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        let needle = args.col(0)?.get::<Str>(row)?;
        let mut found = 0;
        for (at, col) in args.cols.iter().enumerate().skip(1) {
            if needle.is_some() && col.get::<Str>(row)? == needle {
                found = at as i32;
                break;
            }
        }
        out.push(found);
    }
    Ok(Arc::new(arrow::array::Int32Array::from(out)))
}
