//! Protobuf schemas as they are registered: text, or a descriptor in base64, with the files that
//! they import. Options that nobody needs are not resolved.

use std::collections::HashMap;

use millrace_sql::catalog::SchemaText;
use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::field_descriptor_proto::{Label, Type as ProtoType};
use prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
};
use protox::file::{File, FileResolver, GoogleFileResolver};

use super::known::FILES;
use crate::formats::base64;

/// Messages of a file and of all that it imports.
#[derive(Debug, Default)]
pub struct ProtoSchema {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    /// Messages of the file itself, not of its imports, in order.
    top: Vec<usize>,
}

#[derive(Debug, Default)]
pub struct Message {
    /// With its package.
    pub name: String,
    pub fields: Vec<Field>,
    /// Those that are written in the schema; the ones of `optional` fields are not.
    pub oneofs: Vec<String>,
    pub nested: Vec<usize>,
    /// Repeated scalars are packed.
    pub packs: bool,
    is_entry: bool,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub number: u32,
    pub kind: Kind,
    pub repeated: bool,
    /// Tells a zero from nothing.
    pub has_presence: bool,
    pub oneof: Option<usize>,
    /// Of a decimal, as the field's options say.
    pub precision: Option<u32>,
    pub scale: Option<u32>,
}

/// Type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(usize),
    Message(usize),
    /// Of proto2; passed over.
    Group,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Enum {
    pub values: Vec<(i32, String)>,
}

/// Messages and enums of one schema with all its imports.
const TYPES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 32;
const FILES_MAX: usize = 300;

impl ProtoSchema {
    /// # Errors
    /// Says what is no Protobuf schema.
    pub fn parse(schema: &SchemaText) -> Result<Self, String> {
        let mut linker = Linker::default();
        let root = parse_file("schema.proto", &schema.text)?;
        linker.add_references(schema, 0)?;
        linker.add_imports(&root)?;
        let top = linker.declare_file(&root)?;
        linker.schema.top = top;
        linker.link()?;
        Ok(linker.schema)
    }

    pub fn message(&self, id: usize) -> &Message {
        &self.messages[id]
    }

    pub fn enumeration(&self, id: usize) -> &Enum {
        &self.enums[id]
    }

    /// Full names of the messages that the file declares.
    pub fn names(&self) -> Vec<String> {
        self.top.iter().map(|id| self.messages[*id].name.clone()).collect()
    }

    /// The message of that name, or the first one; and its place in the file.
    pub fn root(&self, full_name: Option<&str>) -> Option<(usize, Vec<usize>)> {
        let Some(name) = full_name else { return self.top.first().map(|id| (*id, vec![0])) };
        self.find(name, &self.top, &mut Vec::new())
    }

    fn find(
        &self,
        name: &str,
        among: &[usize],
        path: &mut Vec<usize>,
    ) -> Option<(usize, Vec<usize>)> {
        for (at, id) in among.iter().enumerate() {
            path.push(at);
            if self.messages[*id].name == name {
                return Some((*id, path.clone()));
            }
            if let Some(found) = self.find(name, &self.messages[*id].nested, path) {
                return Some(found);
            }
            path.pop();
        }
        None
    }

    /// The message at a place in the file, as records name it.
    pub fn at(&self, path: &[usize]) -> Option<usize> {
        let (first, rest) = path.split_first()?;
        let mut id = *self.top.get(*first)?;
        for at in rest {
            id = *self.messages[id].nested.get(*at)?;
        }
        Some(id)
    }

    /// Key and value of a map's entry.
    pub fn entry(&self, field: &Field) -> Option<(&Field, &Field)> {
        let Kind::Message(id) = field.kind else { return None };
        let message = &self.messages[id];
        match &message.fields[..] {
            [key, value]
                if field.repeated
                    && (message.is_entry || message.name.ends_with("Entry"))
                    && key.name == "key"
                    && value.name == "value"
                    && !key.repeated
                    && !value.repeated =>
            {
                Some((key, value))
            }
            _ => None,
        }
    }
}

fn parse_file(name: &str, text: &str) -> Result<FileDescriptorProto, String> {
    let parsed = File::from_source(name, text);
    match parsed {
        Ok(file) => Ok(file.file_descriptor_proto().clone()),
        Err(error) => {
            // Some clients register the descriptor itself.
            let mut bytes = Vec::new();
            let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
            if base64::decode(&packed, &mut bytes)
                && let Ok(file) = FileDescriptorProto::decode(&bytes[..])
                && !file.message_type.is_empty()
            {
                return Ok(file);
            }
            Err(error.to_string())
        }
    }
}

