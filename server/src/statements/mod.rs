//! Statements of a request: validated as a whole in a sandbox, then run one by one.

mod asserts;
mod entity;
mod lists;
mod queries;
mod session;
mod sinks;
mod sources;
mod split;

pub use entity::result_field as column_entity;
pub use session::{Session, at_name};
pub use split::{Part, split};

use millrace_engine::api::{ApiError, ExplainTarget};
use millrace_sql::ast::{Describe, QueryTarget, Show, Statement};
use millrace_sql::catalog::{Catalog, SourceKind};
use millrace_sql::error::SqlError;
use serde_json::{Value, json};

use crate::config::guarantee_note;
use crate::http::error::{HttpError, code};
use crate::http::state::Server;

/// Runs all statements of a `/ksql` request; an entity for each statement that yields one.
///
/// # Errors
/// The first statement that cannot be accepted: then nothing has run. A statement that fails while
/// running carries the entities of those before it.
pub fn run(server: &Server, sql: &str, session: Session) -> Result<Vec<Value>, HttpError> {
    let parts = split(sql, &session)?;
    if let Some(part) = parts.iter().find(|part| asks_service(&part.statement)) {
        server.api.ready().map_err(|e| HttpError::from_api(&part.text, e))?;
    }
    validate(server, &parts, session.clone())?;
    let mut session = session;
    let mut entities = Vec::new();
    for part in &parts {
        match execute(server, part, &mut session) {
            Ok(entity) => entities.extend(entity),
            Err(mut error) => {
                error.entities = entities;
                return Err(error);
            }
        }
    }
    Ok(entities)
}

/// Checks all statements against a copy of the catalog that changes as if each had run.
fn validate(server: &Server, parts: &[Part], mut session: Session) -> Result<(), HttpError> {
    let mut sandbox = (*server.api.catalog()).clone();
    for part in parts {
        validate_one(server, part, &mut sandbox, &mut session)?;
    }
    Ok(())
}

fn validate_one(
    server: &Server,
    part: &Part,
    sandbox: &mut Catalog,
    session: &mut Session,
) -> Result<(), HttpError> {
    let text = &part.text;
    match &part.statement {
        Statement::Query(_) | Statement::Print(_) => Err(query_endpoint(text)),
        Statement::InsertValues(_) => {
            let valid = server.api.validate(sandbox, text, &session.properties);
            valid.map_err(|e| insert_error(part, e))
        }
        Statement::Describe(Describe::Source { name, .. }) => {
            known_source(sandbox, &name.value, part).map(|_| ())
        }
        Statement::Terminate(QueryTarget::Id(id)) if server.pushes.has(&id.value) => Ok(()),
        Statement::Describe(Describe::Sink { name, .. }) => {
            sinks::known(sandbox, &name.value, text)
        }
        statement if is_session(statement) => session.apply(part),
        statement if is_distributed(statement) => server
            .api
            .validate(sandbox, text, &session.properties)
            .map_err(|e| HttpError::from_api(text, e)),
        statement => supported(statement, &part.masked()),
    }
}

fn execute(
    server: &Server,
    part: &Part,
    session: &mut Session,
) -> Result<Option<Value>, HttpError> {
    let text = part.text.as_str();
    match &part.statement {
        Statement::InsertValues(_) => {
            let done = server.api.insert_values(text, &session.properties);
            done.map_err(|e| insert_error(part, e))?;
            Ok(None)
        }
        Statement::Terminate(QueryTarget::Id(id)) if server.pushes.has(&id.value) => {
            let stopped = server.pushes.stop(&id.value);
            let members = json!({ "queryId": id.value, "wasTerminated": stopped });
            Ok(Some(entity::entity("terminate_query", text, members)))
        }
        statement if is_session(statement) => session.apply(part).map(|()| None),
        statement if is_distributed(statement) => distributed(server, part, session).map(Some),
        statement => introspect(server, statement, text, session).map(Some),
    }
}

