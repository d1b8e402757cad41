//! Columns to Avro, by the schema that is written with.

use millrace_engine::codec::view::ColumnView;
use millrace_sql::catalog::SchemaText;
use serde_json::Value;

use super::schema::{AvroSchema, Field, Type, TypeId};
use crate::formats::wire::{rescale, write_big_endian, write_zigzag};

/// Defaults within defaults.
const DEPTH_MAX: usize = 64;

/// Writes data of one schema.
#[derive(Debug)]
pub struct AvroEncoder {
    root: Enc,
}

/// How a value is written.
#[derive(Debug)]
enum Enc {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// Scale, and the size of a fixed.
    Decimal(u32, Option<usize>),
    String,
    Bytes,
    Fixed(usize),
    Enum(Vec<String>),
    Array(Box<Enc>),
    Map(Box<Enc>),
    Entries {
        key: Box<Enc>,
        value: Box<Enc>,
        key_first: bool,
    },
    Record(Vec<EncField>),
    /// Numbers of the branches of NULL and of the value.
    Nullable {
        null: i64,
        value: i64,
        enc: Box<Enc>,
    },
}

#[derive(Debug)]
enum EncField {
    /// A column; NULL is written as the default where there is one.
    Column {
        at: usize,
        name: String,
        enc: Enc,
        default: Option<Vec<u8>>,
    },
    /// A field that no column fills.
    Constant(Vec<u8>),
    Missing(String),
}

/// What is to be written: names of columns or members, and the types of nested ones.
#[derive(Debug, Clone)]
pub enum Shape {
    Scalar,
    /// An array's items or a map's values.
    Items(Box<Shape>),
    Members(Vec<(String, Shape)>),
}

impl AvroEncoder {
    /// `single`: the only column stands alone.
    ///
    /// # Errors
    /// When the schema cannot hold the columns.
    pub fn new(schema: &SchemaText, shape: &Shape, single: bool) -> Result<Self, String> {
        let schema = AvroSchema::parse(schema)?;
        let compiler = Compiler { schema: &schema };
        let shape = match shape {
            Shape::Members(columns) if single => &columns.first().ok_or("no column to write")?.1,
            shape => shape,
        };
        Ok(AvroEncoder { root: compiler.enc(schema.root, shape)? })
    }

