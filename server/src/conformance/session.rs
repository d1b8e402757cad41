//! The statements of a case: parsed as one text, run one after another against a catalog, as a
//! server does it, but without a command log.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_engine::api::ApiError;
use millrace_engine::error::EngineError;
use millrace_engine::format::Formats;
use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use millrace_engine::service::insert;
use millrace_engine::service::schemas::{self, SchemaDesk, Schemas};
use millrace_engine::topology::Topology;
use millrace_engine::upgrade::upgraded;
use millrace_sql::analyze::{self, Analyzed, DropPlan, EXTENSIONS, NewQuery, NewSource, Settings};
use millrace_sql::ast::TypeExpr;
use millrace_sql::catalog::{Catalog, QueryInfo, Source, SourceKind};
use millrace_sql::error::SqlError;
use millrace_sql::expr::with_ambient;
use millrace_sql::parser::{self, ParsedStatement};
use millrace_sql::plan::QueryPlan;
use millrace_sql::types::SqlType;
use millrace_sql::unparse;

use super::case::Case;
use super::driver::Planned;
use super::thrown::{Stage, Thrown};

/// Partitions of a topic of which the case says nothing.
const PARTITIONS_DEFAULT: u32 = 4;

/// Settings of every case, below its own.
const PROPERTIES: [(&str, &str); 4] = [
    ("auto.offset.reset", "earliest"),
    ("cache.max.bytes.buffering", "0"),
    ("ksql.headers.columns.enabled", "true"),
    // ksqlDB's cases expect what ksqlDB refuses to be refused.
    (EXTENSIONS, "false"),
];

/// What the statements so far have made.
pub struct Session {
    pub catalog: Catalog,
    /// In the order in which they are run.
    pub queries: Vec<Planned>,
    /// Rows of INSERT VALUES, by topic.
    pub inserted: Vec<(String, Record)>,
    pub properties: BTreeMap<String, String>,
    /// Partitions of topics of which nothing is said.
    pub partitions_default: u32,
    formats: Arc<dyn Formats>,
    /// Partitions that the case gives to topics.
    partitions: BTreeMap<String, u32>,
    next_query: u64,
}

impl Session {
    pub fn new(case: &Case, formats: Arc<dyn Formats>) -> Self {
        let mut properties: BTreeMap<String, String> =
            PROPERTIES.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        properties.extend(case.properties.clone());
        let topics = case.topics.iter();
        Session {
            catalog: Catalog::default(),
            partitions_default: PARTITIONS_DEFAULT,
            queries: Vec::new(),
            inserted: Vec::new(),
            properties,
            formats,
            partitions: topics.map(|t| (t.name.clone(), t.partitions)).collect(),
            next_query: 0,
        }
    }

    /// A session of no case.
    pub fn empty(formats: Arc<dyn Formats>) -> Self {
        Self::new(&Case::default(), formats)
    }

    pub fn formats(&self) -> &dyn Formats {
        self.formats.as_ref()
    }

    /// Parses all statements, then runs them.
    ///
    /// # Errors
    /// The first statement that is refused.
    pub fn run(&mut self, statements: &[String]) -> Result<(), Thrown> {
        let text = statements.join("\n");
        for parsed in parse(&text)? {
            self.execute(&text, &parsed)?;
        }
        Ok(())
    }

    /// Runs one statement of `text`.
    ///
    /// # Errors
    /// A statement that is refused, or that makes no sense in a test.
    pub fn execute(&mut self, text: &str, parsed: &ParsedStatement) -> Result<(), Thrown> {
        let sql = unparse::to_sql(&parsed.statement);
        let settings = Settings::from(&self.properties);
        // Errors show the statement spelled out, if it can be.
        let shown = analyze::sanitized(&parsed.statement, &self.catalog, &settings);
        let shown = shown.map_or(sql, |statement| unparse::to_sql(&statement));
        let thrown = |error: SqlError| Thrown::of_analysis(&error, &parsed.statement, text, &shown);
        let formats = self.formats.clone();
        let desk = SchemaDesk { formats: formats.as_ref() };
        let complete = desk.infer(parsed.statement.clone(), &settings).map_err(thrown)?;
        let sql = unparse::to_sql(&complete);
        let analyzed = analyze::analyze(&complete, &sql, &self.catalog, &settings);
        match analyzed.map_err(thrown)? {
            Analyzed::CreateSource(new) => {
                desk.register(&new.source, true).map_err(thrown)?;
                self.create_source(*new);
            }
            Analyzed::CreateAs(new) => {
                desk.check_chosen(&new.source).map_err(thrown)?;
                let schemas = desk.register(&new.source, false).map_err(thrown)?;
                self.create_as(*new, sql, &schemas)?;
            }
            Analyzed::InsertInto(new) => {
                let schemas = desk.register(&new.target, false).map_err(thrown)?;
                let id = new.query_id.clone().unwrap_or_else(|| self.id("INSERTQUERY"));
                self.add_query(id, sql, new.plan.clone(), new.target.clone(), &schemas)?;
            }
            Analyzed::InsertValues(mut row) => {
                let schemas = desk.register(&row.target, false).map_err(thrown)?;
                row.target = Arc::new(schemas::with_schemas(&row.target, &schemas));
                let now = Timestamp(0);
                let record =
                    with_ambient(now.0, &|| 0, || insert::encode(self.formats.as_ref(), &row, now));
                let record = record.map_err(|e| refused(&e))?;
                self.inserted.push((row.target.topic.clone(), record.record));
            }
            Analyzed::Drop(plan) => self.drop_source(&plan),
            Analyzed::AlterSource(source) => {
                self.catalog.sources.insert(source.name.clone(), Arc::new(*source));
            }
            Analyzed::CreateType(new) => {
                self.catalog.types.insert(new.name, new.ty);
            }
            Analyzed::DropType(name) => {
                self.catalog.types.remove(&name);
            }
            Analyzed::Nothing(_) => {}
            _ => {
                let message = format!("Statement not executable: {sql}");
                return Err(Thrown::new(Stage::Execute, message));
            }
        }
        Ok(())
    }

