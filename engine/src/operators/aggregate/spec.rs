//! What an aggregation does, resolved from its plan node.

use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use millrace_sql::plan::{AggregateCall, AggregateNode, Window};
use millrace_sql::types::SqlType;

use crate::aggs::{self, StreamAgg};
use crate::codec::key::KeyCodec;
use crate::error::{EngineError, Result};
use crate::operators::args::Arg;

/// The resolved plan of one aggregation.
pub(super) struct Spec {
    /// Columns of the input that form the group.
    pub group: Vec<usize>,
    /// Codec of group keys.
    pub keys: KeyCodec,
    /// Arguments per call.
    pub args: Vec<Vec<Arg>>,
    pub calls: Vec<AggregateCall>,
    pub window: Option<Window>,
    pub emit_final: bool,
    pub table_input: bool,
    /// Never of a table: what was left out could not be taken back.
    pub skips_overflow: bool,
    /// Group columns, window bounds if windowed, a column per call.
    pub schema: SchemaRef,
}

impl Spec {
    /// # Errors
    /// `User` when the plan asks for something that is not supported.
    pub fn new(node: &AggregateNode) -> Result<Self> {
        refuse(node)?;
        let input = node.input.schema();
        let types = node.group.iter().map(|i| {
            let ty = input.field(*i).data_type();
            SqlType::from_arrow(ty).ok_or_else(|| EngineError::Bug(format!("a group of type {ty}")))
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let args = node.calls.iter().map(|call| {
            call.args.iter().map(|expr| Arg::new(expr, input)).collect::<Result<Vec<_>>>()
        });
        Ok(Spec {
            group: node.group.clone(),
            keys: KeyCodec::new(&types),
            args: args.collect::<Result<_>>()?,
            calls: node.calls.clone(),
            window: node.window,
            emit_final: node.emit_final,
            table_input: node.table_input,
            skips_overflow: node.skips_overflow && !node.table_input,
            schema: node.schema.inner().clone(),
        })
    }

    /// One implementation per call, without slots.
    pub fn aggs(&self) -> Result<Vec<Box<dyn StreamAgg>>> {
        let make = if self.table_input { aggs::make_for_table } else { aggs::make };
        self.calls.iter().map(make).collect()
    }

    /// The columns of groups whose key bytes are `keys`.
    pub fn group_columns(&self, keys: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        self.keys.decode(keys)
    }
}

fn refuse(node: &AggregateNode) -> Result<()> {
    if node.emit_final && node.window.is_none() {
        return Err(EngineError::User("EMIT FINAL needs a windowed aggregation".into()));
    }
    if node.ttl_ms.is_some() && (node.window.is_some() || node.table_input) {
        let what = "ROW_TTL is for groups of a stream's rows without windows";
        return Err(EngineError::User(what.into()));
    }
    if !node.table_input {
        return Ok(());
    }
    if node.window.is_some() {
        return Err(EngineError::User("a table cannot be aggregated by window".into()));
    }
    match node.calls.iter().find(|call| !aggs::supports_undo(call)) {
        Some(call) => Err(EngineError::User(format!(
            "{} cannot be used on a table: old values cannot be taken back",
            call.function
        ))),
        None => Ok(()),
    }
}