    /// Appends a record of columns.
    ///
    /// # Errors
    /// When a value does not fit the schema.
    pub fn write(&self, columns: &[ColumnView<'_>], row: usize, out: &mut Vec<u8>) -> Written {
        match &self.root {
            Enc::Record(fields) => write_fields(fields, columns, row, out),
            Enc::Nullable { value, enc, .. } => {
                write_zigzag(*value, out);
                match enc.as_ref() {
                    Enc::Record(fields) => write_fields(fields, columns, row, out),
                    _ => Err("the schema is no record".to_string()),
                }
            }
            _ => Err("the schema is no record".to_string()),
        }
    }

    /// Appends the only column.
    ///
    /// # Errors
    /// When the value does not fit the schema.
    pub fn write_single(&self, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> Written {
        write_value(&self.root, column, row, out)
    }
}

type Written = Result<(), String>;

struct Compiler<'a> {
    schema: &'a AvroSchema,
}

impl Compiler<'_> {
    fn enc(&self, id: TypeId, shape: &Shape) -> Result<Enc, String> {
        if let (Some(other), Type::Union(branches)) =
            (self.schema.nullable(id), self.schema.get(id))
        {
            let value = branches.iter().position(|branch| *branch == other).unwrap_or(1) as i64;
            let enc = Box::new(self.enc(other, shape)?);
            return Ok(Enc::Nullable { null: 1 - value, value, enc });
        }
        Ok(match (self.schema.get(id), shape) {
            (Type::Boolean, Shape::Scalar) => Enc::Boolean,
            (Type::Int(_), Shape::Scalar) => Enc::Int,
            (Type::Long(_), Shape::Scalar) => Enc::Long,
            (Type::Float, Shape::Scalar) => Enc::Float,
            (Type::Double, Shape::Scalar) => Enc::Double,
            (Type::String, Shape::Scalar) => Enc::String,
            (Type::Bytes(None), Shape::Scalar) => Enc::Bytes,
            (Type::Bytes(Some(decimal)), Shape::Scalar) => Enc::Decimal(decimal.scale, None),
            (Type::Fixed { size, decimal: None, .. }, Shape::Scalar) => Enc::Fixed(*size),
            (Type::Fixed { size, decimal: Some(decimal), .. }, Shape::Scalar) => {
                Enc::Decimal(decimal.scale, Some(*size))
            }
            (Type::Enum { symbols, .. }, Shape::Scalar) => Enc::Enum(symbols.clone()),
            (Type::Map(value), Shape::Items(item)) => Enc::Map(Box::new(self.enc(*value, item)?)),
            (Type::Array(from), Shape::Items(item)) => match self.schema.map_entry(*from) {
                Some((key, value)) => {
                    let Type::Record(record) = self.schema.get(*from) else {
                        return Err("an entry that is no record".to_string());
                    };
                    Enc::Entries {
                        key: Box::new(self.enc(key, &Shape::Scalar)?),
                        value: Box::new(self.enc(value, item)?),
                        key_first: record.fields.first().is_some_and(|f| f.name == "key"),
                    }
                }
                None => Enc::Array(Box::new(self.enc(*from, item)?)),
            },
            (Type::Record(record), Shape::Members(members)) => {
                let unknown = members
                    .iter()
                    .find(|(name, _)| !record.fields.iter().any(|f| same_name(&f.name, name)));
                if let Some((name, _)) = unknown {
                    return Err(format!(
                        "Schema from Schema Registry misses field with name: {name}"
                    ));
                }
                let fields = record.fields.iter().map(|field| self.field(field, members));
                Enc::Record(fields.collect::<Result<_, _>>()?)
            }
            (other, _) => {
                return Err(format!("the schema has the type {} for a column", other.word()));
            }
        })
    }

    fn field(&self, field: &Field, members: &[(String, Shape)]) -> Result<EncField, String> {
        // A default that is none of its type counts as no default.
        let default = field.default.as_ref().and_then(|d| self.default(field.ty, d).ok());
        let found = members.iter().position(|(name, _)| same_name(&field.name, name));
        if let Some(at) = found {
            let enc = self.enc(field.ty, &members[at].1);
            let enc = enc.map_err(|why| format!("{}: {why}", field.name))?;
            return Ok(EncField::Column { at, name: field.name.clone(), enc, default });
        }
        if let Some(default) = default {
            return Ok(EncField::Constant(default));
        }
        if self.schema.nullable(field.ty).is_some() {
            let null = self.default(field.ty, &Value::Null)?;
            return Ok(EncField::Constant(null));
        }
        Ok(EncField::Missing(format!(
            "Missing default value for required Avro field: [{}]. This field appears in Avro \
             schema in Schema Registry",
            field.name
        )))
    }

    /// The bytes of a default.
    fn default(&self, id: TypeId, value: &Value) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        self.write_default(id, value, &mut out, 0)?;
        Ok(out)
    }

    fn write_default(
        &self,
        id: TypeId,
        value: &Value,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), String> {
        let misfit = || format!("the default {value} does not fit its type");
        if depth > DEPTH_MAX {
            return Err("a default is nested too deep".to_string());
        }
        match (self.schema.get(id), value) {
            (Type::Array(item), Value::Array(items)) => {
                if !items.is_empty() {
                    write_zigzag(items.len() as i64, out);
                }
                for value in items {
                    self.write_default(*item, value, out, depth + 1)?;
                }
                out.push(0);
            }
            (Type::Map(item), Value::Object(entries)) => {
                if !entries.is_empty() {
                    write_zigzag(entries.len() as i64, out);
                }
                for (key, value) in entries {
                    write_bytes(key.as_bytes(), out);
                    self.write_default(*item, value, out, depth + 1)?;
                }
                out.push(0);
            }
            (Type::Record(record), Value::Object(members)) => {
                for field in &record.fields {
                    let value = members.get(&field.name).or(field.default.as_ref());
                    self.write_default(field.ty, value.ok_or_else(misfit)?, out, depth + 1)?;
                }
            }
            (Type::Union(branches), value) => {
                let start = out.len();
                for (at, branch) in branches.iter().enumerate() {
                    write_zigzag(at as i64, out);
                    if self.write_default(*branch, value, out, depth + 1).is_ok() {
                        return Ok(());
                    }
                    out.truncate(start);
                }
                return Err(misfit());
            }
            (ty, value) => return write_plain_default(ty, value, out).ok_or_else(misfit),
        }
        Ok(())
    }
}

