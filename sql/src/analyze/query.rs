//! SELECT: from the clauses to a plan, in the order in which rows flow.

use std::sync::Arc;

use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::logical_expr::{Expr as DfExpr, Filter, LogicalPlan, Projection};

use super::checks::{check_bounds, check_sources, check_ungrouped, reserved};
use super::flat_map::{self, Flat};
use super::items::{self, Item};
use super::keys::KeyRule;
use super::names::Generator;
use super::scan::{JoinKey, ScopeNames, StageNames, Used, scan};
use super::scope::{Clause, Scope};
use super::settings::Settings;
use super::typing::{Names, prefixed, typed};
use super::{aggregate, column, internal_error, join, predicate, text, times, windows};
use crate::ast::{Emit, Expr, ExprKind, Literal, Query};
use crate::catalog::pseudo;
use crate::catalog::{Catalog, Column, ColumnRole, FormatSpec, KeyWindow, Source, SourceKind};
use crate::error::{Result, SqlError, SqlErrorKind};
use crate::expr::Typed;
use crate::plan::{ResultKind, Window};
use crate::types::SqlType;

/// What a SELECT is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// It writes `sink`; `verb` is the statement, e.g. `CREATE TABLE AS SELECT`.
    Persistent {
        sink: &'a str,
        verb: &'a str,
    },
    Push,
    /// Rows of tables as of now.
    Pull,
    /// A bounded scan of a stream.
    PullStream,
    /// A subquery: like a persistent query, but a stream may leave its key behind.
    Inner {
        name: &'a str,
    },
}

impl Purpose<'_> {
    /// The statement, where a grouping is not implied.
    pub fn verb(&self) -> Option<&str> {
        match self {
            Purpose::Persistent { verb, .. } => Some(verb),
            Purpose::Inner { .. } => Some("A subquery's"),
            Purpose::Push | Purpose::Pull | Purpose::PullStream => None,
        }
    }

    /// The result is a source for others.
    pub fn is_persistent(self) -> bool {
        matches!(self, Purpose::Persistent { .. } | Purpose::Inner { .. })
    }
}

/// A planned SELECT.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    /// Persistent: key columns, value columns, then window bounds if the key is windowed.
    /// Otherwise the items in order.
    pub plan: LogicalPlan,
    /// Without the trailing window bounds.
    pub columns: Vec<Column>,
    /// Positions of the key columns.
    pub key: Vec<usize>,
    pub kind: ResultKind,
    /// How windows appear in the result's keys.
    pub window: Option<KeyWindow>,
    /// Of the aggregation.
    pub aggregate_window: Option<Window>,
    pub aggregated: bool,
    /// The result has no key although the source had one, as after PARTITION BY NULL.
    pub unkeyed: bool,
    /// PARTITION BY: the key is not the source's.
    pub computed_key: bool,
    pub reads: Vec<String>,
    /// The source whose formats and partitions the result inherits.
    pub leftmost: Arc<Source>,
    /// By what the rows of the plan lie in partitions, and how many.
    pub key_format: FormatSpec,
    pub partitions: u32,
    pub limit: Option<u64>,
}

/// Rows before SELECT: joined and filtered.
pub(super) struct Stage {
    pub plan: LogicalPlan,
    pub kind: ResultKind,
    pub rule: KeyRule,
    /// The column that holds the key of a join's result.
    pub join_key: Option<JoinKey>,
    pub window: Option<KeyWindow>,
    pub key_format: FormatSpec,
    pub partitions: u32,
    /// Calls of table functions that are columns by now.
    pub flat: Vec<Flat>,
}

/// The clauses of a SELECT, resolved.
pub(super) struct Clauses {
    pub items: Vec<Item>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub partition_by: Vec<Expr>,
    pub having: Option<Expr>,
    pub window: Option<Window>,
    pub emit_final: bool,
    /// ksqlDB's unfinished planner: the key of a plain SELECT is what it names of the source's key,
    /// in its order.
    pub free_key: bool,
}

