//! Which items of the SELECT list are the key of a persistent query's result.

use super::items::Item;
use super::scope::Scope;
use super::text;
use crate::ast::{Expr, ExprKind};
use crate::error::{Result, Span, SqlError};

/// What the key of a result is made of, in key order.
#[derive(Debug, Clone)]
pub(super) enum KeyRule {
    /// All of the source's key columns.
    Columns(Vec<Expr>),
    /// All expressions of PARTITION BY; empty for `PARTITION BY NULL`.
    Partition(Vec<Expr>),
    /// All expressions of GROUP BY.
    Group(Vec<Expr>),
    /// All key columns of the left table of a foreign-key join.
    Foreign { keys: Vec<Expr>, table: String },
    /// Any one of these columns, the first preferred.
    Join { viable: Vec<Expr>, synthetic: bool },
}

impl KeyRule {
    /// Positions of the key columns among the items, in key order; those that are missing are left
    /// out.
    pub fn find(&self, items: &[Item]) -> Vec<usize> {
        let position = |e: &Expr| items.iter().position(|i| i.expr == *e);
        match self {
            KeyRule::Join { viable, .. } => viable.iter().find_map(position).into_iter().collect(),
            _ => self.expressions().iter().filter_map(position).collect(),
        }
    }

    pub fn expressions(&self) -> &[Expr] {
        match self {
            KeyRule::Columns(list) | KeyRule::Partition(list) | KeyRule::Group(list) => list,
            KeyRule::Foreign { keys, .. } => keys,
            KeyRule::Join { viable, .. } => viable,
        }
    }

    /// True if the projection lacks a key column.
    pub fn is_missing(&self, items: &[Item]) -> bool {
        let wanted = match self {
            KeyRule::Join { .. } => 1,
            _ => self.expressions().len(),
        };
        self.find(items).len() < wanted
    }

    /// Like [`KeyRule::find`], for a query that writes `sink`.
    ///
    /// # Errors
    /// When the projection lacks a key column, or has one twice.
    pub fn require(&self, items: &[Item], sink: &str, scope: &Scope) -> Result<Vec<usize>> {
        let found = self.find(items);
        if self.is_missing(items) {
            return Err(self.missing(items, sink, scope));
        }
        for at in &found {
            let twice: Vec<&Item> = items.iter().filter(|i| i.expr == items[*at].expr).collect();
            if twice.len() > 1 {
                return Err(self.repeated(&twice, scope));
            }
        }
        Ok(found)
    }

    fn repeated(&self, twice: &[&Item], scope: &Scope) -> SqlError {
        let names = |quote: &str| {
            twice.iter().map(|i| format!("{quote}{}{quote}", i.name)).collect::<Vec<String>>()
        };
        let mut message = match self {
            KeyRule::Group(_) => format!(
                "The projection contains a key column more than once: {}.",
                list(&names("`"), "and")
            ),
            _ => {
                let mut names = names("");
                names.sort();
                format!(
                    "The projection contains a key column (`{}`) more than once, aliased as: {}.",
                    text::internal(&twice[0].expr, scope),
                    list(&names, "and")
                )
            }
        };
        message.push_str(
            "\nEach key column must only be in the projection once. If you intended to copy the key \
             into the value, then consider using the AS_VALUE function to indicate which key \
             reference should be copied.",
        );
        SqlError::invalid(message).at(twice[1].span)
    }

    fn missing(&self, items: &[Item], sink: &str, scope: &Scope) -> SqlError {
        if let KeyRule::Foreign { keys, table } = self {
            return missing_foreign(keys, table, items);
        }
        let (what, list, example) = self.describe_missing(items, scope);
        let mut message = format!(
            "Key missing from projection (ie, SELECT). See https://cnfl.io/2LV7ouS.\n\
             The query used to build `{sink}` must include the {what} {list} in its projection \
             (eg, SELECT {example}...)."
        );
        if let KeyRule::Join { viable, synthetic: true } = self {
            message.push_str(&format!(
                "\n{} was added as a synthetic key column because the join criteria did not \
                 match any source column. This expression must be included in the projection and \
                 may be aliased.",
                viable.first().map_or_else(String::new, text::sql)
            ));
        }
        let hint = format!("add {example} to the SELECT list");
        located(SqlError::invalid(message).hint(hint), items)
    }

    /// What is missing, the list of it, and an example of a SELECT list.
    fn describe_missing(&self, items: &[Item], scope: &Scope) -> (String, String, String) {
        let plural = |word: &str, n: usize| match n {
            1 => word.to_string(),
            _ => format!("{word}s"),
        };
        let internal = |e: &Expr| text::internal(e, scope);
        let (word, names): (&str, Vec<String>) = match self {
            KeyRule::Columns(keys) => ("key column", keys.iter().map(internal).collect()),
            KeyRule::Foreign { keys, .. } => ("key column", keys.iter().map(internal).collect()),
            KeyRule::Partition(keys) => {
                ("partitioning expression", keys.iter().map(text::sql).collect())
            }
            KeyRule::Group(keys) => {
                let missing = keys.iter().filter(|k| items.iter().all(|i| i.expr != **k));
                ("grouping expression", missing.map(internal).collect())
            }
            KeyRule::Join { viable, .. } => {
                let names: Vec<String> = viable.iter().map(text::sql).collect();
                let first = names.first().cloned().unwrap_or_default();
                return (plural("join expression", names.len()), list(&names, "or"), first);
            }
        };
        (plural(word, names.len()), list(&names, "and"), names.join(", "))
    }
}

fn missing_foreign(keys: &[Expr], table: &str, items: &[Item]) -> SqlError {
    let missing: Vec<String> = keys
        .iter()
        .filter(|key| items.iter().all(|item| item.expr != **key))
        .filter_map(|key| match &key.kind {
            ExprKind::Column { name, .. } => Some(format!("`{}`", name.value)),
            _ => None,
        })
        .collect();
    let columns = if missing.len() == 1 { "column" } else { "columns" };
    let error = SqlError::invalid(format!(
        "Primary key {columns} missing in projection. For foreign-key table-table joins, the \
         projection must include all primary key columns from the left input table (`{table}`). \
         Missing {columns}: {}.",
        missing.join(", ")
    ));
    located(error.hint(format!("add {} to the SELECT list", missing.join(", "))), items)
}

/// At the SELECT list.
fn located(error: SqlError, items: &[Item]) -> SqlError {
    match items.iter().map(|item| item.span).reduce(Span::to) {
        Some(span) => error.at(span),
        None => error,
    }
}

/// `A, B or C`.
pub(super) fn list(names: &[String], last: &str) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [init @ .., end] => format!("{} {last} {end}", init.join(", ")),
    }
}
