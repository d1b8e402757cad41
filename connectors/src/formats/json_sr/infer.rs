//! The columns that a JSON schema stands for.

use std::collections::HashMap;

use millrace_engine::format::{Inferred, Naming};
use millrace_sql::catalog::SchemaText;
use millrace_sql::types::{DECIMAL_PRECISION_MAX, SqlType, StructField};
use serde_json::{Map, Value};

use crate::formats::infer::{DEPTH_MAX, field_name, root_columns};

/// The member that Connect makes of an alternative.
const ONE_OF: &str = "io.confluent.connect.json.OneOf.field.";
const LOGICAL: &str = "org.apache.kafka.connect.data.";
/// Precision that Connect assumes.
const PRECISION_DEFAULT: u32 = 64;

/// # Errors
/// Says why a schema stands for no columns.
pub fn infer(schema: &SchemaText, wrapped: bool, naming: Naming) -> Result<Inferred, String> {
    let parse = |text: &str| -> Result<Value, String> {
        serde_json::from_str(text).map_err(|e| format!("not JSON: {e}"))
    };
    let root = parse(&schema.text)?;
    let mut files = HashMap::new();
    let mut open: Vec<_> = schema.references.iter().collect();
    while let Some(reference) = open.pop() {
        files.insert(reference.name.clone(), parse(&reference.schema.text)?);
        open.extend(&reference.schema.references);
    }
    let infer = Infer { root: &root, files: &files, keep_case: naming.keep_case };
    let columns = root_columns(infer.ty(&root, &root, 0)?, wrapped, naming)?;
    let name = root.get("title").and_then(Value::as_str).map(str::to_string);
    Ok(Inferred { columns, names: name.iter().cloned().collect(), name })
}

struct Infer<'a> {
    root: &'a Value,
    /// What the schema refers to, by name.
    files: &'a HashMap<String, Value>,
    keep_case: bool,
}

impl<'a> Infer<'a> {
    /// The type of `schema`, which stands in `file`.
    fn ty(&self, schema: &'a Value, file: &'a Value, depth: usize) -> Result<SqlType, String> {
        if depth > DEPTH_MAX {
            return Err("a recursive schema has no SQL type".to_string());
        }
        let object = schema.as_object().ok_or_else(|| format!("{schema} has no SQL type"))?;
        if let Some(target) = object.get("$ref").and_then(Value::as_str) {
            let (schema, file) = self.referred(target, file)?;
            return self.ty(schema, file, depth + 1);
        }
        for word in ["oneOf", "anyOf"] {
            if let Some(list) = object.get(word).and_then(Value::as_array) {
                return self.alternatives(list, file, depth);
            }
        }
        if let Some(list) = object.get("allOf").and_then(Value::as_array) {
            return self.all_of(list, object, file, depth);
        }
        if object.contains_key("enum") || object.contains_key("const") {
            return Ok(SqlType::String);
        }
        match object.get("type") {
            Some(Value::String(word)) => self.of_type(word, object, file, depth),
            Some(Value::Array(words)) => {
                let words: Vec<&str> =
                    words.iter().filter_map(Value::as_str).filter(|w| *w != "null").collect();
                match words[..] {
                    [word] => self.of_type(word, object, file, depth),
                    _ => Err(format!("a value of one of the types {words:?} has no SQL type")),
                }
            }
            _ if object.contains_key("properties") => self.of_type("object", object, file, depth),
            _ => Err(format!("{schema} has no SQL type")),
        }
    }

