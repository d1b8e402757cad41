//! What kernels are made of: typed access to argument columns, loops over rows, result builders.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Datum, ListBuilder, PrimitiveArray,
    PrimitiveBuilder, Scalar, StringBuilder,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, TimestampMillisecondType,
};
use arrow::error::ArrowError;
use std::sync::Arc;

use super::frame::{Fault, Frame};

/// Computes a column from argument columns. Rows in error go into the frame; their values do not
/// matter. An `Err` is a bug of ours, never data.
pub(crate) type KernelFn = fn(&Args<'_>, &mut Frame) -> Result<ArrayRef, ArrowError>;

/// An argument: a column, or one value for all rows.
#[derive(Debug, Clone)]
pub(crate) struct Col {
    pub(crate) array: ArrayRef,
    /// `array` has one row that stands for all.
    pub(crate) constant: bool,
}

impl Col {
    /// For arrow's kernels, which know scalars.
    pub(crate) fn datum(&self) -> Box<dyn Datum> {
        match self.constant {
            true => Box::new(Scalar::new(Arc::clone(&self.array))),
            false => Box::new(Arc::clone(&self.array)),
        }
    }

    pub(crate) fn row(&self, row: usize) -> usize {
        if self.constant { 0 } else { row }
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.row(row))
    }

    /// The value of `row`; `None` if it is NULL.
    pub(crate) fn get<P: Param>(&self, row: usize) -> Result<Option<P::Out<'_>>, ArrowError> {
        let array = downcast::<P>(&self.array)?;
        let row = self.row(row);
        Ok((!array.is_null(row)).then(|| P::value(array, row)))
    }
}

/// The arguments of a kernel.
pub(crate) struct Args<'a> {
    pub(crate) cols: &'a [Col],
    pub(crate) rows: usize,
    /// Exact type of the result.
    pub(crate) returns: &'a DataType,
}

impl Args<'_> {
    pub(crate) fn col(&self, index: usize) -> Result<&Col, ArrowError> {
        self.cols.get(index).ok_or_else(|| mismatch("an argument", "nothing"))
    }

    /// The argument as a full column.
    pub(crate) fn array(&self, index: usize) -> Result<ArrayRef, ArrowError> {
        let col = self.col(index)?;
        if !col.constant {
            return Ok(Arc::clone(&col.array));
        }
        let first = arrow::array::UInt32Array::from(vec![0; self.rows]);
        arrow::compute::take(&col.array, &first, None)
    }
}

pub(crate) fn mismatch(want: &str, got: impl std::fmt::Debug) -> ArrowError {
    ArrowError::InvalidArgumentError(format!("a kernel expected {want} and got {got:?}"))
}

/// What NULL in an argument does.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Nulls {
    /// The result is NULL.
    Propagate,
    /// The row is in error (functions of Java primitives).
    Fault,
    /// The kernel sees it as `None`.
    Pass,
}

/// How a kernel sees one argument.
pub(crate) trait Param {
    type Array: Array + 'static;
    type Out<'a>;
    const NULLS: Nulls = Nulls::Propagate;
    fn value(array: &Self::Array, row: usize) -> Self::Out<'_>;
}

pub(crate) fn downcast<P: Param>(array: &ArrayRef) -> Result<&P::Array, ArrowError> {
    let found = array.as_any().downcast_ref::<P::Array>();
    found.ok_or_else(|| mismatch(std::any::type_name::<P::Array>(), array.data_type()))
}

macro_rules! params {
    ($($name:ident: $array:ty => $out:ty;)*) => {$(
        pub(crate) struct $name;
        impl Param for $name {
            type Array = $array;
            type Out<'a> = $out;
            fn value(array: &Self::Array, row: usize) -> $out {
                array.value(row)
            }
        }
    )*};
}
params! {
    Bool: arrow::array::BooleanArray => bool;
    Int: PrimitiveArray<Int32Type> => i32;
    Big: PrimitiveArray<Int64Type> => i64;
    Dbl: PrimitiveArray<Float64Type> => f64;
    Dec: PrimitiveArray<Decimal128Type> => i128;
    Date: PrimitiveArray<Date32Type> => i32;
    Time: PrimitiveArray<Time32MillisecondType> => i32;
    Ts: PrimitiveArray<TimestampMillisecondType> => i64;
}

pub(crate) struct Str;
impl Param for Str {
    type Array = arrow::array::StringArray;
    type Out<'a> = &'a str;
    fn value(array: &Self::Array, row: usize) -> &str {
        array.value(row)
    }
}

pub(crate) struct Bin;
impl Param for Bin {
    type Array = arrow::array::BinaryArray;
    type Out<'a> = &'a [u8];
    fn value(array: &Self::Array, row: usize) -> &[u8] {
        array.value(row)
    }
}

/// An argument whose NULL the kernel handles.
pub(crate) struct Opt<P>(std::marker::PhantomData<P>);
impl<P: Param> Param for Opt<P> {
    type Array = P::Array;
    type Out<'a> = Option<P::Out<'a>>;
    const NULLS: Nulls = Nulls::Pass;
    fn value(array: &Self::Array, row: usize) -> Self::Out<'_> {
        (!array.is_null(row)).then(|| P::value(array, row))
    }
}

/// An argument that is a Java primitive in ksqlDB: NULL is an error of the row.
pub(crate) struct Prim<P>(std::marker::PhantomData<P>);
impl<P: Param> Param for Prim<P> {
    type Array = P::Array;
    type Out<'a> = P::Out<'a>;
    const NULLS: Nulls = Nulls::Fault;
    fn value(array: &Self::Array, row: usize) -> Self::Out<'_> {
        P::value(array, row)
    }
}

