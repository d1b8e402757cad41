//! Random statements about sinks.

use proptest::prelude::*;

use super::arbitrary::{name, properties};
use crate::ast::*;
use crate::olap::OlapSystem;

pub(super) fn sinks() -> BoxedStrategy<Statement> {
    let system = prop_oneof![Just(OlapSystem::Pinot), Just(OlapSystem::Druid)];
    prop_oneof![
        (any::<bool>(), name(), system, name(), properties()).prop_map(
            |(if_not_exists, name, system, source, properties)| {
                let sink = CreateSink { if_not_exists, name, system, source, properties };
                Statement::CreateSink(Box::new(sink))
            }
        ),
        (any::<[bool; 3]>(), name()).prop_map(|([if_exists, delete_table, delete_topic], name)| {
            let sink = DropSink { if_exists, name, delete_table, delete_topic };
            Statement::DropSink(sink)
        }),
    ]
    .boxed()
}
