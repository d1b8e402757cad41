//! The settings that are known by name: of the server, and those that a session may set.

use std::borrow::Cow;

use super::client;

/// Type of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ty {
    Text,
    Bool,
    /// A whole number, not below the given one.
    Int(i64),
    /// One of these words, any case.
    OneOf(&'static [&'static str]),
}

/// Who may set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only the configuration of the server.
    Server,
    /// Also SET and `streamsProperties`.
    Session,
    /// Statements depend on it, but only the configuration of the server sets it.
    Fixed,
    /// ksqlDB knows it; here it has no effect, and the server says so.
    NoEffect,
}

impl Reach {
    /// Statements see the server's value.
    pub fn is_of_statements(self) -> bool {
        matches!(self, Reach::Session | Reach::Fixed)
    }
}

/// A known setting.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    pub ty: Ty,
    pub reach: Reach,
    /// Empty: none.
    pub default: &'static str,
}

const fn server(name: &'static str, ty: Ty, default: &'static str) -> Known {
    Known { name, ty, reach: Reach::Server, default }
}

const fn session(name: &'static str, ty: Ty, default: &'static str) -> Known {
    Known { name, ty, reach: Reach::Session, default }
}

const fn fixed(name: &'static str, ty: Ty, default: &'static str) -> Known {
    Known { name, ty, reach: Reach::Fixed, default }
}

const fn no_effect(name: &'static str, ty: Ty) -> Known {
    Known { name, ty, reach: Reach::NoEffect, default: "" }
}

const GUARANTEES: Ty = Ty::OneOf(&["exactly_once_v2", "at_least_once", "exactly_once"]);
const RESETS: Ty = Ty::OneOf(&["earliest", "latest", "none"]);
const FORMATS: Ty = Ty::OneOf(&[
    "JSON",
    "JSON_SR",
    "AVRO",
    "PROTOBUF",
    "PROTOBUF_NOSR",
    "DELIMITED",
    "KAFKA",
    "NONE",
]);
const CREDENTIALS: Ty = Ty::OneOf(&["USER_INFO", "URL"]);

