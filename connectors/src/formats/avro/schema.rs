//! Avro schemas as they are registered: JSON, with the attributes that Connect's converters add.

use std::collections::HashMap;

use millrace_sql::catalog::SchemaText;
use serde_json::{Map, Value};

/// Types of one schema; those with a name may refer to themselves.
#[derive(Debug, Default)]
pub struct AvroSchema {
    types: Vec<Type>,
    pub root: TypeId,
}

/// Index of a type within its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeId(usize);

/// One type.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    Null,
    Boolean,
    Int(Option<Logical>),
    Long(Option<Logical>),
    Float,
    Double,
    Bytes(Option<Decimal>),
    String,
    Fixed { name: String, size: usize, decimal: Option<Decimal> },
    Enum { name: String, symbols: Vec<String> },
    Array(TypeId),
    Map(TypeId),
    Record(Record),
    Union(Vec<TypeId>),
}

/// What a number means beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    Date,
    TimeMillis,
    TimestampMillis,
}

/// Bytes that are a decimal. A precision that the schema leaves out is Connect's 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    pub precision: u32,
    pub scale: u32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// With its namespace.
    pub name: String,
    pub fields: Vec<Field>,
    /// Key and value of a map: Connect's way of maps whose keys may be NULL.
    pub map_entry: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub ty: TypeId,
    /// `Null` is a default, too.
    pub default: Option<Value>,
}

/// Types within types that are parsed; deeper ones are refused.
const DEPTH_MAX: usize = 64;
/// Types of one schema.
const TYPES_MAX: usize = 10_000;
const PRECISION_DEFAULT: u32 = 64;
/// Connect's own record of a map entry.
const MAP_ENTRY: &str = "io.confluent.connect.avro.MapEntry";

impl AvroSchema {
    /// # Errors
    /// Says what is no Avro schema.
    pub fn parse(schema: &SchemaText) -> Result<Self, String> {
        let mut parser = Parser::default();
        parser.add_references(schema, 0)?;
        let root = parser.parse_text(&schema.text)?;
        Ok(AvroSchema { types: parser.types, root })
    }

