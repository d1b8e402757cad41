//! What closes by stream time, and who must be told of it: the clock may go on with it where no record
//! does (`millrace.window.idle.close.ms`).

use millrace_sql::plan::{JoinKind, JoinShape, ResultKind, Window, WindowKind};

use super::{Input, Op, Output, SubTopology, Topology};

/// Parts into which the span of a wait is cut that ends at any time.
const PARTS: i64 = 64;

/// Something that waits for stream time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closer {
    /// How long after a row's time it may wait for, in milliseconds.
    span_ms: i64,
    /// Closes at multiples of this, behind `span_ms` of them.
    advance_ms: i64,
}

impl Closer {
    fn of_window(window: &Window) -> Self {
        let (length_ms, advance_ms) = match window.kind {
            WindowKind::Tumbling { size_ms } => (size_ms, Some(size_ms)),
            WindowKind::Hopping { size_ms, advance_ms } => (size_ms, Some(advance_ms)),
            WindowKind::Session { gap_ms } => (gap_ms, None),
        };
        let span_ms = length_ms.saturating_add(window.grace_ms);
        match advance_ms {
            Some(advance_ms) => Closer { span_ms, advance_ms: advance_ms.max(1) },
            None => Closer::at_any_time(span_ms),
        }
    }

    fn at_any_time(span_ms: i64) -> Self {
        let span_ms = span_ms.saturating_add(1);
        Closer { span_ms, advance_ms: (span_ms / PARTS).max(1) }
    }

    /// What waits for stream time in a node.
    fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Aggregate { node, .. } if node.emit_final => {
                node.window.as_ref().map(Closer::of_window)
            }
            Op::Join { node, .. } => match node.shape {
                JoinShape::StreamStream { before_ms, after_ms, grace_ms: Some(grace_ms) }
                    if node.kind != JoinKind::Inner =>
                {
                    let size_ms = before_ms.saturating_add(after_ms);
                    Some(Closer::at_any_time(size_ms.saturating_add(grace_ms)))
                }
                _ => None,
            },
            Op::Input { expires: Some(expires), .. }
            | Op::Materialize { expires: Some(expires), .. } => {
                Some(Closer::at_any_time(expires.ttl_ms))
            }
            _ => None,
        }
        .or_else(|| match op {
            Op::Aggregate { node, .. } => node.ttl_ms.map(Closer::at_any_time),
            _ => None,
        })
    }

    /// The first time after `after` at which it may close something.
    pub fn next(&self, after: i64) -> i64 {
        let from = after.saturating_sub(self.span_ms).div_euclid(self.advance_ms);
        let start = from.saturating_add(1).saturating_mul(self.advance_ms);
        start.saturating_add(self.span_ms)
    }

    /// How far behind the last row everything is closed.
    pub fn span_ms(&self) -> i64 {
        self.span_ms.saturating_add(self.advance_ms)
    }
}

impl SubTopology {
    fn closers(&self) -> impl Iterator<Item = Closer> {
        self.nodes.iter().filter_map(|node| Closer::of(&node.op))
    }
}

impl Topology {
    pub(super) fn has_closers(&self) -> bool {
        self.subs.iter().any(|sub| sub.closers().next().is_some())
    }

    /// Whether something closes in a sub-topology.
    pub fn closes(&self, sub: usize) -> bool {
        self.subs[sub].closers().next().is_some()
    }

    /// What closes in those that read what a sub-topology sends, directly or not.
    pub fn closers_below(&self, sub: usize) -> Vec<Closer> {
        let Output::Repartition(topic) = self.subs[sub].output else { return Vec::new() };
        if self.repartitions[topic].kind == ResultKind::Table {
            return Vec::new();
        }
        let reads = |input: &Input| matches!(input, Input::Repartition(from) if *from == topic);
        let mut closers = Vec::new();
        for (at, reader) in self.subs.iter().enumerate() {
            // Upstream comes first, so that this ends.
            if at > sub && reader.inputs.iter().any(reads) {
                let own: Vec<Closer> = reader.closers().collect();
                let hold_ms = own.iter().map(Closer::span_ms).sum::<i64>();
                let further = self.closers_below(at).into_iter();
                closers.extend(
                    further.map(|c| Closer::at_any_time(c.span_ms().saturating_add(hold_ms))),
                );
                closers.extend(own);
            }
        }
        closers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_close_at_their_ends() {
        let check = |kind, grace_ms, after: i64, want: &[i64]| {
            let closer = Closer::of_window(&Window { kind, grace_ms, retention_ms: 0 });
            let mut at = after;
            for want in want {
                at = closer.next(at);
                assert_eq!(at, *want, "{kind:?} after {after}");
            }
        };
        check(WindowKind::Tumbling { size_ms: 10 }, 0, 5, &[10, 20, 30]);
        check(WindowKind::Tumbling { size_ms: 10 }, 3, 12, &[13, 23]);
        check(WindowKind::Tumbling { size_ms: 10 }, 3, 13, &[23]);
        check(WindowKind::Hopping { size_ms: 10, advance_ms: 4 }, 0, 9, &[10, 14, 18]);
        // A session ends at any time: it is looked for in steps.
        check(WindowKind::Session { gap_ms: 639 }, 0, 1000, &[1010, 1020]);
        check(WindowKind::Session { gap_ms: 5 }, 0, 1000, &[1001, 1002]);
        check(WindowKind::Tumbling { size_ms: i64::MAX }, 5, i64::MAX, &[i64::MAX]);
    }
}
