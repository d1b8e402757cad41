//! The columns that an Avro schema stands for.

use millrace_engine::format::{Inferred, Naming};
use millrace_sql::catalog::SchemaText;
use millrace_sql::types::{DECIMAL_PRECISION_MAX, SqlType, StructField};

use super::schema::{AvroSchema, Decimal, Logical, Type, TypeId};
use crate::formats::infer::{DEPTH_MAX, field_name, root_columns};

/// # Errors
/// Says why a schema stands for no columns.
pub fn infer(schema: &SchemaText, wrapped: bool, naming: Naming) -> Result<Inferred, String> {
    let schema = AvroSchema::parse(schema)?;
    let ty = Infer { schema: &schema, keep_case: naming.keep_case }.ty(schema.root, 0)?;
    let columns = root_columns(ty, wrapped, naming)?;
    let name = schema.name().map(str::to_string);
    Ok(Inferred { columns, names: name.iter().cloned().collect(), name })
}

struct Infer<'a> {
    schema: &'a AvroSchema,
    keep_case: bool,
}

impl Infer<'_> {
    fn ty(&self, id: TypeId, depth: usize) -> Result<SqlType, String> {
        if depth > DEPTH_MAX {
            return Err("a recursive schema has no SQL type".to_string());
        }
        let inner = |id: TypeId| self.ty(id, depth + 1);
        Ok(match self.schema.get(id) {
            Type::Null => return Err("Standalone null schemas are not supported".to_string()),
            Type::Boolean => SqlType::Boolean,
            Type::Int(Some(Logical::Date)) => SqlType::Date,
            Type::Int(Some(Logical::TimeMillis)) => SqlType::Time,
            Type::Int(_) => SqlType::Integer,
            Type::Long(Some(Logical::TimestampMillis)) => SqlType::Timestamp,
            Type::Long(_) => SqlType::Bigint,
            Type::Float | Type::Double => SqlType::Double,
            Type::Bytes(None) | Type::Fixed { decimal: None, .. } => SqlType::Bytes,
            Type::Bytes(Some(d)) | Type::Fixed { decimal: Some(d), .. } => decimal(*d)?,
            Type::String | Type::Enum { .. } => SqlType::String,
            Type::Array(item) => match self.schema.map_entry(*item) {
                Some((_, value)) => map(inner(value)?),
                None => SqlType::Array(Box::new(inner(*item)?)),
            },
            Type::Map(value) => map(inner(*value)?),
            Type::Record(record) => {
                let fields = record.fields.iter().map(|f| (f.name.clone(), f.ty));
                self.fields(fields, depth)?
            }
            Type::Union(branches) => match (self.schema.nullable(id), &branches[..]) {
                (Some(other), _) => inner(other)?,
                (None, [only]) => inner(*only)?,
                _ => {
                    let not_null = |id: &&TypeId| *self.schema.get(**id) != Type::Null;
                    let fields = branches.iter().filter(not_null);
                    self.fields(fields.map(|id| (self.schema.branch_name(*id), *id)), depth)?
                }
            },
        })
    }

    fn fields(
        &self,
        fields: impl Iterator<Item = (String, TypeId)>,
        depth: usize,
    ) -> Result<SqlType, String> {
        let field = |(name, id): (String, TypeId)| {
            let ty = self.ty(id, depth + 1)?;
            Ok(StructField { name: field_name(&name, self.keep_case), ty })
        };
        Ok(SqlType::Struct(fields.map(field).collect::<Result<_, String>>()?))
    }
}

fn map(value: SqlType) -> SqlType {
    SqlType::Map(Box::new(SqlType::String), Box::new(value))
}

/// A precision beyond what the engine computes with is cut; a value that needs it is refused when
/// it is read.
fn decimal(decimal: Decimal) -> Result<SqlType, String> {
    let Decimal { precision, scale } = decimal;
    let precision = precision.min(u32::from(DECIMAL_PRECISION_MAX)) as u8;
    match u8::try_from(scale) {
        Ok(scale) if scale <= precision && precision > 0 => {
            Ok(SqlType::Decimal { precision, scale })
        }
        _ => Err(format!("a decimal with precision {precision} and scale {scale}")),
    }
}
