//! Statements and the schema registry: columns that a CREATE leaves out, and schemas of what is
//! written. All of it happens before the command is appended and is recorded there, so that a
//! replay asks no registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_sql::analyze::{self, Inference, Settings, Side};
use millrace_sql::ast::Statement;
use millrace_sql::catalog::{
    ColumnRole, FormatSpec, RegisteredSchema, SchemaSpec, SchemaText, Source,
};
use millrace_sql::error::{Result, SqlError};
use millrace_sql::types::SqlType;

use crate::format::{Formats, Inferred, Naming};
use crate::schemas::{RegistryError, SchemaRegistry, subject};

/// Schemas that a query writes with, by subject.
pub type Schemas = BTreeMap<String, Arc<RegisteredSchema>>;

/// Work on one statement's schemas.
pub struct SchemaDesk<'a> {
    pub formats: &'a dyn Formats,
}

impl SchemaDesk<'_> {
    /// The statement with all its columns.
    ///
    /// # Errors
    /// When the registry has no fitting schema, or does not answer.
    pub fn infer(&self, statement: Statement, settings: &Settings) -> Result<Statement> {
        let mut statement = statement;
        for wanted in analyze::inferences(&statement, settings)? {
            let known = self.wanted_schema(&wanted)?;
            let inferred = self.columns(&wanted, &known)?;
            let full_name = wanted.format.schema.id.and(inferred.name.as_deref());
            statement =
                analyze::with_columns(&statement, wanted.side, &inferred.columns, full_name);
        }
        Ok(statement)
    }

    /// Registers the schemas of what is written to `sink`, those that the statement chose too.
    /// `if_new`: leave a subject alone that has a schema already.
    ///
    /// # Errors
    /// What the registry refuses, in its words.
    pub fn register(&self, sink: &Source, if_new: bool) -> Result<Schemas> {
        let mut schemas = Schemas::new();
        for side in [Side::Key, Side::Value] {
            let (format, columns) = one_side(sink, side);
            if !format.kind.has_registry() || columns.is_empty() {
                continue;
            }
            let registry = self.registry(&sink.topic, format)?;
            let subject = subject(&sink.topic, side == Side::Key);
            let registered = match format.schema.id {
                Some(id) => self.register_chosen(registry, &subject, id, sink, side)?,
                None if if_new && latest(registry, &subject)?.is_some() => continue,
                None => {
                    let schema = self.formats.describe(format, &columns);
                    let schema = schema.map_err(|e| could_not_register(&e.to_string()))?;
                    let done = registry.register(&subject, &schema);
                    done.map_err(|e| could_not_register(&registry_words(&e)))?
                }
            };
            registry.remember(registered.clone());
            schemas.insert(subject, registered);
        }
        Ok(schemas)
    }

    /// Checks the columns of a CREATE ... AS SELECT against the schemas that it chose by id.
    ///
    /// # Errors
    /// When they differ.
    pub fn check_chosen(&self, sink: &Source) -> Result<()> {
        for side in [Side::Key, Side::Value] {
            let (format, _) = one_side(sink, side);
            let Some(id) = format.schema.id else { continue };
            let (topic, format) = (sink.topic.clone(), format.clone());
            let wanted = Inference { side, topic, format };
            let registry = self.registry(&sink.topic, &wanted.format)?;
            let known = self.chosen(registry, id, &wanted)?;
            let inferred = self.columns(&wanted, &known)?;
            analyze::check_registered(sink, side, &inferred.columns)?;
        }
        Ok(())
    }

    fn registry(&self, topic: &str, format: &FormatSpec) -> Result<&Arc<dyn SchemaRegistry>> {
        self.formats.registry().ok_or_else(|| {
            SqlError::invalid(format!(
                "Cannot create topic '{topic}' with format {} without configuring \
                 'ksql.schema.registry.url'",
                format.kind.name()
            ))
            .hint("start the server with ksql.schema.registry.url=http://host:8081")
        })
    }

    fn wanted_schema(&self, wanted: &Inference) -> Result<Arc<RegisteredSchema>> {
        let registry = self.registry(&wanted.topic, &wanted.format)?;
        match wanted.format.schema.id {
            Some(id) => self.chosen(registry, id, wanted),
            None => {
                let subject = subject(&wanted.topic, wanted.side == Side::Key);
                let found = registry.latest(&subject).map_err(|e| fetch_failed(wanted, &e))?;
                found.ok_or_else(|| not_found(wanted))
            }
        }
    }

    fn chosen(
        &self,
        registry: &Arc<dyn SchemaRegistry>,
        id: u32,
        wanted: &Inference,
    ) -> Result<Arc<RegisteredSchema>> {
        let found = registry.by_id(id).map_err(|e| fetch_failed(wanted, &e))?;
        found.ok_or_else(|| not_found(wanted))
    }

    /// The columns of a schema that was asked for.
    fn columns(&self, wanted: &Inference, known: &RegisteredSchema) -> Result<Inferred> {
        let (schema, side) = (&known.schema, side_word(wanted.side));
        let expected = self.formats_kind(wanted, schema);
        if let Some(expected) = expected {
            return Err(wrong_kind(wanted, expected, schema));
        }
        let naming = Naming {
            single: if wanted.side == Side::Key { "ROWKEY" } else { "ROWVAL" },
            keep_case: wanted.format.schema.id.is_some(),
        };
        let inferred = self.formats.infer(&wanted.format, schema, naming).map_err(|why| {
            SqlError::invalid(format!(
                "Unable to verify if the {side} schema for {} is compatible with ksqlDB.\n\
                 Reason: {why}\n\nPlease see https://github.com/confluentinc/ksql/issues/ to see \
                 if this particular reason is already known.\nIf not, please log a new issue, \
                 including this full error message.\nSchema:{}",
                source_words(wanted),
                schema.text
            ))
        })?;
        if wanted.side == Side::Key && inferred.columns.len() > 1 {
            return Err(SqlError::invalid(format!(
                "The key schema for {} contains multiple columns, which is not supported by \
                 ksqlDB at this time.\nSchema:{}",
                source_words(wanted),
                schema.text
            )));
        }
        if inferred.names.len() > 1 && wanted.format.schema.full_name.is_none() {
            return Err(many_names(wanted, &inferred.names));
        }
        Ok(inferred)
    }

    /// The kind of schema that the format wants, if this one is another.
    fn formats_kind(&self, wanted: &Inference, schema: &SchemaText) -> Option<&'static str> {
        let expected = wanted.format.kind.schema_kind()?;
        (expected != schema.kind).then(|| expected.name())
    }

    fn register_chosen(
        &self,
        registry: &Arc<dyn SchemaRegistry>,
        subject: &str,
        id: u32,
        sink: &Source,
        side: Side,
    ) -> Result<Arc<RegisteredSchema>> {
        let (format, _) = one_side(sink, side);
        let wanted = Inference { side, topic: sink.topic.clone(), format: format.clone() };
        let chosen = self.chosen(registry, id, &wanted)?;
        if format.kind.schema_kind() != Some(chosen.schema.kind) {
            return Err(SqlError::invalid(format!(
                "Format and fetched schema type using {} {id} are different. Format: [{}], \
                 Fetched schema type: [{}].",
                id_property(side),
                format.kind.name(),
                chosen.schema.kind.name()
            )));
        }
        let registered = registry.register(subject, &chosen.schema);
        let registered = registered.map_err(|e| could_not_register(&registry_words(&e)))?;
        if registered.id != id {
            return Err(SqlError::invalid(format!(
                "Schema id registered is {} which is different from provided {} {id}.\n\
                 Topic: {}\nSubject: {subject}\nSchema: {}",
                registered.id,
                id_property(side),
                sink.topic,
                chosen.schema.text
            )));
        }
        Ok(chosen)
    }
}

