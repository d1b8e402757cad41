//! CREATE OR REPLACE of a running query: the new plan goes on with the state, the positions and the
//! internal topics of the old one. What holds state or stands at a topic must stay as it is; filters
//! and projections between may come, go and change.

use std::fmt::Debug;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use millrace_sql::plan::{QueryPlan, ResultKind, ScanNode};

use crate::error::{EngineError, Result};
use crate::topology::{Input, Node, Op, Output, SubTopology, Topology};

/// The topology of `plan` on the stores of `old`, under their numbers.
///
/// # Errors
/// `User`, in ksqlDB's words, when the query is not upgradeable.
pub fn upgraded(old: &Topology, plan: &QueryPlan) -> Result<Topology> {
    let mut new = Topology::of(plan)?;
    if old.subs.len() != new.subs.len() || old.repartitions.len() != new.repartitions.len() {
        return refuse("Cannot add or remove a step that sends rows through an internal topic.");
    }
    for (at, repartition) in new.repartitions.iter().enumerate() {
        let before = &old.repartitions[at].node;
        let node = &repartition.node;
        let step = if node.step.contains("GroupBy") { "StreamGroupBy" } else { "StreamSelectKey" };
        must_match(step, "step", &before.step, &node.step)?;
        must_match(step, "group by clause", &key_of(&before.input, &before.key), &{
            key_of(&node.input, &node.key)
        })?;
        must_match(step, "schema", &fields(&before.input), &fields(&node.input))?;
        must_match(step, "internal formats", &before.key_format, &node.key_format)?;
        must_match(step, "partitions", &before.partitions, &node.partitions)?;
    }
    for (old, new) in old.subs.iter().zip(&new.subs) {
        check_sub(old, new)?;
    }
    keep_stores(old, &mut new)?;
    Ok(new)
}

fn refuse<T>(why: &str) -> Result<T> {
    Err(EngineError::User(format!("Query is not upgradeable. {why}")))
}

fn must_match<T: PartialEq + Debug>(step: &str, what: &str, old: &T, new: &T) -> Result<()> {
    if old == new {
        return Ok(());
    }
    refuse(&format!(
        "Plan step of type {step} must have matching {what}. Values differ: {old:?} vs. {new:?}"
    ))
}

fn fields(plan: &LogicalPlan) -> Vec<String> {
    let fields = plan.schema().fields().iter();
    fields.map(|field| format!("{} {}", field.name(), field.data_type())).collect()
}

/// The expressions behind key columns: renamed columns must not hide that they changed.
fn key_of(plan: &LogicalPlan, key: &[usize]) -> Vec<String> {
    let text = |at: &usize| match plan {
        LogicalPlan::Projection(projection) => projection.expr[*at].to_string(),
        other => other.schema().field(*at).name().clone(),
    };
    key.iter().map(text).collect()
}

fn check_sub(old: &SubTopology, new: &SubTopology) -> Result<()> {
    if old.inputs.len() < new.inputs.len() {
        return refuse("Cannot change a non-join source into a join source.");
    }
    if old.inputs.len() > new.inputs.len() {
        return refuse("Cannot change a join source into a non-join source.");
    }
    for pair in old.inputs.iter().zip(&new.inputs) {
        match pair {
            (Input::Scan(old), Input::Scan(new)) => check_scan(old, new)?,
            (Input::Repartition(old), Input::Repartition(new)) if old == new => {}
            _ => return refuse("Cannot add or remove a step that sends rows elsewhere."),
        }
    }
    let holds_state = |node: &&Node| stateful(&node.op).is_some();
    let old_nodes: Vec<&Node> = old.nodes.iter().filter(holds_state).collect();
    let new_nodes: Vec<&Node> = new.nodes.iter().filter(holds_state).collect();
    for (at, node) in new_nodes.iter().enumerate() {
        let (class, _) = stateful(&node.op).unwrap_or_default();
        let Some(before) = old_nodes.get(at) else {
            return refuse(&format!(
                "Cannot add a {class} step that is not in the original query plan."
            ));
        };
        check_state(&before.op, &node.op)?;
    }
    if let Some(gone) = old_nodes.get(new_nodes.len()) {
        let (class, _) = stateful(&gone.op).unwrap_or_default();
        return refuse(&format!("Cannot remove the {class} step of the original query plan."));
    }
    check_output(&old.output, &new.output)
}

fn check_scan(old: &ScanNode, new: &ScanNode) -> Result<()> {
    use millrace_sql::catalog::{Source, SourceKind};
    let (old, new) = (&old.source, &new.source);
    let step = match old.kind {
        SourceKind::Stream => "StreamSource",
        SourceKind::Table => "TableSource",
    };
    must_match(step, "class", &old.kind, &new.kind)?;
    must_match(step, "topicName", &old.topic, &new.topic)?;
    must_match(step, "formats", &old.key_format, &new.key_format)?;
    must_match(step, "formats", &old.value_format, &new.value_format)?;
    must_match(step, "formats", &old.window, &new.window)?;
    must_match(step, "timestampColumn", &old.timestamp, &new.timestamp)?;
    let expires = |source: &Source| source.read_ttl_ms().is_some();
    must_match(step, "ROW_TTL", &expires(old), &expires(new))
}