/// A SELECT without its UNION ALL, with names of steps that begin with `prefix`.
///
/// # Errors
/// Whatever the language refuses about a SELECT.
pub(super) fn select_in(
    query: &Query,
    catalog: &Catalog,
    settings: &Settings,
    purpose: Purpose<'_>,
    prefix: &str,
) -> Result<Selected> {
    super::pull_select::refuse(query)?;
    let mut scope = Scope::new(&query.from, catalog, settings, prefix)?;
    scope.windowed_aggregate = query.window.is_some();
    check_sources(query, &scope, purpose)?;
    check_bounds(query, &scope, purpose)?;
    let joins = join::resolve(&mut scope, &query.from)?;
    let clauses = resolve(query, &scope, settings)?;
    let aggregates = aggregate::Calls::collect(&clauses, &scope)?;
    let grouped = aggregates.is_needed(&clauses);
    if grouped {
        flat_map::refuse(&clauses)?;
        aggregates.check(&clauses, &scope, purpose)?;
    } else {
        check_ungrouped(query, &clauses)?;
    }
    let mut used = Used::default();
    for expr in clauses.expressions().chain(joins.expressions()) {
        used.add(expr, &scope);
    }
    let mut stage = source_stage(&scope, &joins, &used, grouped)?;
    if let (Some(key), KeyRule::Join { viable, .. }) = (&mut stage.join_key, &stage.rule) {
        let chosen = viable.iter().find(|e| clauses.items.iter().any(|i| i.expr == **e));
        key.stands_for = chosen.or(viable.first()).cloned();
    }
    let stage = filtered(stage, &clauses, &scope)?;
    let mut selected = if grouped {
        aggregate::plan(stage, &clauses, &aggregates, &scope, purpose, settings)?
    } else {
        let stage = flat_map::plan(stage, &clauses, &scope)?;
        project(stage, &clauses, &scope, purpose)?
    };
    selected.limit = query.limit;
    Ok(selected)
}

impl Stage {
    /// What names mean in WHERE, GROUP BY and an ungrouped SELECT.
    pub fn names<'a>(&'a self, scope: &'a Scope) -> StageNames<'a> {
        StageNames { scope, join_key: self.join_key.as_ref(), flat: &self.flat }
    }
}

impl Clauses {
    /// All resolved expressions.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        let items = self.items.iter().map(|i| &i.expr);
        items
            .chain(&self.filter)
            .chain(&self.group_by)
            .chain(&self.partition_by)
            .chain(&self.having)
    }
}

pub(super) fn resolve(query: &Query, scope: &Scope, settings: &Settings) -> Result<Clauses> {
    let names = ScopeNames(scope);
    let taken: Vec<&str> = scope
        .inputs
        .iter()
        .flat_map(|i| i.source.columns.iter().map(|c| c.name.as_str()))
        .collect();
    let mut generator = Generator::new(taken.into_iter());
    let all = |list: &[Expr], clause| -> Result<Vec<Expr>> {
        list.iter().map(|e| scope.qualify(e, clause)).collect()
    };
    let partition_by = all(&query.partition_by, Clause::PartitionBy)?;
    let items = items::expand(query, scope, &names, &partition_by, &mut generator)?;
    let filter = query.filter.as_ref().map(|e| scope.qualify(e, Clause::Where)).transpose()?;
    let having = query.having.as_ref().map(|e| scope.qualify(e, Clause::Having)).transpose()?;
    let emit_final = query.emit == Some(Emit::Final);
    if emit_final {
        settings.require(
            "ksql.suppress.enabled",
            "Suppression is currently disabled. You can enable it by setting \
             ksql.suppress.enabled to true",
        )?;
    }
    if emit_final && query.window.is_none() {
        let message = "EMIT FINAL is only supported for windowed aggregations.";
        let hint = "add WINDOW and GROUP BY, or write EMIT CHANGES";
        return Err(SqlError::invalid(message).at(query.loc.0).hint(hint));
    }
    Ok(Clauses {
        items,
        filter: filter.as_ref().map(times::rewrite).transpose()?,
        group_by: all(&query.group_by, Clause::GroupBy)?,
        partition_by,
        having: having.as_ref().map(times::rewrite).transpose()?,
        free_key: settings.is_on("ksql.new.query.planner.enabled", false),
        window: query.window.as_ref().map(|w| windows::window(w, emit_final)).transpose()?,
        emit_final,
    })
}

