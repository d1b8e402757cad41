//! GROUP BY: a projection of what the groups need, a repartition if keys change, the aggregation,
//! and HAVING.

use datafusion::logical_expr::{Expr as DfExpr, LogicalPlan};

use super::aggregate_checks::{check_having, check_items};
use super::aggregate_state::{has_nested_values, limit_of, takes_back};
use super::keys::KeyRule;
use super::names::Generator;
use super::query::{self, Clauses, Purpose, Selected, Stage};
use super::scan::StageNames;
use super::scope::{Clause, Scope, window_bounds_misplaced};
use super::settings::Settings;
use super::typing::{Names, typed};
use super::{column, formats, internal_error, keys, predicate, text, tree};
use crate::ast::{Expr, ExprKind, Literal};
use crate::catalog::{FormatSpec, pseudo};
use crate::error::{Result, SqlError};
use crate::expr::Typed;
use crate::functions::{self, AggregateSignature, FunctionKind};
use crate::plan::{self, AggregateCall, AggregateNode, RepartitionNode, ResultKind};
use crate::types::SqlType;

/// The aggregate calls of a statement, each once.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: Vec<Expr>,
}

impl Calls {
    /// # Errors
    /// Nested calls, and window bounds as arguments.
    pub fn collect(clauses: &Clauses, scope: &Scope) -> Result<Calls> {
        let mut calls = Calls::default();
        let exprs = clauses.items.iter().map(|i| &i.expr).chain(&clauses.having);
        for expr in exprs {
            tree::visit(expr, &mut |e| {
                let is_call = is_aggregate(e);
                if is_call && !calls.list.contains(e) {
                    calls.list.push(e.clone());
                }
                !is_call
            });
        }
        for call in &calls.list {
            check_arguments(call, scope)?;
        }
        Ok(calls)
    }

    /// True if the statement groups rows.
    pub fn is_needed(&self, clauses: &Clauses) -> bool {
        !self.list.is_empty() || !clauses.group_by.is_empty()
    }

    /// # Errors
    /// What may not stand in a grouped SELECT.
    pub fn check(&self, clauses: &Clauses, scope: &Scope, purpose: Purpose<'_>) -> Result<()> {
        for expr in &clauses.group_by {
            refuse_calls(expr, Clause::GroupBy)?;
        }
        if let Some(expr) = clauses.partition_by.first() {
            let message = "PARTITION BY cannot be combined with GROUP BY or aggregate functions.";
            return Err(SqlError::invalid(message).at(expr.span()));
        }
        if self.list.is_empty() && !matches!(purpose, Purpose::Pull) {
            return Err(SqlError::invalid(
                "GROUP BY requires aggregate functions in either the SELECT or HAVING clause.",
            ));
        }
        check_items(clauses, scope)?;
        check_having(clauses, scope)?;
        if !clauses.group_by.is_empty() {
            return Ok(());
        }
        if let Some(verb) = purpose.verb() {
            let names: Vec<String> = self.list.iter().map(|c| call_text(c, scope)).collect();
            return Err(SqlError::invalid(format!(
                "{verb} statement does not support aggregate function [{}] without a GROUP BY \
                 clause.",
                names.join(", ")
            )));
        }
        match clauses.window {
            Some(_) => Err(SqlError::invalid("WINDOW clause requires a GROUP BY clause.")),
            None => Ok(()),
        }
    }
}

/// True when an aggregate function is called somewhere in the expression.
pub(super) fn has_calls(expr: &Expr) -> bool {
    tree::any(expr, &is_aggregate)
}

pub(super) fn is_aggregate(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { name, .. } | ExprKind::CallStar { name } => {
            functions::kind(&name.value) == Some(FunctionKind::Aggregate)
        }
        _ => false,
    }
}

fn check_arguments(call: &Expr, scope: &Scope) -> Result<()> {
    let ExprKind::Call { args, .. } = &call.kind else { return Ok(()) };
    for arg in args {
        if tree::any(arg, &is_aggregate) {
            let shown = text::internal(call, scope);
            let message = format!("Aggregate functions can not be nested: {shown}");
            return Err(SqlError::invalid(message).at(call.span()));
        }
        let mut bound = None;
        tree::visit(arg, &mut |e| {
            if let ExprKind::Column { source: None, name } = &e.kind {
                bound = Some(name.clone()).filter(|n| is_bound(&n.value));
            }
            bound.is_none()
        });
        if let Some(name) = bound {
            return Err(window_bounds_misplaced(&name.value).at(name.span()));
        }
    }
    Ok(())
}

