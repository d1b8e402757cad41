//! `/query`, `/query-stream` and `/close-query`: SELECT and PRINT.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use millrace_engine::api::{ApiError, PullAnswer, PushQuery};
use millrace_engine::error::EngineError;
use millrace_engine::log::LogError;
use millrace_sql::ast::{Print, Statement};

use super::encode::Encoder;
use super::error::{HttpError, code};
use super::request::{self, SqlRequest, StreamFormat, accepted};
use super::state::{Place, Server};
use super::stream::{BodyWriter, pump_pull, pump_push, spawn};
use super::{await_command, print};
use crate::limits;
use crate::statements::{Part, Session, split};

type Answer = Result<Response<Body>, HttpError>;

/// `POST /query`: rows as one JSON array unless the client asks for lines.
pub async fn query(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let format = accepted(request.headers(), StreamFormat::Rows, StreamFormat::Rows)?;
    answer(server, request, format, true).await
}

/// `POST /query-stream`: lines unless the client asks for an array.
pub async fn query_stream(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let format = accepted(request.headers(), StreamFormat::JsonArray, StreamFormat::Delimited)?;
    answer(server, request, format, false).await
}

async fn answer(server: Arc<Server>, request: Request, format: StreamFormat, old: bool) -> Answer {
    let request = SqlRequest::read(request).await?;
    server.call(move |server| run(server, &request, format, old)).await
}

/// A query that has been started for a reader.
pub enum Opened {
    Push(Box<dyn PushQuery>, Place),
    /// The rows, and the LIMIT of the statement.
    Pull(PullAnswer, Option<u64>),
    Print(print::Printer, Place),
}

/// Starts the one statement of a request. May block. `text`: the client takes what PRINT says.
///
/// # Errors
/// What is wrong with the statement, or with the moment.
pub fn open(server: &Arc<Server>, request: &SqlRequest, text: bool) -> Result<Opened, HttpError> {
    await_command(server, request.command_sequence)?;
    let session = Session::new(&server.config.session, &request.properties, &request.variables)?;
    let mut parts = split(&request.sql, &session)?;
    let (Some(part), true) = (parts.pop(), parts.is_empty()) else {
        let message = "Exactly one statement is expected here: a SELECT or a PRINT";
        return Err(HttpError::new(code::BAD_STATEMENT, message).about(&request.sql));
    };
    match &part.statement {
        Statement::Query(query) if query.emit.is_some() => open_push(server, &part, &session),
        Statement::Query(query) => {
            let answer = server.api.pull(&part.text, &session.properties);
            let answer = answer.map_err(|e| HttpError::from_api(&part.text, e))?;
            Ok(Opened::Pull(answer, query.limit))
        }
        Statement::Print(print) if text => open_print(server, &part, print),
        Statement::Print(_) => {
            let message = "PRINT answers in text only: accept application/vnd.ksqlapi.delimited.v1";
            Err(HttpError::new(code::NOT_ACCEPTABLE, message))
        }
        _ => {
            let message = "Only SELECT and PRINT can be run here; send the others to '/ksql'";
            Err(HttpError::refused(&part.text, message))
        }
    }
}

fn open_push(server: &Arc<Server>, part: &Part, session: &Session) -> Result<Opened, HttpError> {
    let mut place = server.pushes.enter()?;
    let query = server.api.push(&part.text, &session.properties).map_err(|e| match e {
        ApiError::TooMany(message) => HttpError::new(code::PUSH_QUERIES, message),
        e => HttpError::from_api(&part.text, e),
    })?;
    place.started(query.id(), query.stopper());
    Ok(Opened::Push(query, place))
}

fn open_print(server: &Arc<Server>, part: &Part, print: &Print) -> Result<Opened, HttpError> {
    if print.interval == Some(0) {
        let message = "INTERVAL must be greater than one, but was: 0";
        return Err(HttpError::refused(&part.text, message.to_string()));
    }
    let mut place = server.pushes.enter()?;
    let reader = server.api.print(&print.topic.value, print.from_beginning);
    let reader = reader.map_err(|e| match e {
        ApiError::Engine(EngineError::Log(LogError::Gone(_))) => {
            let topic = &print.topic.value;
            let message = format!(
                "Could not find topic '{topic}', or the KSQL user does not have \
                                   permissions to list the topic. Topic names are case-sensitive."
            );
            HttpError::refused(&part.text, message)
        }
        e => HttpError::from_api(&part.text, e),
    })?;
    let (printer, stopper) = print::Printer::new(print, reader, server.api.schema_registry());
    place.started(&format!("print_{}", uuid::Uuid::new_v4()), stopper);
    Ok(Opened::Print(printer, place))
}

/// Starts the statement and answers with its stream. May block.
fn run(server: &Arc<Server>, request: &SqlRequest, format: StreamFormat, old: bool) -> Answer {
    let opened = open(server, request, old || format == StreamFormat::Delimited)?;
    let text = old && matches!(opened, Opened::Print(..));
    let media_type = if text { "text/plain; charset=utf-8" } else { format.media_type() };
    let (body, response) = BodyWriter::new(media_type);
    let server = Arc::clone(server);
    let encoder = Encoder::new(format);
    match opened {
        Opened::Push(query, place) => {
            spawn("push-query", move || pump_push(&server, query, encoder, body, place))?;
        }
        Opened::Pull(answer, limit) => {
            spawn("pull-query", move || pump_pull(&answer, limit, encoder, body))?;
        }
        Opened::Print(printer, place) => {
            spawn("print", move || printer.run(&server, body, place))?;
        }
    }
    Ok(response)
}

/// `POST /close-query` with `{"queryId": ..}`.
pub async fn close_query(State(server): State<Arc<Server>>, request: Request) -> Answer {
    let bytes = request::body(request, limits::BODY_BYTES_MAX).await?;
    let body = request::parse(&bytes)?;
    let Some(id) = body.get("queryId").and_then(|id| id.as_str()) else {
        return Err(HttpError::bad_request("Invalid request: 'queryId' is missing"));
    };
    if !server.pushes.stop(id) {
        return Err(HttpError::bad_request(format!("No query with id {id}")));
    }
    Ok(StatusCode::OK.into_response())
}
