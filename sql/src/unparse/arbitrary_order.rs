//! Random ORDER BY clauses.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::arbitrary::expr;
use crate::ast::{Loc, OrderBy, OrderItem};

pub(crate) fn order_by() -> impl Strategy<Value = OrderBy> {
    let item = (expr(), any::<bool>(), option::of(any::<bool>()))
        .prop_map(|(expr, descending, nulls_first)| OrderItem { expr, descending, nulls_first });
    vec(item, 1..3).prop_map(|items| OrderBy { items, loc: Loc::default() })
}
