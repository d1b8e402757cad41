//! The one integration-test binary.

#[path = "it/bad_input.rs"]
mod bad_input;
#[path = "it/both_logs.rs"]
mod both_logs;
#[path = "it/brokers.rs"]
mod brokers;
#[path = "it/closed_output.rs"]
mod closed_output;
#[path = "it/cluster.rs"]
mod cluster;
#[path = "it/conformance.rs"]
mod conformance;
#[path = "it/docs.rs"]
mod docs;
#[path = "it/embedded.rs"]
mod embedded;
#[path = "it/expiring.rs"]
mod expiring;
#[path = "it/forgotten.rs"]
mod forgotten;
#[path = "it/fuzz.rs"]
mod fuzz;
#[path = "it/given_up.rs"]
mod given_up;
#[path = "it/idle.rs"]
mod idle;
#[path = "it/kafka.rs"]
mod kafka;
#[path = "it/kill9.rs"]
mod kill9;
#[path = "it/meeting.rs"]
mod meeting;
#[path = "it/olap.rs"]
mod olap;
#[path = "it/olap_auth.rs"]
mod olap_auth;
#[path = "it/olap_auth_real.rs"]
mod olap_auth_real;
#[path = "it/olap_change.rs"]
mod olap_change;
#[path = "it/olap_change_real.rs"]
mod olap_change_real;
#[path = "it/olap_failing.rs"]
mod olap_failing;
#[path = "it/own_topics.rs"]
mod own_topics;
#[path = "it/panics.rs"]
mod panics;
#[path = "it/pulls.rs"]
mod pulls;
#[path = "it/registry.rs"]
mod registry;
#[path = "it/registry_client.rs"]
mod registry_client;
#[path = "it/rejected_rows.rs"]
mod rejected_rows;
#[path = "it/reliability.rs"]
mod reliability;
#[path = "it/simulator.rs"]
mod simulator;
#[path = "it/tidy.rs"]
mod tidy;
