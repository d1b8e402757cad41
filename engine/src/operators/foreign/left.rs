//! The left table's task: asks for right rows, and decides which answers count.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use millrace_sql::plan::{ForeignJoinNode, JoinKind};

use super::messages::{Layout, schema, subscriptions, types};
use super::subscribe::{Changes, Subscriber};
use super::{columns, unnumbered};
use crate::batch::Batch;
use crate::codec::buffer::KeyBuffer;
use crate::codec::key::KeyCodec;
use crate::codec::row::RowCodec;
use crate::error::Result;
use crate::operators::keep::KeepOperator;
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StoreId};

/// Port 0: changes of the left table. Port 1: answers. Results go out, subscriptions aside.
pub struct LeftOperator {
    subscriber: Subscriber,
    kind: JoinKind,
    layout: Layout,
    left_key: Vec<usize>,
    keys: KeyCodec,
    rows: RowCodec,
    schema: SchemaRef,
    subscriptions: SchemaRef,
    /// Knows what a result replaces, where a node after wants to know.
    results: Option<KeepOperator>,
}

/// Results: rows of a left source and of a batch of answers.
#[derive(Default)]
struct Out {
    answer: Vec<u32>,
    left: Vec<u32>,
    live: Vec<bool>,
    times: Vec<i64>,
}

impl LeftOperator {
    /// `rows`: the left rows; `results`: a store of results, if what they replace must be known.
    pub fn new(node: &ForeignJoinNode, rows: StoreId, results: Option<StoreId>) -> Result<Self> {
        let left = types(&node.left)?;
        let key_types: Vec<_> = node.left_key.iter().map(|i| left[*i].clone()).collect();
        let mut all = left.clone();
        all.extend(types(&node.right)?);
        let results = results.map(|store| KeepOperator::new(store, &all, &node.left_key));
        Ok(LeftOperator {
            subscriber: Subscriber::new(node, rows)?,
            kind: node.kind,
            layout: Layout::of(node),
            left_key: node.left_key.clone(),
            keys: KeyCodec::new(&key_types),
            rows: RowCodec::new(&left),
            schema: node.schema.inner().clone(),
            subscriptions: schema(&subscriptions(node)?),
            results: results.transpose()?,
        })
    }

    fn push_changes(&mut self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let batch = self.subscriber.keyed(batch)?;
        let changes = self.subscriber.take(&batch, ctx)?;
        if !changes.row.is_empty() {
            let results = self.unanswered(&batch, &changes)?;
            self.emit(results, ctx)?;
        }
        if !changes.asker.is_empty() {
            ctx.aside.push(self.ask(&batch, changes)?);
        }
        Ok(())
    }

    /// Results of rows that have no foreign key, or are gone.
    fn unanswered(&self, batch: &Batch, changes: &Changes) -> Result<Batch> {
        let index = UInt32Array::from(changes.row.clone());
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in batch.rows.columns() {
            columns.push(compute::take(column, &index, None)?);
        }
        for field in &self.schema.fields()[columns.len()..] {
            columns.push(arrow::array::new_null_array(field.data_type(), index.len()));
        }
        let times = changes.row.iter().map(|row| batch.times[*row as usize]).collect();
        self.batch(columns, times, changes.live.clone())
    }

    fn ask(&self, batch: &Batch, changes: Changes) -> Result<Batch> {
        let keys = changes.keys.unwrap_or_else(|| arrow::array::new_empty_array(&DataType::Null));
        let rows = UInt32Array::from(changes.asker);
        let mut message = vec![compute::take(&keys, &UInt32Array::from(changes.foreign), None)?];
        for key in columns(&batch.rows, &self.left_key) {
            message.push(compute::take(&key, &rows, None)?);
        }
        let partition = self.subscriber.store.partition as i32;
        message.push(Arc::new(Int64Array::from(changes.number)));
        message.push(Arc::new(Int32Array::from_value(partition, rows.len())));
        message.push(Arc::new(Int32Array::from(changes.ask)));
        let times = rows.values().iter().map(|row| batch.times[*row as usize]).collect();
        Ok(Batch::new(RecordBatch::try_new(self.subscriptions.clone(), message)?, times))
    }

    /// Joins the answers that are about the rows as they are now.
    fn push_answers(&mut self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let mut keys = KeyBuffer::new();
        self.keys.encode(&batch.rows.columns()[..self.layout.keys], &mut keys)?;
        let store = self.subscriber.store;
        let values = ctx.state.get_many(store, Shape::KeyValue, &keys.slices())?;
        let numbers = batch.column(self.layout.number()).as_primitive::<Int64Type>();
        let found = batch.column(self.layout.found()).as_boolean();
        let (mut out, mut stored) = (Out::default(), Vec::new());
        for (row, value) in values.iter().enumerate() {
            let Some(value) = value else { continue };
            let (number, left) = unnumbered(value)?;
            if number != numbers.value(row) {
                continue;
            }
            out.answer.push(row as u32);
            out.left.push(stored.len() as u32);
            out.live.push(found.value(row) || self.kind == JoinKind::Left);
            out.times.push(batch.times[row]);
            stored.push(left);
        }
        if stored.is_empty() {
            return Ok(());
        }
        let left = self.rows.decode(&stored)?;
        let results = self.joined(batch, &left, out)?;
        self.emit(results, ctx)
    }

    fn joined(&self, batch: &Batch, left: &[ArrayRef], out: Out) -> Result<Batch> {
        let (answers, places) = (UInt32Array::from(out.answer), UInt32Array::from(out.left));
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for column in left {
            columns.push(compute::take(column, &places, None)?);
        }
        for column in &batch.rows.columns()[self.layout.right()..] {
            columns.push(compute::take(column, &answers, None)?);
        }
        self.batch(columns, out.times, out.live)
    }

    fn batch(&self, columns: Vec<ArrayRef>, times: Vec<i64>, live: Vec<bool>) -> Result<Batch> {
        let mut batch = Batch::new(RecordBatch::try_new(self.schema.clone(), columns)?, times);
        if live.contains(&false) {
            batch.live = Some(BooleanBuffer::from(live));
        }
        Ok(batch)
    }

    fn emit(&mut self, results: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        match &mut self.results {
            Some(keep) => keep.push(0, results, ctx),
            None => {
                ctx.out.push(results);
                Ok(())
            }
        }
    }
}

impl Operator for LeftOperator {
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        if port == 0 { self.push_changes(&batch, ctx) } else { self.push_answers(&batch, ctx) }
    }

    /// Changes of left rows so far.
    fn progress(&self) -> Vec<i64> {
        vec![self.subscriber.number]
    }

    fn restore(&mut self, progress: &[i64]) {
        if let [number] = *progress {
            self.subscriber.number = number;
        }
    }

    fn reset(&mut self) {
        self.subscriber.number = 0;
    }
}
