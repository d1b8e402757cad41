//! How to reach Kafka, and which librdkafka settings an operator may change.

use std::fmt;

/// Connection and time-outs of one [`super::KafkaLog`].
#[derive(Clone)]
pub struct KafkaConfig {
    /// `host:port,host:port`.
    pub bootstrap: String,
    /// Shown in the broker's logs.
    pub client_id: String,
    /// The broker aborts a transaction that stays open for longer. Keep it above four commit
    /// intervals, or a slow step looks like a fence.
    pub transaction_timeout_ms: u32,
    /// How long the end of a transaction is asked for before its outcome counts as unknown.
    pub ending_timeout_ms: u32,
    /// How long `init_transactions` and administrative requests may take.
    pub request_timeout_ms: u32,
    /// A node that sends no heartbeat for so long loses its lanes.
    pub session_timeout_ms: u32,
    /// How often topics in use are checked for having been deleted, recreated or extended.
    pub watch_interval_ms: u32,
    properties: Vec<(&'static Property, String)>,
}

/// A setting that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(
        "Kafka property '{0}' cannot be set here: it is not on the list of allowed properties \
         (security.protocol, sasl.*, ssl.*, client.rack, socket.* and buffer sizes)"
    )]
    NotAllowed(String),
}

/// Whom a property is for: librdkafka warns about a consumer's property on a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Both,
    Consumer,
    Producer,
}

#[derive(Debug, PartialEq, Eq)]
struct Property {
    name: &'static str,
    whose: For,
    secret: bool,
}

const fn both(name: &'static str) -> Property {
    Property { name, whose: For::Both, secret: false }
}

const fn secret(name: &'static str) -> Property {
    Property { name, whose: For::Both, secret: true }
}

const fn consumer(name: &'static str) -> Property {
    Property { name, whose: For::Consumer, secret: false }
}

const fn producer(name: &'static str) -> Property {
    Property { name, whose: For::Producer, secret: false }
}

/// Exact names only. What loads a library (`plugin.library.paths`, `ssl.engine.location`), runs a
/// command (`sasl.kerberos.kinit.cmd`) or fetches an address (`sasl.oauthbearer.*.url`) is never
/// here, nor is anything that the exactly-once protocol depends on.
const ALLOWED: &[Property] = &[
    both("security.protocol"),
    both("sasl.mechanism"),
    both("sasl.mechanisms"),
    both("sasl.username"),
    secret("sasl.password"),
    both("ssl.ca.location"),
    secret("ssl.ca.pem"),
    both("ssl.certificate.location"),
    secret("ssl.certificate.pem"),
    both("ssl.key.location"),
    secret("ssl.key.pem"),
    secret("ssl.key.password"),
    both("ssl.keystore.location"),
    secret("ssl.keystore.password"),
    both("ssl.crl.location"),
    both("ssl.cipher.suites"),
    both("ssl.curves.list"),
    both("ssl.sigalgs.list"),
    both("ssl.endpoint.identification.algorithm"),
    both("enable.ssl.certificate.verification"),
    both("client.rack"),
    both("client.dns.lookup"),
    both("broker.address.family"),
    both("broker.address.ttl"),
    both("socket.timeout.ms"),
    both("socket.connection.setup.timeout.ms"),
    both("socket.keepalive.enable"),
    both("socket.nagle.disable"),
    both("socket.send.buffer.bytes"),
    both("socket.receive.buffer.bytes"),
    both("connections.max.idle.ms"),
    both("reconnect.backoff.ms"),
    both("reconnect.backoff.max.ms"),
    both("topic.metadata.refresh.interval.ms"),
    both("debug"),
    producer("compression.type"),
    producer("compression.codec"),
    producer("compression.level"),
    producer("linger.ms"),
    producer("batch.size"),
    producer("batch.num.messages"),
    producer("queue.buffering.max.kbytes"),
    producer("queue.buffering.max.messages"),
    consumer("check.crcs"),
    consumer("fetch.wait.max.ms"),
    consumer("fetch.min.bytes"),
    consumer("fetch.max.bytes"),
    consumer("fetch.message.max.bytes"),
    consumer("max.partition.fetch.bytes"),
    consumer("queued.max.messages.kbytes"),
    consumer("queued.min.messages"),
];

const SECRET_SHOWN: &str = "[hidden]";