/// Writes a default that holds no others; `None` if it does not fit its type.
fn write_plain_default(ty: &Type, value: &Value, out: &mut Vec<u8>) -> Option<()> {
    // Text stands for bytes: a character each.
    let bytes = |text: &str| -> Option<Vec<u8>> {
        text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
    };
    match (ty, value) {
        (Type::Null, Value::Null) => {}
        (Type::Boolean, Value::Bool(value)) => out.push(u8::from(*value)),
        (Type::Int(_) | Type::Long(_), Value::Number(n)) => write_zigzag(n.as_i64()?, out),
        (Type::Float, Value::Number(n)) => {
            out.extend_from_slice(&(n.as_f64()? as f32).to_le_bytes());
        }
        (Type::Double, Value::Number(n)) => out.extend_from_slice(&n.as_f64()?.to_le_bytes()),
        (Type::String, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Type::Bytes(_), Value::String(text)) => write_bytes(&bytes(text)?, out),
        (Type::Fixed { size, .. }, Value::String(text)) => {
            out.extend_from_slice(&bytes(text).filter(|b| b.len() == *size)?);
        }
        (Type::Enum { symbols, .. }, Value::String(text)) => {
            write_zigzag(symbols.iter().position(|s| s == text)? as i64, out);
        }
        _ => return None,
    }
    Some(())
}