/// The schema that the keys of a source's topic have, as far as the registry knows.
///
/// # Errors
/// When there is none, or the registry does not answer.
pub fn keys_of(formats: &dyn Formats, source: &Source) -> Result<Arc<RegisteredSchema>> {
    let (side, topic, format) = (Side::Key, source.topic.clone(), source.key_format.clone());
    SchemaDesk { formats }.wanted_schema(&Inference { side, topic, format })
}

/// The source with the schemas that it is written with.
pub fn with_schemas(source: &Source, schemas: &Schemas) -> Source {
    let mut source = source.clone();
    let topic = source.topic.clone();
    let side = |format: &mut FormatSpec, is_key| {
        let registered = schemas.get(&subject(&topic, is_key)).cloned();
        if registered.is_some() {
            format.schema = SchemaSpec { registered, ..format.schema.clone() };
        }
    };
    side(&mut source.key_format, true);
    side(&mut source.value_format, false);
    source
}

/// Format and columns of keys or values.
fn one_side(source: &Source, side: Side) -> (&FormatSpec, Vec<(String, SqlType)>) {
    let (format, role) = match side {
        Side::Key => (&source.key_format, ColumnRole::Key),
        Side::Value => (&source.value_format, ColumnRole::Value),
    };
    let columns = source.columns.iter().filter(|c| c.role == role);
    (format, columns.map(|c| (c.name.clone(), c.ty.clone())).collect())
}

