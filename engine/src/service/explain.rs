//! EXPLAIN: the logical plan, and how it runs: sub-topologies, tasks, lanes, stores.

use std::fmt::Write;
use std::sync::Arc;

use millrace_sql::analyze::{Analyzed, PullPlan, sink_plan};
use millrace_sql::plan::QueryPlan;

use crate::api::{ApiError, ApiResult, ExplainTarget, Explained, Properties};
use crate::command::QueryFacts;
use crate::error::EngineError;
use crate::names::Names;
use crate::pipeline::Aside;
use crate::service::control::effective;
use crate::service::{Inner, ddl, pull, push};
use crate::topology::{Input, Op, Output, SubTopology, Topology};

impl Inner {
    pub(super) fn explain(
        self: &Arc<Self>,
        target: ExplainTarget<'_>,
        properties: &Properties,
    ) -> ApiResult<Explained> {
        match target {
            ExplainTarget::Query(id) => self.explain_query(id),
            ExplainTarget::Statement(sql) => self.explain_statement(sql, properties),
        }
    }

    fn explain_query(&self, id: &str) -> ApiResult<Explained> {
        let query = self.registry.get(id).ok_or_else(|| {
            let message = format!("Query with id:{id} does not exist, use SHOW QUERIES to view the full set of queries.");
            ApiError::Engine(EngineError::User(message))
        })?;
        let topology =
            describe(&query.topology, &query.names, id, Some(&query.facts), self.lanes());
        Ok(Explained {
            statement: query.sql.clone(),
            plan: plan_text(&query.plan),
            topology,
            columns: push::result_columns(&query.plan).map_err(ApiError::Engine)?,
            reads: query.plan.reads.clone(),
            writes: query.sink.as_ref().map(|sink| sink.name.clone()),
            status: self.queries().into_iter().find(|status| status.id == id),
            sink: None,
        })
    }

    fn explain_statement(
        self: &Arc<Self>,
        sql: &str,
        properties: &Properties,
    ) -> ApiResult<Explained> {
        let properties = effective(self, properties)?;
        let ddl::Checked { text, analyzed } = ddl::analyze(sql, &self.catalog(), &properties)?;
        let analyzed = match analyzed {
            Analyzed::Explain(inner) => *inner,
            other => other,
        };
        let mut sink = None;
        let (plan, writes) = match analyzed {
            Analyzed::CreateAs(create) => (create.plan, Some(create.source.name)),
            Analyzed::InsertInto(insert) => (insert.plan, Some(insert.target.name.clone())),
            Analyzed::CreateSink(new) => {
                let documents = self.olap()?.documents(&new.sink.table);
                let user = |why| ApiError::Engine(EngineError::User(why));
                sink = Some(documents.map_err(user)?);
                (new.plan, Some(new.sink.name))
            }
            Analyzed::AlterSink(change) => {
                let documents = self.olap()?.documents(&change.sink.table);
                sink = Some(documents.map_err(|why| ApiError::Engine(EngineError::User(why)))?);
                let planned = sink_plan(&change.sink, &Arc::new(change.source));
                (planned.map_err(ddl::refused(sql))?.0, Some(change.sink.name))
            }
            Analyzed::Push(plan) | Analyzed::PullStream(plan) => (*plan, None),
            Analyzed::Pull(plan) => return self.explain_tables(text, &plan),
            _ => {
                let message = "only a query can be explained: SELECT, CREATE ... AS, INSERT INTO, \
                               CREATE SINK";
                return Err(ApiError::Engine(EngineError::User(message.to_owned())));
            }
        };
        let topology = match writes {
            Some(_) => Topology::of(&plan),
            None => Topology::in_one_piece(&plan),
        };
        let topology = topology.map_err(ApiError::Engine)?;
        let lanes = self.lanes();
        Ok(Explained {
            statement: text,
            plan: plan_text(&plan),
            topology: describe(&topology, &self.names, "<id>", None, lanes),
            columns: push::result_columns(&plan).map_err(ApiError::Engine)?,
            reads: plan.reads.clone(),
            writes,
            status: None,
            sink,
        })
    }
}

impl Inner {
    /// A pull query over tables has no topology: DataFusion's physical plan stands in its place.
    fn explain_tables(
        self: &Arc<Self>,
        statement: String,
        plan: &PullPlan,
    ) -> ApiResult<Explained> {
        Ok(Explained {
            statement,
            plan: plan.plan.display_indent().to_string(),
            topology: self.explain_pull(plan)?,
            columns: pull::result_columns(plan),
            reads: plan.tables.keys().cloned().collect(),
            writes: None,
            status: None,
            sink: None,
        })
    }
}

fn plan_text(plan: &QueryPlan) -> String {
    plan.plan.display_indent().to_string()
}

/// Sub-topologies as text for people.
fn describe(
    topology: &Topology,
    names: &Names,
    query: &str,
    facts: Option<&QueryFacts>,
    lanes: u32,
) -> String {
    let mut text = String::new();
    if let Some(ms) = topology.idle_close_ms {
        let _ = writeln!(text, "Stream time goes on with the clock after {ms} ms without a record");
    }
    for (at, sub) in topology.subs.iter().enumerate() {
        let _ = writeln!(text, "Sub-topology {at}");
        describe_sub(&mut text, topology, sub, names, query);
        if let Some(facts) = facts.and_then(|facts| facts.subs.get(at)) {
            let placed: Vec<String> = (0..facts.partitions)
                .map(|p| format!("{p} on lane {}", facts.lane(p, lanes)))
                .collect();
            let _ = writeln!(text, "  tasks: {}", placed.join(", "));
        }
    }
    text
}

fn describe_sub(
    text: &mut String,
    topology: &Topology,
    sub: &SubTopology,
    names: &Names,
    query: &str,
) {
    let repartition =
        |i: usize| names.repartition_topic(query, &topology.repartitions[i].node.step);
    for input in &sub.inputs {
        let _ = match input {
            Input::Scan(scan) => {
                writeln!(text, "  reads {} (topic {})", scan.source.name, scan.source.topic)
            }
            Input::Repartition(i) => writeln!(text, "  reads topic {}", repartition(*i)),
        };
    }
    let changelog = |i: usize| names.changelog_topic(query, &topology.stores[i].name);
    for node in &sub.nodes {
        let _ = writeln!(text, "  {} -> {:?}", op_name(&node.op), node.kind);
        for store in node.op.stores() {
            let _ = writeln!(
                text,
                "    keeps {} (changelog {})",
                topology.stores[store].name,
                changelog(store)
            );
        }
        if let Some(Aside::Topic(i)) = node.aside {
            let _ = writeln!(text, "    writes topic {}", repartition(i));
        }
    }
    let _ = match &sub.output {
        Output::Sink(node) => {
            writeln!(text, "  writes {} (topic {})", node.sink.name, node.sink.topic)
        }
        Output::Repartition(i) => writeln!(text, "  writes topic {}", repartition(*i)),
        Output::Reader => writeln!(text, "  writes to the reader"),
    };
}

fn op_name(op: &Op) -> &'static str {
    match op {
        Op::Input { .. } => "input",
        Op::Filter(_) => "filter",
        Op::Project(_) => "project",
        Op::FlatMap(_) => "flat map",
        Op::Aggregate { .. } => "aggregate",
        Op::Join { .. } => "join",
        Op::ForeignLeft { .. } => "foreign-key join, left side",
        Op::ForeignRight { .. } => "foreign-key join, right side",
        Op::Materialize { .. } => "materialize",
        Op::Olap(_) => "rows for Pinot or Druid",
    }
}
