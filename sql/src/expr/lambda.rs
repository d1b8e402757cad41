//! Lambda functions. A body is compiled once against its parameters and the columns that it
//! captures, and evaluated over the items of a whole batch of collections at a time.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, Result as DfResult};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::eval::compile;
use super::frame;
use super::kernel::{Args, Col, mismatch};
use super::typed::Typed;
use crate::error::{Result, SqlError};
use crate::types::SqlType;

/// Items that a body is evaluated over at once: bounds what a batch of long lists takes.
const LAMBDA_ITEMS_MAX: usize = 1 << 16;

/// A lambda function: a body in terms of its parameters and of captured columns.
#[derive(Debug, Clone)]
pub(crate) struct Lambda {
    body: Expr,
    /// Parameters first, then the captured columns of the call.
    schema: SchemaRef,
    root: Arc<dyn PhysicalExpr>,
}

/// A captured column and its type.
pub(crate) type Capture = (Column, SqlType);

impl Lambda {
    /// Compiles a body.
    ///
    /// # Errors
    /// When a parameter has the name of a captured column.
    pub(crate) fn new(
        params: &[(String, SqlType)],
        captures: &[Capture],
        body: &Typed,
    ) -> Result<Lambda> {
        if let Some((name, _)) =
            params.iter().find(|(n, _)| captures.iter().any(|c| c.0.name == *n))
        {
            let message = format!("Lambda function argument can't be a column name: {name}");
            return Err(SqlError::invalid(message));
        }
        let params = params.iter().map(|(name, ty)| (name.as_str(), ty));
        let captures = captures.iter().map(|(column, ty)| (column.name.as_str(), ty));
        let field = |(name, ty): (&str, &SqlType)| Field::new(name, ty.to_arrow(), true);
        let schema = Schema::new(params.chain(captures).map(field).collect::<Vec<_>>());
        let internal =
            |e: datafusion::common::DataFusionError| SqlError::invalid(e.strip_backtrace());
        let columns = DFSchema::try_from(schema.clone()).map_err(internal)?;
        let root = compile(&body.expr, &columns)?;
        Ok(Lambda { body: body.expr.clone(), schema: Arc::new(schema), root })
    }

    pub(crate) fn body(&self) -> &Expr {
        &self.body
    }

    /// The names of the parameters.
    pub(crate) fn params(&self, captures: usize) -> Vec<&str> {
        let count = self.schema.fields().len() - captures;
        self.schema.fields()[..count].iter().map(|field| field.name().as_str()).collect()
    }

    /// The body's value per item. `params`: one column per parameter; `rows`: the row of the outer
    /// batch that each item belongs to, whose captured columns it sees and whose errors its are.
    pub(crate) fn map(
        &self,
        params: &[ArrayRef],
        rows: &[u32],
        captures: &[Col],
    ) -> DfResult<ArrayRef> {
        if rows.len() <= LAMBDA_ITEMS_MAX {
            return self.map_some(params, rows, captures);
        }
        let mut parts = Vec::with_capacity(rows.len() / LAMBDA_ITEMS_MAX + 1);
        for (at, rows) in rows.chunks(LAMBDA_ITEMS_MAX).enumerate() {
            let slice = |array: &ArrayRef| array.slice(at * LAMBDA_ITEMS_MAX, rows.len());
            let params: Vec<ArrayRef> = params.iter().map(slice).collect();
            parts.push(self.map_some(&params, rows, captures)?);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(concat(&parts)?)
    }

    fn map_some(&self, params: &[ArrayRef], rows: &[u32], captures: &[Col]) -> DfResult<ArrayRef> {
        let mut columns = params.to_vec();
        let index = UInt32Array::from(rows.to_vec());
        let first = UInt32Array::from(vec![0; rows.len()]);
        for capture in captures {
            let index = if capture.constant { &first } else { &index };
            columns.push(take(&capture.array, index, None)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let evaluate = || self.root.evaluate(&batch).and_then(|v| v.into_array(rows.len()));
        let (result, inner) = frame::within(frame::Frame::default(), evaluate);
        let array = inner.null_faulty(result?)?;
        frame::current(|outer| outer.absorb_items(inner, rows));
        Ok(array)
    }
}

impl PartialEq for Lambda {
    fn eq(&self, other: &Self) -> bool {
        self.body == other.body && self.schema == other.schema
    }
}

impl Eq for Lambda {}

impl Hash for Lambda {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.body.hash(state);
    }
}

/// The lambdas of a call, and how many of its arguments are captured columns: the last ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lambdas {
    pub(crate) list: Vec<Lambda>,
    pub(crate) captures: usize,
}

/// A call of a function with lambdas.
pub(crate) struct LambdaCall<'a> {
    /// The arguments that are values.
    pub(crate) args: Args<'a>,
    pub(crate) lambdas: &'a [Lambda],
    pub(crate) captures: &'a [Col],
}

/// Computes a column. Errors of rows go into the current frame.
pub(crate) type LambdaFn = fn(&LambdaCall<'_>) -> DfResult<ArrayRef>;

impl LambdaCall<'_> {
    pub(crate) fn lambda(&self, index: usize) -> DfResult<&Lambda> {
        Ok(self.lambdas.get(index).ok_or_else(|| mismatch("a lambda", "nothing"))?)
    }
}
