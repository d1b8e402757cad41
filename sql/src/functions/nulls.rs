//! Functions about NULL, and the identity.

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_not_null, nullif};
use arrow::error::ArrowError;

use super::registry::{Body::*, Scalar};
use crate::expr::frame::Frame;
use crate::expr::kernel::Args;
use crate::expr::ops::equality;

const NULLS: &str = "CONDITIONAL";

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "AS_VALUE",
        category: NULLS,
        about: "The argument itself; copies a key column into the value.",
        example: ("AS_VALUE('a')", "a"),
        overloads: &[("(T) -> T", Kernel(|args, _| args.array(0)))],
    },
    Scalar {
        name: "COALESCE",
        category: NULLS,
        about: "The first argument that is not NULL.",
        example: ("COALESCE(NULL, 'b', 'c')", "b"),
        overloads: &[("(T, T...) -> T", Kernel(coalesce))],
    },
    Scalar {
        name: "IFNULL",
        category: NULLS,
        about: "The first argument, or the second where it is NULL.",
        example: ("IFNULL(NULL, 'b')", "b"),
        overloads: &[("(T, T) -> T", Kernel(coalesce))],
    },
    Scalar {
        name: "NULLIF",
        category: NULLS,
        about: "NULL where the arguments are equal, else the first one.",
        example: ("NULLIF('a', 'a')", "null"),
        overloads: &[("(T, T) -> T", Kernel(null_if))],
    },
];

fn coalesce(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut result = args.array(0)?;
    for other in &args.cols[1..] {
        if result.null_count() == 0 {
            break;
        }
        result = zip(&is_not_null(&result)?, &result, other.datum().as_ref())?;
    }
    Ok(result)
}

fn null_if(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let value = args.array(0)?;
    let other = args.col(1)?;
    let same = equality(&value, &other.array)?;
    let same = BooleanBuffer::collect_bool(args.rows, |row| same(row, other.row(row)));
    nullif(&value, &BooleanArray::new(same, None))
}
