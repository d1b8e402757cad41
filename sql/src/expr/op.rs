//! One operation of ours in a DataFusion expression: its logical and its physical form.

use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::scalar::ScalarValue;

use super::frame::{self, Frame};
use super::kernel::{Args, Col, KernelFn, true_rows};
use super::lambda::{Capture, Lambda, LambdaCall, LambdaFn, Lambdas};
use super::typed::Typed;
use crate::types::SqlType;

/// What an operation does with its arguments.
#[derive(Debug, Clone)]
pub(crate) enum OpKind {
    /// Computes whole columns.
    Kernel(KernelFn),
    /// As `Kernel`, but gives another result each time (RANDOM, UUID, UNIX_TIMESTAMP).
    Volatile(KernelFn),
    /// As `Volatile`, and counts the rows that it has seen.
    Counting(CountingFn, Arc<AtomicU64>),
    /// Evaluates lambdas over collections.
    Lambda(LambdaFn, Arc<Lambdas>),
    /// Stops the errors of its only argument.
    Guard,
    And,
    Or,
    /// Conditions and values in turn, then the ELSE value.
    Case,
}

/// A kernel that also gets how many rows the call has seen so far.
pub(crate) type CountingFn = fn(&Args<'_>, u64) -> Result<ArrayRef, ArrowError>;

/// An operation, as DataFusion sees it: a scalar function.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) name: String,
    pub(crate) kind: OpKind,
    returns: DataType,
    signature: Signature,
}

impl Op {
    fn new(name: &str, kind: OpKind, returns: DataType) -> Self {
        let volatility = match kind {
            OpKind::Volatile(_) | OpKind::Counting(..) => Volatility::Volatile,
            _ => Volatility::Immutable,
        };
        let any_number = vec![TypeSignature::VariadicAny, TypeSignature::Nullary];
        let signature = Signature::one_of(any_number, volatility);
        Op { name: name.to_string(), kind, returns, signature }
    }

    pub(crate) fn returns(&self) -> &DataType {
        &self.returns
    }

    fn tag(&self) -> (&str, &DataType, std::mem::Discriminant<OpKind>, Option<&Lambdas>) {
        let lambdas = match &self.kind {
            OpKind::Lambda(_, lambdas) => Some(lambdas.as_ref()),
            _ => None,
        };
        (&self.name, &self.returns, std::mem::discriminant(&self.kind), lambdas)
    }

    /// Evaluates lambdas over the items of `cols`, of which the captured columns are the last.
    fn run_lambda(
        &self,
        apply: LambdaFn,
        lambdas: &Lambdas,
        cols: &[Col],
        rows: usize,
    ) -> DfResult<ArrayRef> {
        let (values, captures) = cols.split_at(cols.len().saturating_sub(lambdas.captures));
        let args = Args { cols: values, rows, returns: &self.returns };
        let call = LambdaCall { args, lambdas: &lambdas.list, captures };
        if frame::current(|_| ()).is_some() {
            return apply(&call);
        }
        let (result, inner) = frame::within(Frame::default(), || apply(&call));
        no_frame(inner)?;
        result
    }

    fn run_kernel(&self, kernel: KernelFn, cols: &[Col], rows: usize) -> DfResult<ArrayRef> {
        let args = Args { cols, rows, returns: &self.returns };
        match frame::current(|frame| kernel(&args, frame)) {
            Some(result) => Ok(result?),
            None => {
                let mut frame = Frame::default();
                let result = kernel(&args, &mut frame)?;
                no_frame(frame).map(|()| result)
            }
        }
    }
}

/// Without a frame there is nobody who could take row errors: they fail the batch.
fn no_frame(frame: Frame) -> DfResult<()> {
    match frame.into_errors().into_iter().next() {
        Some(error) => Err(DataFusionError::Execution(error.message)),
        None => Ok(()),
    }
}

/// Name, result, kind and lambdas tell operations apart; overloads differ in the types of their arguments.
impl PartialEq for Op {
    fn eq(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (OpKind::Counting(_, left), OpKind::Counting(_, right)) => Arc::ptr_eq(left, right),
            _ => self.tag() == other.tag(),
        }
    }
}

impl Eq for Op {}

impl Hash for Op {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tag().hash(state);
    }
}

impl ScalarUDFImpl for Op {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DfResult<DataType> {
        Ok(self.returns.clone())
    }

    /// Reached only where DataFusion evaluates by itself (constant folding, bounded queries).
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let rows = args.number_rows;
        let fixed = args.args.into_iter().map(|value| Fixed { value, ty: DataType::Null });
        let args = fixed.map(|fixed| Arc::new(fixed) as Arc<dyn PhysicalExpr>).collect();
        let expr = OpExpr { op: self.clone(), args };
        expr.evaluate_rows(&RecordBatch::new_empty(Arc::new(Schema::empty())), rows)
            .map(ColumnarValue::Array)
    }
}

