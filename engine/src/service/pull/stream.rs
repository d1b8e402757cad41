//! Streams in pull queries: their records from the beginning to the end as of now.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result as DfResult;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use millrace_sql::plan::{QueryPlan, ResultKind, ScanNode, node};

use super::SCAN_TIMEOUT;
use super::table::external;
use crate::api::{PushEvent, PushQuery};
use crate::error::{EngineError, Result};
use crate::service::Inner;
use crate::service::push::{PushOptions, RunningPush};

/// How long a scan of a stream waits for the next rows before it looks at its time.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The columns of `scan` as DataFusion reads them.
pub(super) fn table(inner: &Arc<Inner>, scan: &ScanNode) -> DfResult<StreamingTable> {
    let schema = Arc::new(scan.schema.as_arrow().clone());
    let records = Records { inner: inner.clone(), scan: scan.clone(), schema: schema.clone() };
    StreamingTable::try_new(schema, vec![Arc::new(records)])
}

struct Records {
    inner: Arc<Inner>,
    scan: ScanNode,
    schema: SchemaRef,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records of {}", self.scan.source.name)
    }
}

impl PartitionStream for Records {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let plan = QueryPlan {
            plan: node(self.scan.clone()),
            reads: vec![self.scan.source.name.clone()],
            result: ResultKind::Stream,
            key: Vec::new(),
            limit: None,
            idle_close_ms: None,
        };
        let (rows, failed) = match scan(&self.inner, &plan) {
            Ok(rows) => (Some(rows), None),
            Err(error) => (None, Some(Err(external(error)))),
        };
        let schema = self.schema.clone();
        let rows =
            rows.into_iter().flatten().map(move |rows| named(&rows.map_err(external)?, &schema));
        let stream = stream::iter(failed.into_iter().chain(rows));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), stream))
    }
}

/// The rows under the names of the scan.
fn named(rows: &RecordBatch, schema: &SchemaRef) -> DfResult<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let columns = rows.columns().to_vec();
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

/// Runs a plan over streams from their beginning to their end as of now.
///
/// # Errors
/// A topic that is not there.
pub(super) fn scan(inner: &Inner, plan: &QueryPlan) -> Result<ScannedRows> {
    let options =
        PushOptions { from_earliest: true, coalesce: false, bounded: true, keyed_only: false };
    let id = format!("query_{}", inner.seams.entropy.next_u64());
    let running = inner.run_push(id, plan, options)?;
    Ok(ScannedRows { running, deadline: Instant::now() + SCAN_TIMEOUT, ended: false })
}

/// Rows of a scan as they come.
pub(super) struct ScannedRows {
    running: RunningPush,
    deadline: Instant,
    ended: bool,
}

impl ScannedRows {
    pub fn id(&self) -> &str {
        self.running.id()
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        while Instant::now() < self.deadline {
            match self.running.next(READ_TIMEOUT) {
                PushEvent::Rows(batch, _) => return Ok(Some(batch)),
                PushEvent::Idle => {}
                PushEvent::LimitReached | PushEvent::Ended => return Ok(None),
                PushEvent::Failed(reason) => return Err(EngineError::Config(reason)),
            }
        }
        Err(EngineError::User(format!(
            "the scan of the stream takes more than {} s; add a LIMIT, or keep what you need in a \
             table",
            SCAN_TIMEOUT.as_secs()
        )))
    }
}

impl Iterator for ScannedRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let batch = self.batch().transpose();
        self.ended = !matches!(batch, Some(Ok(_)));
        batch
    }
}
