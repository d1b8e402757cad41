//! From a syntax tree, the catalog and the session's settings to something checked: new sources
//! and plans, in ksqlDB's rules and words. Pure: topics, ids and records are the engine's.
//!
//! [`analyze`] is the way in; the files below follow the order in which rows flow.

use std::sync::Arc;

use datafusion::common::{Column as DfColumn, DataFusionError};
use datafusion::logical_expr::Expr as DfExpr;

use crate::ast::{Expr, ExprKind, Ident, Query, QueryTarget, Show, Statement};
use crate::catalog::{Catalog, Source};
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::plan::QueryPlan;
use crate::types::SqlType;

mod aggregate;
mod aggregate_checks;
mod aggregate_state;
mod alter;
mod checks;
mod create;
mod custom_types;
mod drop;
mod exists;
mod flat_map;
mod formats;
mod insert;
mod items;
mod join;
mod join_on;
mod join_plan;
mod join_rest;
mod join_words;
mod keys;
mod lambdas;
mod names;
mod olap;
mod olap_change;
mod pull;
mod pull_join;
mod pull_keys;
mod pull_order;
mod pull_select;
mod push;
mod query;
mod replace;
mod row_ttl;
mod sanitized;
mod scan;
mod schema_spec;
mod schemas;
mod scope;
mod settings;
mod sink;
mod subquery;
#[cfg(test)]
mod tests;
mod text;
mod times;
mod tree;
pub(crate) mod typing;
mod union;
mod windows;
mod with;

pub use formats::Side;
pub use olap::{DropSinkPlan, NewSink, sink_plan};
pub use olap_change::{SinkChange, following};
pub use pull::{Above, PullPlan, above_store};
pub use push::scalable_source;
pub use sanitized::sanitized;
pub use schemas::{Inference, check_registered, inferences, with_columns};
pub use settings::{EXTENSIONS, IDLE_CLOSE, Settings};
pub use sink::kept_table;

use query::Purpose;
use typing::{Names, typed};

/// A checked statement.
#[derive(Debug, Clone)]
pub enum Analyzed {
    CreateSource(Box<NewSource>),
    CreateAs(Box<NewQuery>),
    InsertInto(Box<InsertQuery>),
    InsertValues(Box<InsertRow>),
    Drop(DropPlan),
    CreateSink(Box<NewSink>),
    /// CREATE OR REPLACE SINK of a table that stays.
    AlterSink(Box<SinkChange>),
    DropSink(DropSinkPlan),
    /// The source with its new columns.
    AlterSource(Box<Source>),
    CreateType(NewType),
    /// The name of the type.
    DropType(String),
    Terminate(QueryTarget),
    Pause(QueryTarget),
    Resume(QueryTarget),
    /// `SELECT ... EMIT CHANGES`.
    Push(Box<QueryPlan>),
    /// A SELECT without EMIT over a materialised table.
    Pull(Box<PullPlan>),
    /// A SELECT without EMIT over a stream: a scan from its beginning to its end as of now.
    PullStream(Box<QueryPlan>),
    Explain(Box<Analyzed>),
    /// EXPLAIN of a query's id.
    ExplainQuery(String),
    /// IF [NOT] EXISTS: it was so already.
    Nothing(NothingToDo),
    /// SHOW, DESCRIBE, PRINT, SET, UNSET, DEFINE, UNDEFINE: answered without a plan.
    Local(Box<Statement>),
}

/// `CREATE STREAM|TABLE` over a topic.
#[derive(Debug, Clone)]
pub struct NewSource {
    /// `partitions` is 0 where the statement does not say: the topic must exist and says it.
    pub source: Source,
    /// The topic that the statement makes if it is missing; one that exists must have as many
    /// partitions.
    pub create_topic: Option<TopicWish>,
    pub if_not_exists: bool,
    pub or_replace: bool,
}

/// How a topic is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicWish {
    pub partitions: u32,
    /// `None`: the broker's default, or the source's for a sink.
    pub replicas: Option<u32>,
    /// -1 keeps records for ever. `None`: the default.
    pub retention_ms: Option<i64>,
    /// A default is no shorter than this: how long the windows of the result are kept.
    pub retention_min_ms: Option<i64>,
}

/// `CREATE STREAM|TABLE ... AS SELECT`.
#[derive(Debug, Clone)]
pub struct NewQuery {
    /// Its `query` is the engine's to set.
    pub source: Source,
    /// The root is a `SinkNode` that holds `source`.
    pub plan: QueryPlan,
    pub topic: TopicWish,
    pub if_not_exists: bool,
    /// OR REPLACE: the source of that name, which goes on as this one.
    pub replaces: Option<Arc<Source>>,
}

/// `INSERT INTO ... SELECT`.
#[derive(Debug, Clone)]
pub struct InsertQuery {
    pub target: Arc<Source>,
    pub plan: QueryPlan,
    /// `WITH (QUERY_ID = ...)`.
    pub query_id: Option<String>,
}

/// `INSERT INTO ... VALUES`: one row of constant expressions.
#[derive(Debug, Clone)]
pub struct InsertRow {
    pub target: Arc<Source>,
    /// One per column of the target, in declared order, each of exactly the column's Arrow type.
    pub values: Vec<DfExpr>,
    /// Milliseconds (BIGINT), if the statement sets the record's time.
    pub rowtime: Option<DfExpr>,
}

