//! INSERT INTO ... SELECT and INSERT INTO ... VALUES.

use std::sync::Arc;

use datafusion::logical_expr::Expr as DfExpr;
use datafusion::scalar::ScalarValue;

use super::exists::kind_name;
use super::query::{Purpose, Selected, projection};
use super::settings::Settings;
use super::sink::persistent_plan;
use super::typing::{Constants, typed};
use super::with::{self, With};
use super::{
    Analyzed, InsertQuery, InsertRow, column, formats, internal_error, names, text, union,
};
use crate::ast::{Expr, ExprKind, Ident, InsertInto, InsertValues, Literal};
use crate::catalog::{Catalog, Column, ColumnRole, Source, SourceKind, pseudo};
use crate::error::{Result, SqlError};
use crate::expr::{Typed, ops};
use crate::plan::{QueryPlan, ResultKind};
use crate::suggest;
use crate::types::SqlType;

/// # Errors
/// A target that takes no queries, and results that do not fit it.
pub(super) fn insert_into(
    insert: &InsertInto,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Analyzed> {
    let target = target(&insert.name, catalog)?;
    if target.kind == SourceKind::Table {
        let message = format!(
            "INSERT INTO can only be used to insert into a stream. {} is a table.",
            target.name
        );
        return Err(SqlError::invalid(message).at(insert.name.span()));
    }
    if target.read_only {
        let message = format!("Cannot insert into read-only stream: {}", target.name);
        return Err(SqlError::invalid(message).at(insert.name.span()));
    }
    if has_headers(&target) {
        let message = format!("Cannot insert into {} because it has header columns", target.name);
        return Err(SqlError::invalid(message).at(insert.name.span()));
    }
    if insert.query.limit.is_some() {
        let message = "INSERT INTO statements don't support LIMIT clause.";
        return Err(SqlError::invalid(message).at(insert.query.loc.0));
    }
    let with = With::new(&insert.properties, with::INSERT_INTO)?;
    let query_id = with.text("QUERY_ID")?.map(|id| query_id(&id, &with, catalog)).transpose()?;
    let purpose = Purpose::Persistent { sink: &target.name, verb: "INSERT INTO" };
    let (first, others) = union::branches(&insert.query, catalog, settings, purpose)?;
    let fitted = |selected| fitted(selected, &target).map_err(|e| e.at(insert.name.span()));
    let first = fitted(first)?;
    let others = others.into_iter().map(fitted).collect::<Result<_>>()?;
    let plan = persistent_plan(union::unite(first, others), target.clone());
    let plan = QueryPlan { idle_close_ms: settings.idle_close_ms()?, ..plan };
    Ok(Analyzed::InsertInto(Box::new(InsertQuery { target, plan, query_id })))
}

/// What one SELECT gives, as the target takes it.
fn fitted(selected: Selected, target: &Source) -> Result<Selected> {
    if selected.kind == ResultKind::Table {
        let message = format!(
            "Incompatible data sink and query result. Data sink ({}) type is KSTREAM but select \
             query result is KTABLE.",
            target.name
        );
        return Err(SqlError::invalid(message).hint("a table is not inserted into a stream"));
    }
    if selected.window != target.window {
        let message = format!(
            "Incompatible windows: the key of the result and the key of {} differ in their window",
            target.name
        );
        return Err(SqlError::invalid(message));
    }
    fit(selected, target)
}

fn target(name: &Ident, catalog: &Catalog) -> Result<Arc<Source>> {
    catalog.source(&name.value).cloned().ok_or_else(|| {
        let message = format!("Source `{}` does not exist.", name.value);
        SqlError::invalid(message).at(name.span())
    })
}

fn has_headers(source: &Source) -> bool {
    source.columns.iter().any(|c| matches!(c.role, ColumnRole::Headers(_)))
}

/// A query's name as the user wants it.
fn query_id(wish: &str, with: &With<'_>, catalog: &Catalog) -> Result<String> {
    const TAKEN: [&str; 4] = ["INSERTQUERY_", "CTAS_", "CSAS_", "CST_"];
    let id = wish.to_uppercase();
    let refuse = |message: String| Err(with.located("QUERY_ID", SqlError::invalid(message)));
    if TAKEN.iter().any(|prefix| id.starts_with(prefix)) {
        return refuse(format!(
            "Query IDs must not start with a reserved query ID prefix ({}). Got '{id}'.",
            TAKEN.join(", ")
        ));
    }
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return refuse(format!(
            "Query IDs may contain only alphanumeric characters and '_'. Got: '{id}'"
        ));
    }
    if catalog.queries.contains_key(&id) {
        return refuse(format!("Query ID '{id}' already exists."));
    }
    Ok(id)
}

