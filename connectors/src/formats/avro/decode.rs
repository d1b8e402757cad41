//! Avro keys and values to columns.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_engine::codec::builder::ColumnBuilder;
use millrace_sql::catalog::SchemaText;

use super::plan::Root;
use super::read::Reader;
use super::schema::AvroSchema;
use crate::formats::columns::{ColumnDecoder, Field};
use crate::formats::schemas::{Readiness, Schemas};
use crate::formats::wire::split_head;

/// Schemas of one topic that are kept compiled.
const PLANS_MAX: usize = 256;

/// Reads one Avro datum per record, as the schema says that it names.
pub struct AvroDecoder {
    fields: Vec<Field>,
    wrapped: bool,
    schemas: Schemas,
    plans: HashMap<u32, Arc<Plan>>,
    last: Option<(u32, Arc<Plan>)>,
}

/// A schema, and what its records become.
struct Plan {
    schema: AvroSchema,
    root: Root,
}

impl AvroDecoder {
    pub fn new(fields: &[Field], wrapped: bool, schemas: Schemas) -> Self {
        let fields = fields.to_vec();
        AvroDecoder { fields, wrapped, schemas, plans: HashMap::new(), last: None }
    }

    /// The plan of a schema; it is [`AvroDecoder::last`] afterwards.
    fn plan(&mut self, id: u32) -> Result<&Plan, String> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            let plan = match self.plans.get(&id) {
                Some(plan) => plan.clone(),
                None => self.new_plan(id)?,
            };
            self.last = Some((id, plan));
        }
        match &self.last {
            Some((_, plan)) => Ok(plan),
            None => Err("no schema".to_string()),
        }
    }

    #[cold]
    fn new_plan(&mut self, id: u32) -> Result<Arc<Plan>, String> {
        let schema = self.schemas.get(id)?;
        let plan = Arc::new(self.compile(&schema.schema)?);
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(id, plan.clone());
        Ok(plan)
    }

    fn compile(&self, schema: &SchemaText) -> Result<Plan, String> {
        let schema =
            AvroSchema::parse(schema).map_err(|why| format!("not an Avro schema: {why}"))?;
        let root = Root::new(&schema, &self.fields, self.wrapped);
        Ok(Plan { schema, root })
    }
}

impl ColumnDecoder for AvroDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Result<bool, String> {
        let (id, body) = split_head(bytes)?;
        let plan = self.plan(id)?;
        let read = Reader::new(&plan.schema, body).root(&plan.root, columns, row);
        read.map_err(|bad| bad.to_string())
    }

    fn ready(&mut self, bytes: &[u8]) -> Readiness {
        match split_head(bytes) {
            Ok((id, _)) if self.last.as_ref().is_some_and(|(last, _)| *last == id) => {
                Readiness::Ready
            }
            Ok((id, _)) => self.schemas.ready(id),
            Err(_) => Readiness::Ready,
        }
    }
}
