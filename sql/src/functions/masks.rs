//! MASK and its relatives: hide characters, keep their kind.

use arrow::array::{ArrayRef, StringBuilder};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::registry::{Body::*, Scalar};
use crate::expr::frame::{Fault, Frame};
use crate::expr::kernel::{Args, Int, Str};

const STRING: &str = "STRING";

const SHORT: &str = "(STRING, INT) -> STRING";
const LONG: &str = "(STRING, INT, STRING, STRING, STRING, STRING) -> STRING";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "MASK",
        category: STRING,
        about: "Every character masked: X for capitals, x for small letters, n for digits, - for \
                others, or by the four masks given (NULL: unchanged).",
        example: ("MASK('My Test $123')", "Xx-Xxxx--nnn"),
        overloads: &[
            ("(STRING) -> STRING", Kernel(|args, frame| mask(args, frame, None))),
            (
                "(STRING, STRING, STRING, STRING, STRING) -> STRING",
                Kernel(|args, frame| mask(args, frame, None)),
            ),
        ],
    },
    Scalar {
        name: "MASK_KEEP_LEFT",
        category: STRING,
        about: "As MASK, but the first n characters stay.",
        example: ("MASK_KEEP_LEFT('Password123', 4)", "Passxxxxnnn"),
        overloads: &[
            (SHORT, Kernel(|args, frame| mask(args, frame, Some(|n, _, at| at >= n)))),
            (LONG, Kernel(|args, frame| mask(args, frame, Some(|n, _, at| at >= n)))),
        ],
    },
    Scalar {
        name: "MASK_KEEP_RIGHT",
        category: STRING,
        about: "As MASK, but the last n characters stay.",
        example: ("MASK_KEEP_RIGHT('Password123', 4)", "Xxxxxxxd123"),
        overloads: &[
            (SHORT, Kernel(|args, frame| mask(args, frame, Some(|n, len, at| at + n < len)))),
            (LONG, Kernel(|args, frame| mask(args, frame, Some(|n, len, at| at + n < len)))),
        ],
    },
    Scalar {
        name: "MASK_LEFT",
        category: STRING,
        about: "As MASK, but only the first n characters.",
        example: ("MASK_LEFT('Password123', 4)", "Xxxxword123"),
        overloads: &[
            (SHORT, Kernel(|args, frame| mask(args, frame, Some(|n, _, at| at < n)))),
            (LONG, Kernel(|args, frame| mask(args, frame, Some(|n, _, at| at < n)))),
        ],
    },
    Scalar {
        name: "MASK_RIGHT",
        category: STRING,
        about: "As MASK, but only the last n characters.",
        example: ("MASK_RIGHT('Password123', 4)", "Passworxnnn"),
        overloads: &[
            (SHORT, Kernel(|args, frame| mask(args, frame, Some(|n, len, at| at + n >= len)))),
            (LONG, Kernel(|args, frame| mask(args, frame, Some(|n, len, at| at + n >= len)))),
        ],
    },
];

/// Is the character at a position masked? Given n, the length and the position.
type Masked = fn(usize, usize, usize) -> bool;

/// Masks for capitals, small letters, digits and others.
type Masks = [Option<char>; 4];

const DEFAULT: Masks = [Some('X'), Some('x'), Some('n'), Some('-')];

fn mask(
    args: &Args<'_>,
    frame: &mut Frame,
    masked: Option<Masked>,
) -> Result<ArrayRef, ArrowError> {
    let mut out = StringBuilder::with_capacity(args.rows, args.rows * 16);
    let first_mask = if masked.is_some() { 2 } else { 1 };
    for row in 0..args.rows {
        let Some(text) = args.col(0)?.get::<Str>(row)? else {
            out.append_null();
            continue;
        };
        let n = match masked {
            Some(_) => args.col(1)?.get::<Int>(row)?,
            None => Some(0),
        };
        let masks = masks(args, first_mask, row)?;
        match masks.and_then(|masks| {
            let n = n.ok_or("the number of characters is NULL")?;
            let n = usize::try_from(n).map_err(|_| "the number of characters is negative")?;
            Ok(apply(text, masks, n, masked.unwrap_or(|_, _, _| true)))
        }) {
            Ok(text) => out.append_value(text),
            Err(message) => {
                frame.fault(row, message);
                out.append_null();
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

fn masks(args: &Args<'_>, first: usize, row: usize) -> Result<Result<Masks, Fault>, ArrowError> {
    let mut masks = DEFAULT;
    for (mask, col) in masks.iter_mut().zip(args.cols.iter().skip(first)) {
        let Some(text) = col.get::<Str>(row)? else {
            *mask = None;
            continue;
        };
        let mut chars = text.chars();
        *mask = chars.next();
        if mask.is_none() || chars.next().is_some() {
            return Ok(Err("Invalid mask character: it must be one character".into()));
        }
    }
    Ok(Ok(masks))
}

fn apply(text: &str, masks: Masks, n: usize, masked: Masked) -> String {
    let length = text.chars().count();
    let one = |(at, c): (usize, char)| {
        if !masked(n, length, at) {
            return c;
        }
        let kind = match c {
            c if c.is_uppercase() => 0,
            c if c.is_lowercase() => 1,
            c if c.is_numeric() => 2,
            _ => 3,
        };
        masks[kind].unwrap_or(c)
    };
    text.chars().enumerate().map(one).collect()
}
