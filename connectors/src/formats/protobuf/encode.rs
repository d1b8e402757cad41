//! Columns to Protobuf messages, by the schema that is written with.

use millrace_engine::codec::view::ColumnView;
use millrace_sql::catalog::{ProtobufNulls, SchemaText};

use super::infer::oneof_name;
use super::known::{Known, is_wrapper, write_date, write_decimal, write_time, write_timestamp};
use super::plan::{Scalar, scalar};
use super::schema::{Field, Kind, ProtoSchema};
use crate::formats::avro::Shape;
use crate::formats::wire::{write_varint, write_zigzag};

/// Messages within messages.
const DEPTH_MAX: usize = 64;

/// Writes messages of one schema.
#[derive(Debug)]
pub struct ProtobufEncoder {
    fields: Vec<EncField>,
    /// Where the message stands in its file, as records say it.
    path: Vec<u8>,
}

#[derive(Debug)]
struct EncField {
    at: usize,
    name: String,
    number: u32,
    enc: Enc,
    /// A zero is written, too.
    has_presence: bool,
    packs: bool,
}

/// How a value is written.
#[derive(Debug)]
enum Enc {
    Scalar(Scalar),
    Enum(Vec<(i32, String)>),
    Known(Known),
    Wrapper(Scalar),
    Message(Vec<EncField>),
    List(Box<Enc>),
    /// Fields of an entry.
    Map(Box<EncField>, Box<EncField>),
    /// A STRUCT whose one member is written.
    Oneof(Vec<EncField>),
}

type Written = Result<(), String>;

impl ProtobufEncoder {
    /// # Errors
    /// When the schema cannot hold the columns.
    pub fn new(
        schema: &SchemaText,
        full_name: Option<&str>,
        shape: &Shape,
        nulls: ProtobufNulls,
    ) -> Result<Self, String> {
        let schema = ProtoSchema::parse(schema)?;
        let root = schema.root(full_name).or_else(|| schema.root(None));
        let (root, indexes) = root.ok_or("the schema has no message")?;
        let Shape::Members(columns) = shape else { return Err("no columns to write".into()) };
        let compiler = Compiler { schema: &schema, unwrap: nulls == ProtobufNulls::Wrapper };
        let fields = compiler.message(root, columns, 0)?;
        let mut path = Vec::new();
        match indexes[..] {
            // The usual one is one byte.
            [0] => path.push(0),
            _ => {
                write_zigzag(indexes.len() as i64, &mut path);
                indexes.iter().for_each(|at| write_zigzag(*at as i64, &mut path));
            }
        }
        Ok(ProtobufEncoder { fields, path })
    }

    /// The bytes between the schema's id and the message.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Appends a message of columns.
    ///
    /// # Errors
    /// When a value does not fit the schema.
    pub fn write(&self, columns: &[ColumnView<'_>], row: usize, out: &mut Vec<u8>) -> Written {
        write_fields(&self.fields, columns, row, out)
    }
}

struct Compiler<'a> {
    schema: &'a ProtoSchema,
    unwrap: bool,
}

