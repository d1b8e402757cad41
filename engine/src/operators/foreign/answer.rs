//! The right table answers who asks for its rows, and tells them when a row changes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::{Int32Type, SchemaRef};
use millrace_sql::plan::ForeignJoinNode;

use super::messages::{Ask, Layout, responses, schema, subscriptions, types};
use crate::batch::Batch;
use crate::codec::buffer::{KeyBuffer, RowBuffer};
use crate::codec::key::KeyCodec;
use crate::codec::row::RowCodec;
use crate::error::Result;
use crate::operators::keep::{stamp, unstamp};
use crate::operators::{Operator, StepContext};
use crate::state::{Shape, StoreId};

/// Answers that go out as one batch when a row is asked for by many.
const ANSWERS_MAX: usize = 4096;

/// Port 0: subscriptions. Port 1: changes of the right table.
pub struct AnswerOperator {
    /// Who asked, by foreign key and left key.
    asked: StoreId,
    /// Right rows by key.
    table: StoreId,
    layout: Layout,
    right_key: usize,
    keys: KeyCodec,
    asked_keys: KeyCodec,
    rows: RowCodec,
    asked_rows: RowCodec,
    schema: SchemaRef,
}

/// Answers being put together.
#[derive(Default)]
struct Out {
    /// Row of the subscriptions.
    asker: Vec<u32>,
    /// Row of the right table.
    right: Vec<Option<u32>>,
    times: Vec<i64>,
}

impl Out {
    fn push(&mut self, asker: usize, right: Option<u32>, time: i64) {
        self.asker.push(asker as u32);
        self.right.push(right);
        self.times.push(time);
    }
}

/// In front of a stored subscription: the asker may hold a result that must be unset when there is
/// no right row (any more).
const TOLD: u8 = 1;
const NOT_TOLD: u8 = 0;

fn asked_value(told: bool, row: &[u8]) -> Vec<u8> {
    let mut value = vec![if told { TOLD } else { NOT_TOLD }];
    value.extend_from_slice(row);
    value
}

fn was_told(value: &[u8]) -> bool {
    value.first() == Some(&TOLD)
}

impl AnswerOperator {
    /// `stores`: who asked, right rows.
    pub fn new(node: &ForeignJoinNode, [asked, table]: [StoreId; 2]) -> Result<Self> {
        let layout = Layout::of(node);
        let right = types(&node.right)?;
        let asks = types(&subscriptions(node)?.input)?;
        Ok(AnswerOperator {
            asked,
            table,
            layout,
            right_key: node.right_key,
            keys: KeyCodec::new(std::slice::from_ref(&right[node.right_key])),
            asked_keys: KeyCodec::new(&asks[..=layout.keys]),
            rows: RowCodec::new(&right),
            asked_rows: RowCodec::new(&asks),
            schema: schema(&responses(node)?),
        })
    }

    fn send(&self, askers: &[ArrayRef], right: &[ArrayRef], out: Out) -> Result<Batch> {
        let asker = UInt32Array::from(out.asker);
        let mut message = Vec::with_capacity(self.schema.fields().len());
        for column in &askers[self.layout.address()] {
            message.push(compute::take(column, &asker, None)?);
        }
        let found = out.right.iter().map(|row| Some(row.is_some()));
        message.push(Arc::new(found.collect::<BooleanArray>()));
        let places = UInt32Array::from(out.right);
        for column in right {
            message.push(compute::take(column, &places, None)?);
        }
        Ok(Batch::new(RecordBatch::try_new(self.schema.clone(), message)?, out.times))
    }

