//! Bodies that are written while a query runs: a thread fills a bounded channel, the connection
//! empties it. A client that leaves closes the channel, and that ends the query.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, header};
use millrace_engine::api::{PullAnswer, PushEvent, PushQuery};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

use super::encode::Encoder;
use super::error::{HttpError, code};
use super::state::{Place, Server};
use crate::limits;

/// The writing end of a body.
pub struct BodyWriter {
    sender: mpsc::Sender<Bytes>,
    buffer: Vec<u8>,
    last: Instant,
}

/// The client is gone.
#[derive(Debug)]
pub struct Gone;

impl BodyWriter {
    /// The writer and the response that reads from it.
    pub fn new(media_type: &'static str) -> (BodyWriter, Response<Body>) {
        let (sender, receiver) = mpsc::channel(limits::BODY_CHUNKS_MAX);
        let stream = ReceiverStream::new(receiver).map(Ok::<Bytes, Infallible>);
        let mut response = Response::new(Body::from_stream(stream));
        let media_type = HeaderValue::from_static(media_type);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        (BodyWriter { sender, buffer: Vec::new(), last: Instant::now() }, response)
    }

    /// Where to write to; call [`BodyWriter::roll`] after each piece.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Hands the buffer on when it is full. Blocks while the client is slow.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn roll(&mut self) -> Result<(), Gone> {
        if self.buffer.len() >= limits::CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    /// Hands on what there is.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn flush(&mut self) -> Result<(), Gone> {
        if self.buffer.is_empty() {
            return if self.sender.is_closed() { Err(Gone) } else { Ok(()) };
        }
        self.last = Instant::now();
        let chunk = Bytes::from(std::mem::take(&mut self.buffer));
        self.sender.blocking_send(chunk).map_err(|_| Gone)
    }

    /// Writes `filler` when nothing was sent for a while.
    ///
    /// # Errors
    /// [`Gone`].
    pub fn idle(&mut self, filler: &[u8]) -> Result<(), Gone> {
        if self.last.elapsed() >= limits::KEEP_ALIVE {
            self.buffer.extend_from_slice(filler);
            self.last = Instant::now();
        }
        self.flush()
    }
}

/// Runs `work` on a thread of its own, for as long as a client reads.
///
/// # Errors
/// 500 when the system has no thread left.
pub fn spawn(
    name: &str,
    work: impl FnOnce() -> Result<(), Gone> + Send + 'static,
) -> Result<(), HttpError> {
    let builder = std::thread::Builder::new().name(name.to_string());
    let builder = builder.stack_size(millrace_sql::parser::STACK_BYTES);
    let spawned = builder.spawn(move || {
        if work().is_err() {
            tracing::debug!("the client is gone");
        }
    });
    spawned.map(drop).map_err(|e| HttpError::new(code::SERVER, format!("no thread left: {e}")))
}

/// Writes a push query's rows until it ends or the client leaves.
///
/// # Errors
/// [`Gone`].
pub fn pump_push(
    server: &Arc<Server>,
    mut query: Box<dyn PushQuery>,
    encoder: Encoder,
    mut body: BodyWriter,
    place: Place,
) -> Result<(), Gone> {
    let done = push_rows(server, query.as_mut(), encoder, &mut body);
    // Whoever sees the body end finds the place free.
    drop(query);
    drop(place);
    drop(body);
    done
}

fn push_rows(
    server: &Arc<Server>,
    query: &mut dyn PushQuery,
    mut encoder: Encoder,
    body: &mut BodyWriter,
) -> Result<(), Gone> {
    let columns = query.columns().to_vec();
    encoder.header(body.buffer(), query.id(), &columns, false);
    body.flush()?;
    loop {
        match query.next(limits::PUSH_WAIT) {
            PushEvent::Rows(batch, present) => {
                for row in 0..batch.num_rows() {
                    let tombstone = !present.get(row).copied().unwrap_or(true);
                    encoder.row(body.buffer(), &batch, row, tombstone);
                    body.roll()?;
                }
                body.flush()?;
            }
            PushEvent::Idle if server.is_stopping() => return end(body, encoder, COMPLETED),
            PushEvent::Idle => body.idle(encoder.keep_alive())?,
            PushEvent::LimitReached => return end(body, encoder, LIMIT),
            PushEvent::Ended => return end(body, encoder, COMPLETED),
            PushEvent::Failed(message) => {
                encoder.error(body.buffer(), &HttpError::new(code::SERVER, message));
                encoder.finish(body.buffer(), None);
                return body.flush();
            }
        }
    }
}

const COMPLETED: &str = "Query Completed";
const LIMIT: &str = "Limit Reached";

fn end(body: &mut BodyWriter, mut encoder: Encoder, message: &str) -> Result<(), Gone> {
    encoder.finish(body.buffer(), Some(message));
    body.flush()
}

/// Writes a pull query's answer.
///
/// # Errors
/// [`Gone`].
pub fn pump_pull(
    answer: &PullAnswer,
    limit: Option<u64>,
    mut encoder: Encoder,
    mut body: BodyWriter,
) -> Result<(), Gone> {
    encoder.header(body.buffer(), &answer.id, &answer.columns, !answer.over_stream);
    let mut rows = 0;
    for batch in &answer.rows {
        for row in 0..batch.num_rows() {
            encoder.row(body.buffer(), batch, row, false);
            body.roll()?;
        }
        rows += batch.num_rows() as u64;
    }
    let message = answer.over_stream.then(|| if limit == Some(rows) { LIMIT } else { COMPLETED });
    encoder.finish(body.buffer(), message);
    body.flush()
}