    fn of_type(
        &self,
        word: &str,
        object: &'a Map<String, Value>,
        file: &'a Value,
        depth: usize,
    ) -> Result<SqlType, String> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let (connect, title) = (text("connect.type"), text("title").unwrap_or_default());
        let logical = title.strip_prefix(LOGICAL);
        Ok(match (word, connect, logical) {
            ("boolean", ..) => SqlType::Boolean,
            ("integer" | "number", Some("bytes"), Some("Decimal")) => decimal(object)?,
            ("integer", _, Some("Date")) => SqlType::Date,
            ("integer", _, Some("Time")) => SqlType::Time,
            ("integer", _, Some("Timestamp")) => SqlType::Timestamp,
            ("integer" | "number", Some("int8" | "int16" | "int32"), _) => SqlType::Integer,
            ("integer" | "number", Some("int64"), _) => SqlType::Bigint,
            ("integer" | "number", Some("float32" | "float64"), _) => SqlType::Double,
            ("integer", ..) => SqlType::Bigint,
            ("number", ..) => SqlType::Double,
            ("string", Some("bytes"), _) => SqlType::Bytes,
            ("string", ..) => SqlType::String,
            ("array", Some("map"), _) => {
                let value = object.get("items").and_then(|items| items.get("properties"));
                let value = value.and_then(|properties| properties.get("value"));
                map(self.ty(value.ok_or("a map without a value")?, file, depth + 1)?)
            }
            ("array", ..) => {
                let items = object.get("items");
                let items = items.ok_or("Array schema did not specify the items type")?;
                SqlType::Array(Box::new(self.ty(items, file, depth + 1)?))
            }
            ("object", Some("map"), _) => {
                let value = object.get("additionalProperties");
                map(self.ty(value.ok_or("a map without a value")?, file, depth + 1)?)
            }
            ("object", ..) => SqlType::Struct(self.members(object, file, depth)?),
            _ => return Err(format!("Unsupported type {word}")),
        })
    }

    /// Members in the order that Connect wrote down, or in that of the text.
    fn members(
        &self,
        object: &'a Map<String, Value>,
        file: &'a Value,
        depth: usize,
    ) -> Result<Vec<StructField>, String> {
        let properties = object.get("properties").and_then(Value::as_object);
        let mut found: Vec<(u64, &String, &'a Value)> = Vec::new();
        for (at, (name, schema)) in properties.into_iter().flatten().enumerate() {
            let index = schema.get("connect.index").and_then(Value::as_u64);
            found.push((index.unwrap_or(at as u64), name, schema));
        }
        found.sort_by_key(|(index, ..)| *index);
        let member = |(_, name, schema): (u64, &String, &'a Value)| {
            let ty = self.ty(schema, file, depth + 1)?;
            Ok(StructField { name: field_name(name, self.keep_case), ty })
        };
        found.into_iter().map(member).collect()
    }

    /// Null and one other is that one; more are a STRUCT with a member each.
    fn alternatives(
        &self,
        list: &'a [Value],
        file: &'a Value,
        depth: usize,
    ) -> Result<SqlType, String> {
        let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
        let others: Vec<&'a Value> = list.iter().filter(|schema| !is_null(schema)).collect();
        if let [only] = others[..] {
            return self.ty(only, file, depth + 1);
        }
        let member = |(at, schema): (usize, &'a Value)| {
            let ty = self.ty(schema, file, depth + 1)?;
            Ok(StructField { name: field_name(&format!("{ONE_OF}{at}"), self.keep_case), ty })
        };
        let members: Result<Vec<_>, String> = others.into_iter().enumerate().map(member).collect();
        Ok(SqlType::Struct(members?))
    }

    /// All properties together, or the one type that is among them.
    fn all_of(
        &self,
        list: &'a [Value],
        own: &'a Map<String, Value>,
        file: &'a Value,
        depth: usize,
    ) -> Result<SqlType, String> {
        let mut members: Vec<StructField> = self.members(own, file, depth)?;
        let mut other = None;
        for schema in list {
            match self.ty(schema, file, depth + 1) {
                Ok(SqlType::Struct(more)) => {
                    for field in more {
                        members.retain(|known| known.name != field.name);
                        members.push(field);
                    }
                }
                Ok(ty) => other = Some(ty),
                // A part that only restrains others, e.g. a pattern.
                Err(_) => {}
            }
        }
        match other {
            _ if !members.is_empty() => Ok(SqlType::Struct(members)),
            Some(ty) => Ok(ty),
            None => Err("Unsupported criterion allOf".to_string()),
        }
    }

    /// What `$ref` means: a place in this file, another file, or a place in it.
    fn referred(&self, target: &str, file: &'a Value) -> Result<(&'a Value, &'a Value), String> {
        let (name, place) = target.split_once('#').unwrap_or((target, ""));
        let file = match self.files.get(name) {
            Some(other) => other,
            None if name.is_empty() => file,
            None if self.root.get("$id").and_then(Value::as_str) == Some(name) => self.root,
            None => return Err(format!("\"{target}\" is not among the schema's references")),
        };
        let found = if place.is_empty() { Some(file) } else { file.pointer(place) };
        found.map(|schema| (schema, file)).ok_or_else(|| format!("there is no \"{target}\""))
    }
}

fn map(value: SqlType) -> SqlType {
    SqlType::Map(Box::new(SqlType::String), Box::new(value))
}

fn decimal(object: &Map<String, Value>) -> Result<SqlType, String> {
    let parameter = |name: &str, default: u32| {
        let value = object.get("connect.parameters").and_then(|p| p.get(name));
        match value.and_then(Value::as_str) {
            None => Ok(default),
            Some(text) => {
                text.parse::<u32>().map_err(|_| format!("the {name} of a decimal is {text}"))
            }
        }
    };
    let max = u32::from(DECIMAL_PRECISION_MAX);
    let precision = parameter("connect.decimal.precision", PRECISION_DEFAULT)?.min(max) as u8;
    match u8::try_from(parameter("scale", 0)?) {
        Ok(scale) if scale <= precision && precision > 0 => {
            Ok(SqlType::Decimal { precision, scale })
        }
        _ => Err("a decimal with a scale above its precision".to_string()),
    }
}