/// Avro allows no dots in names; Connect writes them as underscores.
fn same_name(field: &str, column: &str) -> bool {
    field == column || column.contains('.') && field == column.replace('.', "_")
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_zigzag(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn write_fields(
    fields: &[EncField],
    columns: &[ColumnView<'_>],
    row: usize,
    out: &mut Vec<u8>,
) -> Written {
    for field in fields {
        match field {
            EncField::Column { at, name, enc, default } => {
                let column = &columns[*at];
                match default {
                    Some(default) if column.is_null(row) => out.extend_from_slice(default),
                    _ => write_value(enc, column, row, out)
                        .map_err(|why| format!("{name}: {why}"))?,
                }
            }
            EncField::Constant(bytes) => out.extend_from_slice(bytes),
            EncField::Missing(why) => return Err(why.clone()),
        }
    }
    Ok(())
}

fn write_value(enc: &Enc, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> Written {
    if let Enc::Nullable { null, value, enc } = enc {
        if column.is_null(row) {
            write_zigzag(*null, out);
            return Ok(());
        }
        write_zigzag(*value, out);
        return write_value(enc, column, row, out);
    }
    if column.is_null(row) {
        return Err("Invalid value: null used for required field".to_string());
    }
    match (enc, column) {
        (Enc::Boolean, ColumnView::Boolean(bits)) => out.push(u8::from(bits.value(row))),
        (Enc::Int | Enc::Long, ColumnView::Int32(values)) => {
            write_zigzag(i64::from(values.values[row]), out);
        }
        (Enc::Long, ColumnView::Int64(values)) => write_zigzag(values.values[row], out),
        (Enc::Double, ColumnView::Double(values)) => {
            out.extend_from_slice(&values.values[row].to_le_bytes());
        }
        (Enc::Float, ColumnView::Double(values)) => {
            out.extend_from_slice(&(values.values[row] as f32).to_le_bytes());
        }
        (Enc::Decimal(scale, size), ColumnView::Decimal(values, from)) => {
            write_decimal(values.values[row], *from, *scale, *size, out)?;
        }
        (Enc::String, ColumnView::String(texts)) => write_bytes(texts.value(row).as_bytes(), out),
        (Enc::Bytes, ColumnView::Bytes(bytes)) => write_bytes(bytes.value(row), out),
        (Enc::Fixed(size), ColumnView::Bytes(bytes)) => {
            let bytes = bytes.value(row);
            if bytes.len() != *size {
                return Err(format!("{} bytes for a fixed of {size}", bytes.len()));
            }
            out.extend_from_slice(bytes);
        }
        (Enc::Enum(symbols), ColumnView::String(texts)) => {
            let text = texts.value(row);
            let at = symbols.iter().position(|symbol| symbol == text);
            let at = at.ok_or_else(|| format!("'{text}' is no symbol of the enum"))?;
            write_zigzag(at as i64, out);
        }
        (Enc::Record(fields), ColumnView::Struct(_, members)) => {
            write_fields(fields, members, row, out)?;
        }
        (Enc::Array(item), ColumnView::List(ranges, items)) => {
            let range = ranges.get(row).unwrap_or_default();
            write_block(range, out, |at, out| write_value(item, items, at, out))?;
        }
        (Enc::Map(value), ColumnView::Map(ranges, keys, values)) => {
            let range = ranges.get(row).unwrap_or_default();
            write_block(range, out, |at, out| {
                write_value(&Enc::String, keys, at, out)?;
                write_value(value, values, at, out)
            })?;
        }
        (Enc::Entries { key, value, key_first }, ColumnView::Map(ranges, keys, values)) => {
            let range = ranges.get(row).unwrap_or_default();
            write_block(range, out, |at, out| {
                if !key_first {
                    write_value(value, values, at, out)?;
                }
                write_value(key, keys, at, out)?;
                if *key_first { write_value(value, values, at, out) } else { Ok(()) }
            })?;
        }
        _ => return Err("a column that does not fit its schema".to_string()),
    }
    Ok(())
}

/// Items in one block, and the end.
fn write_block(
    range: std::ops::Range<usize>,
    out: &mut Vec<u8>,
    mut item: impl FnMut(usize, &mut Vec<u8>) -> Written,
) -> Written {
    if !range.is_empty() {
        write_zigzag(range.len() as i64, out);
    }
    for at in range {
        item(at, out)?;
    }
    out.push(0);
    Ok(())
}

fn write_decimal(
    unscaled: i128,
    from: i8,
    scale: u32,
    size: Option<usize>,
    out: &mut Vec<u8>,
) -> Written {
    let misfit = || "a decimal that does not fit its schema".to_string();
    let (from, scale) = (u32::try_from(from).map_err(|_| misfit())?, u8::try_from(scale));
    let value = rescale(unscaled, from, scale.map_err(|_| misfit())?, u8::MAX);
    let mut bytes = Vec::with_capacity(16);
    write_big_endian(value.ok_or_else(misfit)?, &mut bytes);
    match size {
        None => write_bytes(&bytes, out),
        Some(size) => {
            let fill = if bytes[0] >= 0x80 { 0xff } else { 0 };
            let padding = size.checked_sub(bytes.len()).ok_or_else(misfit)?;
            out.resize(out.len() + padding, fill);
            out.extend_from_slice(&bytes);
        }
    }
    Ok(())
}

impl Shape {
    /// Of a column's type.
    pub fn of(ty: &millrace_sql::types::SqlType) -> Self {
        use millrace_sql::types::SqlType::{Array, Map, Struct};
        match ty {
            Array(item) | Map(_, item) => Shape::Items(Box::new(Shape::of(item))),
            Struct(fields) => {
                let member =
                    |f: &millrace_sql::types::StructField| (f.name.clone(), Shape::of(&f.ty));
                Shape::Members(fields.iter().map(member).collect())
            }
            _ => Shape::Scalar,
        }
    }

    /// Of columns.
    pub fn of_columns(columns: &[(&str, &millrace_sql::types::SqlType)]) -> Self {
        let member =
            |(name, ty): &(&str, &millrace_sql::types::SqlType)| (name.to_string(), Shape::of(ty));
        Shape::Members(columns.iter().map(member).collect())
    }
}
