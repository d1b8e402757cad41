//! `/inserts-stream`: rows in, an acknowledgement for each out. The body is lines of JSON: first the
//! target, then one object per row.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, Version};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::error::{HttpError, code};
use super::request::{StreamFormat, accepted};
use super::state::Server;
use super::stream::{BodyWriter, Gone, spawn};
use crate::limits;

/// `POST /inserts-stream`; HTTP/2 alone lets both sides speak at a time.
pub async fn inserts_stream(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response<Body>, HttpError> {
    if request.version() != Version::HTTP_2 {
        let message = "This endpoint is only available when using HTTP2";
        return Err(HttpError::new(code::HTTP2_ONLY, message));
    }
    let format = accepted(request.headers(), StreamFormat::JsonArray, StreamFormat::Delimited)?;
    let mut lines = Lines { body: request.into_body(), buffer: Vec::new(), ended: false };
    let first = lines.next().await?;
    let first = first.ok_or_else(|| HttpError::bad_request("Invalid request: no target"))?;
    let target = target(&first)?;
    let checked = target.clone();
    server
        .call(move |server| {
            let found = server.api.insert_target(&checked);
            found.map_err(|e| HttpError { statement: None, ..HttpError::from_api("", e) })
        })
        .await?;
    let (body, response) = BodyWriter::new(format.media_type());
    // The next rows are read while one is written; a slow log makes the client wait.
    let (sender, receiver) = mpsc::channel(limits::BODY_CHUNKS_MAX);
    tokio::spawn(async move {
        while let Some(line) = lines.next().await.transpose() {
            let failed = line.is_err();
            if sender.send(line).await.is_err() || failed {
                return;
            }
        }
    });
    let inserter = Inserter { server, target, array: format == StreamFormat::JsonArray };
    spawn("inserts", move || inserter.run(receiver, body))?;
    Ok(response)
}

/// The source that the first line names; its name is folded unless it is quoted.
fn target(line: &[u8]) -> Result<String, HttpError> {
    let first: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|e| HttpError::bad_request(format!("Invalid JSON in inserts stream: {e}")))?;
    let Some(name) = first.get("target").and_then(Value::as_str) else {
        return Err(HttpError::bad_request("Invalid request: 'target' is missing"));
    };
    let quoted = name.strip_prefix('`').and_then(|n| n.strip_suffix('`'));
    Ok(quoted.map_or_else(|| name.to_uppercase(), |n| n.replace("``", "`")))
}

/// Lines of a request's body as they arrive.
struct Lines {
    body: Body,
    buffer: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// The next line that is not empty.
    async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                match line.trim_ascii() {
                    [] => continue,
                    line => return Ok(Some(Bytes::copy_from_slice(line))),
                }
            }
            if self.ended {
                let last = std::mem::take(&mut self.buffer);
                let last = last.trim_ascii();
                return Ok((!last.is_empty()).then(|| Bytes::copy_from_slice(last)));
            }
            if self.buffer.len() > limits::BODY_BYTES_MAX {
                let message = format!("A row is longer than {} bytes", limits::BODY_BYTES_MAX);
                return Err(HttpError::new(code::TOO_LARGE, message));
            }
            match self.body.frame().await {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    self.buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
                }
                Some(Err(e)) => {
                    return Err(HttpError::bad_request(format!("The request broke off: {e}")));
                }
            }
        }
    }
}

struct Inserter {
    server: Arc<Server>,
    target: String,
    /// Answers are one JSON array, else lines.
    array: bool,
}

impl Inserter {
    /// Writes row by row until the client ends or a row fails.
    fn run(
        &self,
        mut rows: mpsc::Receiver<Result<Bytes, HttpError>>,
        mut body: BodyWriter,
    ) -> Result<(), Gone> {
        let mut seq = 0u64;
        while let Some(row) = rows.blocking_recv() {
            let done = row.and_then(|row| self.insert(&row));
            let ack = match &done {
                Ok(()) => json!({ "status": "ok", "seq": seq }),
                Err(e) => json!({
                    "status": "error", "seq": seq, "error_code": e.code, "message": e.message,
                }),
            };
            self.write(&mut body, seq, &ack);
            seq += 1;
            body.flush()?;
            if done.is_err() {
                break;
            }
        }
        if self.array {
            body.buffer().extend_from_slice(if seq == 0 { b"[]\n" } else { b"]\n" });
        }
        body.flush()
    }

    fn insert(&self, row: &[u8]) -> Result<(), HttpError> {
        let row: Map<String, Value> = serde_json::from_slice(row)
            .map_err(|e| HttpError::bad_request(format!("Invalid JSON in inserts stream: {e}")))?;
        let done = self.server.api.insert_row(&self.target, &row);
        done.map_err(|e| HttpError { statement: None, ..HttpError::from_api("", e) })
    }

    fn write(&self, body: &mut BodyWriter, seq: u64, ack: &Value) {
        if self.array {
            body.buffer().extend_from_slice(if seq == 0 { b"[" } else { b",\n" });
        }
        body.buffer().extend_from_slice(ack.to_string().as_bytes());
        if !self.array {
            body.buffer().push(b'\n');
        }
    }
}
