//! The sources of a FROM and the columns they give: name resolution before any grouping.

use std::sync::Arc;

use super::pull_select;
use super::settings::Settings;
use super::subquery::{self, Inner};
use super::tree;
use crate::ast::{AliasedSource, Expr, ExprKind, Ident, Relation};
use crate::catalog::{Catalog, Source, SourceKind, pseudo};
use crate::error::{Result, SqlError};
use crate::functions;
use crate::plan::ScanColumn;
use crate::suggest;
use crate::types::SqlType;

/// One source as FROM names it.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub alias: String,
    pub source: Arc<Source>,
    /// `source` is what this subquery gives, and in no catalog.
    pub inner: Option<Arc<Inner>>,
}

/// A column of one of the sources.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ColumnRef {
    pub input: usize,
    pub column: ScanColumn,
}

/// The key column that a join makes when no source column carries its key.
#[derive(Debug, Clone)]
pub(super) struct Synthetic {
    pub name: String,
    pub ty: SqlType,
}

/// What a name of the statement can mean.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub inputs: Vec<Input>,
    pub synthetic: Option<Synthetic>,
    /// The query has a WINDOW clause: its bounds may be selected.
    pub windowed_aggregate: bool,
    /// `millrace.extensions`.
    pub extensions: bool,
    /// What the names of the query's steps begin with.
    pub prefix: String,
    /// Of a pull query: rows as of now.
    pub pull: bool,
}

/// Where in the statement a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Select,
    Where,
    GroupBy,
    PartitionBy,
    Having,
    OrderBy,
    JoinOn,
}

impl Clause {
    pub fn name(self) -> &'static str {
        match self {
            Clause::Select => "SELECT",
            Clause::Where => "WHERE",
            Clause::GroupBy => "GROUP BY",
            Clause::PartitionBy => "PARTITION BY",
            Clause::Having => "HAVING",
            Clause::OrderBy => "ORDER BY",
            Clause::JoinOn => "JOIN ON",
        }
    }
}

/// Functions whose first argument is a unit of time.
const UNIT_FUNCTIONS: [&str; 6] =
    ["TIMESTAMPADD", "TIMESTAMPSUB", "DATEADD", "DATESUB", "TIMEADD", "TIMESUB"];

impl Scope {
    pub fn new(
        relation: &Relation,
        catalog: &Catalog,
        settings: &Settings,
        prefix: &str,
    ) -> Result<Scope> {
        Scope::empty(settings, prefix, false).with(relation, catalog, settings)
    }

    /// The scope of a pull query: its subqueries are pull queries, too.
    pub fn of_pull(relation: &Relation, catalog: &Catalog, settings: &Settings) -> Result<Scope> {
        Scope::empty(settings, "", true).with(relation, catalog, settings)
    }

    fn empty(settings: &Settings, prefix: &str, pull: bool) -> Scope {
        Scope {
            inputs: Vec::new(),
            synthetic: None,
            windowed_aggregate: false,
            extensions: settings.extensions(),
            prefix: prefix.to_string(),
            pull,
        }
    }

    fn with(
        mut self,
        relation: &Relation,
        catalog: &Catalog,
        settings: &Settings,
    ) -> Result<Scope> {
        let sources =
            std::iter::once(&relation.first).chain(relation.joins.iter().map(|j| &j.right));
        for named in sources {
            let input = self.input(named, catalog, settings)?;
            self.inputs.push(input);
        }
        Ok(self)
    }

