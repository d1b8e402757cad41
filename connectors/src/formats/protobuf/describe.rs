//! The Protobuf schema of columns, word for word as Connect's converters print it.

use std::fmt::Write;

use millrace_sql::catalog::{FormatSpec, ProtobufNulls, SchemaKind, SchemaText};
use millrace_sql::types::{SqlType, StructField};

/// # Errors
/// When a column's name is none in Protobuf, or its type cannot be described.
pub fn describe(format: &FormatSpec, columns: &[(String, SqlType)]) -> Result<SchemaText, String> {
    let full_name = format.schema.full_name.as_deref();
    // A default name given by hand is the default.
    let full_name = full_name.filter(|name| !name.starts_with("ConnectDefault"));
    let mut printer =
        Printer { nulls: format.schema.nulls, names: 0, imports: Vec::new(), text: String::new() };
    let (package, name) = match full_name {
        Some(name) => name.rsplit_once('.').unwrap_or(("", name)),
        None => ("", printer.next_name()),
    };
    let column =
        |(name, ty): &(String, SqlType)| StructField { name: name.clone(), ty: ty.clone() };
    let fields: Vec<_> = columns.iter().map(column).collect();
    let name = name.to_string();
    printer.message(&name, &fields, 0)?;
    let mut text = "syntax = \"proto3\";\n".to_string();
    if !package.is_empty() {
        text.push_str(&format!("package {package};\n"));
    }
    text.push('\n');
    for import in &printer.imports {
        text.push_str(&format!("import \"{import}\";\n"));
    }
    if !printer.imports.is_empty() {
        text.push('\n');
    }
    text.push_str(&printer.text);
    Ok(SchemaText { kind: SchemaKind::Protobuf, text, references: Vec::new() })
}

struct Printer {
    nulls: ProtobufNulls,
    /// Names that were made so far.
    names: usize,
    imports: Vec<&'static str>,
    text: String,
}

/// A message to print inside the one that needs it.
enum Nested {
    Struct(String, Vec<StructField>),
    Entry(String, SqlType),
}

impl Printer {
    fn next_name(&mut self) -> &'static str {
        self.names += 1;
        "ConnectDefault1"
    }

    fn message(&mut self, name: &str, fields: &[StructField], depth: usize) -> Result<(), String> {
        let indent = "  ".repeat(depth);
        self.line(format!("{indent}message {name} {{"));
        let mut nested = Vec::new();
        for (at, field) in fields.iter().enumerate() {
            check_name(&field.name)?;
            let label = match field.ty {
                SqlType::Array(_) | SqlType::Map(..) => "repeated ",
                _ if self.nulls == ProtobufNulls::Optional => "optional ",
                _ => "",
            };
            self.field(label, field, at + 1, depth, &mut nested)?;
        }
        for message in nested {
            self.line(String::new());
            match message {
                Nested::Struct(name, fields) => self.message(&name, &fields, depth + 1)?,
                Nested::Entry(name, value) => self.entry(&name, &value, depth + 1)?,
            }
        }
        self.line(format!("{indent}}}"));
        Ok(())
    }

    fn entry(&mut self, name: &str, value: &SqlType, depth: usize) -> Result<(), String> {
        let indent = "  ".repeat(depth);
        self.line(format!("{indent}message {name} {{"));
        let mut nested = Vec::new();
        let member = |name: &str, ty: SqlType| StructField { name: name.to_string(), ty };
        self.field("", &member("key", SqlType::String), 1, depth, &mut nested)?;
        self.field("", &member("value", value.clone()), 2, depth, &mut nested)?;
        for message in nested {
            self.line(String::new());
            match message {
                Nested::Struct(name, fields) => self.message(&name, &fields, depth + 1)?,
                Nested::Entry(name, value) => self.entry(&name, &value, depth + 1)?,
            }
        }
        self.line(format!("{indent}}}"));
        Ok(())
    }

    fn field(
        &mut self,
        label: &str,
        field: &StructField,
        number: usize,
        depth: usize,
        nested: &mut Vec<Nested>,
    ) -> Result<(), String> {
        let value = match &field.ty {
            SqlType::Array(item) => item.as_ref(),
            other => other,
        };
        let ty = self.type_name(value, &field.name, nested)?;
        let indent = "  ".repeat(depth + 1);
        let options = match value {
            SqlType::Decimal { precision, scale } => decimal_options(*precision, *scale, &indent),
            _ => String::new(),
        };
        self.line(format!("{indent}{label}{ty} {} = {number}{options};", field.name));
        Ok(())
    }

    fn type_name(
        &mut self,
        ty: &SqlType,
        field: &str,
        nested: &mut Vec<Nested>,
    ) -> Result<String, String> {
        let wrapped = self.nulls == ProtobufNulls::Wrapper;
        let (plain, wrapper) = match ty {
            SqlType::Boolean => ("bool", "BoolValue"),
            SqlType::Integer => ("int32", "Int32Value"),
            SqlType::Bigint => ("int64", "Int64Value"),
            SqlType::Double => ("double", "DoubleValue"),
            SqlType::String => ("string", "StringValue"),
            SqlType::Bytes => ("bytes", "BytesValue"),
            SqlType::Decimal { .. } => {
                self.import("confluent/meta.proto");
                self.import("confluent/type/decimal.proto");
                return Ok("confluent.type.Decimal".to_string());
            }
            SqlType::Date => {
                self.import("google/type/date.proto");
                return Ok("google.type.Date".to_string());
            }
            SqlType::Time => {
                self.import("google/type/timeofday.proto");
                return Ok("google.type.TimeOfDay".to_string());
            }
            SqlType::Timestamp => {
                self.import("google/protobuf/timestamp.proto");
                return Ok("google.protobuf.Timestamp".to_string());
            }
            SqlType::Struct(fields) => {
                self.names += 1;
                let mut name = format!("ConnectDefault{}", self.names);
                if name == field {
                    name.push_str("Message");
                }
                nested.push(Nested::Struct(name.clone(), fields.clone()));
                return Ok(name);
            }
            SqlType::Map(_, value) => {
                self.names += 1;
                let name = format!("ConnectDefault{}Entry", self.names);
                nested.push(Nested::Entry(name.clone(), value.as_ref().clone()));
                return Ok(name);
            }
            SqlType::Array(_) => return Err("Array cannot be nested".to_string()),
        };
        if !wrapped {
            return Ok(plain.to_string());
        }
        self.import("google/protobuf/wrappers.proto");
        Ok(format!("google.protobuf.{wrapper}"))
    }

    fn import(&mut self, file: &'static str) {
        if !self.imports.contains(&file) {
            self.imports.push(file);
        }
    }

    fn line(&mut self, line: String) {
        let written = writeln!(self.text, "{line}");
        debug_assert!(written.is_ok(), "a String takes everything");
    }
}

fn decimal_options(precision: u8, scale: u8, indent: &str) -> String {
    let param = |key: &str, value: u8| {
        format!(
            "{indent}    {{\n{indent}      value: \"{value}\",\n{indent}      key: \"{key}\"\n\
             {indent}    }}"
        )
    };
    format!(
        " [(confluent.field_meta) = {{\n{indent}  params: [\n{},\n{}\n{indent}  ]\n{indent}}}]",
        param("precision", precision),
        param("scale", scale)
    )
}

fn check_name(name: &str) -> Result<(), String> {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let other = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.chars().next().is_some_and(first) && name.chars().all(other) {
        return Ok(());
    }
    Err(format!("Invalid protobuf schema definition: \"{name}\" is not a valid identifier."))
}