/// The physical form of an [`Op`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OpExpr {
    pub(crate) op: Op,
    pub(crate) args: Vec<Arc<dyn PhysicalExpr>>,
}

impl OpExpr {
    fn evaluate_rows(&self, batch: &RecordBatch, rows: usize) -> DfResult<ArrayRef> {
        match &self.op.kind {
            OpKind::Kernel(kernel) | OpKind::Volatile(kernel) => {
                self.op.run_kernel(*kernel, &self.cols(batch)?, rows)
            }
            OpKind::Counting(kernel, seen) => {
                let cols = self.cols(batch)?;
                let before = seen.fetch_add(rows as u64, Ordering::Relaxed);
                Ok(kernel(&Args { cols: &cols, rows, returns: &self.op.returns }, before)?)
            }
            OpKind::Lambda(apply, lambdas) => {
                self.op.run_lambda(*apply, lambdas, &self.cols(batch)?, rows)
            }
            OpKind::Guard => frame::guarded(|| self.arg(0, batch, rows)),
            OpKind::And => self.logical(batch, rows, true),
            OpKind::Or => self.logical(batch, rows, false),
            OpKind::Case => self.case(batch, rows),
        }
    }

    fn cols(&self, batch: &RecordBatch) -> DfResult<Vec<Col>> {
        self.args.iter().map(|arg| col(arg.evaluate(batch)?)).collect()
    }

    fn arg(&self, index: usize, batch: &RecordBatch, rows: usize) -> DfResult<ArrayRef> {
        self.args[index].evaluate(batch)?.into_array(rows)
    }

    /// AND (`go_on` = true) and OR (false): the right side counts only where the left one does not
    /// decide.
    fn logical(&self, batch: &RecordBatch, rows: usize, go_on: bool) -> DfResult<ArrayRef> {
        let left = self.arg(0, batch, rows)?;
        fault_nulls(&left, None)?;
        let left = true_rows(&left)?;
        let undecided = match go_on {
            true => still_live(left.clone()),
            false => still_live(!&left),
        };
        if undecided.count_set_bits() == 0 {
            return Ok(Arc::new(BooleanArray::new(left, None)));
        }
        let right = frame::only(undecided.clone(), || self.arg(1, batch, rows))?;
        fault_nulls(&right, Some(&undecided))?;
        let right = true_rows(&right)?;
        let result = if go_on { &left & &right } else { &left | &right };
        Ok(Arc::new(BooleanArray::new(result, None)))
    }

    fn case(&self, batch: &RecordBatch, rows: usize) -> DfResult<ArrayRef> {
        let mut open = still_live(BooleanBuffer::new_set(rows));
        let mut taken = Vec::with_capacity(self.args.len() / 2);
        for branch in 0..self.args.len() / 2 {
            let none_open = open.count_set_bits() == 0;
            if none_open {
                break;
            }
            let condition = frame::only(open.clone(), || self.arg(2 * branch, batch, rows))?;
            fault_nulls(&condition, Some(&open))?;
            let hit = still_live(&true_rows(&condition)? & &open);
            if hit.count_set_bits() > 0 {
                let value = frame::only(hit.clone(), || self.args[2 * branch + 1].evaluate(batch))?;
                open = still_live(&open & &!&hit);
                taken.push((hit, value));
            } else {
                open = still_live(open);
            }
        }
        let mut result = match self.args.last().filter(|_| self.args.len() % 2 == 1) {
            Some(value) if open.count_set_bits() > 0 => {
                frame::only(open, || value.evaluate(batch))?.into_array(rows)?
            }
            _ => new_null_array(&self.op.returns, rows),
        };
        for (hit, value) in taken.into_iter().rev() {
            let value = col(value)?.datum();
            result = zip(&BooleanArray::new(hit, None), value.as_ref(), &result)?;
        }
        Ok(result)
    }
}

/// Lets the errors of rows that are NULL (among `rows`) reach the frame.
fn fault_nulls(array: &ArrayRef, rows: Option<&BooleanBuffer>) -> DfResult<()> {
    const MESSAGE: &str = "a condition must not be NULL";
    let Some(nulls) = array.nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(()) };
    let missing = !nulls.inner();
    let missing = rows.map_or(missing.clone(), |rows| &missing & rows);
    let fault = |frame: &mut Frame| {
        missing.set_indices().for_each(|row| frame.fault(row, MESSAGE));
    };
    if frame::current(fault).is_none() && missing.count_set_bits() > 0 {
        return Err(DataFusionError::Execution(MESSAGE.to_string()));
    }
    Ok(())
}