fn is_bound(name: &str) -> bool {
    name == pseudo::WINDOWSTART || name == pseudo::WINDOWEND
}

/// # Errors
/// When an aggregate function stands in a clause that is computed per row.
pub(super) fn refuse_calls(expr: &Expr, clause: Clause) -> Result<()> {
    let mut found: Option<String> = None;
    tree::visit(expr, &mut |e| {
        if let (true, ExprKind::Call { name, .. } | ExprKind::CallStar { name }) =
            (is_aggregate(e), &e.kind)
        {
            found = Some(name.value.clone());
        }
        found.is_none()
    });
    match found {
        None => Ok(()),
        Some(name) => Err(SqlError::invalid(format!(
            "{} does not support aggregate functions: {name} is an aggregate function.",
            clause.name()
        ))
        .at(expr.span())),
    }
}

fn call_text(call: &Expr, scope: &Scope) -> String {
    match &call.kind {
        ExprKind::CallStar { name } => format!("{}(ROWTIME)", name.value),
        _ => text::internal(call, scope),
    }
}

/// A grouping expression or a call, and the column that holds its value after the aggregation.
struct Known {
    expr: Expr,
    name: String,
    ty: SqlType,
}

/// What names mean above the aggregation.
struct Grouped {
    known: Vec<Known>,
}

impl Names for Grouped {
    fn find(&self, expr: &Expr) -> Result<Option<Typed>> {
        if let Some(known) = self.known.iter().find(|k| k.expr == *expr) {
            return Ok(Some(column(&known.name, known.ty.clone())));
        }
        match &expr.kind {
            ExprKind::Column { source: None, name } if is_bound(&name.value) => {
                Ok(Some(column(&name.value, SqlType::Bigint)))
            }
            _ => Ok(None),
        }
    }
}

/// The plan above joins and WHERE: pre-projection, repartition, aggregation, HAVING, projection.
pub(super) fn plan(
    stage: Stage,
    clauses: &Clauses,
    calls: &Calls,
    scope: &Scope,
    purpose: Purpose<'_>,
    settings: &Settings,
) -> Result<Selected> {
    let pull = matches!(purpose, Purpose::Pull);
    let mut builder = Builder::new(scope, &stage, pull);
    let group_by = match clauses.group_by.as_slice() {
        // One group, even of no rows.
        [] if pull => Vec::new(),
        [] => {
            vec![Expr::new(ExprKind::Literal(Literal::Integer(1)), crate::error::Span::default())]
        }
        list => list.to_vec(),
    };
    for expr in &group_by {
        builder.group(expr)?;
    }
    let of_table = stage.kind == ResultKind::Table;
    if of_table && clauses.window.is_some() {
        let message = "Windowing not supported for table aggregations.";
        return Err(SqlError::invalid(message).hint("leave WINDOW out, or group a stream"));
    }
    for call in &calls.list {
        builder.call(call, of_table, settings)?;
    }
    builder.check_table()?;
    // What a pull query groups is all in one place.
    let rekeyed = !pull && !keeps_key(&stage, &group_by);
    let key_format = builder.key_format(&stage);
    let names = builder.known();
    let aggregate = builder.node(&stage, clauses, rekeyed.then_some(&key_format))?;
    let mut above = Stage {
        plan: aggregate,
        kind: ResultKind::Table,
        rule: KeyRule::Group(clauses.group_by.clone()),
        join_key: None,
        window: clauses.window.map(|w| w.key_window()),
        key_format,
        partitions: stage.partitions,
        flat: Vec::new(),
    };
    if let Some(having) = &clauses.having {
        let shown = text::internal(having, scope);
        let condition =
            predicate(having, &names, "HAVING", &shown).map_err(|e| names.spell_out(e, scope))?;
        above.plan = query::filter_plan(above.plan, condition)?;
    }
    let selected = query::output(&above, clauses, scope, &names, purpose);
    let mut selected = selected.map_err(|e| names.spell_out(e, scope))?;
    selected.aggregate_window = clauses.window;
    selected.aggregated = true;
    Ok(selected)
}