fn latest(
    registry: &Arc<dyn SchemaRegistry>,
    subject: &str,
) -> Result<Option<Arc<RegisteredSchema>>> {
    registry.latest(subject).map_err(|e| could_not_register(&registry_words(&e)))
}

fn side_word(side: Side) -> &'static str {
    if side == Side::Key { "key" } else { "value" }
}

fn id_property(side: Side) -> &'static str {
    if side == Side::Key { "KEY_SCHEMA_ID" } else { "VALUE_SCHEMA_ID" }
}

fn registry_words(error: &RegistryError) -> String {
    error.to_string()
}

fn could_not_register(why: &str) -> SqlError {
    SqlError::invalid(format!("Could not register schema for topic: {why}"))
}

/// `topic: t, schema id: 7`, as messages name what was asked for.
fn source_words(wanted: &Inference) -> String {
    match wanted.format.schema.id {
        Some(id) => format!("topic: {}, schema id: {id}", wanted.topic),
        None => format!("topic: {}", wanted.topic),
    }
}

fn fetch_failed(wanted: &Inference, error: &RegistryError) -> SqlError {
    SqlError::invalid(format!(
        "Schema registry fetch for topic {} request failed for {}\nCaused by: {}",
        side_word(wanted.side),
        source_words(wanted),
        registry_words(error)
    ))
}

fn wrong_kind(wanted: &Inference, expected: &str, schema: &SchemaText) -> SqlError {
    let side = if wanted.side == Side::Key { "Key" } else { "Value" };
    let property = if wanted.side == Side::Key { "KEY_FORMAT" } else { "VALUE_FORMAT" };
    let actual = schema.kind.name();
    let what = source_words(wanted);
    SqlError::invalid(format!(
        "{side} schema is not in the expected format. You may want to set {property} to \
         '{actual}'.\n{what}\nexpected format: {expected}\nactual format from Schema Registry: \
         {actual}"
    ))
}

fn many_names(wanted: &Inference, names: &[String]) -> SqlError {
    let side = if wanted.side == Side::Key { "Key" } else { "Value" };
    let names: Vec<String> = names.iter().map(|name| format!("- {name}")).collect();
    SqlError::invalid(format!(
        "{side} schema has multiple schema definitions. \n\n{}\n\nPlease specify a schema full \
         name in the WITH clause using {}_SCHEMA_FULL_NAME",
        names.join("\n"),
        side.to_uppercase()
    ))
}

fn not_found(wanted: &Inference) -> SqlError {
    let (topic, is_key) = (&wanted.topic, wanted.side == Side::Key);
    let subject = subject(topic, is_key);
    let what = if is_key { "keys" } else { "values" };
    let id = wanted.format.schema.id.map(|id| format!("Schema Id: {id}\n")).unwrap_or_default();
    SqlError::invalid(format!(
        "Schema for message {what} on topic '{topic}' does not exist in the Schema Registry.\n\
         Subject: {subject}\n{id}Possible causes include:\n\
         - The topic itself does not exist\n\t-> Use SHOW TOPICS; to check\n\
         - Messages on the topic are not serialized using a format Schema Registry supports\n\
         \t-> Use PRINT '{topic}' FROM BEGINNING; to verify\n\
         - Messages on the topic have not been serialized using a Confluent Schema Registry \
         supported serializer\n\
         \t-> See https://docs.confluent.io/current/schema-registry/docs/serializer-formatter.html\n\
         - The schema is registered on a different instance of the Schema Registry\n\
         \t-> Use the REST API to list available subjects\
         \thttps://docs.confluent.io/current/schema-registry/docs/api.html#get--subjects\n\
         - You do not have permissions to access the Schema Registry.\n\
         \t-> See https://docs.confluent.io/current/schema-registry/docs/security.html"
    ))
}