/// Class and what must not change of an operator that holds state or observes time.
fn stateful(op: &Op) -> Option<(&'static str, Vec<(&'static str, String)>)> {
    let inputs = |plans: &[&LogicalPlan]| {
        let fields: Vec<_> = plans.iter().map(|plan| fields(plan)).collect();
        ("schema", format!("{fields:?}"))
    };
    Some(match op {
        Op::Aggregate { node, .. } => {
            let calls = node.calls.iter().map(|call| {
                let args: Vec<String> = call.args.iter().map(ToString::to_string).collect();
                format!("{}({} {:?})", call.function, args.join(", "), call.params)
            });
            let calls: Vec<String> = calls.collect();
            let class =
                if node.window.is_some() { "StreamWindowedAggregate" } else { "StreamAggregate" };
            let rest = format!("{:?}, final: {}", node.group, node.emit_final);
            (
                class,
                vec![
                    ("aggregate functions", format!("{calls:?}")),
                    ("window", format!("{:?}", node.window)),
                    ("group by clause", rest),
                    inputs(&[&node.input]),
                ],
            )
        }
        Op::Join { node, .. } => (
            "Join",
            vec![
                ("join", format!("{:?} {:?}", node.kind, node.shape)),
                ("join condition", format!("{} = {}", node.left_key, node.right_key)),
                inputs(&[&node.left, &node.right]),
            ],
        ),
        Op::ForeignLeft { node, .. } | Op::ForeignRight { node, .. } => (
            "ForeignKeyTableTableJoin",
            vec![
                ("join", format!("{:?}", node.kind)),
                ("join condition", format!("{} = {}", node.foreign_key, node.right_key)),
                inputs(&[&node.left, &node.right]),
            ],
        ),
        _ => return None,
    })
}

fn check_state(old: &Op, new: &Op) -> Result<()> {
    let ((old_class, old_parts), (class, parts)) =
        (stateful(old).unwrap_or_default(), stateful(new).unwrap_or_default());
    must_match(class, "class", &old_class, &class)?;
    for ((what, old), (_, new)) in old_parts.iter().zip(&parts) {
        must_match(class, what, old, new)?;
    }
    Ok(())
}

fn check_output(old: &Output, new: &Output) -> Result<()> {
    match (old, new) {
        (Output::Sink(old), Output::Sink(new)) => {
            let step = format!("{:?}Sink", new.kind);
            must_match(&step, "topicName", &old.sink.topic, &new.sink.topic)?;
            must_match(&step, "formats", &old.sink.key_format, &new.sink.key_format)?;
            must_match(&step, "formats", &old.sink.value_format, &new.sink.value_format)?;
            must_match(&step, "timestampColumn", &old.sink.timestamp, &new.sink.timestamp)
        }
        (Output::Repartition(old), Output::Repartition(new)) if old == new => Ok(()),
        (Output::Reader, Output::Reader) => Ok(()),
        _ => refuse("Cannot add or remove a step that sends rows elsewhere."),
    }
}

/// Gives the new operators the old stores, by name. A store that is no longer needed stays; one that
/// would be new is done without where that is possible.
fn keep_stores(old: &Topology, new: &mut Topology) -> Result<()> {
    let wanted = std::mem::replace(&mut new.stores, old.stores.clone());
    let find = |at: usize| old.stores.iter().position(|store| *store == wanted[at]);
    let must_find = |at: usize| match find(at) {
        Some(found) => Ok(found),
        None => refuse(&format!("The original query plan has no store {}.", wanted[at].name)),
    };
    let repartitions = &new.repartitions;
    for (sub, before) in new.subs.iter_mut().zip(&old.subs) {
        let inputs = &sub.inputs;
        let undoes = match sub.output {
            Output::Repartition(at) => repartitions[at].kind == ResultKind::Table,
            Output::Sink(_) | Output::Reader => sub
                .nodes
                .iter()
                .any(|node| matches!(&node.op, Op::Aggregate { node, .. } if node.table_input)),
        };
        for node in &mut sub.nodes {
            match &mut node.op {
                // Without it a filter deletes what does not pass, whether it was there or not.
                Op::Input { input, store, expires } => {
                    let (was, is) = (kept_rows(before, *input), rows(inputs, *input));
                    if store.is_some() && (undoes || expires.is_some()) {
                        must_match("TableSource", "stateStoreFormats", &was, &is)?;
                    }
                    *store = store.and_then(find).filter(|_| was == is);
                    if let Some(expires) = expires {
                        expires.index = must_find(expires.index)?;
                    }
                }
                Op::Aggregate { stores, .. } | Op::Join { stores, .. } => {
                    for store in stores {
                        *store = must_find(*store)?;
                    }
                }
                Op::ForeignLeft { rows, results, .. } => {
                    *rows = must_find(*rows)?;
                    *results = results.and_then(find);
                }
                Op::ForeignRight { stores, .. } => {
                    for store in stores {
                        *store = must_find(*store)?;
                    }
                }
                Op::Materialize { store, expires } => {
                    *store = must_find(*store)?;
                    if let Some(expires) = expires {
                        expires.index = must_find(expires.index)?;
                    }
                }
                Op::Filter(_) | Op::Project(_) | Op::FlatMap(_) | Op::Olap(_) => {}
            }
        }
    }
    Ok(())
}

/// Columns that a store of an input holds.
fn kept_rows(sub: &SubTopology, input: usize) -> Option<SchemaRef> {
    let is_kept =
        |node: &Node| matches!(node.op, Op::Input { input: i, store: Some(_), .. } if i == input);
    sub.nodes.iter().any(is_kept).then(|| rows(&sub.inputs, input)).flatten()
}

fn rows(inputs: &[Input], input: usize) -> Option<SchemaRef> {
    match inputs.get(input)? {
        Input::Scan(scan) => Some(scan.schema.inner().clone()),
        Input::Repartition(_) => None,
    }
}

#[cfg(test)]
mod tests;
