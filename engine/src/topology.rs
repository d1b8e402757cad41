//! From a query's `LogicalPlan` to sub-topologies: pieces that end at a topic. What runs is built
//! from exactly this plan, so a changed plan changes the output.

use std::sync::Arc;

use datafusion::logical_expr::{LogicalPlan, Union};
use millrace_sql::catalog::{Source, SourceKind};
use millrace_sql::plan::{
    AggregateNode, FlatMapNode, ForeignJoinNode, JoinNode, JoinShape, OlapNode, QueryPlan,
    RepartitionNode, ResultKind, ScanNode, SinkNode, as_node,
};

use crate::error::{EngineError, Result};
use crate::operators::aggregate::stores;
use crate::operators::foreign::{responses, subscriptions};
use crate::pipeline::Aside;
use crate::state::Shape;

mod closing;
mod kept;

pub use closing::Closer;

/// A query cut at its repartition topics, upstream first.
#[derive(Debug, Clone)]
pub struct Topology {
    pub subs: Vec<SubTopology>,
    /// Internal topics between them.
    pub repartitions: Vec<Repartition>,
    pub stores: Vec<StoreSpec>,
    /// Stream time goes on with the clock when no record has come for so long.
    pub idle_close_ms: Option<i64>,
}

/// An internal topic between two sub-topologies.
#[derive(Debug, Clone)]
pub struct Repartition {
    pub node: RepartitionNode,
    pub kind: ResultKind,
}

/// A store that some operator of the query needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSpec {
    /// ksqlDB's store name, e.g. `Aggregate-Aggregate-Materialize`; the changelog is
    /// `<app id>-<name>-changelog`.
    pub name: String,
    pub shape: Shape,
    pub sub: usize,
    /// Keys expire with their window, so the changelog may be trimmed.
    pub windowed: bool,
}

/// A part of a query that one task runs per partition.
#[derive(Debug, Clone)]
pub struct SubTopology {
    pub inputs: Vec<Input>,
    pub nodes: Vec<Node>,
    pub output: Output,
}

/// What a task reads: one partition of it.
#[derive(Debug, Clone)]
pub enum Input {
    Scan(ScanNode),
    /// Index into [`Topology::repartitions`].
    Repartition(usize),
}

/// One operator. Children come before their parents; those with none feed the output.
#[derive(Debug, Clone)]
pub struct Node {
    pub op: Op,
    pub kind: ResultKind,
    /// Node that takes this one's output, and on which port; `None`: the sub-topology's output.
    pub next: Option<(usize, usize)>,
    /// Where its second output goes, if it has one.
    pub aside: Option<Aside>,
    /// The node after wants to know what a row replaces.
    pub needs_old: bool,
}

/// What an operator does. Stores are indices into [`Topology::stores`].
#[derive(Debug, Clone)]
pub enum Op {
    /// Passes on input `input` of the sub-topology; keeps it in a store when `store` is set.
    Input {
        input: usize,
        store: Option<usize>,
        expires: Option<Expires>,
    },
    Filter(LogicalPlan),
    Project(LogicalPlan),
    FlatMap(FlatMapNode),
    /// The first store is the one to query.
    Aggregate {
        node: AggregateNode,
        stores: Vec<usize>,
    },
    Join {
        node: JoinNode,
        stores: Vec<usize>,
    },
    /// The left side of a foreign-key join: left rows, and its results if they must be known.
    ForeignLeft {
        node: ForeignJoinNode,
        rows: usize,
        results: Option<usize>,
    },
    /// The right side of a foreign-key join: who asked, right rows.
    ForeignRight {
        node: ForeignJoinNode,
        stores: [usize; 2],
    },
    Materialize {
        store: usize,
        expires: Option<Expires>,
    },
    Olap(OlapNode),
}

/// Rows of a store that expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expires {
    /// The store that finds them by their time.
    pub index: usize,
    pub ttl_ms: i64,
}

impl Op {
    /// Its stores.
    pub fn stores(&self) -> Vec<usize> {
        match self {
            Op::Input { store, expires, .. } => {
                store.iter().copied().chain(expires.map(|e| e.index)).collect()
            }
            Op::Aggregate { stores, .. } | Op::Join { stores, .. } => stores.clone(),
            Op::ForeignLeft { rows, results, .. } => {
                std::iter::once(*rows).chain(*results).collect()
            }
            Op::ForeignRight { stores, .. } => stores.to_vec(),
            Op::Materialize { store, expires } => {
                std::iter::once(*store).chain(expires.map(|e| e.index)).collect()
            }
            Op::Filter(_) | Op::Project(_) | Op::FlatMap(_) | Op::Olap(_) => Vec::new(),
        }
    }
}