    fn create_source(&mut self, new: NewSource) {
        let mut source = new.source;
        let wish = new.create_topic.map(|wish| wish.partitions);
        source.partitions = *self
            .partitions
            .entry(source.topic.clone())
            .or_insert(wish.unwrap_or(self.partitions_default));
        self.catalog.sources.insert(source.name.clone(), Arc::new(source));
    }

    fn create_as(&mut self, new: NewQuery, sql: String, schemas: &Schemas) -> Result<(), Thrown> {
        let prefix = match new.source.kind {
            SourceKind::Stream => "CSAS",
            SourceKind::Table => "CTAS",
        };
        let id = match self.replaced(&new)? {
            Some(replaced) => replaced,
            None => self.id(&format!("{prefix}_{}", new.source.name)),
        };
        let mut sink = Source { query: Some(id.clone()), ..new.source };
        sink.partitions =
            self.partitions.get(&sink.topic).copied().unwrap_or(self.partitions_default);
        let sink = Arc::new(sink);
        self.add_query(id, sql, new.plan, sink.clone(), schemas)?;
        self.catalog.sources.insert(sink.name.clone(), sink);
        Ok(())
    }

    /// The query that goes on as the new one.
    fn replaced(&self, new: &NewQuery) -> Result<Option<String>, Thrown> {
        let refuse = |e: EngineError| Thrown::new(Stage::Execute, e.to_string());
        let Some(id) = new.replaces.as_ref().and_then(|old| old.query.clone()) else {
            return Ok(None);
        };
        if let Some(old) = self.queries.iter().find(|query| query.id == id) {
            upgraded(&old.topology, &new.plan).map_err(refuse)?;
        }
        Ok(Some(id))
    }

    fn add_query(
        &mut self,
        id: String,
        sql: String,
        plan: QueryPlan,
        sink: Arc<Source>,
        schemas: &Schemas,
    ) -> Result<(), Thrown> {
        let mut topology =
            Topology::of(&plan).map_err(|e| Thrown::new(Stage::Execute, e.to_string()))?;
        topology.write_to(&Arc::new(schemas::with_schemas(&sink, schemas)));
        let info = QueryInfo {
            id: id.clone(),
            sql: sql.clone(),
            reads: plan.reads.clone(),
            writes: sink.name.clone(),
            paused: false,
            materialized: topology.aggregate().is_some() || topology.materialized().is_some(),
        };
        self.catalog.queries.insert(id.clone(), Arc::new(info));
        let planned = Planned { id, sql, plan, topology, sink: Some(sink) };
        match self.queries.iter_mut().find(|query| query.id == planned.id) {
            Some(query) => *query = planned,
            None => self.queries.push(planned),
        }
        Ok(())
    }

    /// The queries stay: a case looks at what they have written.
    fn drop_source(&mut self, plan: &DropPlan) {
        self.catalog.sources.remove(&plan.source.name);
        if let Some(query) = &plan.terminates {
            self.catalog.queries.remove(query);
        }
    }

    fn id(&mut self, prefix: &str) -> String {
        let id = format!("{prefix}_{}", self.next_query);
        self.next_query += 1;
        id
    }

    /// A type, with the custom types of the catalog.
    ///
    /// # Errors
    /// An unknown custom type.
    pub fn resolve_type(&self, ty: &TypeExpr) -> Result<SqlType, SqlError> {
        ty.resolve(&|name| self.catalog.types.get(name).cloned())
    }

    /// A source over the topic.
    pub fn source_of(&self, topic: &str) -> Option<&Arc<Source>> {
        self.catalog.sources.values().find(|source| source.topic == topic)
    }
}

/// All statements of a text.
///
/// # Errors
/// The first syntax error.
pub fn parse(text: &str) -> Result<Vec<ParsedStatement>, Thrown> {
    parser::parse(text).map_err(|error| Thrown::of_parser(&error, text))
}

fn refused(error: &ApiError) -> Thrown {
    let message = match error {
        ApiError::Statement { error, .. } => error.message.clone(),
        ApiError::Engine(error) => error.to_string(),
        ApiError::TooMany(message) | ApiError::Starting(message) => message.clone(),
    };
    Thrown::new(Stage::Execute, message)
}