/// Values stay out of errors, save where the message itself needs one.
fn insert_error(part: &Part, error: ApiError) -> HttpError {
    let masked = part.masked();
    match error {
        ApiError::Statement { error, .. } => {
            let hint = error.hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            HttpError::refused(&masked, format!("{}{hint}", error.message))
        }
        error => HttpError::from_api(&masked, error),
    }
}

fn distributed(server: &Server, part: &Part, session: &Session) -> Result<Value, HttpError> {
    let text = part.text.as_str();
    let done = server.api.execute(text, &session.properties);
    let done = done.map_err(|e| HttpError::from_api(text, e))?;
    server.statuses.succeeded(&done);
    let mut out = entity::executed(text, &done);
    let guarantee = session.properties.get("processing.guarantee").map(String::as_str);
    if let Some(note) = guarantee_note(guarantee) {
        entity::warn(&mut out, note);
    }
    Ok(out)
}

fn introspect(
    server: &Server,
    statement: &Statement,
    text: &str,
    session: &Session,
) -> Result<Value, HttpError> {
    let api = server.api.as_ref();
    let properties = &session.properties;
    match statement {
        Statement::Show(show) => self::show(server, show, text, session),
        Statement::Describe(describe) => self::describe(server, describe, text),
        Statement::ExplainQuery(id) => {
            let target = ExplainTarget::Query(&id.value);
            let explained = queries::explain(api, &server.host, text, target, properties);
            explained.map_err(|e| match e.code {
                code::BAD_STATEMENT => {
                    let hint = "SHOW QUERIES lists the ids of queries";
                    let error = SqlError::invalid(e.message).hint(hint);
                    HttpError::statement(text, &at_name(text, &id.value, error))
                }
                _ => e,
            })
        }
        Statement::ExplainStatement(_) => {
            let target = ExplainTarget::Statement(split::after_explain(text));
            queries::explain(api, &server.host, text, target, properties)
        }
        Statement::AssertTopic(assert) => asserts::topic(api, assert, text),
        Statement::AssertSchema(assert) => asserts::schema(api, assert, text),
        other => Err(refusal(other, text)),
    }
}

fn show(server: &Server, show: &Show, text: &str, session: &Session) -> Result<Value, HttpError> {
    let api = server.api.as_ref();
    let kind = |stream: bool| if stream { SourceKind::Stream } else { SourceKind::Table };
    Ok(match show {
        Show::Topics { all, extended } => lists::topics(api, text, *all, *extended)?,
        Show::Streams { extended: false } => sources::list(&api.catalog(), kind(true), text),
        Show::Tables { extended: false } => sources::list(&api.catalog(), kind(false), text),
        Show::Streams { .. } => sources::describe_all(api, kind(true), text, true),
        Show::Tables { .. } => sources::describe_all(api, kind(false), text, true),
        Show::Queries { extended: false } => queries::list(api, text),
        Show::Queries { .. } => queries::list_extended(api, &server.host, text),
        Show::Functions => lists::functions(text),
        Show::Sinks => sinks::list(api, text)?,
        Show::Types => lists::types(&api.catalog(), text),
        Show::Variables => lists::variables(&session.variables, text),
        Show::Properties => lists::properties(api, &server.config, &session.properties, text),
        Show::Connectors(_) | Show::ConnectorPlugins => return Err(no_connect(text)),
    })
}

fn describe(server: &Server, describe: &Describe, text: &str) -> Result<Value, HttpError> {
    let api = server.api.as_ref();
    match describe {
        Describe::Source { name, extended } => {
            let catalog = api.catalog();
            let source = catalog.source(&name.value);
            let source = source.ok_or_else(|| unknown_source(&catalog, &name.value, text))?;
            Ok(sources::describe(api, source, text, *extended))
        }
        Describe::Streams { extended } => {
            Ok(sources::describe_all(api, SourceKind::Stream, text, *extended))
        }
        Describe::Tables { extended } => {
            Ok(sources::describe_all(api, SourceKind::Table, text, *extended))
        }
        Describe::Sink { name, extended } => sinks::describe(api, &name.value, *extended, text),
        Describe::Function(name) => lists::describe_function(&name.value, text),
        Describe::Connector(_) => Err(no_connect(text)),
    }
}

