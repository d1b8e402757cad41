//! The columns that a Protobuf message stands for.

use millrace_engine::format::{Inferred, Naming};
use millrace_sql::catalog::{FormatSpec, ProtobufNulls, SchemaText};
use millrace_sql::types::{DECIMAL_PRECISION_MAX, SqlType, StructField};

use super::known::{Known, is_wrapper};
use super::schema::{Field, Kind, ProtoSchema};
use crate::formats::infer::{DEPTH_MAX, field_name, root_columns};

/// # Errors
/// Says why a schema stands for no columns.
pub fn infer(schema: &SchemaText, format: &FormatSpec, naming: Naming) -> Result<Inferred, String> {
    let schema = ProtoSchema::parse(schema)?;
    let wanted = format.schema.full_name.as_deref();
    let (root, _) = schema.root(wanted).ok_or_else(|| match wanted {
        Some(name) => format!("the schema has no message {name}"),
        None => "the schema has no message".to_string(),
    })?;
    let unwrap = format.schema.nulls == ProtobufNulls::Wrapper;
    let infer = Infer { schema: &schema, keep_case: naming.keep_case, unwrap };
    let columns = root_columns(infer.message(root, 0)?, true, naming)?;
    let name = Some(schema.message(root).name.clone());
    Ok(Inferred { columns, name, names: schema.names() })
}

struct Infer<'a> {
    schema: &'a ProtoSchema,
    keep_case: bool,
    /// Wrapper messages are the value that they wrap.
    unwrap: bool,
}

impl Infer<'_> {
    fn message(&self, id: usize, depth: usize) -> Result<SqlType, String> {
        if depth > DEPTH_MAX {
            return Err("a recursive schema has no SQL type".to_string());
        }
        let message = self.schema.message(id);
        let mut members = Vec::new();
        for (at, oneof) in message.oneofs.iter().enumerate() {
            let fields = message.fields.iter().filter(|f| f.oneof == Some(at));
            let ty = SqlType::Struct(self.members(fields, depth)?);
            let name = field_name(&oneof_name(oneof, at), self.keep_case);
            members.push(StructField { name, ty });
        }
        let others = message.fields.iter().filter(|f| f.oneof.is_none());
        members.extend(self.members(others, depth)?);
        Ok(SqlType::Struct(members))
    }

    fn members<'f>(
        &self,
        fields: impl Iterator<Item = &'f Field>,
        depth: usize,
    ) -> Result<Vec<StructField>, String> {
        let member = |field: &Field| {
            let ty = self.field(field, depth)?;
            Ok(StructField { name: field_name(&field.name, self.keep_case), ty })
        };
        fields.map(member).collect()
    }

    fn field(&self, field: &Field, depth: usize) -> Result<SqlType, String> {
        if let Some((_, value)) = self.schema.entry(field) {
            let value = self.value(value, depth)?;
            return Ok(SqlType::Map(Box::new(SqlType::String), Box::new(value)));
        }
        let value = self.value(field, depth)?;
        Ok(if field.repeated { SqlType::Array(Box::new(value)) } else { value })
    }

    fn value(&self, field: &Field, depth: usize) -> Result<SqlType, String> {
        Ok(match field.kind {
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => SqlType::Integer,
            Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint64
            | Kind::Fixed32
            | Kind::Fixed64
            | Kind::Sfixed64 => SqlType::Bigint,
            Kind::Float | Kind::Double => SqlType::Double,
            Kind::Bool => SqlType::Boolean,
            Kind::String | Kind::Enum(_) => SqlType::String,
            Kind::Bytes => SqlType::Bytes,
            Kind::Group => return Err("Unknown Connect schema type: GROUP".to_string()),
            Kind::Message(id) => {
                let message = self.schema.message(id);
                match Known::of(&message.name) {
                    Some(Known::Timestamp) => SqlType::Timestamp,
                    Some(Known::Date) => SqlType::Date,
                    Some(Known::TimeOfDay) => SqlType::Time,
                    Some(Known::Decimal) => decimal(field)?,
                    None if self.unwrap && is_wrapper(&message.name) => {
                        let inner = message.fields.first().ok_or("a wrapper without a value")?;
                        self.value(inner, depth + 1)?
                    }
                    None => self.message(id, depth + 1)?,
                }
            }
        })
    }
}

/// The member that Connect makes of a oneof.
pub fn oneof_name(name: &str, at: usize) -> String {
    format!("{name}_{at}")
}

/// A precision that the options leave out, or that the engine cannot compute with, is the largest.
fn decimal(field: &Field) -> Result<SqlType, String> {
    let max = u32::from(DECIMAL_PRECISION_MAX);
    let precision = field.precision.unwrap_or(max).min(max) as u8;
    match u8::try_from(field.scale.unwrap_or(0)) {
        Ok(scale) if scale <= precision && precision > 0 => {
            Ok(SqlType::Decimal { precision, scale })
        }
        _ => Err(format!("the decimal {} has a scale above its precision", field.name)),
    }
}