fn source_stage(scope: &Scope, joins: &join::Joins, used: &Used, grouped: bool) -> Result<Stage> {
    if scope.is_join() {
        return joins.plan(scope, used);
    }
    let input = &scope.inputs[0];
    let is_table = input.source.kind == SourceKind::Table;
    let keys = input.source.key_columns().map(|c| super::qualified(&input.alias, &c.name));
    Ok(Stage {
        plan: scan(scope, 0, used, format!("{}KsqlTopic", scope.prefix), is_table && grouped)?,
        kind: if is_table { ResultKind::Table } else { ResultKind::Stream },
        rule: KeyRule::Columns(keys.collect()),
        join_key: None,
        window: input.source.window,
        key_format: input.source.key_format.clone(),
        partitions: input.source.partitions,
        flat: Vec::new(),
    })
}

fn filtered(mut stage: Stage, clauses: &Clauses, scope: &Scope) -> Result<Stage> {
    if let Some(filter) = &clauses.filter {
        aggregate::refuse_calls(filter, Clause::Where)?;
        let shown = text::internal(filter, scope);
        let condition = predicate(filter, &stage.names(scope), "WHERE", &shown)?;
        stage.plan = filter_plan(stage.plan, condition)?;
    }
    Ok(stage)
}

pub(super) fn filter_plan(input: LogicalPlan, condition: Typed) -> Result<LogicalPlan> {
    let filter = Filter::try_new(condition.expr, Arc::new(input)).map_err(internal_error)?;
    Ok(LogicalPlan::Filter(filter))
}

/// A projection to named columns.
///
/// # Errors
/// When a name occurs twice.
pub(super) fn projection(input: LogicalPlan, columns: Vec<(Typed, String)>) -> Result<LogicalPlan> {
    let exprs: Vec<DfExpr> = columns
        .into_iter()
        .map(|(value, name)| match &value.expr {
            DfExpr::Column(column) if column.name == name => value.expr,
            _ => value.expr.alias(name),
        })
        .collect();
    let projection = Projection::try_new(exprs, Arc::new(input)).map_err(internal_error)?;
    // Literals would make columns that are never NULL; but what a row replaces may not be there.
    let schema = nullable(&projection.schema).map_err(internal_error)?;
    let Projection { expr, input, .. } = projection;
    let projection =
        Projection::try_new_with_schema(expr, input, schema).map_err(internal_error)?;
    Ok(LogicalPlan::Projection(projection))
}

fn nullable(schema: &DFSchema) -> datafusion::common::Result<DFSchemaRef> {
    let fields = schema.iter().map(|(qualifier, field)| {
        let field = field.as_ref().clone().with_nullable(true);
        (qualifier.cloned(), Arc::new(field))
    });
    Ok(Arc::new(DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?))
}

fn project(
    mut stage: Stage,
    clauses: &Clauses,
    scope: &Scope,
    purpose: Purpose<'_>,
) -> Result<Selected> {
    if !clauses.partition_by.is_empty() {
        stage.rule = partition_rule(&stage, clauses, scope)?;
    }
    for item in &clauses.items {
        aggregate::refuse_calls(&item.expr, Clause::Select)?;
    }
    let names = stage.names(scope);
    output(&stage, clauses, scope, &names, purpose)
}

