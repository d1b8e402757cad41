//! Protobuf keys and values to columns.

use std::collections::HashMap;
use std::sync::Arc;

use millrace_engine::codec::builder::ColumnBuilder;
use millrace_sql::catalog::{FormatSpec, ProtobufNulls};
use millrace_sql::types::SqlType;

use super::describe::describe;
use super::plan::{MessageNode, compile};
use super::read::read;
use super::schema::ProtoSchema;
use crate::formats::columns::{ColumnDecoder, Field};
use crate::formats::schemas::{Readiness, Schemas};
use crate::formats::wire::{Input, Wire, bad, split_head};

/// Messages of one topic whose plans are kept.
const PLANS_MAX: usize = 256;
/// Messages within messages that a record may point into.
const PATH_MAX: usize = 32;

/// Reads one message per record: the one that the record names, or of the columns' own schema.
pub struct ProtobufDecoder {
    fields: Vec<Field>,
    nulls: ProtobufNulls,
    schemas: Schemas,
    parsed: HashMap<u32, Arc<ProtoSchema>>,
    /// The plan of the record before: its head, and what follows from it.
    last: Option<(Vec<u8>, Arc<MessageNode>)>,
    plans: HashMap<Vec<u8>, Arc<MessageNode>>,
    /// Without a registry there is one schema.
    bare: Option<MessageNode>,
}

impl ProtobufDecoder {
    /// # Errors
    /// When the columns have no schema of their own, and need one.
    pub fn new(format: &FormatSpec, fields: &[Field], schemas: Schemas) -> Result<Self, String> {
        let nulls = format.schema.nulls;
        let mut bare = None;
        if !format.kind.has_registry() {
            let column = |f: &Field| (f.name.clone(), f.ty.clone());
            let columns: Vec<(String, SqlType)> = fields.iter().map(column).collect();
            let schema = ProtoSchema::parse(&describe(format, &columns)?)?;
            let (root, _) = schema.root(None).ok_or("a schema without a message")?;
            bare = Some(compile(&schema, root, fields, nulls));
        }
        Ok(ProtobufDecoder {
            fields: fields.to_vec(),
            nulls,
            schemas,
            parsed: HashMap::new(),
            last: None,
            plans: HashMap::new(),
            bare,
        })
    }

    /// Finds the plan of a record's head, which is [`ProtobufDecoder::last`] afterwards.
    fn load(&mut self, head: &[u8], id: u32, path: &[usize]) -> Result<(), String> {
        if self.last.as_ref().is_some_and(|(last, _)| last == head) {
            return Ok(());
        }
        let plan = match self.plans.get(head) {
            Some(plan) => plan.clone(),
            None => {
                let plan = Arc::new(self.compile(id, path)?);
                if self.plans.len() >= PLANS_MAX {
                    self.plans.clear();
                }
                self.plans.insert(head.to_vec(), plan.clone());
                plan
            }
        };
        self.last = Some((head.to_vec(), plan));
        Ok(())
    }

    fn compile(&mut self, id: u32, path: &[usize]) -> Result<MessageNode, String> {
        let schema = match self.parsed.get(&id) {
            Some(schema) => schema.clone(),
            None => {
                let registered = self.schemas.get(id)?;
                let schema = ProtoSchema::parse(&registered.schema);
                let schema = schema.map_err(|why| format!("not a Protobuf schema: {why}"))?;
                if self.parsed.len() >= PLANS_MAX {
                    self.parsed.clear();
                }
                let schema = Arc::new(schema);
                self.parsed.insert(id, schema.clone());
                schema
            }
        };
        let message = schema.at(path).ok_or_else(|| {
            format!("the record names a message that the schema {id} does not have: {path:?}")
        })?;
        Ok(compile(&schema, message, &self.fields, self.nulls))
    }
}

impl ColumnDecoder for ProtobufDecoder {
    fn read_row(
        &mut self,
        bytes: &[u8],
        columns: &mut [ColumnBuilder],
        row: usize,
    ) -> Result<bool, String> {
        if let Some(plan) = &self.bare {
            return read(plan, bytes, columns, row).map(|()| true).map_err(|bad| bad.to_string());
        }
        let (id, rest) = split_head(bytes)?;
        let mut input = Input::new(rest);
        // The first message of a file is the usual one, and one byte.
        let one = [0];
        let mut path = Vec::new();
        let path: &[usize] = match rest {
            [0, ..] => {
                input.byte().map_err(|bad| bad.to_string())?;
                &one
            }
            _ => {
                read_path(&mut input, &mut path).map_err(|bad| bad.to_string())?;
                &path
            }
        };
        let head = &bytes[..bytes.len() - input.len()];
        self.load(head, id, path)?;
        let Some((_, plan)) = &self.last else { return Err("no schema".to_string()) };
        let body = &bytes[head.len()..];
        read(plan, body, columns, row).map(|()| true).map_err(|bad| bad.to_string())
    }

    fn ready(&mut self, bytes: &[u8]) -> Readiness {
        if self.bare.is_some() {
            return Readiness::Ready;
        }
        match split_head(bytes) {
            Ok(_)
                if self.last.as_ref().is_some_and(|(last, _)| bytes.get(..5) == last.get(..5)) =>
            {
                Readiness::Ready
            }
            Ok((id, _)) => self.schemas.ready(id),
            Err(_) => Readiness::Ready,
        }
    }
}

/// The place of a message in its file.
fn read_path(input: &mut Input<'_>, path: &mut Vec<usize>) -> Wire<()> {
    let count = input.zigzag()?;
    match usize::try_from(count) {
        Ok(count) if count <= PATH_MAX => {
            for _ in 0..count {
                match usize::try_from(input.zigzag()?) {
                    Ok(at) => path.push(at),
                    Err(_) => return bad("a message index below zero"),
                }
            }
            Ok(())
        }
        _ => bad("more message indexes than messages are nested"),
    }
}
