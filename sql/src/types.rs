//! SQL types as ksqlDB knows them, and their one Arrow representation.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, Serialize};

/// A SQL type. Every column and nested field is nullable.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SqlType {
    Boolean,
    /// 32 bits, arithmetic wraps.
    Integer,
    /// 64 bits, arithmetic wraps.
    Bigint,
    Double,
    /// Exact; precision is 1..=38, scale 0..=precision.
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Bytes,
    /// Days since 1970-01-01.
    Date,
    /// Milliseconds of the day.
    Time,
    /// Milliseconds since the epoch, UTC.
    Timestamp,
    Array(Box<SqlType>),
    Map(Box<SqlType>, Box<SqlType>),
    Struct(Vec<StructField>),
}

/// One member of a [`SqlType::Struct`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StructField {
    pub name: String,
    pub ty: SqlType,
}

/// The largest precision a DECIMAL can have here (Arrow's `Decimal128`).
pub const DECIMAL_PRECISION_MAX: u8 = 38;

impl SqlType {
    /// The Arrow type that carries values of this type everywhere in the engine.
    pub fn to_arrow(&self) -> DataType {
        match self {
            SqlType::Boolean => DataType::Boolean,
            SqlType::Integer => DataType::Int32,
            SqlType::Bigint => DataType::Int64,
            SqlType::Double => DataType::Float64,
            SqlType::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale as i8),
            SqlType::String => DataType::Utf8,
            SqlType::Bytes => DataType::Binary,
            SqlType::Date => DataType::Date32,
            SqlType::Time => DataType::Time32(TimeUnit::Millisecond),
            SqlType::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            SqlType::Array(item) => {
                DataType::List(Arc::new(Field::new("item", item.to_arrow(), true)))
            }
            SqlType::Map(key, value) => {
                let entries = Fields::from(vec![
                    Field::new("key", key.to_arrow(), false),
                    Field::new("value", value.to_arrow(), true),
                ]);
                let entries = Field::new("entries", DataType::Struct(entries), false);
                DataType::Map(Arc::new(entries), false)
            }
            SqlType::Struct(fields) => DataType::Struct(
                fields.iter().map(|f| Field::new(&f.name, f.ty.to_arrow(), true)).collect(),
            ),
        }
    }

    /// The SQL type of an Arrow type made by [`SqlType::to_arrow`]; `None` for any other.
    pub fn from_arrow(ty: &DataType) -> Option<SqlType> {
        Some(match ty {
            DataType::Boolean => SqlType::Boolean,
            DataType::Int32 => SqlType::Integer,
            DataType::Int64 => SqlType::Bigint,
            DataType::Float64 => SqlType::Double,
            DataType::Decimal128(p, s) if *s >= 0 => {
                SqlType::Decimal { precision: *p, scale: *s as u8 }
            }
            DataType::Utf8 => SqlType::String,
            DataType::Binary => SqlType::Bytes,
            DataType::Date32 => SqlType::Date,
            DataType::Time32(TimeUnit::Millisecond) => SqlType::Time,
            DataType::Timestamp(TimeUnit::Millisecond, None) => SqlType::Timestamp,
            DataType::List(item) => SqlType::Array(Box::new(Self::from_arrow(item.data_type())?)),
            DataType::Map(entries, _) => {
                let DataType::Struct(kv) = entries.data_type() else { return None };
                SqlType::Map(
                    Box::new(Self::from_arrow(kv.first()?.data_type())?),
                    Box::new(Self::from_arrow(kv.get(1)?.data_type())?),
                )
            }
            DataType::Struct(fields) => SqlType::Struct(
                fields
                    .iter()
                    .map(|f| {
                        let ty = Self::from_arrow(f.data_type())?;
                        Some(StructField { name: f.name().clone(), ty })
                    })
                    .collect::<Option<Vec<_>>>()?,
            ),
            _ => return None,
        })
    }

    /// True for INTEGER, BIGINT, DOUBLE and DECIMAL.
    pub fn is_numeric(&self) -> bool {
        matches!(
            self,
            SqlType::Integer | SqlType::Bigint | SqlType::Double | SqlType::Decimal { .. }
        )
    }

    /// ksqlDB's bare type name, as `columnTypes` of `/query-stream` and schema JSON use it.
    pub fn base_name(&self) -> &'static str {
        match self {
            SqlType::Boolean => "BOOLEAN",
            SqlType::Integer => "INTEGER",
            SqlType::Bigint => "BIGINT",
            SqlType::Double => "DOUBLE",
            SqlType::Decimal { .. } => "DECIMAL",
            SqlType::String => "STRING",
            SqlType::Bytes => "BYTES",
            SqlType::Date => "DATE",
            SqlType::Time => "TIME",
            SqlType::Timestamp => "TIMESTAMP",
            SqlType::Array(_) => "ARRAY",
            SqlType::Map(..) => "MAP",
            SqlType::Struct(_) => "STRUCT",
        }
    }
}

/// Full SQL text, e.g. ``STRUCT<`A` INTEGER, `B` ARRAY<STRING>>``.
impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SqlType::Decimal { precision, scale } => write!(f, "DECIMAL({precision}, {scale})"),
            SqlType::Array(item) => write!(f, "ARRAY<{item}>"),
            SqlType::Map(k, v) => write!(f, "MAP<{k}, {v}>"),
            SqlType::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}`{}` {}", field.name, field.ty)?;
                }
                f.write_str(">")
            }
            other => f.write_str(other.base_name()),
        }
    }
}