/// All of them. Names of Kafka Streams stand without `ksql.streams.`.
pub const KNOWN: &[Known] = &[
    server("listeners", Ty::Text, "http://127.0.0.1:8088"),
    server("bootstrap.servers", Ty::Text, ""),
    server("ksql.service.id", Ty::Text, "default_"),
    server("state.dir", Ty::Text, ""),
    server("commit.interval.ms", Ty::Int(1), "1000"),
    server("replication.factor", Ty::Int(-1), "-1"),
    // ksqlDB's is 1: the death of one broker would then stop all queries.
    server("ksql.internal.topic.replicas", Ty::Int(-1), "-1"),
    server("ksql.internal.topic.min.insync.replicas", Ty::Int(1), "1"),
    server("ksql.max.push.queries", Ty::Int(0), "100"),
    server("ksql.server.command.response.timeout.ms", Ty::Int(0), "5000"),
    server("ksql.logging.processing.rows.include", Ty::Bool, "true"),
    server("ksql.schema.registry.url", Ty::Text, ""),
    server("ksql.schema.registry.basic.auth.credentials.source", CREDENTIALS, ""),
    server("ksql.schema.registry.basic.auth.user.info", Ty::Text, ""),
    server("millrace.pinot.url", Ty::Text, ""),
    server("millrace.pinot.basic.auth.user.info", Ty::Text, ""),
    server("millrace.pinot.bearer.auth.token", Ty::Text, ""),
    server("millrace.pinot.tls.ca.file", Ty::Text, ""),
    server("millrace.druid.url", Ty::Text, ""),
    server("millrace.druid.basic.auth.user.info", Ty::Text, ""),
    server("millrace.druid.bearer.auth.token", Ty::Text, ""),
    server("millrace.druid.tls.ca.file", Ty::Text, ""),
    server("millrace.state.dir", Ty::Text, "millrace-state"),
    server("millrace.lanes", Ty::Int(1), ""),
    session("auto.offset.reset", RESETS, "latest"),
    session("processing.guarantee", GUARANTEES, "exactly_once_v2"),
    session("cache.max.bytes.buffering", Ty::Int(0), "10000000"),
    session("statestore.cache.max.bytes", Ty::Int(0), ""),
    session("max.task.idle.ms", Ty::Int(-1), "0"),
    session("ksql.query.pull.table.scan.enabled", Ty::Bool, "true"),
    session("ksql.query.pull.range.scan.enabled", Ty::Bool, "true"),
    session("ksql.query.pull.stream.enabled", Ty::Bool, "true"),
    session("ksql.query.pull.limit.clause.enabled", Ty::Bool, "true"),
    fixed("ksql.pull.queries.enable", Ty::Bool, "true"),
    session("ksql.query.push.v2.enabled", Ty::Bool, "false"),
    session("ksql.suppress.enabled", Ty::Bool, "true"),
    session("ksql.insert.into.values.enabled", Ty::Bool, "true"),
    fixed("ksql.source.table.materialization.enabled", Ty::Bool, "true"),
    fixed("ksql.headers.columns.enabled", Ty::Bool, "true"),
    session("ksql.create.or.replace.enabled", Ty::Bool, "true"),
    session("ksql.variable.substitution.enable", Ty::Bool, "true"),
    session("ksql.persistence.default.format.key", FORMATS, "KAFKA"),
    session("ksql.persistence.default.format.value", FORMATS, ""),
    session("ksql.persistence.wrap.single.values", Ty::Bool, ""),
    session("ksql.output.topic.name.prefix", Ty::Text, ""),
    session("ksql.functions.collect_list.limit", Ty::Int(-1), ""),
    session("ksql.functions.collect_set.limit", Ty::Int(-1), ""),
    session("ksql.timestamp.throw.on.invalid", Ty::Bool, "false"),
    session("ksql.fail.on.deserialization.error", Ty::Bool, "false"),
    session("millrace.extensions", Ty::Bool, "true"),
    session("millrace.window.idle.close.ms", Ty::Int(1), ""),
    no_effect("num.stream.threads", Ty::Int(1)),
    no_effect("num.standby.replicas", Ty::Int(0)),
    no_effect("topology.optimization", Ty::Text),
    no_effect("rocksdb.config.setter", Ty::Text),
    no_effect("default.deserialization.exception.handler", Ty::Text),
    no_effect("default.production.exception.handler", Ty::Text),
    no_effect("poll.ms", Ty::Int(0)),
    no_effect("acks", Ty::Text),
    no_effect("ksql.advertised.listener", Ty::Text),
    no_effect("ksql.internal.listener", Ty::Text),
    no_effect("ksql.connect.url", Ty::Text),
    no_effect("ksql.extension.dir", Ty::Text),
    no_effect("ksql.udfs.enabled", Ty::Bool),
    no_effect("ksql.udf.enable.security.manager", Ty::Bool),
    no_effect("ksql.udf.collect.metrics", Ty::Bool),
    no_effect("ksql.lambdas.enabled", Ty::Bool),
    no_effect("ksql.fail.on.production.error", Ty::Bool),
    no_effect("ksql.suppress.buffer.size.bytes", Ty::Int(-1)),
    no_effect("ksql.create.topic.inherit.source.replicas.enabled", Ty::Bool),
    no_effect("ksql.query.pull.interpreter.enabled", Ty::Bool),
    no_effect("ksql.query.pull.enable.standby.reads", Ty::Bool),
    no_effect("ksql.query.pull.max.allowed.offset.lag", Ty::Int(0)),
    no_effect("ksql.query.pull.max.qps", Ty::Int(0)),
    no_effect("ksql.query.pull.max.concurrent.requests", Ty::Int(0)),
    no_effect("ksql.query.pull.max.hourly.bandwidth.megabytes", Ty::Int(-1)),
    no_effect("ksql.query.pull.thread.pool.size", Ty::Int(1)),
    no_effect("ksql.query.pull.router.thread.pool.size", Ty::Int(1)),
    no_effect("ksql.query.pull.forwarding.timeout.ms", Ty::Int(0)),
    no_effect("ksql.query.push.v2.registry.installed", Ty::Bool),
    no_effect("ksql.query.persistent.active.limit", Ty::Int(0)),
    no_effect("ksql.query.persistent.max.bytes.buffering.total", Ty::Int(-1)),
    no_effect("ksql.query.transient.max.bytes.buffering.total", Ty::Int(-1)),
    no_effect("ksql.query.error.max.queue.size", Ty::Int(0)),
    no_effect("ksql.query.retry.backoff.initial.ms", Ty::Int(0)),
    no_effect("ksql.query.retry.backoff.max.ms", Ty::Int(0)),
    no_effect("ksql.heartbeat.enable", Ty::Bool),
    no_effect("ksql.lag.reporting.enable", Ty::Bool),
    no_effect("ksql.persistent.prefix", Ty::Text),
    no_effect("ksql.transient.prefix", Ty::Text),
    no_effect("ksql.metastore.backup.location", Ty::Text),
    no_effect("ksql.streams.shutdown.timeout.ms", Ty::Int(0)),
    no_effect("ksql.worker.pool.size", Ty::Int(1)),
    no_effect("ksql.idle.connection.timeout.seconds", Ty::Int(0)),
    no_effect("ksql.runtime.feature.shared.enabled", Ty::Bool),
    no_effect("ksql.shared.runtimes.count", Ty::Int(1)),
    no_effect("ksql.logging.processing.topic.auto.create", Ty::Bool),
    no_effect("ksql.logging.processing.stream.auto.create", Ty::Bool),
    no_effect("ksql.logging.processing.topic.name", Ty::Text),
    no_effect("ksql.logging.processing.topic.partitions", Ty::Int(1)),
    no_effect("ksql.logging.processing.topic.replication.factor", Ty::Int(1)),
    no_effect("ksql.access.validator.enable", Ty::Text),
    no_effect("ksql.security.extension.class", Ty::Text),
    no_effect("ksql.host.async.executor", Ty::Text),
    no_effect("confluent.support.metrics.enable", Ty::Bool),
];