fn partition_rule(stage: &Stage, clauses: &Clauses, scope: &Scope) -> Result<KeyRule> {
    let list = &clauses.partition_by;
    if stage.kind == ResultKind::Table {
        return Err(table_partition(stage, list, scope).at(list[0].span()));
    }
    if let Some((at, twice)) = list.iter().enumerate().find(|(at, e)| list[..*at].contains(e)) {
        let message =
            format!("Duplicate PARTITION BY expression: {}", text::internal(twice, scope));
        return Err(SqlError::invalid(message).at(list[at].span()));
    }
    if stage.window.is_some() && stage.rule.expressions() != list {
        return Err(join::windowed_repartition().at(list[0].span()));
    }
    for expr in list {
        aggregate::refuse_calls(expr, Clause::PartitionBy)?;
    }
    let is_null = |e: &Expr| matches!(e.kind, ExprKind::Literal(Literal::Null));
    match list.iter().filter(|e| is_null(e)).count() {
        0 => Ok(KeyRule::Partition(list.clone())),
        _ if list.len() == 1 => Ok(KeyRule::Partition(Vec::new())),
        _ => Err(SqlError::invalid("Cannot PARTITION BY multiple columns including NULL")),
    }
}

/// A table's key is its primary key: it is not partitioned by anything else.
fn table_partition(stage: &Stage, list: &[Expr], scope: &Scope) -> SqlError {
    let shown = |list: &[Expr]| list.iter().map(|e| text::internal(e, scope)).collect::<Vec<_>>();
    let keys = shown(stage.rule.expressions());
    SqlError::invalid(match keys.as_slice() {
        [key] => format!(
            "Cannot repartition a TABLE source. If this is a join, make sure that the criteria uses \
             the TABLE's key column {key} instead of [{}]",
            shown(list).join(", ")
        ),
        _ => "Cannot repartition a TABLE source. If this is a join, joins on tables with multiple \
              columns is not yet supported."
            .to_string(),
    })
}

/// The last projection: the items, ordered as the purpose wants them.
pub(super) fn output(
    stage: &Stage,
    clauses: &Clauses,
    scope: &Scope,
    names: &dyn Names,
    purpose: Purpose<'_>,
) -> Result<Selected> {
    let (sink, inner) = match purpose {
        Purpose::Persistent { sink, .. } => (sink, false),
        Purpose::Inner { name } => (name, stage.kind == ResultKind::Stream),
        Purpose::Push | Purpose::Pull | Purpose::PullStream => {
            return output_all(stage, clauses, scope, names);
        }
    };
    let in_key = |i: &Item| stage.window.is_some() && is_bound(i);
    let items: Vec<Item> = clauses.items.iter().filter(|i| !in_key(i)).cloned().collect();
    // As in ksqlDB what an item is comes before whether it may be there.
    items.iter().try_for_each(|item| value_of(item, names).map(|_| ()))?;
    let key = match &stage.rule {
        KeyRule::Columns(keys)
            if !inner && clauses.free_key && stage.kind == ResultKind::Stream =>
        {
            (0..items.len()).filter(|i| keys.contains(&items[*i].expr)).collect()
        }
        // Nobody asks where the rows of a keyless stream lie.
        rule if inner && rule.is_missing(&items) => Vec::new(),
        rule => rule.require(&items, sink, scope)?,
    };
    check_names(&items, names)?;
    let values: Vec<usize> = (0..items.len()).filter(|i| !key.contains(i)).collect();
    if values.is_empty() && !matches!(purpose, Purpose::Inner { .. }) {
        return Err(SqlError::invalid("The projection contains no value columns."));
    }
    let mut columns = Vec::new();
    let mut projected = Vec::new();
    for (at, role) in key
        .iter()
        .map(|i| (*i, ColumnRole::Key))
        .chain(values.iter().map(|i| (*i, ColumnRole::Value)))
    {
        let item = &items[at];
        let value = value_of(item, names)?;
        let ty = type_of(&value, item)?;
        columns.push(Column { name: item.name.clone(), ty, role });
        projected.push((value, item.name.clone()));
    }
    if stage.window.is_some() {
        for bound in [pseudo::WINDOWSTART, pseudo::WINDOWEND] {
            projected.push((column(bound, SqlType::Bigint), bound.to_string()));
        }
    }
    let key = (0..key.len()).collect();
    selected(stage.plan.clone(), projected, columns, key, stage, scope)
}