/// Where a sub-topology's rows go.
#[derive(Debug, Clone)]
pub enum Output {
    Sink(Box<SinkNode>),
    Repartition(usize),
    /// A push query's reader.
    Reader,
}

impl Topology {
    /// Makes `sink` what the query writes to: the plan's sink with the facts of its command.
    pub fn write_to(&mut self, sink: &Arc<Source>) {
        for sub in &mut self.subs {
            if let Output::Sink(node) = &mut sub.output {
                node.sink = sink.clone();
            }
        }
    }

    /// Cuts a plan into sub-topologies.
    ///
    /// # Errors
    /// `Bug` when the plan has a node that no operator exists for.
    pub fn of(plan: &QueryPlan) -> Result<Topology> {
        let mut topology = Self::build(plan, Builder::default())?;
        topology.idle_close_ms = plan.idle_close_ms.filter(|_| topology.has_closers());
        Ok(topology)
    }

    /// A plan as one piece, for a reader that sees all partitions itself: where equal keys meet in
    /// one task anyway, no topic is needed between.
    ///
    /// # Errors
    /// As [`Topology::of`].
    pub fn in_one_piece(plan: &QueryPlan) -> Result<Topology> {
        Self::build(plan, Builder { one_piece: true, ..Builder::default() })
    }

    fn build(plan: &QueryPlan, mut builder: Builder) -> Result<Topology> {
        let mut piece = Piece::default();
        let (input, output) = match as_node::<SinkNode>(&plan.plan) {
            Some(sink) => (&sink.input, Output::Sink(Box::new(sink.clone()))),
            None => (&plan.plan, Output::Reader),
        };
        if let LogicalPlan::Union(union) = input {
            return builder.union(union, output);
        }
        let mut last = builder.add(&mut piece, input)?;
        if let Output::Sink(sink) = &output
            && let Some(step) = &sink.materialize
        {
            let store = builder.store(step.clone(), Shape::KeyValue, false);
            let expires = sink.sink.row_ttl_ms.map(|ttl_ms| {
                let name = kept::index_name(step);
                Expires { index: builder.store(name, Shape::WindowFirst, true), ttl_ms }
            });
            last = piece.push(Op::Materialize { store, expires }, ResultKind::Table, &[last]);
        }
        let _ = last;
        builder.finish(piece, output);
        Ok(builder.topology())
    }

    /// The one aggregate whose store answers pull queries, if the query has one.
    pub fn aggregate(&self) -> Option<(&AggregateNode, usize)> {
        self.subs.last()?.nodes.iter().rev().find_map(|node| match &node.op {
            Op::Aggregate { node, stores } => Some((node, *stores.first()?)),
            _ => None,
        })
    }

    /// The store that holds the query's result as rows of the sink.
    pub fn materialized(&self) -> Option<usize> {
        self.subs.last()?.nodes.iter().find_map(|node| match node.op {
            Op::Materialize { store, .. } => Some(store),
            _ => None,
        })
    }
}

#[derive(Default)]
struct Builder {
    one_piece: bool,
    subs: Vec<SubTopology>,
    repartitions: Vec<Repartition>,
    stores: Vec<StoreSpec>,
    /// Stores of the piece being built, which has no number yet.
    pending: Vec<usize>,
}

/// A sub-topology being built.
#[derive(Default)]
struct Piece {
    inputs: Vec<Input>,
    nodes: Vec<Node>,
    stores: Vec<usize>,
}

impl Piece {
    fn push(&mut self, op: Op, kind: ResultKind, children: &[usize]) -> usize {
        let at = self.nodes.len();
        for (port, child) in children.iter().enumerate() {
            self.nodes[*child].next = Some((at, port));
        }
        self.nodes.push(Node { op, kind, next: None, aside: None, needs_old: false });
        at
    }

    fn kind(&self, node: usize) -> ResultKind {
        self.nodes[node].kind
    }
}

impl Builder {
    /// Each input in sub-topologies of its own: all write the sink, none waits for another. What a
    /// reader gets comes from one, whose last nodes all feed it.
    fn union(mut self, union: &Union, output: Output) -> Result<Topology> {
        let mut piece = Piece::default();
        for input in &union.inputs {
            self.add(&mut piece, input)?;
            if let Output::Sink(sink) = &output {
                let sink = SinkNode { input: input.as_ref().clone(), ..sink.as_ref().clone() };
                let own = std::mem::take(&mut piece);
                self.finish(own, Output::Sink(Box::new(sink)));
            }
        }
        if matches!(output, Output::Reader) {
            self.finish(piece, output);
        }
        Ok(self.topology())
    }