    fn input(
        &self,
        named: &AliasedSource,
        catalog: &Catalog,
        settings: &Settings,
    ) -> Result<Input> {
        let alias = named.exposed().value.clone();
        let (source, inner) = match &named.subquery {
            Some(query) => {
                let prefix = format!("{}Q{}_", self.prefix, self.inputs.len() + 1);
                let (source, inner) = match self.pull {
                    true => pull_select::subquery(query, &named.name, catalog, settings)?,
                    false => subquery::plan(query, &named.name, catalog, settings, &prefix)?,
                };
                (Arc::new(source), Some(Arc::new(inner)))
            }
            None => (find_source(catalog, &named.name)?.clone(), None),
        };
        let same = self.inputs.iter().find(|i| i.source.name == source.name);
        if let Some(same) = same.filter(|_| !self.extensions) {
            let (a, b) = (&same.source.name, &source.name);
            let message = format!("Can not join '{a}' to '{b}': self joins are not yet supported.");
            let hint = format!("register the topic of '{a}' under a second name");
            return Err(SqlError::invalid(message).at(named.name.span()).hint(hint));
        }
        if self.inputs.iter().any(|i| i.alias == alias) {
            let message = format!("The name or alias '{alias}' is used more than once.");
            return Err(SqlError::invalid(message).at(named.exposed().span()));
        }
        Ok(Input { alias, source, inner })
    }

    /// Names of the sources, each once, in order of first mention.
    pub fn reads(&self) -> Vec<String> {
        let mut reads: Vec<String> = Vec::new();
        for name in self.inputs.iter().flat_map(Input::reads) {
            if !reads.contains(name) {
                reads.push(name.clone());
            }
        }
        reads
    }

    pub fn is_join(&self) -> bool {
        self.inputs.len() > 1
    }

    /// A copy of `expr` in which every column carries its source and every unit of time is one.
    pub fn qualify(&self, expr: &Expr, clause: Clause) -> Result<Expr> {
        self.qualify_in(expr, clause, &[])
    }

    /// [`Scope::qualify`] inside lambdas with these parameters.
    fn qualify_in(&self, expr: &Expr, clause: Clause, params: &[Ident]) -> Result<Expr> {
        tree::rewrite(expr, &mut |e| match &e.kind {
            ExprKind::Column { source: None, name } if params.contains(name) => Ok(Some(e.clone())),
            ExprKind::Column { source, name } => {
                self.qualify_column(source.as_ref(), name, clause).map(Some)
            }
            ExprKind::Call { name, args } if is_unit_function(name) => {
                self.qualify_unit_call(e, name, args, clause, params)
            }
            ExprKind::Call { name, .. } | ExprKind::CallStar { name } => {
                check_function(name).map(|()| None)
            }
            ExprKind::Lambda { params: inner, body } => {
                self.check_parameters(inner, params)?;
                let all = [params, inner].concat();
                let body = Box::new(self.qualify_in(body, clause, &all)?);
                let kind = ExprKind::Lambda { params: inner.clone(), body };
                Ok(Some(Expr::new(kind, e.span())))
            }
            _ => Ok(None),
        })
    }

    /// Parameters of a lambda hide nothing: no column, and no parameter of a lambda around it.
    fn check_parameters(&self, params: &[Ident], outer: &[Ident]) -> Result<()> {
        for param in params {
            let columns = self.inputs.iter().flat_map(|input| &input.source.columns);
            if columns.into_iter().any(|column| column.name == param.value) {
                let name = &param.value;
                let message = format!("Lambda function argument can't be a column name: {name}");
                return Err(SqlError::invalid(message).at(param.span()));
            }
            if outer.contains(param) {
                let message = "Reusing lambda arguments in nested lambda is not allowed";
                return Err(SqlError::invalid(message).at(param.span()));
            }
        }
        Ok(())
    }

    fn qualify_unit_call(
        &self,
        call: &Expr,
        name: &Ident,
        args: &[Expr],
        clause: Clause,
        params: &[Ident],
    ) -> Result<Option<Expr>> {
        let Some((first, rest)) = args.split_first() else { return Ok(None) };
        let Some(unit) = first.as_unit() else { return Ok(None) };
        let mut qualified = vec![Expr::new(ExprKind::Unit(unit), first.span())];
        for arg in rest {
            qualified.push(self.qualify_in(arg, clause, params)?);
        }
        let kind = ExprKind::Call { name: name.clone(), args: qualified };
        Ok(Some(Expr::new(kind, call.span())))
    }