/// What ksqlDB lets stand before a name of Kafka or Kafka Streams.
const PREFIXES: [&str; 4] = ["ksql.streams.", "producer.", "consumer.", "admin."];

/// The name without `ksql.streams.`, `producer.` and the like, unless it is known as it stands.
pub fn canonical(name: &str) -> &str {
    let mut name = name.trim();
    while find(name).is_none() {
        match PREFIXES.iter().find_map(|p| name.strip_prefix(p)) {
            Some(rest) => name = rest,
            None => break,
        }
    }
    name
}

pub fn find(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|k| k.name == name)
}

/// Stands where a secret is.
const HIDDEN: &str = "[hidden]";

/// True for values that must never be shown: passwords, keys, tokens, and all that nobody here
/// knows the meaning of.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    if name.ends_with("basic.auth.user.info") || name.ends_with("bearer.auth.token") {
        return true;
    }
    if find(&name).is_some() {
        return false;
    }
    let tells = ["password", "passwd", "secret", "jaas", "credential", "token", "user.info"]
        .iter()
        .any(|word| name.contains(word));
    tells || name.ends_with(".key") || name.ends_with(".pem") || !client::is_client(&name)
}

/// The value as it may be shown: no secret, and no user in a URL.
pub fn shown<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    let name = canonical(name);
    if is_secret(name) && !value.is_empty() {
        return Cow::Borrowed(HIDDEN);
    }
    let holds_urls = ["url", "servers", "listeners", "listener"];
    match value.contains("://") || holds_urls.iter().any(|end| name.ends_with(end)) {
        true => without_users(value),
        false => Cow::Borrowed(value),
    }
}

/// A URL, or a list of them, without `user:password` before a host. What stands between two `://`
/// belongs to one host at most, whatever characters the password has.
pub fn without_users(urls: &str) -> Cow<'_, str> {
    if !urls.contains('@') {
        return Cow::Borrowed(urls);
    }
    let host = |part: &str| match part.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => part.to_string(),
    };
    Cow::Owned(urls.split("://").map(host).collect::<Vec<_>>().join("://"))
}

impl Ty {
    /// Checks a value and gives it back as it is used.
    ///
    /// # Errors
    /// What the value should be.
    pub fn check(self, value: &str) -> Result<String, String> {
        let value = value.trim();
        match self {
            Ty::Text => Ok(value.to_string()),
            Ty::Bool if value.eq_ignore_ascii_case("true") => Ok("true".to_string()),
            Ty::Bool if value.eq_ignore_ascii_case("false") => Ok("false".to_string()),
            Ty::Bool => Err("true or false".to_string()),
            Ty::Int(min) => match value.parse::<i64>() {
                Ok(n) if n >= min => Ok(n.to_string()),
                Ok(_) => Err(format!("at least {min}")),
                Err(_) => Err("a whole number".to_string()),
            },
            Ty::OneOf(words) => words
                .iter()
                .find(|w| w.eq_ignore_ascii_case(value))
                .map(|w| (*w).to_string())
                .ok_or_else(|| format!("one of {}", words.join(", "))),
        }
    }
}

