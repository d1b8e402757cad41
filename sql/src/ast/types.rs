//! Types as written; custom names are resolved by the analyser.

use super::names::{Ident, Loc};
use crate::error::{Result, SqlError};
use crate::types::{DECIMAL_PRECISION_MAX, SqlType, StructField};

/// A type with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeExpr {
    pub kind: TypeKind,
    pub loc: Loc,
}

/// What a type is made of.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    Scalar(ScalarType),
    Array(Box<TypeExpr>),
    Map(Box<TypeExpr>, Box<TypeExpr>),
    Struct(Vec<FieldDef>),
    /// A name that is no built-in type; declared by CREATE TYPE, if at all.
    Custom(Ident),
}

/// A built-in type without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarType {
    Boolean,
    Integer,
    Bigint,
    Double,
    /// As written: ksqlDB sets no upper bound, [`TypeExpr::resolve`] does.
    Decimal {
        precision: u32,
        scale: u32,
    },
    String,
    Bytes,
    Date,
    Time,
    Timestamp,
}

/// One member of a STRUCT type.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDef {
    pub name: Ident,
    pub ty: TypeExpr,
}

impl TypeExpr {
    /// A type that stands nowhere in a text.
    pub fn of(ty: &SqlType) -> Self {
        let boxed = |ty: &SqlType| Box::new(TypeExpr::of(ty));
        let scalar = |scalar| TypeKind::Scalar(scalar);
        let kind = match ty {
            SqlType::Boolean => scalar(ScalarType::Boolean),
            SqlType::Integer => scalar(ScalarType::Integer),
            SqlType::Bigint => scalar(ScalarType::Bigint),
            SqlType::Double => scalar(ScalarType::Double),
            SqlType::Decimal { precision, scale } => scalar(ScalarType::Decimal {
                precision: u32::from(*precision),
                scale: u32::from(*scale),
            }),
            SqlType::String => scalar(ScalarType::String),
            SqlType::Bytes => scalar(ScalarType::Bytes),
            SqlType::Date => scalar(ScalarType::Date),
            SqlType::Time => scalar(ScalarType::Time),
            SqlType::Timestamp => scalar(ScalarType::Timestamp),
            SqlType::Array(item) => TypeKind::Array(boxed(item)),
            SqlType::Map(key, value) => TypeKind::Map(boxed(key), boxed(value)),
            SqlType::Struct(fields) => TypeKind::Struct(
                fields
                    .iter()
                    .map(|f| FieldDef { name: Ident::new(&f.name), ty: TypeExpr::of(&f.ty) })
                    .collect(),
            ),
        };
        TypeExpr { kind, loc: Loc::default() }
    }

    /// The SQL type; `custom` answers for names made by CREATE TYPE.
    ///
    /// # Errors
    /// An unknown name, and a DECIMAL wider than this engine computes.
    pub fn resolve(&self, custom: &dyn Fn(&str) -> Option<SqlType>) -> Result<SqlType> {
        Ok(match &self.kind {
            TypeKind::Scalar(scalar) => scalar.resolve().map_err(|e| e.at(self.loc.0))?,
            TypeKind::Array(item) => SqlType::Array(Box::new(item.resolve(custom)?)),
            TypeKind::Map(key, value) => {
                SqlType::Map(Box::new(key.resolve(custom)?), Box::new(value.resolve(custom)?))
            }
            TypeKind::Struct(fields) => {
                let field = |f: &FieldDef| {
                    Ok(StructField { name: f.name.value.clone(), ty: f.ty.resolve(custom)? })
                };
                SqlType::Struct(fields.iter().map(field).collect::<Result<_>>()?)
            }
            TypeKind::Custom(name) => custom(&name.value).ok_or_else(|| {
                let message = format!("Cannot resolve unknown type: {}", name.value);
                SqlError::invalid(message).at(self.loc.0)
            })?,
        })
    }
}

impl ScalarType {
    /// From a type name in upper case; DECIMAL has parameters and is not among them.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "BOOLEAN" => ScalarType::Boolean,
            "INTEGER" | "INT" => ScalarType::Integer,
            "BIGINT" => ScalarType::Bigint,
            "DOUBLE" => ScalarType::Double,
            "STRING" | "VARCHAR" => ScalarType::String,
            "BYTES" => ScalarType::Bytes,
            "DATE" => ScalarType::Date,
            "TIME" => ScalarType::Time,
            "TIMESTAMP" => ScalarType::Timestamp,
            _ => return None,
        })
    }

    /// # Errors
    /// A DECIMAL outside of what the engine computes.
    pub fn resolve(self) -> Result<SqlType> {
        Ok(match self {
            ScalarType::Boolean => SqlType::Boolean,
            ScalarType::Integer => SqlType::Integer,
            ScalarType::Bigint => SqlType::Bigint,
            ScalarType::Double => SqlType::Double,
            ScalarType::String => SqlType::String,
            ScalarType::Bytes => SqlType::Bytes,
            ScalarType::Date => SqlType::Date,
            ScalarType::Time => SqlType::Time,
            ScalarType::Timestamp => SqlType::Timestamp,
            ScalarType::Decimal { precision, scale } => decimal(precision, scale)?,
        })
    }
}

fn decimal(precision: u32, scale: u32) -> Result<SqlType> {
    let written = format!("DECIMAL({precision},{scale})");
    if precision < 1 {
        return Err(SqlError::invalid(format!("DECIMAL precision must be >= 1: {written}")));
    }
    if scale > precision {
        return Err(SqlError::invalid(format!("DECIMAL precision must be >= scale: {written}")));
    }
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) if precision <= DECIMAL_PRECISION_MAX => {
            Ok(SqlType::Decimal { precision, scale })
        }
        _ => {
            let hint = format!("the largest precision is {DECIMAL_PRECISION_MAX}");
            Err(SqlError::not_supported(written).hint(hint))
        }
    }
}
