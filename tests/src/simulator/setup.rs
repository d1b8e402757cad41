//! A service without a server: topics, catalog and queries from SQL text.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use millrace_engine::command::QueryFacts;
use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Cleanup, Log, TopicInfo, TopicSpec};
use millrace_engine::names::Names;
use millrace_engine::query::{QueryDef, QueryShared};
use millrace_engine::service::facts::{FactFinder, Wish, sink_spec};
use millrace_engine::topology::Topology;
use millrace_engine::upgrade::upgraded;
use millrace_sql::analyze::{self, Analyzed, NewQuery, Settings};
use millrace_sql::ast::Statement;
use millrace_sql::catalog::{Catalog, Source};
use millrace_sql::parser;
use millrace_sql::plan::QueryPlan;

use super::inputs;

/// What all nodes of a simulated service know.
pub struct Service {
    pub names: Names,
    pub lanes: u32,
    pub progress: TopicId,
    pub processing_log: Tp,
    /// In the order of their commands.
    pub queries: Vec<Planned>,
    pub catalog: Catalog,
    /// What SET has set.
    settings: BTreeMap<String, String>,
}

/// A query that every node makes its own [`QueryDef`] of.
pub struct Planned {
    sql: String,
    plan: QueryPlan,
    topology: Topology,
    facts: QueryFacts,
    sink: Arc<Source>,
}

impl Service {
    /// Runs `statements`: sources and queries.
    pub fn new(log: &dyn Log, lanes: u32, coalesce: bool, statements: &[&str]) -> Self {
        let names = Names::new("sim_");
        let progress = ensure(log, &spec(names.progress_topic(), lanes, Cleanup::Compact));
        let processing = ensure(log, &processing_log_spec(&names));
        let mut service = Service {
            names,
            lanes,
            progress: progress.id,
            processing_log: Tp::new(processing.id, 0),
            queries: Vec::new(),
            catalog: Catalog::default(),
            settings: BTreeMap::new(),
        };
        statements.iter().for_each(|sql| service.execute(log, sql, coalesce));
        service
    }

    pub fn processing_log_spec(&self) -> TopicSpec {
        processing_log_spec(&self.names)
    }

    /// A node's own query, which it may pause or fail for itself.
    pub fn query(&self, at: usize) -> Arc<QueryDef> {
        let Planned { sql, plan, topology, facts, sink } = &self.queries[at];
        Arc::new(QueryDef {
            id: facts.query.clone(),
            sql: sql.clone(),
            plan: plan.clone(),
            topology: topology.clone(),
            facts: facts.clone(),
            sink: Some(sink.clone()),
            names: self.names.clone(),
            status: QueryShared::default(),
        })
    }

    fn execute(&mut self, log: &dyn Log, sql: &str, coalesce: bool) {
        let parsed = parser::parse_statement(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let settings = Settings::from(&self.settings);
        let analyzed = analyze::analyze(&parsed, sql, &self.catalog, &settings);
        match analyzed.unwrap_or_else(|e| panic!("{sql}: {e}")) {
            Analyzed::CreateSource(new) => {
                let mut source = new.source;
                source.partitions = new.create_topic.map_or(1, |wish| wish.partitions);
                ensure(log, &sink_spec(&source, None, Some(-1)));
                self.catalog.sources.insert(source.name.clone(), Arc::new(source));
            }
            Analyzed::CreateAs(new) => self.add_query(log, sql, *new, coalesce),
            Analyzed::Local(local) => match *local {
                Statement::Set { name, value } => drop(self.settings.insert(name, value)),
                _ => panic!("not for a service without a server: {sql}"),
            },
            _ => panic!("neither a source nor a query: {sql}"),
        }
    }

    fn add_query(&mut self, log: &dyn Log, sql: &str, new: NewQuery, coalesce: bool) {
        if new.replaces.is_some() {
            return self.replace_query(sql, new);
        }
        let command = Offset(self.queries.len() as i64);
        let query = format!("Q_{}_{command}", new.source.name);
        let topology = Topology::of(&new.plan).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut sink = Source { query: Some(query.clone()), ..new.source };
        sink.partitions = new.topic.partitions;
        let wish = Wish {
            query: &query,
            topology: &topology,
            sink: &sink,
            sink_replicas: None,
            sink_retention_ms: Some(-1),
            sink_retention_min_ms: None,
            make_sink: true,
            from_earliest: true,
            coalesce,
            replicas: None,
        };
        let running: Vec<_> = (0..self.queries.len()).map(|at| self.query(at)).collect();
        let (names, lanes) = (&self.names, self.lanes);
        let finder = FactFinder { log, names, lanes, running: &running };
        let facts = finder.find(&wish, command).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let sink = Arc::new(sink);
        self.catalog.sources.insert(sink.name.clone(), sink.clone());
        self.queries.push(Planned { sql: sql.to_owned(), plan: new.plan, topology, facts, sink });
    }

    /// The last query that writes the sink goes on with another plan.
    fn replace_query(&mut self, sql: &str, new: NewQuery) {
        let writes = |old: &&Planned| old.sink.name == new.source.name;
        let old = self.queries.iter().rev().find(writes).expect("there is one to replace");
        let topology = upgraded(&old.topology, &new.plan).unwrap_or_else(|e| panic!("{sql}: {e}"));
        let (facts, query) = (old.facts.clone(), old.sink.query.clone());
        let sink = Arc::new(Source { query, partitions: old.sink.partitions, ..new.source });
        self.catalog.sources.insert(sink.name.clone(), sink.clone());
        self.queries.push(Planned { sql: sql.to_owned(), plan: new.plan, topology, facts, sink });
    }
}

/// Makes a topic that takes small records only.
pub fn make_narrow(log: &dyn Log, name: &str, record_bytes_max: usize) {
    let mut narrow = spec(name.to_owned(), inputs::PARTITIONS, Cleanup::Delete);
    narrow.config.push(("max.message.bytes".to_owned(), record_bytes_max.to_string()));
    ensure(log, &narrow);
}

/// The topic of that name.
pub fn topic(log: &dyn Log, name: &str) -> TopicInfo {
    ready(log.describe(name)).expect("the log answers").expect("the topic was made")
}

/// The answer of a log to which nothing happens.
pub fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing makes the outside wait"),
    }
}

fn ensure(log: &dyn Log, spec: &TopicSpec) -> TopicInfo {
    ready(log.ensure(spec)).expect("the topic can be made")
}

fn processing_log_spec(names: &Names) -> TopicSpec {
    spec(names.processing_log(), 1, Cleanup::Delete)
}

fn spec(name: String, partitions: u32, cleanup: Cleanup) -> TopicSpec {
    let (replicas, retention_ms, config) = (None, Some(-1), Vec::new());
    TopicSpec { name, partitions, replicas, cleanup, retention_ms, config }
}
