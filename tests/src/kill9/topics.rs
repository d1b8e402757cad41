//! The topics of a run, and the statements over them.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

/// Partitions of each topic.
pub const PARTITIONS: i32 = 8;
/// Size of the counted windows, in milliseconds.
pub const WINDOW_MS: i64 = 60_000;
/// How far the two sides of the stream-stream join may be apart, in milliseconds.
pub const WITHIN_MS: i64 = 10_000;
/// How long the counts stay: a century.
const COUNTS_KEPT_MS: i64 = 3_153_600_000_000;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Names of the topics that the test writes and reads.
#[derive(Debug, Clone)]
pub struct Topics {
    pub events: String,
    pub payments: String,
    pub names: String,
    pub counts: String,
    pub named: String,
    pub paid: String,
}

impl Topics {
    /// Names that no other run has.
    pub fn new(run: &str) -> Self {
        let name = |topic: &str| format!("{run}-{topic}");
        Topics {
            events: name("events"),
            payments: name("payments"),
            names: name("names"),
            counts: name("counts"),
            named: name("named"),
            paid: name("paid"),
        }
    }

    /// Those that the queries write.
    pub fn outputs(&self) -> [&str; 3] {
        [&self.counts, &self.named, &self.paid]
    }

    /// Makes all of them so that their old records stay: the test's own topics have to survive
    /// a broker that deletes by time; those of the server are the server's affair.
    ///
    /// # Errors
    /// What the cluster says.
    pub fn create(&self, bootstrap: &str) -> Result<(), String> {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .create()
            .map_err(|e| format!("no admin client: {e}"))?;
        let names = [&self.events, &self.payments, &self.names, &self.named, &self.paid];
        let mut topics: Vec<NewTopic<'_>> = names
            .iter()
            .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(-1)))
            .map(|topic| topic.set("retention.ms", "-1"))
            .collect();
        let kept = COUNTS_KEPT_MS.to_string();
        let counts = NewTopic::new(&self.counts, PARTITIONS, TopicReplication::Fixed(-1));
        let counts = counts.set("cleanup.policy", "compact,delete").set("retention.ms", &kept);
        topics.push(counts);
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_TIME_MAX));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|e| format!("no runtime: {e}"))?;
        let made = runtime
            .block_on(admin.create_topics(&topics, &options))
            .map_err(|e| format!("cannot make topics: {e}"))?;
        for made in made {
            made.map_err(|(topic, e)| format!("cannot make topic {topic}: {e}"))?;
        }
        Ok(())
    }

    /// Sources and queries.
    pub fn statements(&self) -> String {
        let Topics { events, payments, names, counts, named, paid } = self;
        let stream = |name: &str, topic: &str| {
            format!(
                "CREATE STREAM {name} (k VARCHAR KEY, id BIGINT, ts BIGINT) WITH \
                 (KAFKA_TOPIC='{topic}', VALUE_FORMAT='JSON', TIMESTAMP='ts');"
            )
        };
        format!(
            "{}{} CREATE TABLE names (k VARCHAR PRIMARY KEY, name VARCHAR) WITH \
             (KAFKA_TOPIC='{names}', VALUE_FORMAT='JSON');\
             CREATE TABLE counts WITH (KAFKA_TOPIC='{counts}', RETENTION_MS={COUNTS_KEPT_MS}) AS SELECT k, COUNT(*) AS n \
             FROM events WINDOW TUMBLING (SIZE {} SECONDS, GRACE PERIOD 10 DAYS) \
             GROUP BY k EMIT CHANGES;\
             CREATE STREAM named WITH (KAFKA_TOPIC='{named}') AS SELECT events.k, \
             events.id AS id, names.name AS name FROM events JOIN names \
             ON events.k = names.k EMIT CHANGES;\
             CREATE STREAM paid WITH (KAFKA_TOPIC='{paid}') AS SELECT events.k, \
             events.id AS id, payments.id AS payment FROM events JOIN payments \
             WITHIN {} SECONDS GRACE PERIOD 10 DAYS ON events.k = payments.k EMIT CHANGES;",
            stream("events", events),
            stream("payments", payments),
            WINDOW_MS / 1000,
            WITHIN_MS / 1000,
        )
    }
}
