//! A registry in memory: for tests, and for trying things without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_engine::schemas::{Lookup, RegistryResult, SchemaRegistry};
use millrace_sql::catalog::{RegisteredSchema, SchemaText};
use parking_lot::Mutex;
use serde_json::Value;

/// Schemas and subjects, forgotten with the process. Ids count from 1; the same schema has the same
/// id under every subject. Every schema is taken: nothing is compared with earlier versions.
#[derive(Default)]
pub struct MemoryRegistry(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    schemas: BTreeMap<u32, Arc<RegisteredSchema>>,
    /// Ids of each subject's versions, oldest first.
    subjects: BTreeMap<String, Vec<u32>>,
    next: u32,
}

impl MemoryRegistry {
    /// Registers a schema under an id of the caller's choice; the next id of its own stays as it
    /// was.
    pub fn register_as(&self, subject: &str, id: u32, schema: SchemaText) {
        let mut inner = self.0.lock();
        inner.schemas.insert(id, Arc::new(RegisteredSchema { id, schema }));
        inner.version(subject, id);
    }

    /// Subjects, in order.
    pub fn subjects(&self) -> Vec<String> {
        self.0.lock().subjects.keys().cloned().collect()
    }
}

impl Inner {
    fn version(&mut self, subject: &str, id: u32) {
        let versions = self.subjects.entry(subject.to_string()).or_default();
        if !versions.contains(&id) {
            versions.push(id);
        }
    }
}

/// The same schema: JSON may be spaced differently.
fn same(a: &SchemaText, b: &SchemaText) -> bool {
    if a.kind != b.kind || a.references != b.references {
        return false;
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    a.text == b.text || json(&a.text).is_some_and(|a| Some(a) == json(&b.text))
}

impl SchemaRegistry for MemoryRegistry {
    fn latest(&self, subject: &str) -> RegistryResult<Option<Arc<RegisteredSchema>>> {
        let inner = self.0.lock();
        let id = inner.subjects.get(subject).and_then(|versions| versions.last());
        Ok(id.and_then(|id| inner.schemas.get(id)).cloned())
    }

    fn by_id(&self, id: u32) -> RegistryResult<Option<Arc<RegisteredSchema>>> {
        Ok(self.0.lock().schemas.get(&id).cloned())
    }

    fn register(
        &self,
        subject: &str,
        schema: &SchemaText,
    ) -> RegistryResult<Arc<RegisteredSchema>> {
        let mut inner = self.0.lock();
        // The subject's own version first: another id may stand for the same text.
        let own = inner.subjects.get(subject).into_iter().flatten();
        let own = own.filter_map(|id| inner.schemas.get(id));
        let known = own.chain(inner.schemas.values()).find(|known| same(&known.schema, schema));
        let known = known.cloned();
        let registered = match known {
            Some(known) => known,
            None => {
                inner.next += 1;
                while inner.schemas.contains_key(&inner.next) {
                    inner.next += 1;
                }
                let id = inner.next;
                let registered = Arc::new(RegisteredSchema { id, schema: schema.clone() });
                inner.schemas.insert(id, registered.clone());
                registered
            }
        };
        inner.version(subject, registered.id);
        Ok(registered)
    }

    fn delete(&self, subject: &str) -> RegistryResult<()> {
        self.0.lock().subjects.remove(subject);
        Ok(())
    }

    fn lookup(&self, id: u32) -> Lookup {
        match self.0.lock().schemas.get(&id) {
            Some(schema) => Lookup::Known(schema.clone()),
            None => Lookup::Missing(format!("Schema {id} not found")),
        }
    }

    fn remember(&self, schema: Arc<RegisteredSchema>) {
        self.0.lock().schemas.entry(schema.id).or_insert(schema);
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}
