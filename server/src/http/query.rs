//! `/query`, `/query-stream` and `/close-query`: SELECT and PRINT.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use millrace_engine::api::ApiError;
use millrace_sql::ast::{Print, Query, Statement};

use super::encode::Encoder;
use super::error::{HttpError, code};
use super::request::{self, SqlRequest, StreamFormat, accepted};
use super::state::Server;
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

/// Starts the one statement of the request. May block.
fn run(server: &Arc<Server>, request: &SqlRequest, format: StreamFormat, old: bool) -> Answer {
    await_command(server, request.command_sequence)?;
    let session = Session::new(&server.config.session, &request.properties, &request.variables)?;
    let mut parts = split(&request.sql, &session)?;
    let (Some(part), true) = (parts.pop(), parts.is_empty()) else {
        let message = "Exactly one statement is expected here: a SELECT or a PRINT";
        return Err(HttpError::new(code::BAD_STATEMENT, message).about(&request.sql));
    };
    match &part.statement {
        Statement::Query(query) if query.emit.is_some() => push(server, &part, &session, format),
        Statement::Query(query) => pull(server, &part, query, &session, format),
        Statement::Print(print) if old || format == StreamFormat::Delimited => {
            start_print(server, &part, print, format, old)
        }
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

fn push(server: &Arc<Server>, part: &Part, session: &Session, format: StreamFormat) -> Answer {
    let mut place = server.pushes.enter()?;
    let query = server.api.push(&part.text, &session.properties).map_err(|e| match e {
        ApiError::TooMany(message) => HttpError::new(code::PUSH_QUERIES, message),
        e => HttpError::from_api(&part.text, e),
    })?;
    place.started(query.id(), query.stopper());
    let (body, response) = BodyWriter::new(format.media_type());
    let server = Arc::clone(server);
    spawn("push-query", move || pump_push(&server, query, Encoder::new(format), body, place))?;
    Ok(response)
}

fn pull(
    server: &Arc<Server>,
    part: &Part,
    query: &Query,
    session: &Session,
    format: StreamFormat,
) -> Answer {
    let answer = server.api.pull(&part.text, &session.properties);
    let answer = answer.map_err(|e| HttpError::from_api(&part.text, e))?;
    let (body, response) = BodyWriter::new(format.media_type());
    let limit = query.limit;
    spawn("pull-query", move || pump_pull(&answer, limit, Encoder::new(format), body))?;
    Ok(response)
}

fn start_print(
    server: &Arc<Server>,
    part: &Part,
    print: &Print,
    format: StreamFormat,
    old: bool,
) -> Answer {
    let mut place = server.pushes.enter()?;
    let reader = server.api.print(&print.topic.value, print.from_beginning);
    let reader = reader.map_err(|e| HttpError::from_api(&part.text, e))?;
    let (printer, stopper) = print::Printer::new(print, reader);
    place.started(&format!("print_{}", uuid::Uuid::new_v4()), stopper);
    let media_type = if old { "text/plain; charset=utf-8" } else { format.media_type() };
    let (body, response) = BodyWriter::new(media_type);
    let server = Arc::clone(server);
    spawn("print", move || printer.run(&server, body, place))?;
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