    /// Notes who asks, and answers.
    fn push_asks(&self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let askers = batch.rows.columns();
        let (mut keys, mut asked, mut rows) =
            (KeyBuffer::new(), KeyBuffer::new(), RowBuffer::new());
        self.keys.encode(&askers[..1], &mut keys)?;
        self.asked_keys.encode(&askers[..=self.layout.keys], &mut asked)?;
        self.asked_rows.encode(askers, 0..batch.len(), &mut rows)?;
        let values = ctx.state.get_many(self.table, Shape::KeyValue, &keys.slices())?;
        let asks = askers[self.layout.ask()].as_primitive::<Int32Type>();
        let (mut out, mut stored) = (Out::default(), Vec::new());
        for (row, value) in values.iter().enumerate() {
            let (key, time) = (asked.get(row), batch.times[row]);
            let told = match Ask::of(asks.value(row))? {
                Ask::Forget => {
                    ctx.state.put(self.asked, Shape::KeyFirst, key, None, time)?;
                    continue;
                }
                Ask::Tell => true,
                Ask::TellIfFound => {
                    let before = ctx.state.get(self.asked, Shape::KeyFirst, key)?;
                    before.is_some_and(|before| was_told(&before))
                }
            };
            match value {
                Some(value) => {
                    let (written, right) = unstamp(value)?;
                    out.push(row, Some(stored.len() as u32), time.max(written));
                    stored.push(right);
                }
                None if told => out.push(row, None, time),
                None => {}
            }
            let told = told || value.is_some();
            let value = asked_value(told, rows.get(row));
            ctx.state.put(self.asked, Shape::KeyFirst, key, Some(&value), time)?;
        }
        if !out.asker.is_empty() {
            ctx.out.push(self.send(askers, &self.rows.decode(&stored)?, out)?);
        }
        Ok(())
    }

    /// Keeps changes, and tells them to those who asked for the row.
    fn push_changes(&self, batch: &Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        let key = batch.column(self.right_key);
        let (mut keys, mut rows) = (KeyBuffer::new(), RowBuffer::new());
        self.keys.encode(std::slice::from_ref(key), &mut keys)?;
        self.rows.encode(batch.rows.columns(), 0..batch.len(), &mut rows)?;
        let (mut out, mut askers) = (Out::default(), RowBuffer::new());
        for row in (0..batch.len()).filter(|row| key.is_valid(*row)) {
            let time = batch.times[row];
            let live = batch.is_live(row);
            let value = live.then(|| stamp(time, rows.get(row)));
            ctx.state.put(self.table, Shape::KeyValue, keys.get(row), value.as_deref(), time)?;
            let mut from = keys.get(row).to_vec();
            let to = behind(&from);
            while let Some(last) = self.page(&from, &to, live, time, ctx, &mut askers)? {
                while out.asker.len() < askers.len() {
                    out.push(out.asker.len(), live.then_some(row as u32), time);
                }
                if askers.len() >= ANSWERS_MAX {
                    let (out, askers) = (std::mem::take(&mut out), std::mem::take(&mut askers));
                    ctx.out.push(self.tell(batch, &askers, out)?);
                }
                // The next page begins right behind the last one.
                from = last;
                from.push(0);
            }
        }
        if !out.asker.is_empty() {
            ctx.out.push(self.tell(batch, &askers, out)?);
        }
        Ok(())
    }

    /// Adds subscriptions of a right row, which are now told of it if it is live, to `askers`;
    /// answers the key of the last one.
    fn page(
        &self,
        from: &[u8],
        to: &[u8],
        live: bool,
        time: i64,
        ctx: &mut StepContext<'_>,
        askers: &mut RowBuffer,
    ) -> Result<Option<Vec<u8>>> {
        let (mut untold, mut last, mut left) = (Vec::new(), None, ANSWERS_MAX);
        ctx.state.scan(self.asked, Shape::KeyFirst, from, to, &mut |key, value| {
            let asker = value.get(1..).unwrap_or_default();
            if live && !was_told(value) {
                untold.push((key.to_vec(), asked_value(true, asker)));
            }
            askers.push(asker);
            left -= 1;
            last = Some(key.to_vec());
            left > 0
        })?;
        for (key, value) in untold {
            ctx.state.put(self.asked, Shape::KeyFirst, &key, Some(&value), time)?;
        }
        Ok(last)
    }

    fn tell(&self, batch: &Batch, askers: &RowBuffer, out: Out) -> Result<Batch> {
        let askers = self.asked_rows.decode(&askers.slices())?;
        self.send(&askers, batch.rows.columns(), out)
    }
}

impl Operator for AnswerOperator {
    fn push(&mut self, port: usize, batch: Batch, ctx: &mut StepContext<'_>) -> Result<()> {
        if port == 0 { self.push_asks(&batch, ctx) } else { self.push_changes(&batch, ctx) }
    }

    fn reset(&mut self) {}
}

/// The first key behind all that begin with `prefix`; keys begin with a tag that is not 0xFF.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            break;
        }
    }
    key
}
