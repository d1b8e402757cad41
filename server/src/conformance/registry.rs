//! The schema registry of a case: in memory, with what the case and its statements put there.

use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::format::Formats;
use millrace_engine::schemas::{SchemaRegistry, subject};
use millrace_sql::analyze::{self, Analyzed, Settings};
use millrace_sql::catalog::{
    Catalog, ColumnRole, FormatSpec, SchemaKind, SchemaReference, SchemaText, Source,
};
use millrace_sql::parser;
use millrace_sql::types::SqlType;
use serde_json::Value;

use super::case::{Case, SchemaDef};
use super::query_case::bucket;

/// Schemas of one topic's keys and values.
struct TopicSchemas {
    name: String,
    key: Option<SchemaText>,
    value: Option<SchemaText>,
}

/// Puts the schemas of a case into its registry: first those with ids of their own, then topic by
/// topic in the order of ksqlDB's harness.
///
/// # Errors
/// A schema that is none.
pub fn fill(case: &Case, registry: &MemoryRegistry, formats: &dyn Formats) -> Result<(), String> {
    let mut topics = Vec::new();
    for def in &case.topics {
        let mut schemas = TopicSchemas { name: def.name.clone(), key: None, value: None };
        for (is_key, side) in [(true, &def.key), (false, &def.value)] {
            let Some(side) = side else { continue };
            let text = schema_text(side)?;
            match side.id.and_then(|id| u32::try_from(id).ok()) {
                Some(id) => {
                    for reference in &text.references {
                        register(registry, &reference.subject, &reference.schema)?;
                    }
                    registry.register_as(&subject(&def.name, is_key), id, text);
                }
                None if is_key => schemas.key = Some(text),
                None => schemas.value = Some(text),
            }
        }
        topics.push(schemas);
    }
    for source in declared(case) {
        let schemas = of_source(&source, formats);
        match topics.iter_mut().find(|topic| topic.name == source.topic) {
            Some(topic) => {
                let has = |is_key| {
                    matches!(registry.latest(&subject(&source.topic, is_key)), Ok(Some(_)))
                };
                if topic.key.is_none() && !has(true) {
                    topic.key = schemas.key;
                }
                if topic.value.is_none() && !has(false) {
                    topic.value = schemas.value;
                }
            }
            None => topics.push(schemas),
        }
    }
    topics.sort_by_key(|topic| bucket(&topic.name));
    for TopicSchemas { name, key, value } in topics {
        for (is_key, schema) in [(true, key), (false, value)] {
            if let Some(schema) = schema {
                register(registry, &subject(&name, is_key), &schema)?;
            }
        }
    }
    Ok(())
}

fn register(registry: &MemoryRegistry, subject: &str, schema: &SchemaText) -> Result<(), String> {
    registry.register(subject, schema).map(|_| ()).map_err(|e| e.to_string())
}

/// Sources that the statements declare with columns. Statements that are refused count as none.
fn declared(case: &Case) -> Vec<Source> {
    let mut settings = Settings::default();
    settings.0.extend(case.properties.clone());
    let mut catalog = Catalog::default();
    let mut sources = Vec::new();
    for text in &case.statements {
        let Ok(parsed) = parser::parse(text) else { continue };
        for parsed in parsed {
            let sql = &parsed.text;
            match analyze::analyze(&parsed.statement, sql, &catalog, &settings) {
                Ok(Analyzed::CreateSource(new)) => sources.push(new.source),
                Ok(Analyzed::CreateType(new)) => {
                    catalog.types.insert(new.name, new.ty);
                }
                _ => {}
            }
        }
    }
    sources
}

fn of_source(source: &Source, formats: &dyn Formats) -> TopicSchemas {
    let side = |format: &FormatSpec, role: ColumnRole| {
        let columns = source.columns.iter().filter(|c| c.role == role);
        let columns: Vec<(String, SqlType)> =
            columns.map(|c| (c.name.clone(), c.ty.clone())).collect();
        let has_schema = format.kind.has_registry() && !columns.is_empty();
        has_schema.then(|| formats.describe(format, &columns).ok()).flatten()
    };
    TopicSchemas {
        name: source.topic.clone(),
        key: side(&source.key_format, ColumnRole::Key),
        value: side(&source.value_format, ColumnRole::Value),
    }
}

fn schema_text(def: &SchemaDef) -> Result<SchemaText, String> {
    let kind = kind(&def.format)?;
    let references = def.references.iter().map(|reference| {
        let kind = self::kind(&reference.format)?;
        let text = text_of(kind, &reference.schema);
        Ok(SchemaReference {
            name: reference.name.clone(),
            subject: reference.name.clone(),
            version: 1,
            schema: SchemaText { kind, text, references: Vec::new() },
        })
    });
    let references = references.collect::<Result<Vec<_>, String>>()?;
    Ok(SchemaText { kind, text: text_of(kind, &def.schema), references })
}

/// Protobuf schemas are text; the others are JSON.
fn text_of(kind: SchemaKind, schema: &Value) -> String {
    match (kind, schema) {
        (SchemaKind::Protobuf, Value::String(text)) => text.clone(),
        (_, schema) => schema.to_string(),
    }
}

fn kind(format: &str) -> Result<SchemaKind, String> {
    match format {
        "AVRO" => Ok(SchemaKind::Avro),
        "JSON" | "JSON_SR" => Ok(SchemaKind::Json),
        "PROTOBUF" => Ok(SchemaKind::Protobuf),
        other => Err(format!("no schemas of the format {other} are known")),
    }
}