/// A type's name may mean one of these.
#[derive(Debug, Clone, Copy)]
enum Symbol {
    Message(usize),
    Enum(usize),
}

#[derive(Default)]
struct Linker {
    schema: ProtoSchema,
    symbols: HashMap<String, Symbol>,
    /// Fields whose types have names, with the scope that the names are looked up in.
    open: Vec<(usize, usize, String)>,
    files: HashMap<String, ()>,
}

impl Linker {
    fn add_references(&mut self, schema: &SchemaText, depth: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("references are nested more than {DEPTH_MAX} deep"));
        }
        for reference in &schema.references {
            if self.files.insert(reference.name.clone(), ()).is_some() {
                continue;
            }
            let file = parse_file(&reference.name, &reference.schema.text)?;
            self.add_references(&reference.schema, depth + 1)?;
            self.add_imports(&file)?;
            self.declare_file(&file)?;
        }
        Ok(())
    }

    /// Files that are known to everybody. Others may be missing, as long as nobody needs them.
    fn add_imports(&mut self, file: &FileDescriptorProto) -> Result<(), String> {
        for name in &file.dependency {
            if self.files.len() > FILES_MAX {
                return Err(format!("more than {FILES_MAX} files"));
            }
            if self.files.contains_key(name) {
                continue;
            }
            let own = FILES.iter().find(|(known, _)| known == name);
            let known = match own {
                Some((_, text)) => Some(parse_file(name, text)?),
                None => GoogleFileResolver::new()
                    .open_file(name)
                    .ok()
                    .map(|file| file.file_descriptor_proto().clone()),
            };
            let Some(known) = known else { continue };
            self.files.insert(name.clone(), ());
            self.add_imports(&known)?;
            self.declare_file(&known)?;
        }
        Ok(())
    }

    fn declare_file(&mut self, file: &FileDescriptorProto) -> Result<Vec<usize>, String> {
        let package = file.package();
        let proto3 = file.syntax() == "proto3";
        for declared in &file.enum_type {
            self.declare_enum(declared, package)?;
        }
        let messages = file.message_type.iter();
        messages.map(|message| self.declare(message, package, proto3, 0)).collect()
    }

    fn declare_enum(
        &mut self,
        declared: &prost_reflect::prost_types::EnumDescriptorProto,
        scope: &str,
    ) -> Result<(), String> {
        let values = declared.value.iter().map(|v| (v.number(), v.name().to_string())).collect();
        self.schema.enums.push(Enum { values });
        let id = self.schema.enums.len() - 1;
        self.define(scoped(scope, declared.name()), Symbol::Enum(id))
    }

    fn declare(
        &mut self,
        declared: &DescriptorProto,
        scope: &str,
        proto3: bool,
        depth: usize,
    ) -> Result<usize, String> {
        if depth > DEPTH_MAX {
            return Err(format!("messages are nested more than {DEPTH_MAX} deep"));
        }
        let name = scoped(scope, declared.name());
        let id = self.schema.messages.len();
        self.schema.messages.push(Message::default());
        self.define(name.clone(), Symbol::Message(id))?;
        for inner in &declared.enum_type {
            self.declare_enum(inner, &name)?;
        }
        let mut nested = Vec::new();
        for inner in &declared.nested_type {
            nested.push(self.declare(inner, &name, proto3, depth + 1)?);
        }
        // A oneof around a single `optional` field is how presence is spelled in descriptors.
        let is_real = |at: usize| {
            declared.field.iter().any(|f| f.oneof_index == Some(at as i32) && !f.proto3_optional())
        };
        let real: Vec<usize> = (0..declared.oneof_decl.len()).filter(|at| is_real(*at)).collect();
        let oneofs = real.iter().map(|at| declared.oneof_decl[*at].name().to_string()).collect();
        let mut fields = Vec::new();
        for (at, field) in declared.field.iter().enumerate() {
            fields.push(own_field(field, proto3, &real)?);
            if matches!(fields[at].kind, Kind::Message(_)) {
                let wanted = field.type_name().to_string();
                self.open.push((id, at, wanted));
            }
        }
        let is_entry = declared.options.as_ref().is_some_and(|o| o.map_entry());
        let message = Message { name, fields, oneofs, nested, packs: proto3, is_entry };
        self.schema.messages[id] = message;
        Ok(id)
    }

    fn define(&mut self, name: String, symbol: Symbol) -> Result<(), String> {
        if self.symbols.len() >= TYPES_MAX {
            return Err(format!("more than {TYPES_MAX} types"));
        }
        match self.symbols.insert(name.clone(), symbol) {
            None => Ok(()),
            Some(_) => Err(format!("{name} is defined more than once")),
        }
    }

    /// Finds what the names of fields' types mean.
    fn link(&mut self) -> Result<(), String> {
        for (message, field, wanted) in std::mem::take(&mut self.open) {
            let scope = self.schema.messages[message].name.clone();
            let symbol = self.resolve(&scope, &wanted).ok_or_else(|| {
                format!("\"{wanted}\" is not defined; is its file among the schema's references?")
            })?;
            let field = &mut self.schema.messages[message].fields[field];
            match symbol {
                Symbol::Message(id) => {
                    field.kind = Kind::Message(id);
                    field.has_presence = !field.repeated;
                }
                Symbol::Enum(id) => field.kind = Kind::Enum(id),
            }
        }
        Ok(())
    }

    /// From the innermost scope outward.
    fn resolve(&self, scope: &str, wanted: &str) -> Option<Symbol> {
        if let Some(absolute) = wanted.strip_prefix('.') {
            return self.symbols.get(absolute).copied();
        }
        let mut scope = scope;
        loop {
            if let Some(symbol) = self.symbols.get(&scoped(scope, wanted)) {
                return Some(*symbol);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
    }
}

fn scoped(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_string() } else { format!("{scope}.{name}") }
}

