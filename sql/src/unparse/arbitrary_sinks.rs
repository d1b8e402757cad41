//! Random statements about sinks.

use proptest::prelude::*;

use super::arbitrary::{name, properties};
use crate::ast::*;
use crate::olap::OlapSystem;

pub(super) fn sinks() -> BoxedStrategy<Statement> {
    let system = prop_oneof![Just(OlapSystem::Pinot), Just(OlapSystem::Druid)];
    prop_oneof![
        (any::<[bool; 2]>(), name(), system, name(), properties()).prop_map(
            |([or_replace, if_not_exists], name, system, source, properties)| {
                let sink =
                    CreateSink { or_replace, if_not_exists, name, system, source, properties };
                Statement::CreateSink(Box::new(sink))
            }
        ),
        name().prop_map(|name| Statement::Pause(QueryTarget::Sink(name))),
        name().prop_map(|name| Statement::Resume(QueryTarget::Sink(name))),
        (any::<[bool; 3]>(), name()).prop_map(|([if_exists, delete_table, delete_topic], name)| {
            let sink = DropSink { if_exists, name, delete_table, delete_topic };
            Statement::DropSink(sink)
        }),
    ]
    .boxed()
}