/// True if rows of a group already meet: the groups are the keys.
fn keeps_key(stage: &Stage, group_by: &[Expr]) -> bool {
    if stage.window.is_some() {
        // The same key in another window is another key.
        return false;
    }
    match &stage.rule {
        KeyRule::Columns(keys) | KeyRule::Foreign { keys, .. } => {
            !keys.is_empty() && keys == group_by
        }
        KeyRule::Join { viable, .. } => {
            matches!(group_by, [one] if viable.first() == Some(one))
        }
        _ => false,
    }
}

impl Grouped {
    /// Puts calls back where a message shows the columns that stand for them.
    fn spell_out(&self, mut error: SqlError, scope: &Scope) -> SqlError {
        for known in self.known.iter().rev() {
            if is_aggregate(&known.expr) && error.message.contains(&known.name) {
                let call = text::internal(&known.expr, scope);
                error.message = error.message.replace(&known.name, &call);
            }
        }
        error
    }
}

struct Builder<'a> {
    scope: &'a Scope,
    names: StageNames<'a>,
    /// Of a pull query: what an aggregate holds is never stored.
    pull: bool,
    /// Columns of the pre-projection.
    inputs: Vec<(Typed, String)>,
    generator: Generator,
    group: Vec<Known>,
    calls: Vec<(Expr, AggregateCall)>,
    /// Functions of a table's rows that cannot take a value back.
    streams_only: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(scope: &'a Scope, stage: &'a Stage, pull: bool) -> Self {
        let taken = stage.plan.schema().fields().iter().map(|f| f.name().as_str());
        let generator = Generator::new(taken);
        let names = stage.names(scope);
        Builder {
            scope,
            names,
            pull,
            inputs: Vec::new(),
            generator,
            group: Vec::new(),
            calls: Vec::new(),
            streams_only: Vec::new(),
        }
    }

    /// # Errors
    /// When values of a table are aggregated by functions that cannot take them back.
    fn check_table(&self) -> Result<()> {
        let functions = match self.streams_only.as_slice() {
            [] => return Ok(()),
            [one] => format!("function {one}"),
            many => format!("functions {}", keys::list(many, "and")),
        };
        Err(SqlError::invalid(format!(
            "The aggregation {functions} cannot be applied to a table source, only to a stream source."
        )))
    }

    fn group(&mut self, expr: &Expr) -> Result<()> {
        if self.group.iter().any(|k| k.expr == *expr) {
            let twice = text::internal(expr, self.scope);
            let message = format!("Duplicate GROUP BY expression: {twice}");
            return Err(SqlError::invalid(message).at(expr.span()));
        }
        let value = typed(expr, &self.names)?;
        let Some(ty) = value.ty.clone() else {
            return Err(SqlError::invalid("Cannot GROUP BY NULL").at(expr.span()));
        };
        let name = self.input(value, Generator::expression);
        self.group.push(Known { expr: expr.clone(), name, ty });
        Ok(())
    }

    /// Makes sure that the pre-projection has this value, and gives its name there.
    fn input(&mut self, value: Typed, fresh: impl Fn(&mut Generator) -> String) -> String {
        if let Some((_, name)) = self.inputs.iter().find(|(v, _)| *v == value) {
            return name.clone();
        }
        let name = match &value.expr {
            DfExpr::Column(column) => column.name.clone(),
            _ => fresh(&mut self.generator),
        };
        self.inputs.push((value, name.clone()));
        name
    }

    fn call(&mut self, call: &Expr, table_input: bool, settings: &Settings) -> Result<()> {
        let (name, args) = match &call.kind {
            ExprKind::Call { name, args } => (name, args.as_slice()),
            ExprKind::CallStar { name } => (name, &[][..]),
            _ => return Err(SqlError::invalid("not a call").at(call.span())),
        };
        let args = args.iter().map(|a| typed(a, &self.names));
        let args: Vec<Typed> = args.collect::<Result<_>>()?;
        let signature = functions::resolve_aggregate(&name.value, &args);
        let mut signature = signature.map_err(|e| e.at(call.span()))?;
        let function = name.value.to_uppercase();
        if table_input && !takes_back(&name.value, &signature, self.scope) {
            if !self.streams_only.contains(&function) {
                self.streams_only.push(function);
            }
            return Ok(());
        }
        let nested = signature.nested_state && !self.pull && !has_nested_values(self.scope);
        if nested {
            let message = "One of the functions used in the statement has an intermediate type \
                           that the value format can not handle. Please remove the function or \
                           change the format.";
            return Err(SqlError::invalid(message).at(call.span()));
        }
        signature.params.extend(limit_of(&function, settings)?);
        let made = self.aggregate_call(function, signature);
        self.calls.push((call.clone(), made));
        Ok(())
    }

    fn aggregate_call(&mut self, function: String, signature: AggregateSignature) -> AggregateCall {
        let AggregateSignature { row_args, params, returns, .. } = signature;
        let mut args = Vec::new();
        let mut arg_types = Vec::new();
        for arg in row_args {
            // A bare NULL has no type of its own; nothing but COUNT takes it.
            let ty = arg.ty.clone().unwrap_or(SqlType::String);
            let name = self.input(arg, Generator::internal);
            args.push(column(&name, ty.clone()).expr);
            arg_types.push(ty);
        }
        let name = format!("KSQL_AGG_VARIABLE_{}", self.calls.len());
        AggregateCall { function, args, arg_types, params, returns, name }
    }

    /// The format of the groups' keys: the one that was, or JSON if it cannot carry them.
    fn key_format(&self, stage: &Stage) -> FormatSpec {
        let types: Vec<SqlType> = self.group.iter().map(|k| k.ty.clone()).collect();
        formats::internal_key_format(&stage.key_format, &types)
    }

    fn known(&self) -> Grouped {
        let group = self.group.iter().map(|k| Known {
            expr: k.expr.clone(),
            name: k.name.clone(),
            ty: k.ty.clone(),
        });
        let calls = self.calls.iter().map(|(expr, call)| Known {
            expr: expr.clone(),
            name: call.name.clone(),
            ty: call.returns.clone(),
        });
        Grouped { known: group.chain(calls).collect() }
    }

    fn node(
        self,
        stage: &Stage,
        clauses: &Clauses,
        rekey: Option<&FormatSpec>,
    ) -> Result<LogicalPlan> {
        let mut input = self.pre_projection(stage.plan.clone())?;
        let group =
            self.group.iter().map(|k| position(&input, &k.name)).collect::<Result<Vec<_>>>()?;
        if let Some(key_format) = rekey {
            input = plan::node(RepartitionNode {
                input,
                step: format!("{}Aggregate-GroupBy", self.scope.prefix),
                key: group.clone(),
                key_format: key_format.clone(),
                partitions: stage.partitions,
                drop_null_keys: true,
                to_partition: None,
            });
        }
        let bound = |name: &str| (name.to_string(), SqlType::Bigint);
        let mut columns: Vec<(String, SqlType)> =
            self.group.iter().map(|k| (k.name.clone(), k.ty.clone())).collect();
        if clauses.window.is_some() {
            columns.extend([bound(pseudo::WINDOWSTART), bound(pseudo::WINDOWEND)]);
        }
        columns.extend(self.calls.iter().map(|(_, c)| (c.name.clone(), c.returns.clone())));
        Ok(plan::node(AggregateNode {
            input,
            step: format!("{}Aggregate", self.scope.prefix),
            group,
            calls: self.calls.into_iter().map(|(_, call)| call).collect(),
            window: clauses.window,
            emit_final: clauses.emit_final,
            table_input: stage.kind == ResultKind::Table,
            ttl_ms: None,
            skips_overflow: self.scope.extensions && !self.pull,
            schema: plan::schema(&columns).map_err(internal_error)?,
        }))
    }

    /// Nothing at all if the input has just these columns.
    fn pre_projection(&self, input: LogicalPlan) -> Result<LogicalPlan> {
        let fields = input.schema().fields();
        let same = fields.len() == self.inputs.len()
            && fields.iter().zip(&self.inputs).all(|(field, (value, name))| {
                field.name() == name && matches!(value.expr, DfExpr::Column(_))
            });
        if same { Ok(input) } else { query::projection(input, self.inputs.clone()) }
    }
}

/// Position of a column in a plan's schema.
pub(super) fn position(plan: &LogicalPlan, name: &str) -> Result<usize> {
    let found = plan.schema().fields().iter().position(|f| f.name() == name);
    found.ok_or_else(|| SqlError::invalid(format!("the plan has no column {name}")))
}