impl KafkaConfig {
    /// Default time-outs, no properties.
    pub fn new(bootstrap: impl Into<String>) -> Self {
        KafkaConfig {
            bootstrap: bootstrap.into(),
            client_id: "millrace".into(),
            transaction_timeout_ms: 10_000,
            ending_timeout_ms: 60_000,
            request_timeout_ms: 30_000,
            session_timeout_ms: 10_000,
            watch_interval_ms: 3_000,
            properties: Vec::new(),
        }
    }

    /// Sets one librdkafka property.
    ///
    /// # Errors
    /// The property is not on the list. Values are checked by [`super::KafkaLog::connect`].
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> Result<(), ConfigError> {
        let property = ALLOWED
            .iter()
            .find(|p| p.name == name)
            .ok_or_else(|| ConfigError::NotAllowed(name.to_owned()))?;
        self.properties.retain(|(p, _)| *p != property);
        self.properties.push((property, value.into()));
        Ok(())
    }

    /// Names that [`Self::set`] takes.
    pub fn allowed() -> impl Iterator<Item = &'static str> {
        ALLOWED.iter().map(|p| p.name)
    }

    /// Settings of a consumer: ours, then the operator's.
    pub(super) fn consumer(&self, own: &[(&str, &str)]) -> Vec<(String, String)> {
        self.merged(For::Consumer, own)
    }

    /// Settings of a producer or an administrative client: ours, then the operator's.
    pub(super) fn producer(&self, own: &[(&str, &str)]) -> Vec<(String, String)> {
        self.merged(For::Producer, own)
    }

    fn merged(&self, whose: For, own: &[(&str, &str)]) -> Vec<(String, String)> {
        let common =
            [("bootstrap.servers", self.bootstrap.as_str()), ("client.id", &self.client_id)];
        // Brokers ask for telemetry by default; nobody here reads it.
        let quiet = [("enable.metrics.push", "false")];
        let fixed = common.iter().chain(&quiet).chain(own);
        let chosen = self.properties.iter().filter(|(p, _)| [For::Both, whose].contains(&p.whose));
        fixed
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .chain(chosen.map(|(p, v)| (p.name.to_owned(), v.clone())))
            .collect()
    }
}

impl fmt::Debug for KafkaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |p: &Property, v: &String| match p.secret {
            true => SECRET_SHOWN.to_owned(),
            false => v.clone(),
        };
        let properties: Vec<_> =
            self.properties.iter().map(|(p, v)| (p.name, shown(p, v))).collect();
        f.debug_struct("KafkaConfig")
            .field("bootstrap", &self.bootstrap)
            .field("client_id", &self.client_id)
            .field("transaction_timeout_ms", &self.transaction_timeout_ms)
            .field("ending_timeout_ms", &self.ending_timeout_ms)
            .field("request_timeout_ms", &self.request_timeout_ms)
            .field("session_timeout_ms", &self.session_timeout_ms)
            .field("watch_interval_ms", &self.watch_interval_ms)
            .field("properties", &properties)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_and_protocol_properties_are_refused() {
        let mut config = KafkaConfig::new("h:1");
        for name in [
            "plugin.library.paths",
            "ssl.engine.location",
            "ssl.providers",
            "sasl.kerberos.kinit.cmd",
            "sasl.oauthbearer.token.endpoint.url",
            "enable.idempotence",
            "isolation.level",
            "transactional.id",
            "bootstrap.servers",
            "SASL.PASSWORD",
            "",
        ] {
            assert_eq!(config.set(name, "x"), Err(ConfigError::NotAllowed(name.into())), "{name}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut config = KafkaConfig::new("h:1");
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem"] {
            config.set(name, "s3cr3t").unwrap();
        }
        config.set("sasl.username", "alice").unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("s3cr3t") && shown.contains("alice"), "{shown}");
    }

    #[test]
    fn a_property_reaches_only_its_side_and_the_last_value_wins() {
        let mut config = KafkaConfig::new("h:1");
        config.set("linger.ms", "1").unwrap();
        config.set("linger.ms", "2").unwrap();
        config.set("check.crcs", "true").unwrap();
        let has = |all: &[(String, String)], k: &str| {
            all.iter().rev().find(|(n, _)| n == k).map(|(_, v)| v.clone())
        };
        let producer = config.producer(&[("linger.ms", "5")]);
        let consumer = config.consumer(&[]);
        assert_eq!(has(&producer, "linger.ms").as_deref(), Some("2"));
        assert_eq!(has(&producer, "check.crcs"), None);
        assert_eq!(has(&consumer, "linger.ms"), None);
        assert_eq!(has(&consumer, "check.crcs").as_deref(), Some("true"));
    }
}