/// `DROP STREAM|TABLE`.
#[derive(Debug, Clone)]
pub struct DropPlan {
    pub source: Arc<Source>,
    pub delete_topic: bool,
    /// The query that made the source and ends with it.
    pub terminates: Option<String>,
}

/// `CREATE TYPE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewType {
    pub name: String,
    pub ty: SqlType,
}

/// Why a statement has nothing to do; shown as a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NothingToDo {
    pub message: String,
}

/// Checks a statement. `text` is its canonical SQL, kept with new sources.
///
/// # Errors
/// Whatever the language or this version refuses, with the place in the statement where known.
pub fn analyze(
    statement: &Statement,
    text: &str,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Analyzed> {
    let expanded = custom_types::expand(statement, &catalog.types)?;
    subquery::check_switch(statement, settings)?;
    match expanded.as_ref().unwrap_or(statement) {
        Statement::Query(query) => analyze_query(query, catalog, settings),
        Statement::CreateSource(create) => create::create_source(create, text, catalog, settings),
        Statement::CreateAs(create) => sink::create_as(create, text, catalog, settings),
        Statement::InsertInto(insert) => insert::insert_into(insert, catalog, settings),
        Statement::InsertValues(insert) => insert::insert_values(insert, catalog, settings),
        Statement::DropSource(drop) => drop::drop_source(drop, catalog),
        Statement::CreateSink(create) => olap::create_sink(create, text, catalog),
        Statement::DropSink(drop) => olap::drop_sink(drop, catalog),
        Statement::AlterSource { kind, name, columns } => {
            alter::alter(*kind, name, columns, catalog)
        }
        Statement::CreateType { if_not_exists, name, ty } => {
            custom_types::create(name, ty, *if_not_exists, catalog)
        }
        Statement::DropType { if_exists, name } => {
            custom_types::drop_type(name, *if_exists, catalog)
        }
        Statement::Terminate(target) => Ok(Analyzed::Terminate(target.clone())),
        Statement::Pause(target) => Ok(Analyzed::Pause(target.clone())),
        Statement::Resume(target) => Ok(Analyzed::Resume(target.clone())),
        Statement::ExplainStatement(inner) => {
            Ok(Analyzed::Explain(Box::new(analyze(inner, text, catalog, settings)?)))
        }
        Statement::ExplainQuery(id) => Ok(Analyzed::ExplainQuery(id.value.clone())),
        other => match unsupported(other) {
            Some(what) => Err(SqlError::not_supported(what)),
            None => Ok(Analyzed::Local(Box::new(other.clone()))),
        },
    }
}

fn analyze_query(query: &Query, catalog: &Catalog, settings: &Settings) -> Result<Analyzed> {
    if query.emit.is_none() {
        return pull::pull(query, catalog, settings);
    }
    let selected = union::select_all(query, catalog, settings, Purpose::Push)?;
    Ok(Analyzed::Push(Box::new(selected.into_plan())))
}

/// Names a statement that this version refuses.
fn unsupported(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::CreateConnector(_) | Statement::DropConnector { .. } => Some("A connector"),
        Statement::AlterSystem { .. } => Some("ALTER SYSTEM"),
        Statement::RunScript { .. } => Some("RUN SCRIPT"),
        Statement::AssertValues(_) | Statement::AssertTombstone(_) | Statement::AssertSource(_) => {
            Some("ASSERT")
        }
        Statement::Show(Show::Connectors(_) | Show::ConnectorPlugins) => Some("A connector"),
        Statement::Describe(crate::ast::Describe::Connector(_)) => Some("A connector"),
        _ => None,
    }
}

/// A column by its name as it is: no dots, no folding of case.
fn column(name: &str, ty: SqlType) -> Typed {
    Typed::column(DfColumn::new_unqualified(name), ty)
}

/// A resolved column reference.
fn qualified(source: &str, name: &str) -> Expr {
    let kind = ExprKind::Column { source: Some(Ident::new(source)), name: Ident::new(name) };
    Expr::new(kind, crate::error::Span::default())
}

/// A condition of WHERE or HAVING.
///
/// # Errors
/// Type errors, in ksqlDB's words for this clause.
fn predicate(expr: &Expr, names: &dyn Names, clause: &str, shown: &str) -> Result<Typed> {
    let value = typed(expr, names)
        .map_err(|e| typing::prefixed(&format!("Error in {clause} expression"), e))?;
    if value.ty == Some(SqlType::Boolean) {
        return Ok(value);
    }
    let ty = value.ty.map_or("null".to_string(), |t| t.to_string());
    let message = format!(
        "Type error in {clause} expression: Should evaluate to boolean but is {shown} ({ty}) \
         instead."
    );
    Err(SqlError::invalid(message).at(expr.span()))
}

/// DataFusion refused a plan; only clashing names of columns can make it so.
fn internal_error(error: DataFusionError) -> SqlError {
    SqlError::invalid(format!("The plan cannot be built: {}", error.strip_backtrace()))
}