fn still_live(rows: BooleanBuffer) -> BooleanBuffer {
    frame::current(|frame| frame.still_live(rows.clone())).unwrap_or(rows)
}

fn col(value: ColumnarValue) -> DfResult<Col> {
    Ok(match value {
        ColumnarValue::Array(array) => Col { array, constant: false },
        ColumnarValue::Scalar(scalar) => Col { array: scalar.to_array_of_size(1)?, constant: true },
    })
}

impl fmt::Display for OpExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(ToString::to_string).collect();
        write!(f, "{}({})", self.op.name, args.join(", "))
    }
}

impl PhysicalExpr for OpExpr {
    fn return_field(&self, _: &Schema) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new(&self.op.name, self.op.returns.clone(), true)))
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        self.evaluate_rows(batch, batch.num_rows()).map(ColumnarValue::Array)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.args.iter().collect()
    }

    fn with_new_children(
        self: Arc<Self>,
        args: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(OpExpr { op: self.op.clone(), args }))
    }

    fn is_volatile_node(&self) -> bool {
        matches!(self.op.kind, OpKind::Volatile(_) | OpKind::Counting(..))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value that DataFusion has already computed, as an argument.
#[derive(Debug, Clone)]
struct Fixed {
    value: ColumnarValue,
    ty: DataType,
}

impl PartialEq for Fixed {
    fn eq(&self, _: &Self) -> bool {
        false
    }
}

impl Eq for Fixed {}

impl Hash for Fixed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("value")
    }
}

impl PhysicalExpr for Fixed {
    fn return_field(&self, _: &Schema) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new("value", self.value.data_type(), true)))
    }

    fn evaluate(&self, _: &RecordBatch) -> DfResult<ColumnarValue> {
        Ok(self.value.clone())
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![]
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(self)
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The call of a kernel. Calls over literals are computed at once, unless they are in error.
pub(crate) fn call(name: &str, kernel: KernelFn, args: Vec<Typed>, returns: SqlType) -> Typed {
    let op = Op::new(name, OpKind::Kernel(kernel), returns.to_arrow());
    if let Some(value) = fold(&op, kernel, &args) {
        return Typed::new(Expr::Literal(value, None), returns);
    }
    build(op, args, returns)
}

/// An operation of any kind; nothing is computed.
pub(crate) fn make(name: &str, kind: OpKind, args: Vec<Typed>, returns: SqlType) -> Typed {
    build(Op::new(name, kind, returns.to_arrow()), args, returns)
}

/// A call with lambdas over `captures`.
pub(crate) fn make_lambda(
    name: &str,
    apply: LambdaFn,
    mut args: Vec<Typed>,
    lambdas: Vec<Lambda>,
    captures: &[Capture],
    returns: SqlType,
) -> Typed {
    let lambdas = Lambdas { list: lambdas, captures: captures.len() };
    let columns = captures.iter().cloned();
    args.extend(columns.map(|(column, ty)| Typed::column(column, ty)));
    make(name, OpKind::Lambda(apply, Arc::new(lambdas)), args, returns)
}

/// Stops errors of `value` here. Columns and literals have none.
pub(crate) fn guard(value: Typed) -> Typed {
    match (&value.expr, &value.ty) {
        (Expr::Literal(..) | Expr::Column(_), _) | (_, None) => value,
        (_, Some(ty)) => {
            let ty = ty.clone();
            make("guard", OpKind::Guard, vec![value], ty)
        }
    }
}

fn build(op: Op, args: Vec<Typed>, returns: SqlType) -> Typed {
    let args = args.into_iter().map(|arg| arg.expr).collect();
    Typed::new(ScalarUDF::from(op).call(args), returns)
}

fn fold(op: &Op, kernel: KernelFn, args: &[Typed]) -> Option<ScalarValue> {
    let mut cols = Vec::with_capacity(args.len());
    for arg in args {
        let array = arg.as_literal()?.to_array_of_size(1).ok()?;
        cols.push(Col { array, constant: true });
    }
    let mut frame = Frame::default();
    let args = Args { cols: &cols, rows: 1, returns: &op.returns };
    let result: Result<ArrayRef, ArrowError> = kernel(&args, &mut frame);
    let result = result.ok().filter(|_| !frame.has_faults())?;
    ScalarValue::try_from_array(&result, 0).ok()
}

/// The operation of a logical expression, if it is one of ours.
pub(crate) fn as_op(udf: &ScalarUDF) -> Option<&Op> {
    let inner: &dyn Any = udf.inner().as_ref();
    inner.downcast_ref::<Op>()
}