/// Statements that go through the command topic.
fn is_distributed(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateSource(_)
            | Statement::CreateAs(_)
            | Statement::InsertInto(_)
            | Statement::DropSource(_)
            | Statement::AlterSource { .. }
            | Statement::CreateType { .. }
            | Statement::DropType { .. }
            | Statement::CreateSink(_)
            | Statement::DropSink(_)
            | Statement::Terminate(_)
            | Statement::Pause(_)
            | Statement::Resume(_)
    )
}

/// Statements that change only what the rest of the request sees.
fn is_session(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Set { .. }
            | Statement::Unset { .. }
            | Statement::Define { .. }
            | Statement::Undefine { .. }
    )
}

/// Statements whose answer is the service's: before it has read its catalog it has none.
fn asks_service(statement: &Statement) -> bool {
    let of_server = matches!(
        statement,
        Statement::Show(Show::Functions | Show::Variables | Show::Properties)
            | Statement::Show(Show::Connectors(_) | Show::ConnectorPlugins)
            | Statement::Describe(Describe::Function(_) | Describe::Connector(_))
    );
    !of_server && !is_session(statement)
}

fn supported(statement: &Statement, text: &str) -> Result<(), HttpError> {
    match statement {
        Statement::Show(Show::Connectors(_) | Show::ConnectorPlugins)
        | Statement::Describe(Describe::Connector(_)) => Err(no_connect(text)),
        Statement::Show(_)
        | Statement::AssertTopic(_)
        | Statement::AssertSchema(_)
        | Statement::Describe(_)
        | Statement::ExplainQuery(_)
        | Statement::ExplainStatement(_) => Ok(()),
        other => Err(refusal(other, text)),
    }
}

fn refusal(statement: &Statement, text: &str) -> HttpError {
    if let Statement::CreateConnector(_) | Statement::DropConnector { .. } = statement {
        return no_connect(text);
    }
    refused(
        match statement {
            Statement::AlterSystem { .. } => "ALTER SYSTEM",
            Statement::RunScript { .. } => {
                return HttpError::refused(text, "RUN SCRIPT is a command of the CLI").about(text);
            }
            Statement::AssertValues(_) | Statement::AssertTombstone(_) => "ASSERT VALUES",
            Statement::AssertSource(_) => "ASSERT STREAM and ASSERT TABLE",
            _ => "this statement",
        },
        text,
    )
}

/// Connectors run in Kafka Connect; this server has none.
fn no_connect(text: &str) -> HttpError {
    let message = "Connectors are not available: this server is not connected to a Kafka Connect \
                   cluster. Ask Kafka Connect itself, at its own REST API.";
    HttpError::refused(text, message)
}

fn refused(what: &str, text: &str) -> HttpError {
    HttpError::statement(text, &SqlError::not_supported(what))
}

fn known_source(catalog: &Catalog, name: &str, part: &Part) -> Result<(), HttpError> {
    match catalog.source(name) {
        Some(_) => Ok(()),
        None => Err(unknown_source(catalog, name, &part.masked())),
    }
}

fn unknown_source(catalog: &Catalog, name: &str, text: &str) -> HttpError {
    let like = catalog.sources.keys().find(|n| n.eq_ignore_ascii_case(name));
    let hint = match like {
        Some(like) => format!("\nhint: did you mean `{like}`? Quoted names keep their case."),
        None => "\nhint: SHOW STREAMS and SHOW TABLES list what there is.".to_string(),
    };
    HttpError::refused(text, format!("Could not find STREAM/TABLE '{name}' in the Metastore{hint}"))
}

fn query_endpoint(text: &str) -> HttpError {
    let message = "SELECT and PRINT must be sent to the endpoint '/query' or '/query-stream'";
    HttpError::new(code::QUERY_ENDPOINT, message).about(text)
}
