//! The REST API: ksqlDB's endpoints, and `/millrace/...` of our own. HTTP/1.1 and HTTP/2 with prior
//! knowledge on one port.

mod connections;
mod encode;
pub mod error;
mod info;
mod inserts;
mod ksql;
mod print;
mod print_schemas;
pub mod protobuf_rows;
mod query;
pub mod records;
pub mod request;
mod socket;
pub mod state;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::limits;
use error::{HttpError, code};
use state::Server;

/// All routes.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(info::root))
        .route("/info", get(info::info))
        .route("/healthcheck", get(info::healthcheck))
        .route("/status", get(info::statuses))
        .route("/status/{kind}/{entity}/{action}", get(info::status))
        .route("/is_valid_property/{name}", get(info::valid_property))
        .route("/v1/metadata", get(info::metadata))
        .route("/v1/metadata/id", get(info::metadata_id))
        .route("/chc/live", get(info::alive))
        .route("/chc/ready", get(info::alive))
        .route("/ksql", post(ksql::ksql))
        .route("/query", post(query::query))
        .route("/query-stream", post(query::query_stream))
        .route("/close-query", post(query::close_query))
        .route("/inserts-stream", post(inserts::inserts_stream))
        .route("/ws/query", get(socket::query))
        .route("/millrace/topics/{topic}/records", post(records::load))
        .fallback(not_found)
        .with_state(server)
}

async fn not_found() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "Not Found")
}

/// Serves until `stop` is ready, then ends push queries and waits a bounded time for connections.
pub async fn serve(listener: TcpListener, server: Arc<Server>, stop: impl Future<Output = ()>) {
    let (stopped, seen) = watch::channel(false);
    let serving = connections::serve(listener, router(Arc::clone(&server)), seen);
    let stopping = async {
        stop.await;
        server.stop();
        stopped.send_replace(true);
    };
    tokio::join!(serving, stopping);
}

/// Waits until this node has applied the command that the client saw last. May block.
fn await_command(server: &Server, sequence: Option<i64>) -> Result<(), HttpError> {
    let Some(sequence) = sequence.filter(|s| *s >= 0) else { return Ok(()) };
    let wait = server.config.command_wait.min(limits::COMMAND_WAIT * 12);
    if server.api.await_command(sequence, wait) {
        return Ok(());
    }
    let message = format!(
        "Timed out after {} ms while waiting for command {sequence} to be applied",
        wait.as_millis()
    );
    Err(HttpError::new(code::COMMAND_WAIT, message))
}

#[cfg(test)]
mod tests;
