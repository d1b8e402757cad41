//! GROUP BY: running values per group, and per window if there is one.
//!
//! | aggregation         | store shape  | store key                          |
//! |---------------------|--------------|------------------------------------|
//! | un-windowed         | `KeyValue`   | group key                          |
//! | with ROW_TTL, 2nd   | `WindowFirst`| time, group key: who expires       |
//! | tumbling, hopping   | `WindowFirst`| window start, group key            |
//! | session             | `KeyFirst`   | group key, end, start              |
//! | session, second one | `WindowFirst`| end, group key, start: who expires |
//!
//! The store value is a version byte, the group's latest event time and the state of each
//! aggregate; [`AggregateReader`] turns entries into rows.

mod close;
mod emit;
mod expire;
mod groups;
mod input;
mod old;
mod once;
mod read;
mod session;
mod session_out;
mod sessions;
mod spec;
mod states;
mod window;
mod windowed;

use millrace_sql::plan::{AggregateNode, WindowKind};

use self::session::SessionAggregate;
use self::spec::Spec;
use self::windowed::TimeAggregate;
use crate::error::{EngineError, Result};
use crate::operators::Operator;
use crate::operators::cache::CacheShare;
use crate::operators::expiry::Expiry;
use crate::state::{Shape, StoreId};

pub use self::once::OnceAggregate;
pub use self::read::AggregateReader;

/// What the pipeline decides about an aggregation.
#[derive(Debug)]
pub struct AggregateOptions {
    /// One store per entry of [`stores`].
    pub stores: Vec<StoreId>,
    /// Fill [`crate::batch::Batch::old`] in what is emitted: something downstream needs it.
    pub with_old: bool,
    /// Groups beyond this are left to the store after a commit.
    pub cache: CacheShare,
}

/// A store that an aggregation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreNeed {
    /// What follows `<step>-Aggregate-Materialize` in its name.
    pub suffix: &'static str,
    pub shape: Shape,
}

/// The stores that an aggregation needs, in order; the first is the one to query.
pub fn stores(node: &AggregateNode) -> Vec<StoreNeed> {
    let main = |shape| StoreNeed { suffix: "", shape };
    match node.window.map(|window| window.kind) {
        None if node.ttl_ms.is_some() => {
            let expiry = StoreNeed { suffix: "-expiry", shape: Shape::WindowFirst };
            vec![main(Shape::KeyValue), expiry]
        }
        None => vec![main(Shape::KeyValue)],
        Some(WindowKind::Session { .. }) => {
            let ends = StoreNeed { suffix: "-ends", shape: Shape::WindowFirst };
            vec![main(Shape::KeyFirst), ends]
        }
        Some(_) => vec![main(Shape::WindowFirst)],
    }
}

/// The operator of an aggregation.
///
/// # Errors
/// `User` when the plan asks for something that is not supported.
pub fn aggregate(node: &AggregateNode, options: AggregateOptions) -> Result<Box<dyn Operator>> {
    let spec = Spec::new(node)?;
    let AggregateOptions { stores: given, with_old, cache } = options;
    match (given.as_slice(), node.ttl_ms) {
        ([store, index], Some(ttl_ms)) => {
            let expiry = Some(Expiry::new(*index, ttl_ms));
            Ok(Box::new(TimeAggregate::new(spec, *store, expiry, with_old, cache)?))
        }
        ([store, ends], None) => {
            let aggregate = SessionAggregate::new(spec, *store, *ends, with_old, cache)?;
            Ok(Box::new(aggregate))
        }
        ([store], None) => Ok(Box::new(TimeAggregate::new(spec, *store, None, with_old, cache)?)),
        (given, _) => {
            let needed = stores(node).len();
            let what = format!("an aggregation needs {needed} stores, not {}", given.len());
            Err(EngineError::Bug(what))
        }
    }
}

#[cfg(test)]
mod tests;