    fn qualify_column(&self, source: Option<&Ident>, name: &Ident, clause: Clause) -> Result<Expr> {
        let span = source.map_or(name.span(), |s| s.span().to(name.span()));
        if source.is_none() && self.is_own_column(&name.value, clause)? {
            let kind = ExprKind::Column { source: None, name: name.clone() };
            return Ok(Expr::new(kind, span));
        }
        let found = self.resolve(source, name, clause)?;
        let alias = Ident { loc: name.loc, ..Ident::new(&self.inputs[found.input].alias) };
        let kind = ExprKind::Column { source: Some(alias), name: name.clone() };
        Ok(Expr::new(kind, span))
    }

    /// Columns that belong to the query and to none of its sources.
    fn is_own_column(&self, name: &str, clause: Clause) -> Result<bool> {
        if self.synthetic.as_ref().is_some_and(|s| s.name == name) {
            return Ok(true);
        }
        let bounds = name == pseudo::WINDOWSTART || name == pseudo::WINDOWEND;
        if !bounds || !self.windowed_aggregate || self.is_join() {
            return Ok(false);
        }
        if clause != Clause::Select {
            return Err(window_bounds_misplaced(name));
        }
        Ok(true)
    }

    /// Finds the column that a name means.
    pub fn resolve(
        &self,
        source: Option<&Ident>,
        name: &Ident,
        clause: Clause,
    ) -> Result<ColumnRef> {
        let candidates: Vec<ColumnRef> = self
            .inputs
            .iter()
            .enumerate()
            .filter(|(_, input)| source.is_none_or(|s| s.value == input.alias))
            .filter_map(|(input, i)| Some(ColumnRef { input, column: i.column(&name.value)? }))
            .collect();
        match candidates.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(self.unresolved(source, name, clause)),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|c| format!("{}.{}", self.inputs[c.input].alias, name.value))
                    .collect();
                let names = names.join(" or ");
                let message = format!("Column '{}' is ambiguous. Could be {names}.", name.value);
                Err(SqlError::invalid(message).at(name.span()))
            }
        }
    }

    fn unresolved(&self, source: Option<&Ident>, name: &Ident, clause: Clause) -> SqlError {
        let full = match source {
            Some(source) => format!("{}.{}", source.value, name.value),
            None => name.value.clone(),
        };
        let mut message = format!("{} column '{full}' cannot be resolved.", clause.name());
        if clause == Clause::PartitionBy {
            message.push_str(&format!(
                " '{full}' must be a column in the source schema since PARTITION BY is applied on \
                 the input."
            ));
        }
        let span = source.map_or(name.span(), |s| s.span().to(name.span()));
        let error = SqlError::invalid(message).at(span);
        match self.similar(&name.value) {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }

    fn similar(&self, name: &str) -> Option<String> {
        let columns = self.inputs.iter().flat_map(|i| i.source.columns.iter());
        suggest::hint(name, columns.map(|c| c.name.as_str()))
    }

    /// The column that a qualified reference of this scope means.
    pub fn column_of(&self, source: &str, name: &str) -> Option<ColumnRef> {
        let input = self.inputs.iter().position(|i| i.alias == source)?;
        Some(ColumnRef { input, column: self.inputs[input].column(name)? })
    }

    /// The name that the plan uses for a column: bare, or with its source's name in a join.
    pub fn internal_name(&self, column: &ColumnRef) -> String {
        let input = &self.inputs[column.input];
        let name = input.column_name(&column.column);
        if self.is_join() { format!("{}_{name}", input.alias) } else { name.to_string() }
    }

    pub fn type_of(&self, column: &ColumnRef) -> SqlType {
        self.inputs[column.input].column_type(&column.column)
    }
}

