//! Which tables are kept as they are read, so that it is known what a row replaces and when it expires.

use millrace_sql::plan::ResultKind;

use super::{Builder, Expires, Input, Node, Op, Output, Piece, Repartition, StoreSpec};
use crate::state::Shape;

/// Name of the index of when a store's rows expire.
pub(super) fn index_name(store: &str) -> String {
    format!("{store}-expiry")
}

impl Builder {
    /// A table that is read from its topic knows what a row replaces only if it is kept.
    pub(super) fn materialize_inputs(&mut self, piece: &mut Piece, sub: usize) {
        for node in &mut piece.nodes {
            if let Op::ForeignLeft { node: join, results, .. } = &mut node.op
                && node.needs_old
            {
                let name = format!("{}-foreign-results", join.step);
                *results = Some(self.stores.len());
                let shape = Shape::KeyValue;
                self.stores.push(StoreSpec { name, shape, sub, windowed: false });
            }
            let Op::Input { input, store, expires } = &mut node.op else { continue };
            let Input::Scan(scan) = &piece.inputs[*input] else { continue };
            let ttl_ms = scan.source.read_ttl_ms();
            if node.needs_old || ttl_ms.is_some() {
                // A join keeps what it reads as `-Reduce`.
                let kind = if ttl_ms.is_some() { "Rows" } else { "Reduce" };
                let name = format!("{}-{kind}", scan.step);
                *store = Some(self.stores.len());
                let shape = Shape::KeyValue;
                self.stores.push(StoreSpec { name, shape, sub, windowed: false });
            }
            if let Some(ttl_ms) = ttl_ms {
                let name = index_name(&format!("{}-Rows", scan.step));
                *expires = Some(Expires { index: self.stores.len(), ttl_ms });
                let shape = Shape::WindowFirst;
                self.stores.push(StoreSpec { name, shape, sub, windowed: true });
            }
        }
    }
}

/// A table's filter, a table aggregate and a table's repartition need what a row
/// replaces; projections and filters pass the need on to what feeds them.
pub(super) fn mark_needs_old(nodes: &mut [Node], output: &Output, repartitions: &[Repartition]) {
    for at in (0..nodes.len()).rev() {
        let needed = match nodes[at].next {
            None => match output {
                Output::Repartition(topic) => repartitions[*topic].kind == ResultKind::Table,
                Output::Sink(_) | Output::Reader => false,
            },
            Some((next, _)) => match &nodes[next].op {
                Op::Filter(_) => nodes[next].kind == ResultKind::Table,
                Op::Project(_) => nodes[next].needs_old,
                Op::Aggregate { node, .. } => node.table_input,
                Op::Olap(node) => node.changes,
                // Table functions are over streams; a join keeps both sides itself.
                Op::FlatMap(_)
                | Op::Join { .. }
                | Op::ForeignLeft { .. }
                | Op::ForeignRight { .. }
                | Op::Input { .. }
                | Op::Materialize { .. } => false,
            },
        };
        nodes[at].needs_old = needed && nodes[at].kind == ResultKind::Table;
    }
}
