//! What the joins share: the two sides' columns and keys, and putting output rows together.

use arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_empty_array,
};
use arrow::compute;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::SchemaRef;
use millrace_sql::plan::{JoinKind, JoinNode};
use millrace_sql::types::SqlType;

use crate::batch::Batch;
use crate::codec::key::{KeyBuffer, KeyCodec};
use crate::codec::row::RowCodec;
use crate::error::{EngineError, Result};
use crate::format::RejectKind;
use crate::operators::{RowReject, StepContext};

pub(super) const LEFT: usize = 0;
pub(super) const RIGHT: usize = 1;

/// One input of a join.
pub(super) struct Side {
    /// Join column.
    pub key: usize,
    /// The join column, and what else must be equal: the window.
    equal: Vec<usize>,
    pub keys: KeyCodec,
    pub rows: RowCodec,
    types: Vec<SqlType>,
}

/// A resolved join.
pub(super) struct Spec {
    pub kind: JoinKind,
    pub sides: [Side; 2],
    /// Columns with the window of a key, per side.
    bounds: Option<[[usize; 2]; 2]>,
    pub schema: SchemaRef,
}

impl Spec {
    /// # Errors
    /// `User` when the join columns differ in type; `Bug` for plans that no analyser makes.
    pub fn new(node: &JoinNode) -> Result<Self> {
        let equal = |key: usize, bounds: Option<([usize; 2], bool)>| match bounds {
            None => vec![key],
            Some(([start, end], true)) => vec![key, start, end],
            // The end follows from the start.
            Some(([start, _], false)) => vec![key, start],
        };
        let bounds = node.bounds;
        let left = equal(node.left_key, bounds.map(|b| (b.left, b.session)));
        let right = equal(node.right_key, bounds.map(|b| (b.right, b.session)));
        let left = Side::new(&node.left, left)?;
        let right = Side::new(&node.right, right)?;
        if left.keys != right.keys {
            let (left, right) = (&left.keys.types()[0], &right.keys.types()[0]);
            let what = format!("a join of {left} with {right}: CAST one side to the other's type");
            return Err(EngineError::User(what));
        }
        let schema = node.schema.inner().clone();
        let bounds = bounds.map(|b| [b.left, b.right]);
        Ok(Spec { kind: node.kind, sides: [left, right], bounds, schema })
    }

    /// Whether rows of a side appear without a partner.
    pub fn is_outer(&self, side: usize) -> bool {
        match self.kind {
            JoinKind::Inner => false,
            JoinKind::Left => side == LEFT,
            JoinKind::Right => side == RIGHT,
            JoinKind::Full => true,
        }
    }
}

impl Side {
    fn new(plan: &datafusion::logical_expr::LogicalPlan, equal: Vec<usize>) -> Result<Self> {
        let fields = plan.schema().fields();
        let types = fields.iter().map(|field| {
            SqlType::from_arrow(field.data_type()).ok_or_else(|| {
                EngineError::Bug(format!("a join of a column of {}", field.data_type()))
            })
        });
        let types = types.collect::<Result<Vec<_>>>()?;
        let key_types = equal.iter().map(|key| {
            types.get(*key).cloned().ok_or_else(|| {
                EngineError::Bug(format!("join column {key} of {} columns", types.len()))
            })
        });
        let keys = KeyCodec::new(&key_types.collect::<Result<Vec<_>>>()?);
        Ok(Side { key: equal[0], equal, keys, rows: RowCodec::new(&types), types })
    }

    /// Key bytes per row.
    pub fn encode_keys(&self, batch: &RecordBatch, out: &mut KeyBuffer) -> Result<()> {
        let columns: Vec<ArrayRef> =
            self.equal.iter().map(|column| batch.column(*column).clone()).collect();
        self.keys.encode(&columns, out)
    }

    /// Columns of encoded rows.
    pub fn decode(&self, rows: &[&[u8]]) -> Result<Vec<ArrayRef>> {
        if rows.is_empty() {
            return Ok(self.types.iter().map(|ty| new_empty_array(&ty.to_arrow())).collect());
        }
        self.rows.decode(rows)
    }
}

/// The rows of one side that an output is made of: those of a batch, then decoded ones.
pub(super) struct Source {
    columns: Vec<ArrayRef>,
}

impl Source {
    pub fn new(batch: Option<&RecordBatch>, decoded: Vec<ArrayRef>) -> Result<Self> {
        let Some(batch) = batch else { return Ok(Source { columns: decoded }) };
        if decoded.first().is_none_or(|column| column.is_empty()) {
            return Ok(Source { columns: batch.columns().to_vec() });
        }
        let both = batch.columns().iter().zip(&decoded);
        let columns = both.map(|(a, b)| compute::concat(&[a.as_ref(), b.as_ref()]));
        Ok(Source { columns: columns.collect::<std::result::Result<_, _>>()? })
    }

    /// The columns at `index`, NULL where there is no row.
    fn take(&self, index: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let columns = self.columns.iter().map(|column| compute::take(column, index, None));
        Ok(columns.collect::<std::result::Result<_, _>>()?)
    }
}

/// Output rows made of rows `left` and `right` of the sources; the key from `keys` where given,
/// else from whichever side is there.
pub(super) fn joined(
    spec: &Spec,
    sources: &[Source; 2],
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
    keys: Option<ArrayRef>,
) -> Result<RecordBatch> {
    let len = left.len();
    let has_left: BooleanArray = left.iter().map(|row| Some(row.is_some())).collect();
    let mut columns = sources[LEFT].take(&UInt32Array::from(left))?;
    let right = sources[RIGHT].take(&UInt32Array::from(right))?;
    let key = match keys {
        Some(keys) => keys,
        None => {
            let left = &columns[spec.sides[LEFT].key];
            zip(&has_left, left, &right[spec.sides[RIGHT].key])?
        }
    };
    let mut bounds = Vec::new();
    for [of_left, of_right] in
        spec.bounds.iter().flat_map(|[l, r]| l.iter().zip(r)).map(|(l, r)| [*l, *r])
    {
        bounds.push(zip(&has_left, &columns[of_left], &right[of_right])?);
    }
    columns.extend(right);
    columns.push(key);
    columns.extend(bounds);
    let options = RecordBatchOptions::new().with_row_count(Some(len));
    Ok(RecordBatch::try_new_with_options(spec.schema.clone(), columns, &options)?)
}

/// Reports a row of the batch that was given whose join column is NULL.
pub(super) fn report_null_key(side: &Side, batch: &Batch, row: usize, ctx: &mut StepContext<'_>) {
    let schema = batch.rows.schema();
    ctx.rejects.push(RowReject {
        kind: RejectKind::Processing,
        reason: format!(
            "join column {} is NULL: the row is dropped",
            schema.field(side.key).name()
        ),
        time_ms: batch.times[row],
        row: Some(batch.rows.slice(row, 1)),
        row_index: Some(row),
        origin: None,
    });
}
