//! Which push queries follow only what is new.

use std::sync::Arc;

use super::settings::Settings;
use super::tree;
use crate::ast::{Emit, Expr, ExprKind, Query, SelectItem};
use crate::catalog::{Catalog, QueryInfo, pseudo};

/// The source of a push query of the second kind: one source that one persistent query writes, read
/// from now on, filtered and projected and nothing else.
pub fn scalable_source<'a>(
    query: &'a Query,
    catalog: &Catalog,
    settings: &Settings,
) -> Option<&'a str> {
    let name = query.from.first.name.value.as_str();
    // A query that keeps a read-only table writes nothing.
    let writes = |q: &&Arc<QueryInfo>| q.writes == name && !q.reads.iter().any(|r| r == name);
    let writers = catalog.queries.values().filter(writes).count();
    let latest = settings.get("auto.offset.reset").is_none_or(|r| r.eq_ignore_ascii_case("latest"));
    let scalable = settings.is_on("ksql.query.push.v2.enabled", false)
        && query.emit == Some(Emit::Changes)
        && query.from.joins.is_empty()
        && query.from.first.subquery.is_none()
        && query.union_all.is_empty()
        && query.group_by.is_empty()
        && query.window.is_none()
        && query.having.is_none()
        && query.partition_by.is_empty()
        && latest
        && writers == 1
        && !names_positions(query);
    scalable.then_some(name)
}

/// ROWPARTITION and ROWOFFSET are the topic's, not the row's.
fn names_positions(query: &Query) -> bool {
    let is_position = |e: &Expr| {
        let ExprKind::Column { name, .. } = &e.kind else { return false };
        [pseudo::ROWPARTITION, pseudo::ROWOFFSET].contains(&name.value.as_str())
    };
    let selected = query.items.iter().filter_map(|item| match item {
        SelectItem::Expr { expr, .. } => Some(expr),
        _ => None,
    });
    selected.chain(&query.filter).any(|expr| tree::any(expr, &is_position))
}
