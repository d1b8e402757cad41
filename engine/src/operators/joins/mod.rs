//! Joins of two inputs by key. Port 0 is the left input, port 1 the right one.
//!
//! Output columns: all of the left, all of the right, then the key (the left join column, or the
//! right one where there is no left row).
//!
//! | join          | stores                                                                |
//! |---------------|-----------------------------------------------------------------------|
//! | stream-table  | right rows by key                                                     |
//! | table-table   | left rows by key, right rows by key                                   |
//! | stream-stream | left rows and right rows by time bucket, key, time, number; unmatched |
//! |               | rows of outer joins by the time they are given up                     |

mod buffer;
mod lengths;
mod pending;
mod rows;
mod stream_stream;
mod stream_table;
mod table_table;

use millrace_sql::plan::{JoinKind, JoinNode, JoinShape};

use self::rows::Spec;
use self::stream_stream::StreamStreamJoin;
use self::stream_table::StreamTableJoin;
use self::table_table::TableTableJoin;
use crate::error::{EngineError, Result};
use crate::operators::Operator;
use crate::operators::cache::CacheShare;
use crate::state::{Shape, StoreId};

/// The shapes of the stores that a join needs, in order.
pub fn join_stores(node: &JoinNode) -> Vec<Shape> {
    match node.shape {
        JoinShape::StreamTable => vec![Shape::KeyValue],
        JoinShape::TableTable => vec![Shape::KeyValue; 2],
        JoinShape::StreamStream { .. } => vec![Shape::WindowFirst; 3],
    }
}

/// The operator of a join. `stores`: one per entry of [`join_stores`]; `with_old`: fill
/// [`crate::batch::Batch::old`] in what a table-table join emits.
///
/// # Errors
/// `User` when the plan asks for something that is not supported.
pub fn join(
    node: &JoinNode,
    stores: &[StoreId],
    with_old: bool,
    cache: CacheShare,
) -> Result<Box<dyn Operator>> {
    let spec = Spec::new(node)?;
    match (node.shape, stores) {
        (JoinShape::StreamTable, [table]) => {
            if !matches!(node.kind, JoinKind::Inner | JoinKind::Left) {
                let what = "a stream can only be joined with a table by INNER or LEFT JOIN";
                return Err(EngineError::User(what.into()));
            }
            Ok(Box::new(StreamTableJoin::new(spec, *table)))
        }
        (JoinShape::TableTable, [left, right]) => {
            Ok(Box::new(TableTableJoin::new(spec, [*left, *right], with_old)))
        }
        (JoinShape::StreamStream { before_ms, after_ms, grace_ms }, [left, right, outer]) => {
            let lengths = lengths::Lengths::new(before_ms, after_ms, grace_ms)?;
            let stores = [*left, *right, *outer];
            Ok(Box::new(StreamStreamJoin::new(spec, stores, lengths, cache)))
        }
        (shape, stores) => {
            Err(EngineError::Bug(format!("{} stores given to a join {shape:?}", stores.len())))
        }
    }
}

#[cfg(test)]
mod tests;
