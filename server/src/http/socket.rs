//! `/ws/query`: a query or a PRINT over a WebSocket. Frames are text: the columns, a row each, and
//! at the end `{"error":"done"}`.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Query, State};
use axum::response::Response;
use millrace_engine::api::{PullAnswer, PushEvent, PushQuery, ResultColumn};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::error::{HttpError, code};
use super::query::{Opened, open};
use super::request::SqlRequest;
use super::state::{Place, Server};
use super::stream::{Gone, spawn};
use crate::limits;
use crate::rows::write_row;
use crate::statements::column_entity;

/// Bytes of a close frame's reason.
const REASON_BYTES_MAX: usize = 123;

/// Parameters of the request.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// The JSON that `/query` takes as its body.
    #[serde(default)]
    request: String,
}

/// `GET /ws/query?request=..`.
pub async fn query(
    State(server): State<Arc<Server>>,
    Query(parameters): Query<Parameters>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(move |socket| run(server, parameters.request, socket))
}

/// What the thread of a query hands to its socket.
type Frames = mpsc::Sender<String>;

async fn run(server: Arc<Server>, request: String, mut socket: WebSocket) {
    let started = start(&server, &request).await;
    let mut frames = match started {
        Ok(frames) => frames,
        Err(error) => return refuse(socket, &error).await,
    };
    loop {
        tokio::select! {
            frame = frames.recv() => match frame {
                Some(frame) => {
                    if socket.send(Message::Text(frame.into())).await.is_err() {
                        return;
                    }
                }
                None => break,
            },
            // Nothing is expected of the client but that it may leave.
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
    let done = json!({ "error": "done" }).to_string();
    if socket.send(Message::Text(done.into())).await.is_ok() {
        close(socket, close_code::NORMAL, "done").await;
    }
}

async fn start(server: &Arc<Server>, request: &str) -> Result<mpsc::Receiver<String>, HttpError> {
    let request = SqlRequest::parse(request.as_bytes())?;
    let opened = server.call(move |server| open(server, &request, true)).await?;
    let (sender, receiver) = mpsc::channel(limits::BODY_CHUNKS_MAX);
    let server = Arc::clone(server);
    match opened {
        Opened::Push(query, place) => {
            spawn("push-query", move || push(&server, query, &sender, place))?;
        }
        Opened::Pull(answer, _) => spawn("pull-query", move || pull(&answer, &sender))?,
        Opened::Print(printer, place) => spawn("print", move || {
            let mut line = |line: &str| send(&sender, line.to_owned());
            let done = printer.lines(&server, &mut line);
            drop(place);
            done
        })?,
    }
    Ok(receiver)
}

fn send(frames: &Frames, frame: String) -> Result<(), Gone> {
    frames.blocking_send(frame).map_err(|_| Gone)
}

fn push(
    server: &Server,
    mut query: Box<dyn PushQuery>,
    frames: &Frames,
    place: Place,
) -> Result<(), Gone> {
    send(frames, columns(query.columns()))?;
    let done = loop {
        match query.next(limits::PUSH_WAIT) {
            PushEvent::Rows(batch, present) => {
                for row in 0..batch.num_rows() {
                    // Deleted rows have no place here.
                    if present.get(row).copied().unwrap_or(true) {
                        send(frames, row_frame(&batch, row))?;
                    }
                }
            }
            PushEvent::Idle if server.is_stopping() || frames.is_closed() => break Ok(()),
            PushEvent::Idle => {}
            PushEvent::LimitReached | PushEvent::Ended => break Ok(()),
            PushEvent::Failed(message) => {
                break send(frames, json!({ "error": message }).to_string());
            }
        }
    };
    drop(query);
    drop(place);
    done
}

fn pull(answer: &PullAnswer, frames: &Frames) -> Result<(), Gone> {
    send(frames, columns(&answer.columns))?;
    for batch in &answer.rows {
        for row in 0..batch.num_rows() {
            send(frames, row_frame(batch, row))?;
        }
    }
    Ok(())
}

fn columns(columns: &[ResultColumn]) -> String {
    let columns: Vec<_> = columns.iter().map(column_entity).collect();
    json!(columns).to_string()
}

fn row_frame(batch: &arrow::array::RecordBatch, row: usize) -> String {
    let mut out = b"{\"row\":{\"columns\":".to_vec();
    write_row(&mut out, batch, row);
    out.extend_from_slice(b"}}");
    String::from_utf8_lossy(&out).into_owned()
}

async fn refuse(mut socket: WebSocket, error: &HttpError) {
    let code = match error.code {
        code::STARTING | code::SHUTTING_DOWN | code::TOO_MANY => close_code::AGAIN,
        code::SERVER => close_code::ERROR,
        _ => close_code::UNSUPPORTED,
    };
    let frame = json!({ "error": error.message }).to_string();
    if socket.send(Message::Text(frame.into())).await.is_ok() {
        close(socket, code, &error.message).await;
    }
}

/// The other side may be gone already.
async fn close(mut socket: WebSocket, code: u16, reason: &str) {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let reason = Utf8Bytes::from(&reason[..end]);
    let _ = socket.send(Message::Close(Some(CloseFrame { code, reason }))).await;
}
