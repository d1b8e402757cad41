//! Test values to the bytes of a topic, and back to values that can be compared.

use std::fmt;
use std::sync::Arc;

use millrace_connectors::formats::values::{self, TypedValue};
use millrace_engine::codec::view::ColumnView;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use millrace_engine::schemas::{SchemaRegistry, subject};
use millrace_sql::catalog::{ColumnRole, FormatKind, FormatSpec, KeyWindow, Source};
use millrace_sql::types::{SqlType, StructField};
use serde_json::Value;

use super::case::{TestRecord, TestWindow};
use super::compare::truncated;
use super::exact::{Exact, is_whole_literal};

/// A value as it was read from a topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Actual {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number beyond 64 bits; it matches nothing.
    Huge(String),
    /// Text of a number with a point or an exponent: every digit counts.
    Decimal(Exact),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Actual>),
    Map(Vec<(String, Actual)>),
}

/// A record as it was read from a topic.
#[derive(Debug, Clone, PartialEq)]
pub struct ActualRecord {
    pub key: Actual,
    pub window: Option<TestWindow>,
    pub value: Actual,
    pub timestamp: i64,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Keys and values of one topic, as the source over it declares them.
#[derive(Clone)]
pub struct TopicSerde {
    key: Side,
    value: Side,
    window: Option<KeyWindow>,
}

#[derive(Clone)]
struct Side {
    spec: FormatSpec,
    format: FormatKind,
    columns: Vec<(String, SqlType)>,
    /// Decimals of JSON keep their digits.
    exact: bool,
    /// Of schemas, with the subject of this side.
    registry: Option<(Arc<dyn SchemaRegistry>, String)>,
}

impl TopicSerde {
    /// `exact`: decimals of JSON are compared digit by digit.
    pub fn of(source: &Source, exact: bool) -> Self {
        let columns = |role: ColumnRole| -> Vec<(String, SqlType)> {
            let columns = source.columns.iter().filter(|c| c.role == role);
            columns.map(|c| (c.name.clone(), c.ty.clone())).collect()
        };
        let side = |spec: &FormatSpec, role| Side {
            spec: spec.clone(),
            format: spec.kind,
            columns: columns(role),
            exact,
            registry: None,
        };
        TopicSerde {
            key: side(&source.key_format, ColumnRole::Key),
            value: side(&source.value_format, ColumnRole::Value),
            window: source.window,
        }
    }

    /// With the registry that knows the schemas of `topic`.
    pub fn with_registry(mut self, topic: &str, registry: &Arc<dyn SchemaRegistry>) -> Self {
        self.key.registry = Some((registry.clone(), subject(topic, true)));
        self.value.registry = Some((registry.clone(), subject(topic, false)));
        self
    }

    /// The bytes of an input.
    ///
    /// # Errors
    /// A value that its format cannot hold, or a window where there is none.
    pub fn encode(&self, record: &TestRecord) -> Result<Record, String> {
        let key = self.key.encode(&record.key).map_err(|e| format!("key: {e}"))?;
        let key = match (key, self.window, record.window) {
            (None, ..) => None,
            (key, None, None) => key,
            (Some(mut key), Some(kind), Some(window)) => {
                if kind == KeyWindow::Session {
                    key.extend_from_slice(&window.end.to_be_bytes());
                }
                key.extend_from_slice(&window.start.to_be_bytes());
                Some(key)
            }
            (_, Some(_), None) => return Err("the key of a windowed topic has no window".into()),
            (_, None, Some(_)) => return Err("a window, but the topic is not windowed".into()),
        };
        let value = self.value.encode(&record.value).map_err(|e| format!("value: {e}"))?;
        let timestamp = Timestamp(record.timestamp.unwrap_or(0));
        Ok(Record { timestamp, key, value, headers: record.headers.clone() })
    }