    fn add(&mut self, piece: &mut Piece, plan: &LogicalPlan) -> Result<usize> {
        if let Some(scan) = as_node::<ScanNode>(plan) {
            return Ok(add_scan(piece, scan));
        }
        if let Some(node) = as_node::<RepartitionNode>(plan) {
            return self.add_repartition(piece, node);
        }
        if let Some(node) = as_node::<FlatMapNode>(plan) {
            let child = self.add(piece, &node.input)?;
            let kind = piece.kind(child);
            return Ok(piece.push(Op::FlatMap(node.clone()), kind, &[child]));
        }
        if let Some(node) = as_node::<OlapNode>(plan) {
            let child = self.add(piece, &node.input)?;
            return Ok(piece.push(Op::Olap(node.clone()), ResultKind::Stream, &[child]));
        }
        if let Some(node) = as_node::<AggregateNode>(plan) {
            return self.add_aggregate(piece, node);
        }
        if let Some(node) = as_node::<JoinNode>(plan) {
            return self.add_join(piece, node);
        }
        if let Some(node) = as_node::<ForeignJoinNode>(plan) {
            return self.add_foreign_join(piece, node);
        }
        match plan {
            LogicalPlan::Filter(filter) => {
                let child = self.add(piece, &filter.input)?;
                let kind = piece.kind(child);
                Ok(piece.push(Op::Filter(plan.clone()), kind, &[child]))
            }
            LogicalPlan::Projection(projection) => {
                let child = self.add(piece, &projection.input)?;
                let kind = piece.kind(child);
                Ok(piece.push(Op::Project(plan.clone()), kind, &[child]))
            }
            other => {
                let name = other.display();
                Err(EngineError::Bug(format!("no operator for the plan node {name}")))
            }
        }
    }

    fn add_repartition(&mut self, piece: &mut Piece, node: &RepartitionNode) -> Result<usize> {
        if self.one_piece {
            return self.add(piece, &node.input);
        }
        let mut upstream = Piece::default();
        let last = self.add(&mut upstream, &node.input)?;
        let kind = upstream.kind(last);
        let at = self.repartitions.len();
        self.repartitions.push(Repartition { node: node.clone(), kind });
        self.finish(upstream, Output::Repartition(at));
        let input = piece.inputs.len();
        piece.inputs.push(Input::Repartition(at));
        Ok(piece.push(Op::Input { input, store: None, expires: None }, kind, &[]))
    }

    fn add_aggregate(&mut self, piece: &mut Piece, node: &AggregateNode) -> Result<usize> {
        let child = self.add(piece, &node.input)?;
        let windowed = node.window.is_some();
        let stores = stores(node).into_iter().map(|need| {
            let name = format!("{}-Aggregate-Materialize{}", node.step, need.suffix);
            let windowed = windowed || need.shape == Shape::WindowFirst;
            self.store_of(piece, name, need.shape, windowed)
        });
        let stores = stores.collect();
        let op = Op::Aggregate { node: node.clone(), stores };
        Ok(piece.push(op, ResultKind::Table, &[child]))
    }

    fn add_join(&mut self, piece: &mut Piece, node: &JoinNode) -> Result<usize> {
        let left = self.add(piece, &node.left)?;
        let right = self.add(piece, &node.right)?;
        let step = &node.step;
        let (left_name, right_name) =
            (side(piece, left, step, "left"), side(piece, right, step, "right"));
        let mut store = |name: String, shape, windowed| self.store_of(piece, name, shape, windowed);
        let (stores, kind) = match node.shape {
            JoinShape::StreamStream { .. } => (
                vec![
                    store(format!("{step}-left"), Shape::WindowFirst, true),
                    store(format!("{step}-right"), Shape::WindowFirst, true),
                    store(format!("{step}-outer"), Shape::WindowFirst, true),
                ],
                ResultKind::Stream,
            ),
            JoinShape::StreamTable => {
                (vec![store(right_name, Shape::KeyValue, false)], ResultKind::Stream)
            }
            JoinShape::TableTable => (
                vec![
                    store(left_name, Shape::KeyValue, false),
                    store(right_name, Shape::KeyValue, false),
                ],
                ResultKind::Table,
            ),
        };
        let op = Op::Join { node: node.clone(), stores };
        Ok(piece.push(op, kind, &[left, right]))
    }