impl Input {
    /// Looks up a declared or pseudo column.
    pub fn column(&self, name: &str) -> Option<ScanColumn> {
        if let Some(i) = self.source.columns.iter().position(|c| c.name == name) {
            return Some(ScanColumn::Declared(i));
        }
        let of_records = self.inner.is_none();
        match name {
            pseudo::ROWTIME if of_records => Some(ScanColumn::Rowtime),
            pseudo::ROWPARTITION if of_records => Some(ScanColumn::Rowpartition),
            pseudo::ROWOFFSET if of_records => Some(ScanColumn::Rowoffset),
            pseudo::WINDOWSTART if self.source.window.is_some() => Some(ScanColumn::WindowStart),
            pseudo::WINDOWEND if self.source.window.is_some() => Some(ScanColumn::WindowEnd),
            _ => None,
        }
    }

    pub fn column_name(&self, column: &ScanColumn) -> &str {
        match column {
            ScanColumn::Declared(i) => &self.source.columns[*i].name,
            ScanColumn::Rowtime => pseudo::ROWTIME,
            ScanColumn::Rowpartition => pseudo::ROWPARTITION,
            ScanColumn::Rowoffset => pseudo::ROWOFFSET,
            ScanColumn::WindowStart => pseudo::WINDOWSTART,
            ScanColumn::WindowEnd => pseudo::WINDOWEND,
        }
    }

    fn column_type(&self, column: &ScanColumn) -> SqlType {
        match column {
            ScanColumn::Declared(i) => self.source.columns[*i].ty.clone(),
            ScanColumn::Rowpartition => SqlType::Integer,
            _ => SqlType::Bigint,
        }
    }

    /// The source whose formats a result inherits.
    pub fn leftmost(&self) -> &Arc<Source> {
        self.inner.as_ref().map_or(&self.source, |inner| &inner.leftmost)
    }

    /// The streams and tables that it reads.
    pub fn reads(&self) -> &[String] {
        match &self.inner {
            Some(inner) => &inner.reads,
            None => std::slice::from_ref(&self.source.name),
        }
    }

    pub fn is_stream(&self) -> bool {
        self.source.kind == SourceKind::Stream
    }
}

/// # Errors
/// When there is no such source; the hint names the nearest one.
pub(super) fn find_source<'a>(catalog: &'a Catalog, name: &Ident) -> Result<&'a Arc<Source>> {
    let unknown = || unknown_source(catalog, name, format!("{} does not exist.", name.value));
    catalog.source(&name.value).ok_or_else(unknown)
}

/// The refusal of a name that no source has, with the nearest one as a hint.
pub(super) fn unknown_source(catalog: &Catalog, name: &Ident, message: String) -> SqlError {
    let error = SqlError::invalid(message).at(name.span());
    let known = catalog.sources.keys().map(String::as_str);
    match suggest::closest(&name.value, known) {
        Some(near) => error.hint(super::names::did_you_mean(name, near)),
        None => error.hint("SHOW STREAMS and SHOW TABLES list what there is"),
    }
}

pub(super) fn window_bounds_misplaced(name: &str) -> SqlError {
    SqlError::invalid(format!(
        "Window bounds column {name} can only be used in the SELECT clause of windowed aggregations \
         and can not be passed to aggregate functions.\n\
         See https://github.com/confluentinc/ksql/issues/4397"
    ))
}

/// # Errors
/// A function that there is not, or not yet.
fn check_function(name: &Ident) -> Result<()> {
    let upper = name.value.to_uppercase();
    if functions::kind(&upper).is_some() || upper == "AS_VALUE" {
        return Ok(());
    }
    let message = format!("Can't find any functions with the name '{}'", name.value);
    let error = SqlError::invalid(message).at(name.span());
    match suggest::hint(&upper, functions::all().map(|f| f.name)) {
        Some(hint) => Err(error.hint(hint)),
        None => Err(error),
    }
}

fn is_unit_function(name: &Ident) -> bool {
    UNIT_FUNCTIONS.iter().any(|f| f.eq_ignore_ascii_case(&name.value))
}
