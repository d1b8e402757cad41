//! The node that makes rows of a table for Pinot or Druid.

use std::cmp::Ordering;
use std::fmt;

use datafusion::common::{DFSchemaRef, Result as DfResult};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::olap::OlapSystem;

/// Turns each row, and each deletion of one, into a JSON object that the system reads without
/// loss. Schema: the key columns of the input, then one STRING column with the object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OlapNode {
    /// Its fields are the columns of the system's table, with its names.
    pub input: LogicalPlan,
    pub system: OlapSystem,
    /// Columns of the input that are the record's key, in order.
    pub key: Vec<usize>,
    /// Columns of the input that a deletion has: key and window bounds.
    pub lasting: Vec<usize>,
    /// Not the values are written, but by how much they change.
    pub changes: bool,
    pub schema: DFSchemaRef,
}

/// Nodes are compared for equality only; DataFusion asks for an order it never relies on.
impl PartialOrd for OlapNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for OlapNode {
    fn name(&self) -> &str {
        "Olap"
    }
    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }
    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }
    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }
    fn fmt_for_explain(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> =
            self.input.schema().fields().iter().map(|c| c.name().as_str()).collect();
        let what = if self.changes { "changes" } else { "rows" };
        write!(f, "Olap: {what} for {} [{}]", self.system.name(), names.join(", "))
    }
    fn with_exprs_and_inputs(&self, _: Vec<Expr>, mut inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        Ok(OlapNode { input: inputs.remove(0), ..self.clone() })
    }
}