    /// What a record says.
    ///
    /// # Errors
    /// Bytes that the format does not read.
    pub fn decode(&self, record: &Record) -> Result<ActualRecord, String> {
        let mut key = record.key.as_deref();
        let mut window = None;
        if let (Some(kind), Some(bytes)) = (self.window, key) {
            let (inner, bounds) = split_window(kind, bytes).ok_or("the key has no window")?;
            (key, window) = (Some(inner), Some(bounds));
        }
        Ok(ActualRecord {
            key: self.key.decode(key).map_err(|e| format!("key: {e}"))?,
            window,
            value: self.value.decode(record.value.as_deref()).map_err(|e| format!("value: {e}"))?,
            timestamp: record.timestamp.0,
            headers: record.headers.clone(),
        })
    }
}

fn split_window(kind: KeyWindow, key: &[u8]) -> Option<(&[u8], TestWindow)> {
    let (rest, start) = key.split_last_chunk::<8>()?;
    let start = i64::from_be_bytes(*start);
    Some(match kind {
        KeyWindow::Time { size_ms, .. } => {
            (rest, TestWindow { start, end: start.saturating_add(size_ms), session: false })
        }
        KeyWindow::Session => {
            let (inner, end) = rest.split_last_chunk::<8>()?;
            (inner, TestWindow { start, end: i64::from_be_bytes(*end), session: true })
        }
    })
}

impl Side {
    fn encode(&self, value: &Value) -> Result<Option<Vec<u8>>, String> {
        if value.is_null() || self.format == FormatKind::None {
            return Ok(None);
        }
        match self.format {
            FormatKind::Json => serde_json::to_vec(value).map(Some).map_err(|e| e.to_string()),
            FormatKind::Delimited => match value {
                Value::String(text) => Ok(Some(text.clone().into_bytes())),
                other => Err(format!("DELIMITED takes a text, not {other}")),
            },
            FormatKind::Kafka => encode_kafka(self.columns.first().map(|c| &c.1), value).map(Some),
            FormatKind::None => Ok(None),
            FormatKind::ProtobufNoSr => {
                values::write_bare(&self.spec, &self.columns, value).map(Some)
            }
            FormatKind::Avro | FormatKind::Protobuf | FormatKind::JsonSr => {
                let (registry, subject) = self.registry.as_ref().ok_or("there is no registry")?;
                let schema = registry.latest(subject).map_err(|e| e.to_string())?;
                let schema = schema.ok_or_else(|| format!("{subject} has no schema"))?;
                values::write(&self.spec, &schema, value).map(Some)
            }
        }
    }

    fn decode(&self, bytes: Option<&[u8]>) -> Result<Actual, String> {
        let Some(bytes) = bytes else { return Ok(Actual::Null) };
        match self.format {
            FormatKind::Json => {
                let value: Value = serde_json::from_slice(bytes)
                    .map_err(|e| format!("no JSON ({e}): {}", bytes.escape_ascii()))?;
                Ok(from_json(&value, self.exact))
            }
            FormatKind::Delimited => text(bytes),
            FormatKind::Kafka => decode_kafka(self.columns.first().map(|c| &c.1), bytes),
            FormatKind::None => Ok(Actual::Null),
            FormatKind::ProtobufNoSr => {
                values::read_bare(&self.spec, &self.columns, bytes).and_then(|v| from_typed(&v))
            }
            FormatKind::Avro | FormatKind::Protobuf | FormatKind::JsonSr => {
                let (registry, _) = self.registry.as_ref().ok_or("there is no registry")?;
                values::read(&self.spec, registry, bytes).and_then(|v| from_typed(&v))
            }
        }
    }
}

fn encode_kafka(ty: Option<&SqlType>, value: &Value) -> Result<Vec<u8>, String> {
    let wrong =
        || format!("KAFKA cannot write {value} as {}", ty.map_or("text", |t| t.base_name()));
    let number = || match value {
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(wrong()),
    };
    match ty {
        Some(SqlType::Integer) => {
            let number = number()?.parse::<i32>().map_err(|_| wrong())?;
            Ok(number.to_be_bytes().to_vec())
        }
        Some(SqlType::Bigint) => {
            let number = truncated(&number()?).ok_or_else(wrong)?;
            Ok(number.to_be_bytes().to_vec())
        }
        Some(SqlType::Double) => {
            let number = number()?.parse::<f64>().map_err(|_| wrong())?;
            Ok(number.to_be_bytes().to_vec())
        }
        _ => match value {
            Value::String(text) => Ok(text.clone().into_bytes()),
            other => Ok(other.to_string().into_bytes()),
        },
    }
}

fn decode_kafka(ty: Option<&SqlType>, bytes: &[u8]) -> Result<Actual, String> {
    fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
        bytes.try_into().map_err(|_| format!("{} bytes, not {N}", bytes.len()))
    }
    match ty {
        Some(SqlType::Integer) => Ok(Actual::Int(i32::from_be_bytes(fixed(bytes)?).into())),
        Some(SqlType::Bigint) => Ok(Actual::Int(i64::from_be_bytes(fixed(bytes)?))),
        Some(SqlType::Double) => {
            let double = f64::from_be_bytes(fixed(bytes)?);
            let text = millrace_connectors::formats::double_text(double);
            Ok(Exact::parse(&text).map_or(Actual::Double(double), Actual::Decimal))
        }
        _ => text(bytes),
    }
}

fn text(bytes: &[u8]) -> Result<Actual, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no UTF-8".to_owned())?;
    Ok(Actual::Text(text.to_owned()))
}

/// A value with the types of its schema: doubles are doubles, decimals keep their digits.
fn from_typed(value: &TypedValue) -> Result<Actual, String> {
    let Some(arrays) = &value.arrays else { return Ok(Actual::Null) };
    let mut members = Vec::new();
    for ((name, _), array) in value.columns.iter().zip(arrays) {
        let view = ColumnView::new(array.as_ref()).map_err(|e| e.to_string())?;
        members.push((name.clone(), from_view(&view, &value_type(value, name), 0)));
    }
    match members.pop() {
        Some((_, only)) if !value.is_record => Ok(only),
        last => Ok(Actual::Map(members.into_iter().chain(last).collect())),
    }
}

