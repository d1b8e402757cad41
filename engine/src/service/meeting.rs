//! Keys that meet in a partition. Rows that are sent to meet the rows of a topic are spread by the
//! very bytes of that topic's keys, and those start with the id of a schema: it is looked up when the
//! query is made and recorded in its command (R1), under the subject of the internal topic.

use std::sync::Arc;

use millrace_sql::catalog::{FormatSpec, RegisteredSchema, Source};
use millrace_sql::error::{Result, SqlError};

use crate::query::{as_met, met_names};
use crate::repartition::edge_types;
use crate::schemas::subject;
use crate::service::Inner;
use crate::service::schemas::{Schemas, keys_of};
use crate::topology::{Input, Repartition, SubTopology, Topology};

impl Inner {
    /// The schemas of the keys of a query's internal topics, where they must be those of other
    /// topics.
    ///
    /// # Errors
    /// When topics whose rows would meet have keys of different schemas, or the registry does not
    /// know them.
    pub(super) fn meeting(&self, query: &str, topology: &Topology) -> Result<Schemas> {
        let mut schemas = Schemas::new();
        for sub in &topology.subs {
            let Some(met) = self.met(sub, topology)? else { continue };
            for input in &sub.inputs {
                let Input::Repartition(at) = input else { continue };
                let repartition = &topology.repartitions[*at];
                if !repartition.node.key_format.kind.has_registry() {
                    continue;
                }
                self.check_writes(topology, *at, repartition, &met)?;
                let topic = self.names.repartition_topic(query, &repartition.node.step);
                schemas.insert(subject(&topic, true), met.clone());
            }
        }
        Ok(schemas)
    }

    /// The schema of the keys of the topics that a sub-topology reads as they are; `None`: keys
    /// need not agree with any.
    fn met(&self, sub: &SubTopology, topology: &Topology) -> Result<Option<Arc<RegisteredSchema>>> {
        let mut met: Option<(&Source, Arc<RegisteredSchema>)> = None;
        if sub.inputs.len() < 2 {
            return Ok(None);
        }
        for input in &sub.inputs {
            let source = match input {
                Input::Scan(scan) => scan.source.as_ref(),
                // Its rows go where they are told to.
                Input::Repartition(at)
                    if topology.repartitions[*at].node.to_partition.is_some() =>
                {
                    return Ok(None);
                }
                Input::Repartition(_) => continue,
            };
            if !source.key_format.kind.has_registry() || source.partitions < 2 {
                continue;
            }
            let schema = self.schema_of_keys(source)?;
            match &met {
                Some((other, known)) if known.id != schema.id => {
                    return Err(differ((other, known.id), (source, schema.id)));
                }
                _ => met = Some((source, schema)),
            }
        }
        Ok(met.map(|(_, schema)| schema))
    }

    /// The schema that a source's keys are written with.
    fn schema_of_keys(&self, source: &Source) -> Result<Arc<RegisteredSchema>> {
        let writer = source.query.as_ref().and_then(|id| self.registry.get(id));
        let subject = subject(&source.topic, true);
        match writer.and_then(|query| query.facts.schemas.get(&subject).cloned()) {
            Some(written) => Ok(written),
            None => keys_of(self.seams.formats.as_ref(), source),
        }
    }

    /// Checks that keys can be written with the schema of those that they meet.
    fn check_writes(
        &self,
        topology: &Topology,
        at: usize,
        repartition: &Repartition,
        met: &Arc<RegisteredSchema>,
    ) -> Result<()> {
        let node = &repartition.node;
        let bug = |e: crate::error::EngineError| SqlError::invalid(e.to_string());
        let types = edge_types(&Arc::new(node.input.schema().as_arrow().clone())).map_err(bug)?;
        let key = node.key.iter().map(|i| types[*i].clone()).collect();
        let format: FormatSpec = as_met(&node.key_format, met);
        let columns = met_names(topology, at, key);
        let encoder = self.seams.formats.key_encoder(&format, &columns);
        encoder.map(drop).map_err(|why| {
            let id = met.id;
            SqlError::invalid(format!(
                "Keys cannot be written with the schema {id} of the keys that they are joined \
                 with: {why}"
            ))
            .hint("declare the key with the type of its schema, or use another key format")
        })
    }
}

fn differ((left, left_id): (&Source, u32), (right, right_id): (&Source, u32)) -> SqlError {
    SqlError::invalid(format!(
        "Can't join `{}` with `{}`: their keys are written with different schemas (ids {left_id} \
         and {right_id}), so equal keys may lie in different partitions.",
        left.name, right.name
    ))
    .hint(
        "write one of them anew with the other's key schema (KEY_SCHEMA_ID), or with a key format \
         without schemas, e.g. KEY_FORMAT='JSON'",
    )
}
