//! The small GETs: who the server is, how it is, what became of commands.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};

use super::error::{HttpError, code};
use super::state::Server;
use crate::config::{is_valid_property, known};
use crate::limits;

type Answer = Result<Json<Value>, HttpError>;

/// `GET /`: to `/info`.
pub async fn root() -> impl IntoResponse {
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/info")])
}

/// `GET /info`: ksqlDB's members, and ours under `millrace`.
pub async fn info(State(server): State<Arc<Server>>) -> Answer {
    server.call(|server| Ok(Json(info_body(server)))).await
}

fn info_body(server: &Server) -> Value {
    let identity = server.api.identity();
    let status = match (server.is_stopping(), server.api.ready()) {
        (true, _) => "TERMINATING",
        (false, Ok(())) => "RUNNING",
        (false, Err(_)) => "INITIALIZING",
    };
    json!({
        "KsqlServerInfo": {
            "version": identity.version,
            "kafkaClusterId": identity.cluster_id,
            "ksqlServiceId": identity.service_id,
            "serverStatus": status,
        },
        "millrace": {
            "version": env!("CARGO_PKG_VERSION"),
            "pushQueries": server.pushes.len(),
            "settings": settings(server),
        },
    })
}

/// Limits and effective settings; secrets are hidden.
fn settings(server: &Server) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in limits::effective() {
        all.insert(name.to_string(), json!(value));
    }
    let push_max = json!(server.config.push_queries_max);
    all.insert("millrace.limits.push.queries".to_string(), push_max);
    if server.config.bootstrap_servers.is_some() {
        let kafka = millrace_connectors::kafka::limits();
        all.extend(kafka.into_iter().map(|(n, v)| (format!("millrace.kafka.{n}"), json!(v))));
    }
    // The engine's own: limits, and what sessions start with.
    for (name, value) in server.api.settings() {
        all.insert(name, json!(value));
    }
    for (name, setting) in &server.config.settings {
        all.insert(name.clone(), json!(known::shown(name, &setting.value)));
    }
    all
}

/// `GET /healthcheck`: always 200, the body tells.
pub async fn healthcheck(State(server): State<Arc<Server>>) -> Answer {
    let body = server.call(|server| {
        let health = server.health();
        let part = |healthy: bool| json!({ "isHealthy": healthy });
        let healthy = health.metastore && health.log && health.command_runner;
        let mut details = json!({
            "metastore": part(health.metastore),
            "kafka": part(health.log),
            "commandRunner": part(health.command_runner),
        });
        // Queries go on without it, so it makes no server unhealthy.
        if let Some(answers) = health.schema_registry {
            details["schemaRegistry"] = part(answers);
        }
        Ok(Json(json!({
            "isHealthy": healthy,
            "details": details,
            "serverState": if healthy { "READY" } else { "NOT_READY" },
            "millrace": { "reasons": health.reasons },
        })))
    });
    body.await
}

/// `GET /status`.
pub async fn statuses(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({ "commandStatuses": server.statuses.all() }))
}

/// `GET /status/{type}/{entity}/{action}`.
pub async fn status(
    State(server): State<Arc<Server>>,
    Path((kind, entity, action)): Path<(String, String, String)>,
) -> Answer {
    let id = format!("{kind}/{}/{action}", entity.replace('`', ""));
    let status = server.statuses.get(&id);
    status.map(Json).ok_or_else(|| HttpError::new(code::NOT_FOUND, "Command not found"))
}

/// `GET /is_valid_property/{name}`.
pub async fn valid_property(Path(name): Path<String>) -> Answer {
    if is_valid_property(&name) {
        return Ok(Json(json!(true)));
    }
    let hint = known::nearest(&name).map(|n| format!(" Did you mean '{n}'?")).unwrap_or_default();
    let message = format!(
        "Not recognizable as ksql, streams, consumer, or producer property: '{name}'.{hint}"
    );
    Err(HttpError::bad_request(message))
}

/// `GET /v1/metadata`.
pub async fn metadata(State(server): State<Arc<Server>>) -> Answer {
    server
        .call(|server| {
            let identity = server.api.identity();
            let cluster = cluster_id(server);
            Ok(Json(json!({ "version": identity.version, "clusterId": cluster })))
        })
        .await
}

/// `GET /v1/metadata/id`.
pub async fn metadata_id(State(server): State<Arc<Server>>) -> Answer {
    server.call(|server| Ok(Json(cluster_id(server)))).await
}

fn cluster_id(server: &Server) -> Value {
    let identity = server.api.identity();
    let clusters =
        json!({ "kafka-cluster": identity.cluster_id, "ksql-cluster": identity.service_id });
    json!({ "scope": { "path": [], "clusters": clusters }, "id": "" })
}

/// `GET /chc/live` and `GET /chc/ready`.
pub async fn alive() -> Json<Value> {
    Json(json!({}))
}