impl Compiler<'_> {
    fn message(
        &self,
        id: usize,
        members: &[(String, Shape)],
        depth: usize,
    ) -> Result<Vec<EncField>, String> {
        if depth > DEPTH_MAX {
            return Err(format!("messages are nested more than {DEPTH_MAX} deep"));
        }
        let message = self.schema.message(id);
        let mut fields = Vec::new();
        for (at, (name, shape)) in members.iter().enumerate() {
            let field = message.fields.iter().find(|f| f.name == *name && f.oneof.is_none());
            if let Some(field) = field {
                fields.push(self.field(at, field, shape, message.packs, depth)?);
                continue;
            }
            let oneof = message.oneofs.iter().enumerate();
            let oneof = oneof.map(|(i, n)| (i, oneof_name(n, i))).find(|(_, n)| n == name);
            let (Some((oneof, _)), Shape::Members(inner)) = (oneof, shape) else {
                return Err(format!("Schema from Schema Registry misses field with name: {name}"));
            };
            let mut choices = Vec::new();
            for (at, (name, shape)) in inner.iter().enumerate() {
                let field = message.fields.iter();
                let field = field.clone().find(|f| f.oneof == Some(oneof) && f.name == *name);
                let field = field.ok_or_else(|| {
                    format!("Schema from Schema Registry misses field with name: {name}")
                })?;
                choices.push(self.field(at, field, shape, message.packs, depth)?);
            }
            fields.push(EncField {
                at,
                name: name.clone(),
                number: choices.first().map_or(0, |choice| choice.number),
                enc: Enc::Oneof(choices),
                has_presence: true,
                packs: false,
            });
        }
        fields.sort_by_key(|field| field.number);
        Ok(fields)
    }

    fn field(
        &self,
        at: usize,
        field: &Field,
        shape: &Shape,
        packs: bool,
        depth: usize,
    ) -> Result<EncField, String> {
        let enc = self.enc(field, shape, packs, depth);
        let enc = enc.map_err(|why| format!("{}: {why}", field.name))?;
        let (name, number) = (field.name.clone(), field.number);
        let (has_presence, at) = (field.has_presence, at);
        Ok(EncField { at, name, number, enc, has_presence, packs })
    }

    fn enc(&self, field: &Field, shape: &Shape, packs: bool, depth: usize) -> Result<Enc, String> {
        if let Some((key, value)) = self.schema.entry(field) {
            let Shape::Items(item) = shape else { return Err("a map for a column".into()) };
            let key = self.field(0, key, &Shape::Scalar, packs, depth + 1)?;
            let value = self.field(1, value, item, packs, depth + 1)?;
            return Ok(Enc::Map(Box::new(key), Box::new(value)));
        }
        if field.repeated {
            let Shape::Items(item) = shape else { return Err("a list for a column".into()) };
            return Ok(Enc::List(Box::new(self.value(field, item, depth)?)));
        }
        self.value(field, shape, depth)
    }

    fn value(&self, field: &Field, shape: &Shape, depth: usize) -> Result<Enc, String> {
        Ok(match (field.kind, shape) {
            (Kind::Enum(id), Shape::Scalar) => {
                Enc::Enum(self.schema.enumeration(id).values.clone())
            }
            (Kind::Message(id), shape) => {
                let message = self.schema.message(id);
                let inner = message.fields.first().and_then(|inner| scalar(inner.kind));
                match (Known::of(&message.name), shape, inner) {
                    (Some(known), Shape::Scalar, _) => Enc::Known(known),
                    (None, Shape::Scalar, Some(kind))
                        if self.unwrap && is_wrapper(&message.name) =>
                    {
                        Enc::Wrapper(kind)
                    }
                    (None, Shape::Members(members), _) => {
                        Enc::Message(self.message(id, members, depth + 1)?)
                    }
                    _ => return Err(format!("the message {} for a column", message.name)),
                }
            }
            (kind, Shape::Scalar) => match scalar(kind) {
                Some(kind) => Enc::Scalar(kind),
                None => return Err("a group cannot be written".to_string()),
            },
            _ => return Err("a scalar for a nested column".to_string()),
        })
    }
}