/// A field as it is declared. A type with a name counts as a message until it is linked.
fn own_field(
    field: &FieldDescriptorProto,
    proto3: bool,
    real_oneofs: &[usize],
) -> Result<Field, String> {
    let number = u32::try_from(field.number()).ok().filter(|n| *n > 0);
    let number = number.ok_or_else(|| format!("the field {} has no number", field.name()))?;
    let kind = match field.r#type.and_then(|ty| ProtoType::try_from(ty).ok()) {
        None | Some(ProtoType::Message | ProtoType::Enum) => Kind::Message(0),
        Some(ProtoType::Double) => Kind::Double,
        Some(ProtoType::Float) => Kind::Float,
        Some(ProtoType::Int32) => Kind::Int32,
        Some(ProtoType::Int64) => Kind::Int64,
        Some(ProtoType::Uint32) => Kind::Uint32,
        Some(ProtoType::Uint64) => Kind::Uint64,
        Some(ProtoType::Sint32) => Kind::Sint32,
        Some(ProtoType::Sint64) => Kind::Sint64,
        Some(ProtoType::Fixed32) => Kind::Fixed32,
        Some(ProtoType::Fixed64) => Kind::Fixed64,
        Some(ProtoType::Sfixed32) => Kind::Sfixed32,
        Some(ProtoType::Sfixed64) => Kind::Sfixed64,
        Some(ProtoType::Bool) => Kind::Bool,
        Some(ProtoType::String) => Kind::String,
        Some(ProtoType::Bytes) => Kind::Bytes,
        Some(ProtoType::Group) => Kind::Group,
    };
    let repeated = field.label == Some(Label::Repeated as i32);
    let at = field.oneof_index.and_then(|at| usize::try_from(at).ok());
    let oneof = at.and_then(|at| real_oneofs.iter().position(|real| *real == at));
    let proto2_optional = !proto3 && !repeated && field.label != Some(Label::Required as i32);
    let has_presence = field.proto3_optional() || proto2_optional || oneof.is_some();
    let empty = Vec::new();
    let options = field.options.as_ref().map_or(&empty, |o| &o.uninterpreted_option);
    let (precision, scale) = (meta(options, "precision"), meta(options, "scale"));
    let name = field.name().to_string();
    Ok(Field { name, number, kind, repeated, has_presence, oneof, precision, scale })
}

/// A number among the parameters of `(confluent.field_meta)`.
fn meta(options: &[UninterpretedOption], key: &str) -> Option<u32> {
    let is_meta = |option: &&UninterpretedOption| {
        option.name.first().is_some_and(|part| part.name_part.ends_with("field_meta"))
    };
    let texts = options.iter().filter(is_meta).filter_map(|o| o.aggregate_value.as_deref());
    for text in texts {
        for entry in text.split(['{', '}']) {
            if quoted(entry, "key") == Some(key) {
                return quoted(entry, "value")?.parse().ok();
            }
        }
    }
    None
}

/// The text in quotes behind `name:`.
fn quoted<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = entry.split_once(name)?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    rest[1..].split_once(quote).map(|(value, _)| value)
}