/// The known name that is most like `name`, if any is like it at all.
pub fn nearest(name: &str) -> Option<&'static str> {
    let scored = KNOWN.iter().map(|k| (distance(name, k.name), k.name));
    let (score, best) = scored.min()?;
    (score <= 2 + name.len() / 5).then_some(best)
}

/// Edit distance (insert, delete, replace).
fn distance(a: &str, b: &str) -> usize {
    const LENGTH_MAX: usize = 100;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LENGTH_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut left_above = i;
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let above = row[j + 1];
            let replace = left_above + usize::from(ca != cb);
            row[j + 1] = replace.min(above + 1).min(row[j] + 1);
            left_above = above;
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_once_and_canonical_and_its_default_fits() {
        for (i, known) in KNOWN.iter().enumerate() {
            assert!(KNOWN[i + 1..].iter().all(|k| k.name != known.name), "{}", known.name);
            assert_eq!(canonical(known.name), known.name);
            if !known.default.is_empty() {
                assert_eq!(known.ty.check(known.default).as_deref(), Ok(known.default));
            }
        }
    }

    #[test]
    fn prefixes_fall_away() {
        let cases = [
            ("ksql.streams.auto.offset.reset", "auto.offset.reset"),
            ("ksql.streams.producer.acks", "acks"),
            ("consumer.max.poll.records", "max.poll.records"),
            ("ksql.streams.shutdown.timeout.ms", "ksql.streams.shutdown.timeout.ms"),
        ];
        for (name, expected) in cases {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn near_names() {
        assert_eq!(nearest("ksql.servce.id"), Some("ksql.service.id"));
        assert_eq!(nearest("auto.ofset.reset"), Some("auto.offset.reset"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn secrets_are_hidden() {
        for name in [
            "ssl.keystore.password",
            "sasl.jaas.config",
            "ksql.schema.registry.basic.auth.user.info",
            "ssl.keystore.key",
            "millrace.pinot.basic.auth.user.info",
            "millrace.druid.bearer.auth.token",
            "sasl.oauthbearer.token.endpoint",
            "ksql.streams.producer.my.own.setting",
            "milrace.pinot.url",
        ] {
            assert_eq!(shown(name, "x"), "[hidden]", "{name}");
            assert_eq!(shown(name, ""), "", "{name}");
        }
        assert_eq!(shown("ksql.persistence.default.format.key", "KAFKA"), "KAFKA");
        assert_eq!(shown("sasl.username", "alice@example.com"), "alice@example.com");
    }

    #[test]
    fn urls_are_shown_without_their_users() {
        let name = "ksql.schema.registry.url";
        for (url, expected) in [
            ("http://h:1", "http://h:1"),
            ("http://u:s3cret@h:1/x", "http://[hidden]@h:1/x"),
            ("https://u:s3@cret@h", "https://[hidden]@h"),
            ("http://u:s3/cret@h", "http://[hidden]@h"),
            ("http://u:s3,cret@h", "http://[hidden]@h"),
            ("http://u:s3cret@a, http://v:s3cret@b", "http://[hidden]@a, http://[hidden]@b"),
            ("u:s3cret@h:1", "[hidden]@h:1"),
        ] {
            assert_eq!(shown(name, url), expected);
        }
        assert_eq!(shown("listeners", "http://u:p@h:1"), "http://[hidden]@h:1");
        assert_eq!(shown("bootstrap.servers", "u:p@h:1"), "[hidden]@h:1");
        assert_eq!(shown("ksql.connect.url", "http://u:p@h"), "http://[hidden]@h");
    }

    #[test]
    fn values_are_checked() {
        assert_eq!(RESETS.check("Earliest").as_deref(), Ok("earliest"));
        assert!(RESETS.check("first").unwrap_err().contains("earliest"));
        assert_eq!(Ty::Int(1).check("0").unwrap_err(), "at least 1");
        assert_eq!(Ty::Int(1).check("x").unwrap_err(), "a whole number");
        assert_eq!(Ty::Bool.check("TRUE").as_deref(), Ok("true"));
    }
}