/// Casts and orders the result's columns as the target declares them.
fn fit(selected: Selected, target: &Source) -> Result<Selected> {
    let incompatible = || {
        let all = |columns: &[Column]| {
            let keys = columns.iter().filter(|c| c.role == ColumnRole::Key);
            let values = columns.iter().filter(|c| c.role != ColumnRole::Key);
            formats::describe(&keys.chain(values).collect::<Vec<_>>())
        };
        SqlError::invalid(format!(
            "Incompatible schema between results and sink.\nResult schema is {}\nSink schema is {}",
            all(&selected.columns),
            all(&target.columns)
        ))
    };
    if selected.columns.len() != target.columns.len() {
        return Err(incompatible());
    }
    let mut results = [ColumnRole::Key, ColumnRole::Value]
        .map(|role| selected.columns.iter().filter(move |c| c.role == role));
    let mut projected = Vec::new();
    for wanted in &target.columns {
        let side = usize::from(wanted.role != ColumnRole::Key);
        let got = results[side].next().filter(|got| got.name == wanted.name);
        let got = got.ok_or_else(incompatible)?;
        let value = column(&got.name, got.ty.clone());
        let value = ops::implicit_cast(value, &wanted.ty).map_err(|_| incompatible())?;
        projected.push((value, wanted.name.clone()));
    }
    if target.window.is_some() {
        for bound in [pseudo::WINDOWSTART, pseudo::WINDOWEND] {
            projected.push((column(bound, SqlType::Bigint), bound.to_string()));
        }
    }
    let is_key = |c: &Column| c.role == ColumnRole::Key;
    let key = (0..target.columns.len()).filter(|i| is_key(&target.columns[*i])).collect();
    let same =
        projected.iter().zip(selected.plan.schema().fields()).all(|((value, name), field)| {
            field.name() == name && matches!(&value.expr, DfExpr::Column(c) if c.name == *name)
        });
    let plan = if same { selected.plan } else { projection(selected.plan, projected)? };
    Ok(Selected { plan, columns: target.columns.clone(), key, ..selected })
}

/// # Errors
/// A target that takes no rows, and values that do not fit its columns.
pub(super) fn insert_values(
    insert: &InsertValues,
    catalog: &Catalog,
    settings: &Settings,
) -> Result<Analyzed> {
    settings.require(
        "ksql.insert.into.values.enabled",
        "The server has disabled INSERT INTO ... VALUES functionality. To enable it, restart your \
         ksqlDB server with 'ksql.insert.into.values.enabled'=true",
    )?;
    let target = values_target(&insert.name, catalog)?;
    check_headers(insert, &target)?;
    let listed = listed_columns(insert, &target)?;
    let mut rowtime = None;
    let mut values: Vec<Option<DfExpr>> = vec![None; target.columns.len()];
    for (listed, value) in listed.iter().zip(&insert.values) {
        match listed {
            Listed::Rowtime => {
                rowtime = Some(coerced(value, &SqlType::Bigint, pseudo::ROWTIME, &target)?);
            }
            Listed::Column(i) => {
                let Column { name, ty, .. } = &target.columns[*i];
                values[*i] = Some(coerced(value, ty, name, &target)?);
            }
        }
    }
    check_keys(&values, &target).map_err(|e| e.at(insert.name.span()))?;
    let values = values.into_iter().zip(&target.columns).map(|(value, column)| match value {
        Some(value) => Ok(value),
        None => null(&column.ty),
    });
    let values = values.collect::<Result<_>>()?;
    Ok(Analyzed::InsertValues(Box::new(InsertRow { target, values, rowtime })))
}

fn values_target(name: &Ident, catalog: &Catalog) -> Result<Arc<Source>> {
    let Some(target) = catalog.source(&name.value) else {
        let mut message =
            format!("Cannot insert values into an unknown stream/table: `{}`", name.value);
        let known = catalog.sources.keys().map(String::as_str);
        if let Some(near) = suggest::closest(&name.value, known) {
            message = format!("{message}\n{}", names::did_you_mean(name, near));
        }
        return Err(SqlError::invalid(message).at(name.span()));
    };
    if target.read_only {
        let kind = kind_name(target.kind);
        let message = format!("Cannot insert values into read-only {kind}: {}", target.name);
        return Err(SqlError::invalid(message).at(name.span()));
    }
    if target.window.is_some() {
        let message = "Cannot insert values into windowed stream/table!";
        return Err(SqlError::invalid(message).at(name.span()));
    }
    Ok(target.clone())
}

