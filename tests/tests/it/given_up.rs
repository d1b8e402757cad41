//! Requests to a broker that nobody waits for any more.

use std::time::Duration;

use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::ids::Offset;
use millrace_tests::contract::{Ctx, Hooks, Subject};
use millrace_tests::rig::Kafka;
use millrace_tests::skipped::skipped;
use rdkafka::consumer::Consumer;

/// Positions are told while the broker is away for longer than the requests wait for it. When it is back,
/// librdkafka finds requests that nobody waits for, and must live with that.
#[test]
fn requests_that_were_given_up_do_no_harm() {
    let Ok(kafka) = Kafka::start(1) else { panic!("no Kafka") };
    if !kafka.is_ours() {
        skipped("an outage of the coordinator, for the cluster is external");
        return;
    }
    let mut config = KafkaConfig::new(&kafka.bootstrap);
    config.request_timeout_ms = 2_000;
    let log = KafkaLog::connect(config).expect("a client");
    let ctx = Ctx::new(Subject { log, hooks: Hooks::default(), keep: Box::new(()) }, "given-up");
    let tp = ctx.tp("t");
    let group = ctx.name("group");
    let told = || {
        let consumer: rdkafka::consumer::BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &kafka.bootstrap)
            .set("group.id", &group)
            .create()
            .expect("a consumer");
        let mut tpl = rdkafka::TopicPartitionList::new();
        tpl.add_partition(&ctx.name("t"), 0);
        let got = consumer.committed_offsets(tpl, Duration::from_secs(2)).ok()?;
        got.elements().first().and_then(|element| element.offset().to_raw())
    };
    let tell = |offset: i64, what: &str| {
        ctx.until(what, || {
            ctx.log().publish_lag(&group, &[(tp, Offset(offset))]);
            told() == Some(offset)
        });
    };
    tell(3, "the offset before the outage");
    kafka.kill9(0);
    for offset in 4..8 {
        ctx.log().publish_lag(&group, &[(tp, Offset(offset))]);
        std::thread::sleep(Duration::from_millis(1_500));
    }
    kafka.revive(0).expect("the broker starts again");
    tell(9, "the offset after the outage");
}