fn value_type(value: &TypedValue, name: &str) -> SqlType {
    let found = value.columns.iter().find(|(column, _)| column == name);
    found.map_or(SqlType::String, |(_, ty)| ty.clone())
}

fn from_view(view: &ColumnView<'_>, ty: &SqlType, row: usize) -> Actual {
    if view.is_null(row) {
        return Actual::Null;
    }
    match (view, ty) {
        (ColumnView::Boolean(bits), _) => Actual::Bool(bits.value(row)),
        (ColumnView::Int32(values), _) => Actual::Int(values.values[row].into()),
        (ColumnView::Int64(values), _) => Actual::Int(values.values[row]),
        (ColumnView::Double(values), _) => Actual::Double(values.values[row]),
        (ColumnView::Decimal(values, scale), _) => {
            let text = millrace_connectors::formats::decimal_text(values.values[row], *scale);
            Exact::parse(&text).map_or(Actual::Null, Actual::Decimal)
        }
        (ColumnView::String(texts), _) => Actual::Text(texts.value(row).to_owned()),
        (ColumnView::Bytes(bytes), _) => Actual::Bytes(bytes.value(row).to_vec()),
        (ColumnView::List(ranges, items), SqlType::Array(item)) => {
            let range = ranges.get(row).unwrap_or_default();
            Actual::List(range.map(|at| from_view(items, item, at)).collect())
        }
        (ColumnView::Map(ranges, keys, values), SqlType::Map(key, value)) => {
            let entry = |at| {
                let name = match from_view(keys, key, at) {
                    Actual::Text(text) => text,
                    other => other.to_string(),
                };
                (name, from_view(values, value, at))
            };
            Actual::Map(ranges.get(row).unwrap_or_default().map(entry).collect())
        }
        (ColumnView::Struct(_, members), SqlType::Struct(fields)) => {
            let member = |(view, field): (&ColumnView<'_>, &StructField)| {
                (field.name.clone(), from_view(view, &field.ty, row))
            };
            Actual::Map(members.iter().zip(fields).map(member).collect())
        }
        _ => Actual::Null,
    }
}

/// A JSON value; `exact`: numbers with a point keep their digits.
pub fn from_json(value: &Value, exact: bool) -> Actual {
    match value {
        Value::Null => Actual::Null,
        Value::Bool(b) => Actual::Bool(*b),
        Value::Number(number) => from_number(&number.to_string(), exact),
        Value::String(text) => Actual::Text(text.clone()),
        Value::Array(list) => Actual::List(list.iter().map(|v| from_json(v, exact)).collect()),
        Value::Object(map) => {
            Actual::Map(map.iter().map(|(n, v)| (n.clone(), from_json(v, exact))).collect())
        }
    }
}

fn from_number(text: &str, exact: bool) -> Actual {
    if is_whole_literal(text) {
        return text.parse().map_or_else(|_| Actual::Huge(text.to_owned()), Actual::Int);
    }
    match Exact::parse(text).filter(|_| exact) {
        Some(decimal) => Actual::Decimal(decimal),
        None => text.parse().map_or(Actual::Null, Actual::Double),
    }
}

/// Base64 text of bytes.
pub fn to_base64(bytes: &[u8]) -> String {
    millrace_sql::expr::base64::encode(bytes)
}

/// The bytes of base64 text.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    millrace_sql::expr::base64::decode(text)
}

impl fmt::Display for Actual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actual::Null => f.write_str("null"),
            Actual::Bool(b) => b.fmt(f),
            Actual::Int(n) => n.fmt(f),
            Actual::Huge(text) => f.write_str(text),
            Actual::Decimal(decimal) => decimal.fmt(f),
            Actual::Double(d) => write!(f, "{d:?}"),
            Actual::Text(text) => f.write_str(&Value::String(text.clone()).to_string()),
            Actual::Bytes(bytes) => write!(f, "\"{}\"", to_base64(bytes)),
            Actual::List(list) => {
                f.write_str("[")?;
                for (i, item) in list.iter().enumerate() {
                    write!(f, "{}{item}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Actual::Map(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}\"{name}\":{value}", if i > 0 { "," } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for ActualRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.key)?;
        if let Some(window) = self.window {
            write!(f, " {window}")?;
        }
        write!(f, ", {}> with timestamp={}", self.value, self.timestamp)?;
        write_headers(f, &self.headers)
    }
}

impl fmt::Display for TestWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.session { "session" } else { "time" };
        write!(f, "in {kind} window [{}, {})", self.start, self.end)
    }
}

impl fmt::Display for TestRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.key)?;
        if let Some(window) = self.window {
            write!(f, " {window}")?;
        }
        write!(f, ", {}>", self.value)?;
        if let Some(time) = self.timestamp {
            write!(f, " with timestamp={time}")?;
        }
        write_headers(f, &self.headers)
    }
}

fn write_headers(f: &mut fmt::Formatter<'_>, headers: &[(String, Option<Vec<u8>>)]) -> fmt::Result {
    for (name, value) in headers {
        let value = value.as_deref().map_or("null".to_owned(), to_base64);
        write!(f, " header {name}={value}")?;
    }
    Ok(())
}