    pub fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0]
    }

    /// The full name of a named root.
    pub fn name(&self) -> Option<&str> {
        match self.get(self.root) {
            Type::Record(record) => Some(&record.name),
            Type::Enum { name, .. } | Type::Fixed { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The other branch of a union of NULL and one type.
    pub fn nullable(&self, id: TypeId) -> Option<TypeId> {
        let Type::Union(branches) = self.get(id) else { return None };
        match branches[..] {
            [null, other] if *self.get(null) == Type::Null => Some(other),
            [other, null] if *self.get(null) == Type::Null => Some(other),
            _ => None,
        }
    }

    /// Key and value of a map that is written as an array of entries.
    pub fn map_entry(&self, item: TypeId) -> Option<(TypeId, TypeId)> {
        let Type::Record(record) = self.get(item) else { return None };
        let field = |name: &str| record.fields.iter().find(|f| f.name == name).map(|f| f.ty);
        match (record.map_entry, field("key"), field("value")) {
            (true, Some(key), Some(value)) if record.fields.len() == 2 => Some((key, value)),
            _ => None,
        }
    }

    /// The field name that Connect gives a branch of a union.
    pub fn branch_name(&self, id: TypeId) -> String {
        let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
        match self.get(id) {
            Type::Record(record) => short(&record.name),
            Type::Enum { name, .. } | Type::Fixed { name, .. } => short(name),
            other => other.word().to_string(),
        }
    }
}

impl Type {
    /// Avro's word.
    pub fn word(&self) -> &'static str {
        match self {
            Type::Null => "null",
            Type::Boolean => "boolean",
            Type::Int(_) => "int",
            Type::Long(_) => "long",
            Type::Float => "float",
            Type::Double => "double",
            Type::Bytes(_) => "bytes",
            Type::String => "string",
            Type::Fixed { .. } => "fixed",
            Type::Enum { .. } => "enum",
            Type::Array(_) => "array",
            Type::Map(_) => "map",
            Type::Record(_) => "record",
            Type::Union(_) => "union",
        }
    }
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    names: HashMap<String, TypeId>,
    depth: usize,
}

impl Parser {
    fn add_references(&mut self, schema: &SchemaText, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("references are nested more than {DEPTH_MAX} deep"));
        }
        for reference in &schema.references {
            if self.names.contains_key(&reference.name) {
                continue;
            }
            self.add_references(&reference.schema, depth + 1)?;
            let id = self.parse_text(&reference.schema.text)?;
            self.names.entry(reference.name.clone()).or_insert(id);
        }
        Ok(())
    }

    fn parse_text(&mut self, text: &str) -> Result<TypeId, String> {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            // A bare word is a primitive, as older clients register it.
            Err(_) if !text.trim_start().starts_with(['{', '[', '"']) => {
                Value::String(text.trim().to_string())
            }
            Err(e) => return Err(format!("not JSON: {e}")),
        };
        self.parse(&value, "")
    }

    fn add(&mut self, ty: Type) -> Result<TypeId, String> {
        if self.types.len() >= TYPES_MAX {
            return Err(format!("more than {TYPES_MAX} types"));
        }
        self.types.push(ty);
        Ok(TypeId(self.types.len() - 1))
    }

    fn parse(&mut self, value: &Value, namespace: &str) -> Result<TypeId, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("types are nested more than {DEPTH_MAX} deep"));
        }
        let id = match value {
            Value::String(name) => self.named(name, namespace)?,
            Value::Array(branches) => {
                let parsed = branches.iter().map(|branch| self.parse(branch, namespace));
                let branches = parsed.collect::<Result<Vec<_>, _>>()?;
                self.add(Type::Union(branches))?
            }
            Value::Object(object) => self.object(object, namespace)?,
            other => return Err(format!("not a type: {other}")),
        };
        self.depth -= 1;
        Ok(id)
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<TypeId, String> {
        let primitive = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" => Type::Int(None),
            "long" => Type::Long(None),
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes(None),
            "string" => Type::String,
            _ => {
                let full = full_name(name, namespace);
                let found = self.names.get(&full).or_else(|| self.names.get(name)).copied();
                return found.ok_or_else(|| format!("\"{name}\" is not a defined name"));
            }
        };
        self.add(primitive)
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, String> {
        let ty = object.get("type").ok_or("a type without \"type\"")?;
        let Value::String(word) = ty else { return self.parse(ty, namespace) };
        let child =
            |name: &str| object.get(name).ok_or_else(|| format!("a {word} without \"{name}\""));
        match word.as_str() {
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let symbols = child("symbols")?.as_array().ok_or("symbols are no list")?;
                let text = |v: &Value| v.as_str().map(str::to_string);
                let symbols = symbols.iter().map(text).collect::<Option<Vec<_>>>();
                let symbols = symbols.ok_or("a symbol that is no text")?;
                let name = own_name(object, namespace)?;
                let id = self.add(Type::Enum { name: name.clone(), symbols })?;
                self.define(name, id)
            }
            "fixed" => {
                let size = child("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or("a fixed without a size")?;
                let name = own_name(object, namespace)?;
                let decimal = decimal(object)?;
                let id = self.add(Type::Fixed { name: name.clone(), size, decimal })?;
                self.define(name, id)
            }
            "array" => {
                let item = self.parse(child("items")?, namespace)?;
                self.add(Type::Array(item))
            }
            "map" => {
                let value = self.parse(child("values")?, namespace)?;
                self.add(Type::Map(value))
            }
            "int" => self.add(Type::Int(logical(object))),
            "long" => self.add(Type::Long(logical(object))),
            "bytes" => {
                let decimal = decimal(object)?;
                self.add(Type::Bytes(decimal))
            }
            _ => self.named(word, namespace),
        }
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<TypeId, String> {
        let name = own_name(object, namespace)?;
        let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_string();
        let entry = object.get("connect.internal.type").and_then(Value::as_str);
        let map_entry = entry == Some("MapEntry") || name == MAP_ENTRY;
        let record = Record { name: name.clone(), fields: Vec::new(), map_entry };
        let id = self.add(Type::Record(record))?;
        self.define(name, id)?;
        let list = object.get("fields").and_then(Value::as_array);
        let mut fields = Vec::new();
        for field in list.ok_or("a record without fields")? {
            let name = field.get("name").and_then(Value::as_str).ok_or("a field without name")?;
            let ty = field.get("type").ok_or_else(|| format!("the field {name} has no type"))?;
            let ty = self.parse(ty, &inner).map_err(|why| format!("{name}: {why}"))?;
            fields.push(Field {
                name: name.to_string(),
                ty,
                default: field.get("default").cloned(),
            });
        }
        if let Type::Record(record) = &mut self.types[id.0] {
            record.fields = fields;
        }
        Ok(id)
    }

    fn define(&mut self, name: String, id: TypeId) -> Result<TypeId, String> {
        match self.names.insert(name.clone(), id) {
            None => Ok(id),
            Some(_) => Err(format!("Can't redefine: {name}")),
        }
    }
}

fn own_name(object: &Map<String, Value>, namespace: &str) -> Result<String, String> {
    let name = object.get("name").and_then(Value::as_str).ok_or("a named type without a name")?;
    let own = object.get("namespace").and_then(Value::as_str);
    Ok(full_name(name, own.unwrap_or(namespace)))
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        return name.to_string();
    }
    format!("{namespace}.{name}")
}

fn logical(object: &Map<String, Value>) -> Option<Logical> {
    match object.get("logicalType").and_then(Value::as_str)? {
        "date" => Some(Logical::Date),
        "time-millis" => Some(Logical::TimeMillis),
        "timestamp-millis" => Some(Logical::TimestampMillis),
        _ => None,
    }
}

fn decimal(object: &Map<String, Value>) -> Result<Option<Decimal>, String> {
    if object.get("logicalType").and_then(Value::as_str) != Some("decimal") {
        return Ok(None);
    }
    let number = |name: &str, default: u32| match object.get(name) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
            number.ok_or_else(|| format!("the {name} of a decimal is {value}"))
        }
    };
    let precision = number("precision", PRECISION_DEFAULT)?;
    Ok(Some(Decimal { precision, scale: number("scale", 0)? }))
}
