//! PRINT of records that name the schema they were written with.

use std::collections::BTreeSet;
use std::sync::Arc;

use millrace_connectors::formats::printed;
use millrace_engine::schemas::SchemaRegistry;

/// Reads such records. Asks the registry once for what it does not have.
#[derive(Default)]
pub struct Schemas {
    registry: Option<Arc<dyn SchemaRegistry>>,
    /// Ids without a schema: the bytes of numbers look like ids.
    unknown: BTreeSet<u32>,
    /// The registry did not answer: nobody waits for it again.
    down: bool,
}

impl Schemas {
    pub fn new(registry: Option<Arc<dyn SchemaRegistry>>) -> Self {
        Schemas { registry, ..Schemas::default() }
    }

    /// Format and text, if the record is one.
    pub fn read(&mut self, bytes: &[u8]) -> Option<(&'static str, String)> {
        let (&[0, a, b, c, d], _) = bytes.split_first_chunk::<5>()? else { return None };
        let id = u32::from_be_bytes([a, b, c, d]);
        let registry = self.registry.as_ref().filter(|_| !self.down)?;
        if self.unknown.contains(&id) {
            return None;
        }
        match registry.by_id(id) {
            Ok(Some(schema)) => {
                let (format, text) = printed(registry, &schema, bytes).ok()?;
                Some((format.name(), text))
            }
            Ok(None) => {
                self.unknown.insert(id);
                None
            }
            Err(error) => {
                tracing::warn!(%error, "PRINT goes on without the schema registry");
                self.down = true;
                None
            }
        }
    }
}