/// Headers are not set by INSERT VALUES; a statement that names other columns may leave them out.
fn check_headers(insert: &InsertValues, target: &Source) -> Result<()> {
    let listed = |name: &str| insert.columns.iter().any(|column| column.value == name);
    let headers: Vec<&str> = target
        .columns
        .iter()
        .filter(|column| matches!(column.role, ColumnRole::Headers(_)))
        .map(|column| column.name.as_str())
        .filter(|name| insert.columns.is_empty() || listed(name))
        .collect();
    if headers.is_empty() {
        return Ok(());
    }
    let message = format!("Cannot insert into HEADER columns: {}", headers.join(", "));
    Err(SqlError::invalid(message).at(insert.name.span()).hint("name the columns that get values"))
}

/// A column that INSERT VALUES sets.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Listed {
    Rowtime,
    Column(usize),
}

fn listed_columns(insert: &InsertValues, target: &Source) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for name in &insert.columns {
        let refuse = |message: String| Err(SqlError::invalid(message).at(name.span()));
        let found = match name.value.as_str() {
            pseudo::ROWTIME => Listed::Rowtime,
            other if pseudo::ALL.contains(&other) => {
                return refuse(format!("Inserting into column `{other}` is not allowed."));
            }
            other => match target.columns.iter().position(|c| c.name == other) {
                Some(i) => Listed::Column(i),
                None => return refuse(format!("Column name `{other}` does not exist.")),
            },
        };
        if listed.contains(&found) {
            return refuse(format!("Column `{}` is listed more than once.", name.value));
        }
        listed.push(found);
    }
    if insert.columns.is_empty() {
        listed.extend((0..target.columns.len()).map(Listed::Column));
    }
    if listed.len() != insert.values.len() {
        let message = format!(
            "Failed to insert values into '{}'. Expected a value for each column. Expected Columns: \
             [{}]. Got [{}]",
            target.name,
            insert.columns.iter().map(|c| format!("`{}`", c.value)).collect::<Vec<_>>().join(", "),
            insert.values.iter().map(text::sql).collect::<Vec<_>>().join(", ")
        );
        let columns = &target.columns;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let hint =
            format!("name the columns that get values; {} has {}", target.name, names.join(", "));
        return Err(SqlError::invalid(message).at(insert.name.span()).hint(hint));
    }
    Ok(listed)
}

fn coerced(value: &Expr, ty: &SqlType, name: &str, target: &Source) -> Result<DfExpr> {
    let value_typed = typed(value, &Constants)?;
    let got = value_typed.ty.as_ref().map_or("null".to_string(), SqlType::to_string);
    let shown = match &value.kind {
        ExprKind::Literal(Literal::String(text)) => text.clone(),
        _ => text::sql(value),
    };
    let made: Result<Typed> = ops::lax_coerce(value_typed, ty);
    made.map(|value| value.expr).map_err(|why| {
        let message = format!(
            "Failed to insert values into '{}'. Expected type {ty} for field `{name}` but got \
             {got}({shown}). {}",
            target.name, why.message
        );
        SqlError::invalid(message).at(value.span())
    })
}

fn check_keys(values: &[Option<DfExpr>], target: &Source) -> Result<()> {
    if target.kind == SourceKind::Stream {
        return Ok(());
    }
    let is_null = |value: &Option<DfExpr>| match value {
        None => true,
        Some(DfExpr::Literal(scalar, _)) => scalar.is_null(),
        Some(_) => false,
    };
    let missing = values
        .iter()
        .zip(&target.columns)
        .find(|(value, column)| column.role == ColumnRole::Key && is_null(value));
    let Some((_, column)) = missing else { return Ok(()) };
    Err(SqlError::invalid(format!(
        "Failed to insert values into '{}'. Value for primary key column(s) {} is required for \
         tables",
        target.name, column.name
    )))
}

fn null(ty: &SqlType) -> Result<DfExpr> {
    let null = ScalarValue::try_from(&ty.to_arrow()).map_err(internal_error)?;
    Ok(DfExpr::Literal(null, None))
}