fn write_fields(
    fields: &[EncField],
    columns: &[ColumnView<'_>],
    row: usize,
    out: &mut Vec<u8>,
) -> Written {
    for field in fields {
        let column = &columns[field.at];
        if !column.is_null(row) {
            write_field(field, column, row, out).map_err(|why| format!("{}: {why}", field.name))?;
        }
    }
    Ok(())
}

/// Appends a field that is not NULL.
fn write_field(
    field: &EncField,
    column: &ColumnView<'_>,
    row: usize,
    out: &mut Vec<u8>,
) -> Written {
    match (&field.enc, column) {
        (Enc::List(item), ColumnView::List(ranges, items)) => {
            let range = ranges.get(row).unwrap_or_default();
            write_list(field, item, items, range, out)
        }
        (Enc::Map(key, value), ColumnView::Map(ranges, keys, values)) => {
            for at in ranges.get(row).unwrap_or_default() {
                write_tag(field.number, 2, out);
                with_length(out, |out| {
                    for (part, column) in [(key, keys), (value, values)] {
                        if !column.is_null(at) {
                            write_field(part, column, at, out)?;
                        }
                    }
                    Ok(())
                })?;
            }
            Ok(())
        }
        (Enc::Oneof(choices), ColumnView::Struct(_, members)) => {
            let set = choices.iter().find(|choice| !members[choice.at].is_null(row));
            match set {
                Some(choice) => write_field(choice, &members[choice.at], row, out),
                None => Ok(()),
            }
        }
        (enc, column) => {
            let start = out.len();
            write_tag(field.number, wire_of(enc), out);
            let body = out.len();
            write_value(enc, column, row, out)?;
            let zero = !field.has_presence && is_zero(enc, &out[body..]);
            if zero {
                out.truncate(start);
            }
            Ok(())
        }
    }
}

fn write_list(
    field: &EncField,
    item: &Enc,
    items: &ColumnView<'_>,
    range: std::ops::Range<usize>,
    out: &mut Vec<u8>,
) -> Written {
    if range.clone().any(|at| items.is_null(at)) {
        return Err("NULL as an item: Protobuf's lists hold none".to_string());
    }
    let scalars = matches!(item, Enc::Scalar(kind) if wire_of_scalar(*kind) != 2)
        || matches!(item, Enc::Enum(_));
    if field.packs && scalars {
        if range.is_empty() {
            return Ok(());
        }
        write_tag(field.number, 2, out);
        return with_length(out, |out| {
            range.clone().try_for_each(|at| write_value(item, items, at, out))
        });
    }
    for at in range {
        write_tag(field.number, wire_of(item), out);
        write_value(item, items, at, out)?;
    }
    Ok(())
}

/// Appends a value without its tag; what has a length, behind it.
fn write_value(enc: &Enc, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> Written {
    match (enc, column) {
        (Enc::Scalar(kind), column) => write_scalar(*kind, column, row, out),
        (Enc::Wrapper(kind), column) => with_length(out, |out| {
            write_tag(1, wire_of_scalar(*kind), out);
            let body = out.len();
            write_scalar(*kind, column, row, out)?;
            if out[body..].iter().all(|byte| *byte == 0) {
                out.truncate(body - 1);
            }
            Ok(())
        }),
        (Enc::Enum(values), ColumnView::String(texts)) => {
            let text = texts.value(row);
            let found = values.iter().find(|(_, name)| name == text);
            let (number, _) = found.ok_or_else(|| format!("'{text}' is no value of the enum"))?;
            write_varint(i64::from(*number) as u64, out);
            Ok(())
        }
        (Enc::Message(fields), ColumnView::Struct(_, members)) => {
            with_length(out, |out| write_fields(fields, members, row, out))
        }
        (Enc::Known(known), column) => {
            with_length(out, |out| write_known(*known, column, row, out))
        }
        _ => Err("a column that does not fit its schema".to_string()),
    }
}

fn write_scalar(kind: Scalar, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> Written {
    match column {
        ColumnView::Int32(values) => write_whole(kind, i64::from(values.values[row]), out),
        ColumnView::Int64(values) => write_whole(kind, values.values[row], out),
        ColumnView::Boolean(bits) if kind == Scalar::Bool => {
            out.push(u8::from(bits.value(row)));
            Ok(())
        }
        ColumnView::Double(values) if kind == Scalar::Double => {
            out.extend_from_slice(&values.values[row].to_le_bytes());
            Ok(())
        }
        ColumnView::Double(values) if kind == Scalar::Float => {
            out.extend_from_slice(&(values.values[row] as f32).to_le_bytes());
            Ok(())
        }
        ColumnView::String(texts) if kind == Scalar::String => {
            write_bytes(texts.value(row).as_bytes(), out);
            Ok(())
        }
        ColumnView::Bytes(bytes) if kind == Scalar::Bytes => {
            write_bytes(bytes.value(row), out);
            Ok(())
        }
        _ => Err("a column that does not fit its schema".to_string()),
    }
}

fn write_whole(kind: Scalar, value: i64, out: &mut Vec<u8>) -> Written {
    match kind {
        Scalar::Int32 | Scalar::Int64 => write_varint(value as u64, out),
        Scalar::Uint32 => write_varint(u64::from(value as u32), out),
        Scalar::Sint32 | Scalar::Sint64 => write_zigzag(value, out),
        Scalar::Fixed32 | Scalar::Sfixed32 => out.extend_from_slice(&(value as i32).to_le_bytes()),
        Scalar::Fixed64 => out.extend_from_slice(&value.to_le_bytes()),
        _ => return Err("a column that does not fit its schema".to_string()),
    }
    Ok(())
}

fn write_known(known: Known, column: &ColumnView<'_>, row: usize, out: &mut Vec<u8>) -> Written {
    match (known, column) {
        (Known::Timestamp, ColumnView::Int64(values)) => write_timestamp(values.values[row], out),
        (Known::Date, ColumnView::Int32(values)) => {
            if !write_date(values.values[row], out) {
                return Err("a date out of range".to_string());
            }
        }
        (Known::TimeOfDay, ColumnView::Int32(values)) => write_time(values.values[row], out),
        (Known::Decimal, ColumnView::Decimal(values, scale)) => {
            write_decimal(values.values[row], *scale, out);
        }
        _ => return Err("a column that does not fit its schema".to_string()),
    }
    Ok(())
}

/// True for a value that a reader assumes anyway.
fn is_zero(enc: &Enc, written: &[u8]) -> bool {
    match enc {
        Enc::Scalar(_) | Enc::Enum(_) => written.iter().all(|byte| *byte == 0),
        _ => false,
    }
}

fn wire_of(enc: &Enc) -> u64 {
    match enc {
        Enc::Scalar(kind) => wire_of_scalar(*kind),
        Enc::Enum(_) => 0,
        _ => 2,
    }
}

fn wire_of_scalar(kind: Scalar) -> u64 {
    match kind {
        Scalar::Fixed64 | Scalar::Double => 1,
        Scalar::String | Scalar::Bytes => 2,
        Scalar::Fixed32 | Scalar::Sfixed32 | Scalar::Float => 5,
        _ => 0,
    }
}

fn write_tag(number: u32, wire: u64, out: &mut Vec<u8>) {
    write_varint(u64::from(number) << 3 | wire, out);
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends what `write` appends, behind its length.
fn with_length(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Written) -> Written {
    let start = out.len();
    write(out)?;
    let body = out.len();
    write_varint((body - start) as u64, out);
    let length = out.len() - body;
    out[start..].rotate_right(length);
    Ok(())
}
