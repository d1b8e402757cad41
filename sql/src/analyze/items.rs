//! The SELECT list: stars expanded, every item resolved and named.

use super::names::Generator;
use super::scope::{Clause, Input, Scope};
use super::text;
use super::typing::{Names, typed};
use crate::ast::{Expr, ExprKind, Ident, Literal, Query, SelectItem};
use crate::catalog::{ColumnRole, pseudo};
use crate::error::{Result, Span, SqlError};
use crate::types::SqlType;

/// One column of the result.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Columns carry their source's name.
    pub expr: Expr,
    pub name: String,
    pub from_star: bool,
    pub span: Span,
}

/// Expands and names the items of `query`. `partition_by` are its resolved expressions, which come
/// first in `*`.
///
/// # Errors
/// Names that cannot be resolved, and reserved aliases.
pub(super) fn expand(
    query: &Query,
    scope: &Scope,
    names: &dyn Names,
    partition_by: &[Expr],
    generator: &mut Generator,
) -> Result<Vec<Item>> {
    let mut expander = Expander { scope, names, partition_by, generator, items: Vec::new() };
    for item in &query.items {
        match item {
            SelectItem::Expr { expr, alias } => expander.single(expr, alias.as_ref())?,
            SelectItem::All { source: None, loc } => expander.star(loc.0)?,
            SelectItem::All { source: Some(source), .. } => expander.source_star(source)?,
            SelectItem::StructAll { base, loc } => expander.struct_star(base, loc.0)?,
        }
    }
    Ok(expander.items)
}

struct Expander<'a> {
    scope: &'a Scope,
    names: &'a dyn Names,
    partition_by: &'a [Expr],
    generator: &'a mut Generator,
    items: Vec<Item>,
}

impl Expander<'_> {
    fn single(&mut self, expr: &Expr, alias: Option<&Ident>) -> Result<()> {
        let resolved = self.scope.qualify(expr, Clause::Select)?;
        let name = match alias {
            Some(alias) => {
                let name = alias.value.clone();
                let own =
                    matches!(&resolved.kind, ExprKind::Column { name: n, .. } if n.value == name);
                if pseudo::ALL.contains(&name.as_str()) && !own {
                    let message = format!(
                        "`{name}` is a reserved column name. You cannot use it as an alias for a \
                         column."
                    );
                    return Err(SqlError::invalid(message).at(alias.span()));
                }
                name
            }
            None => self.default_name(&resolved),
        };
        self.items.push(Item { expr: resolved, name, from_star: false, span: expr.span() });
        Ok(())
    }

    fn default_name(&mut self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Column { source: Some(source), name } if self.clashes(&name.value) => {
                format!("{}_{}", source.value, name.value)
            }
            ExprKind::Column { name, .. } => name.value.clone(),
            ExprKind::Field { name, .. } => self.generator.unique(&name.value),
            _ => self.generator.expression(),
        }
    }

    /// True if more than one source has a column of this name.
    fn clashes(&self, name: &str) -> bool {
        self.scope.inputs.iter().filter(|i| i.column(name).is_some()).count() > 1
    }

    fn star(&mut self, span: Span) -> Result<()> {
        if let Some(synthetic) = &self.scope.synthetic {
            let name = Ident::new(&synthetic.name);
            let kind = ExprKind::Column { source: None, name: name.clone() };
            self.push_star(Expr::new(kind, span), name.value, span);
        }
        for key in self.partition_by.iter().cloned() {
            let name = match &key.kind {
                ExprKind::Literal(Literal::Null) => continue,
                ExprKind::Column { .. } => text::internal(&key, self.scope),
                _ => self.default_name(&key),
            };
            self.push_star(key, name, span);
        }
        for index in 0..self.scope.inputs.len() {
            self.columns_of(index, span);
        }
        Ok(())
    }

    fn source_star(&mut self, source: &Ident) -> Result<()> {
        let index = self.scope.inputs.iter().position(|i| i.alias == source.value);
        let index = index.ok_or_else(|| {
            let message = format!("'{}' is not a valid stream/table name or alias.", source.value);
            SqlError::invalid(message).at(source.span())
        })?;
        self.columns_of(index, source.span());
        Ok(())
    }

    fn columns_of(&mut self, index: usize, span: Span) {
        let input = &self.scope.inputs[index];
        let mut found: Vec<(Expr, String)> = Vec::new();
        for name in star_columns(input, !self.partition_by.is_empty(), self.scope.is_join()) {
            let kind = ExprKind::Column {
                source: Some(Ident::new(&input.alias)),
                name: Ident::new(&name),
            };
            let expr = Expr::new(kind, span);
            if self.partition_by.contains(&expr) {
                continue;
            }
            let shown = if self.scope.is_join() { format!("{}_{name}", input.alias) } else { name };
            found.push((expr, shown));
        }
        for (expr, name) in found {
            self.push_star(expr, name, span);
        }
    }

    fn push_star(&mut self, expr: Expr, name: String, span: Span) {
        self.items.push(Item { expr, name, from_star: true, span });
    }

    fn struct_star(&mut self, base: &Expr, span: Span) -> Result<()> {
        let base = self.scope.qualify(base, Clause::Select)?;
        let fields = match typed(&base, self.names)?.ty {
            Some(SqlType::Struct(fields)) => fields,
            _ => {
                let what = match &base.kind {
                    ExprKind::Column { name, .. } => format!("Column `{}`", name.value),
                    ExprKind::Field { name, .. } => format!("Field {}", name.value),
                    _ => text::sql(&base),
                };
                let message = format!("{what} is not a STRUCT type.");
                return Err(SqlError::invalid(message).at(span));
            }
        };
        for field in fields {
            let kind =
                ExprKind::Field { base: Box::new(base.clone()), name: Ident::new(&field.name) };
            self.items.push(Item {
                expr: Expr::new(kind, span),
                name: field.name,
                from_star: true,
                span,
            });
        }
        Ok(())
    }
}

/// Names that `*` gives for one source: keys, window bounds, values. After PARTITION BY the old
/// keys are values like others and come last; after a join ksqlDB lets the pseudo columns slip in.
fn star_columns(input: &Input, repartitioned: bool, joined: bool) -> Vec<String> {
    let role = |wanted: fn(&ColumnRole) -> bool| {
        input.source.columns.iter().filter(move |c| wanted(&c.role)).map(|c| c.name.clone())
    };
    let headers = |role: &ColumnRole| matches!(role, ColumnRole::Headers(_));
    let of = |key: bool| -> Vec<String> {
        match key {
            true => role(|role| *role == ColumnRole::Key).collect(),
            false => role(|role| *role == ColumnRole::Value).chain(role(headers)).collect(),
        }
    };
    let bounds = input
        .source
        .window
        .iter()
        .flat_map(|_| [pseudo::WINDOWSTART.to_string(), pseudo::WINDOWEND.to_string()]);
    const SLIPPED_IN: [&str; 3] = [pseudo::ROWTIME, pseudo::ROWPARTITION, pseudo::ROWOFFSET];
    if repartitioned {
        let slipped_in = SLIPPED_IN.iter().filter(|_| joined).map(|name| name.to_string());
        of(false).into_iter().chain(slipped_in).chain(of(true)).collect()
    } else {
        of(true).into_iter().chain(bounds).chain(of(false)).collect()
    }
}
