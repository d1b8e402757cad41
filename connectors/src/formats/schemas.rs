//! Where decoders have their writers' schemas from.

use std::sync::Arc;

use millrace_engine::schemas::{Lookup, SchemaRegistry};
use millrace_sql::catalog::RegisteredSchema;

/// The registry, if there is one. Never waits.
#[derive(Clone, Default)]
pub struct Schemas(pub Option<Arc<dyn SchemaRegistry>>);

/// Whether a record can be decoded now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Its schema was asked for and is not here yet.
    Wait,
}

impl Schemas {
    /// # Errors
    /// When there is none of that id, or no registry.
    pub fn get(&self, id: u32) -> Result<Arc<RegisteredSchema>, String> {
        let Some(registry) = &self.0 else {
            return Err("the record has the id of a schema, and the server has no schema \
                        registry: set ksql.schema.registry.url"
                .to_string());
        };
        match registry.lookup(id) {
            Lookup::Known(schema) => Ok(schema),
            Lookup::Missing(why) => Err(format!("Error retrieving schema for id {id}: {why}")),
            Lookup::Wait => Err(format!("the schema {id} is not here yet")),
        }
    }

    pub fn ready(&self, id: u32) -> Readiness {
        match self.0.as_ref().map(|registry| registry.lookup(id)) {
            Some(Lookup::Wait) => Readiness::Wait,
            _ => Readiness::Ready,
        }
    }
}
