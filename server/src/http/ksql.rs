//! `POST /ksql`: statements other than SELECT and PRINT.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use serde_json::Value;

use super::await_command;
use super::error::HttpError;
use super::request::SqlRequest;
use super::state::Server;
use crate::statements::{self, Session};

/// The handler: an array with an entity for each statement that yields one.
pub async fn ksql(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let request = SqlRequest::read(request).await?;
    let entities = server.call(move |server| {
        await_command(server, request.command_sequence)?;
        let session =
            Session::new(&server.config.session, &request.properties, &request.variables)?;
        statements::run(server, &request.sql, session)
    });
    Ok(Json(Value::Array(entities.await?)))
}