fn output_all(
    stage: &Stage,
    clauses: &Clauses,
    scope: &Scope,
    names: &dyn Names,
) -> Result<Selected> {
    let items = &clauses.items;
    check_duplicates(items, names)?;
    let key = stage.rule.find(items);
    let mut columns = Vec::new();
    let mut projected = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let is_key = key.contains(&at);
        let value = value_of(item, names)?;
        let role = if is_key { ColumnRole::Key } else { ColumnRole::Value };
        columns.push(Column { name: item.name.clone(), ty: type_of(&value, item)?, role });
        projected.push((value, item.name.clone()));
    }
    selected(stage.plan.clone(), projected, columns, key, stage, scope)
}

fn selected(
    input: LogicalPlan,
    projected: Vec<(Typed, String)>,
    columns: Vec<Column>,
    key: Vec<usize>,
    stage: &Stage,
    scope: &Scope,
) -> Result<Selected> {
    Ok(Selected {
        plan: projection(input, projected)?,
        columns,
        unkeyed: key.is_empty()
            && !matches!(&stage.rule, KeyRule::Columns(keys) if keys.is_empty()),
        key,
        kind: stage.kind,
        window: stage.window,
        aggregate_window: None,
        aggregated: false,
        computed_key: matches!(&stage.rule, KeyRule::Partition(_)),
        reads: scope.reads(),
        leftmost: scope.inputs[0].leftmost().clone(),
        key_format: stage.key_format.clone(),
        partitions: stage.partitions,
        limit: None,
    })
}

/// `WINDOWSTART` or `WINDOWEND` under its own name: it lives in a windowed key.
fn is_bound(item: &Item) -> bool {
    let is_bound = |name: &str| name == pseudo::WINDOWSTART || name == pseudo::WINDOWEND;
    match &item.expr.kind {
        ExprKind::Column { source, name } => {
            (source.is_none() || item.from_star) && item.name == name.value && is_bound(&name.value)
        }
        _ => false,
    }
}

fn is_pseudo(name: &str) -> bool {
    pseudo::ALL.contains(&name)
}

/// A star may name a pseudo column, after PARTITION BY it; nobody else may.
fn check_names(items: &[Item], names: &dyn Names) -> Result<()> {
    if let Some(item) = items.iter().find(|i| !i.from_star && is_pseudo(&i.name)) {
        return Err(reserved(&item.name).at(item.span));
    }
    check_duplicates(items, names)
}

pub(super) fn check_duplicates(items: &[Item], names: &dyn Names) -> Result<()> {
    for (at, item) in items.iter().enumerate() {
        if items[..at].iter().any(|other| other.name == item.name) {
            let ty = type_of(&value_of(item, names)?, item)?;
            let message = format!("Duplicate value columns found in schema: `{}` {ty}", item.name);
            return Err(SqlError::invalid(message).at(item.span));
        }
    }
    Ok(())
}

pub(super) fn value_of(item: &Item, names: &dyn Names) -> Result<Typed> {
    typed(&item.expr, names).map_err(|e| {
        let plain = e.kind == SqlErrorKind::Invalid;
        let e = if plain { prefixed("Invalid Select", e) } else { e };
        e.at(item.span)
    })
}

pub(super) fn type_of(value: &Typed, item: &Item) -> Result<SqlType> {
    value.ty.clone().ok_or_else(|| {
        let message = "Can't infer a type of null. Please explicitly cast it to a required type, \
                       e.g. CAST(null AS VARCHAR).";
        SqlError::invalid(message).at(item.span)
    })
}