    /// The two sides live in sub-topologies of their own, and each reads what the other writes.
    fn add_foreign_join(&mut self, piece: &mut Piece, node: &ForeignJoinNode) -> Result<usize> {
        let step = &node.step;
        let left = self.add(piece, &node.left)?;
        let store = format!("{step}-foreign-left");
        let rows = self.store_of(piece, store, Shape::KeyValue, false);
        let op = Op::ForeignLeft { node: node.clone(), rows, results: None };
        if self.one_piece {
            let right = self.add_foreign_right(piece, node, None)?;
            let join = piece.push(op, ResultKind::Table, &[left, right]);
            piece.nodes[join].aside = Some(Aside::Node(right, 0));
            return Ok(join);
        }
        let (asks, answers) = (self.repartitions.len(), self.repartitions.len() + 1);
        for node in [subscriptions(node)?, responses(node)?] {
            self.repartitions.push(Repartition { node, kind: ResultKind::Stream });
        }
        let mut other = Piece::default();
        other.inputs.push(Input::Repartition(asks));
        let input = Op::Input { input: 0, store: None, expires: None };
        let asked = other.push(input, ResultKind::Stream, &[]);
        self.add_foreign_right(&mut other, node, Some(asked))?;
        self.finish(other, Output::Repartition(answers));
        let input = piece.inputs.len();
        piece.inputs.push(Input::Repartition(answers));
        let op_input = Op::Input { input, store: None, expires: None };
        let answered = piece.push(op_input, ResultKind::Stream, &[]);
        let join = piece.push(op, ResultKind::Table, &[left, answered]);
        piece.nodes[join].aside = Some(Aside::Topic(asks));
        Ok(join)
    }

    fn add_foreign_right(
        &mut self,
        piece: &mut Piece,
        node: &ForeignJoinNode,
        asked: Option<usize>,
    ) -> Result<usize> {
        let right = self.add(piece, &node.right)?;
        let step = &node.step;
        let stores = [
            self.store_of(piece, format!("{step}-foreign-asked"), Shape::KeyFirst, false),
            self.store_of(piece, format!("{step}-foreign-right"), Shape::KeyValue, false),
        ];
        let op = Op::ForeignRight { node: node.clone(), stores };
        let at = piece.push(op, ResultKind::Stream, &[]);
        if let Some(asked) = asked {
            piece.nodes[asked].next = Some((at, 0));
        }
        piece.nodes[right].next = Some((at, 1));
        Ok(at)
    }

    fn store_of(&mut self, piece: &mut Piece, name: String, shape: Shape, windowed: bool) -> usize {
        let at = self.stores.len();
        self.stores.push(StoreSpec { name, shape, sub: 0, windowed });
        piece.stores.push(at);
        at
    }

    fn store(&mut self, name: String, shape: Shape, windowed: bool) -> usize {
        let at = self.stores.len();
        self.stores.push(StoreSpec { name, shape, sub: 0, windowed });
        self.pending.push(at);
        at
    }

    fn finish(&mut self, mut piece: Piece, output: Output) {
        let sub = self.subs.len();
        for store in piece.stores.drain(..).chain(self.pending.drain(..)) {
            self.stores[store].sub = sub;
        }
        kept::mark_needs_old(&mut piece.nodes, &output, &self.repartitions);
        self.materialize_inputs(&mut piece, sub);
        self.subs.push(SubTopology { inputs: piece.inputs, nodes: piece.nodes, output });
    }

    fn topology(self) -> Topology {
        let Builder { subs, repartitions, stores, .. } = self;
        Topology { subs, repartitions, stores, idle_close_ms: None }
    }
}

fn add_scan(piece: &mut Piece, scan: &ScanNode) -> usize {
    let input = piece.inputs.len();
    let kind = match scan.source.kind {
        SourceKind::Stream => ResultKind::Stream,
        SourceKind::Table => ResultKind::Table,
    };
    piece.inputs.push(Input::Scan(scan.clone()));
    piece.push(Op::Input { input, store: None, expires: None }, kind, &[])
}

/// Name of the store of one side of a table join: that of the table it holds, if it is one.
fn side(piece: &Piece, child: usize, step: &str, name: &str) -> String {
    match &piece.nodes[child].op {
        Op::Input { input, .. } => match &piece.inputs[*input] {
            Input::Scan(scan) => format!("{}-Reduce", scan.step),
            Input::Repartition(_) => format!("{step}-{name}"),
        },
        _ => format!("{step}-{name}"),
    }
}
