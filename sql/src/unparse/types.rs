//! Types.

use std::fmt;

use super::{List, names};
use crate::ast::{FieldDef, ScalarType, TypeExpr, TypeKind};

impl fmt::Display for TypeExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            TypeKind::Scalar(scalar) => write!(f, "{scalar}"),
            TypeKind::Array(item) => write!(f, "ARRAY<{item}>"),
            TypeKind::Map(key, value) => write!(f, "MAP<{key}, {value}>"),
            TypeKind::Struct(fields) => write!(f, "STRUCT<{}>", List(fields)),
            TypeKind::Custom(name) if ScalarType::from_name(&name.value).is_some() => {
                names::write_quoted(f, &name.value)
            }
            TypeKind::Custom(name) => write!(f, "{name}"),
        }
    }
}

impl fmt::Display for FieldDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.ty)
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ScalarType::Boolean => "BOOLEAN",
            ScalarType::Integer => "INTEGER",
            ScalarType::Bigint => "BIGINT",
            ScalarType::Double => "DOUBLE",
            ScalarType::String => "STRING",
            ScalarType::Bytes => "BYTES",
            ScalarType::Date => "DATE",
            ScalarType::Time => "TIME",
            ScalarType::Timestamp => "TIMESTAMP",
            ScalarType::Decimal { precision, scale } => {
                return write!(f, "DECIMAL({precision}, {scale})");
            }
        })
    }
}