/// A value, NULL, or an error.
pub(crate) type RowResult<T> = Result<Option<T>, Fault>;

/// A value of a row.
pub(crate) fn ok<T>(value: impl Into<T>) -> RowResult<T> {
    Ok(Some(value.into()))
}

/// What a kernel returns per row, and how it becomes a column.
pub(crate) trait Ret {
    type Value<'a>;
    type Builder;
    fn builder(rows: usize) -> Self::Builder;
    fn push(builder: &mut Self::Builder, value: Option<Self::Value<'_>>);
    fn finish(builder: Self::Builder, returns: &DataType) -> ArrayRef;
}

macro_rules! primitive_returns {
    ($($name:ident: $arrow:ty;)*) => {$(
        impl Ret for $name {
            type Value<'a> = <$arrow as ArrowPrimitiveType>::Native;
            type Builder = PrimitiveBuilder<$arrow>;
            fn builder(rows: usize) -> Self::Builder {
                PrimitiveBuilder::with_capacity(rows)
            }
            fn push(builder: &mut Self::Builder, value: Option<Self::Value<'_>>) {
                builder.append_option(value);
            }
            fn finish(mut builder: Self::Builder, returns: &DataType) -> ArrayRef {
                Arc::new(builder.finish().with_data_type(returns.clone()))
            }
        }
    )*};
}
primitive_returns! {
    Int: Int32Type;
    Big: Int64Type;
    Dbl: Float64Type;
    Dec: Decimal128Type;
    Date: Date32Type;
    Time: Time32MillisecondType;
    Ts: TimestampMillisecondType;
}

macro_rules! byte_returns {
    ($($name:ident: $builder:ty => $value:ty, $make:expr;)*) => {$(
        impl Ret for $name {
            type Value<'a> = $value;
            type Builder = $builder;
            fn builder(rows: usize) -> Self::Builder {
                $make(rows)
            }
            fn push(builder: &mut Self::Builder, value: Option<Self::Value<'_>>) {
                builder.append_option(value);
            }
            fn finish(mut builder: Self::Builder, _: &DataType) -> ArrayRef {
                Arc::new(builder.finish())
            }
        }
    )*};
}
byte_returns! {
    Bool: BooleanBuilder => bool, BooleanBuilder::with_capacity;
    Str: StringBuilder => Cow<'a, str>, |rows| StringBuilder::with_capacity(rows, rows * 8);
    Bin: BinaryBuilder => Cow<'a, [u8]>, |rows| BinaryBuilder::with_capacity(rows, rows * 8);
}

/// ARRAY<STRING>
pub(crate) struct StrList;
impl Ret for StrList {
    type Value<'a> = Vec<Option<Cow<'a, str>>>;
    type Builder = ListBuilder<StringBuilder>;
    fn builder(rows: usize) -> Self::Builder {
        ListBuilder::with_capacity(StringBuilder::new(), rows)
    }
    fn push(builder: &mut Self::Builder, value: Option<Self::Value<'_>>) {
        builder.append_option(value);
    }
    fn finish(mut builder: Self::Builder, _: &DataType) -> ArrayRef {
        Arc::new(builder.finish())
    }
}

macro_rules! rows {
    ($(#[$doc:meta])* $name:ident, $($param:ident $array:ident $index:literal),+) => {
        $(#[$doc])*
        pub(crate) fn $name<'a, $($param: Param,)+ R: Ret>(
            args: &'a Args<'_>,
            frame: &mut Frame,
            f: impl Fn($($param::Out<'a>),+) -> RowResult<R::Value<'a>>,
        ) -> Result<ArrayRef, ArrowError> {
            $(let $array = (args.col($index)?, downcast::<$param>(&args.col($index)?.array)?);)+
            let mut out = R::builder(args.rows);
            for row in 0..args.rows {
                let mut missing = None;
                $(if $param::NULLS != Nulls::Pass && $array.0.is_null(row) {
                    if missing != Some(Nulls::Fault) {
                        missing = Some($param::NULLS);
                    }
                })+
                let value = match missing {
                    None => f($($param::value($array.1, $array.0.row(row))),+),
                    Some(Nulls::Fault) => Err(Cow::Borrowed("argument must not be NULL")),
                    Some(_) => Ok(None),
                };
                match value {
                    Ok(value) => R::push(&mut out, value),
                    Err(message) => {
                        frame.fault(row, message);
                        R::push(&mut out, None);
                    }
                }
            }
            Ok(R::finish(out, args.returns))
        }
    };
}
rows!(
    /// Computes each row from one argument.
    rows1, A a 0
);
rows!(
    /// Computes each row from two arguments.
    rows2, A a 0, B b 1
);
rows!(
    /// Computes each row from three arguments.
    rows3, A a 0, B b 1, C c 2
);
rows!(
    /// Computes each row from four arguments.
    rows4, A a 0, B b 1, C c 2, D d 3
);

/// The validity of `array` as a filter of rows: which rows are TRUE.
pub(crate) fn true_rows(array: &ArrayRef) -> Result<arrow::buffer::BooleanBuffer, ArrowError> {
    let values = array.as_boolean_opt().ok_or_else(|| mismatch("BOOLEAN", array.data_type()))?;
    Ok(true_bits(values))
}

/// The rows that are TRUE, neither FALSE nor NULL.
pub(crate) fn true_bits(values: &arrow::array::BooleanArray) -> arrow::buffer::BooleanBuffer {
    match values.nulls() {
        Some(valid) => values.values() & valid.inner(),
        None => values.values().clone(),
    }
}
