//! What the server was told: properties file, then environment, then flags; each overrides the one
//! before. ksqlDB's names and ours (`millrace.*`).

pub mod client;
mod java_properties;
pub mod known;
mod olap;
mod registry;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_connectors::olap::OlapConfig;
use millrace_connectors::registry::RegistryConfig;
use millrace_engine::api::Properties;
use millrace_sql::error::SqlError;

use crate::limits;
use known::{Reach, Ty};

/// Names of topics have at most 249 characters, and the id is the smaller part of them.
const SERVICE_ID_CHARS_MAX: usize = 100;

/// Environment variables that ksqlDB's images set for the JVM and that mean nothing here.
const JVM_VARIABLES: [&str; 9] = [
    "KSQL_HEAP_OPTS",
    "KSQL_OPTS",
    "KSQL_JVM_PERFORMANCE_OPTS",
    "KSQL_LOG4J_OPTS",
    "KSQL_JMX_OPTS",
    "KSQL_GC_LOG_OPTS",
    "KSQL_DEBUG",
    "KSQL_CLASSPATH",
    "KSQL_CONFIG_DIR",
];

/// A setting and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub value: String,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    File,
    Environment,
    Flag,
}

/// The server's effective settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// `None`: the embedded log.
    pub bootstrap_servers: Option<String>,
    pub state_dir: PathBuf,
    pub service_id: String,
    /// `None`: as many as there are (Kafka), or one a core (embedded).
    pub lanes: Option<u32>,
    pub commit_interval: Duration,
    /// `cache.max.bytes.buffering`; 0 switches coalescing of table updates off.
    pub cache_bytes: u64,
    /// Of internal topics; `None`: as many as the brokers give a topic by default.
    pub replicas: Option<u32>,
    pub push_queries_max: usize,
    pub command_wait: Duration,
    /// Whether the processing log shows the bytes of a rejected record.
    pub log_rows: bool,
    /// `None`: no schema registry.
    pub registry: Option<RegistryConfig>,
    /// Pinot and Druid, secrets included; of use only with a real Kafka.
    pub olap: OlapConfig,
    /// What sessions start with: settings that SET may change.
    pub session: Properties,
    /// Settings of the Kafka client, secrets included: never show them.
    pub client: Properties,
    /// Everything that was set, by canonical name; show it through [`known::shown`].
    pub settings: BTreeMap<String, Setting>,
    /// What the operator should read at start, a line each.
    pub warnings: Vec<String>,
}

/// Collects settings from their three origins.
#[derive(Debug, Default)]
pub struct ConfigBuilder {
    settings: BTreeMap<String, Setting>,
    warnings: Vec<String>,
}

impl ConfigBuilder {
    /// Reads a Java properties file.
    ///
    /// # Errors
    /// When it cannot be read or is malformed; one line.
    pub fn file(&mut self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| format!("cannot read configuration file {}: {e}", path.display()))?;
        let pairs = java_properties::parse(&text)
            .map_err(|e| format!("configuration file {}: {e}", path.display()))?;
        for (name, value) in pairs {
            self.set(&name, &value, Origin::File);
        }
        Ok(())
    }

    /// Takes `KSQL_...` and `MILLRACE_...` from the environment.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (variable, value) in variables {
            let Some(name) = property_of_variable(&variable) else { continue };
            self.set(&name, &value, Origin::Environment);
        }
    }

    /// A flag of the command line.
    pub fn flag(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(name, value, Origin::Flag);
        }
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) {
        let name = known::canonical(name);
        match known::find(name) {
            Some(k) if k.reach == Reach::NoEffect => {
                self.warnings.push(format!("{name} has no effect on Millrace"));
            }
            None if !client::is_client(name) => self.warnings.push(unused(name)),
            _ => {}
        }
        self.settings.insert(name.to_string(), Setting { value: value.to_string(), origin });
    }

    /// Checks every value.
    ///
    /// # Errors
    /// The first setting that cannot be used, and what it should be; one line.
    pub fn build(mut self) -> Result<Config, String> {
        for (name, setting) in &mut self.settings {
            if let Some(known) = known::find(name) {
                setting.value = known.ty.check(&setting.value).map_err(|expected| {
                    let shown = known::shown(name, &setting.value);
                    format!("setting {name} is '{shown}', expected {expected}")
                })?;
            }
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        if let Some(note) = guarantee_note(self.text("processing.guarantee")) {
            warnings.push(note.to_string());
        }
        Ok(Config {
            listen: self.listen()?,
            bootstrap_servers: self.text("bootstrap.servers").map(str::to_string),
            state_dir: self.state_dir(),
            service_id: self.service_id()?,
            lanes: self.text("millrace.lanes").and_then(|n| n.parse().ok()),
            commit_interval: Duration::from_millis(self.number("commit.interval.ms")),
            cache_bytes: self.cache_bytes(),
            replicas: self.replicas(),
            push_queries_max: (self.number("ksql.max.push.queries") as usize)
                .min(limits::PUSH_QUERIES_MAX),
            command_wait: Duration::from_millis(
                self.number("ksql.server.command.response.timeout.ms"),
            ),
            log_rows: self.or_default("ksql.logging.processing.rows.include") == "true",
            registry: registry::config(|name| self.text(name))?,
            olap: olap::config(
                |name| self.text(name),
                self.text("bootstrap.servers").unwrap_or_default(),
            )?,
            session: self.session(),
            client: client::translate(self.client())?,
            settings: self.settings,
            warnings,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        let text = self.settings.get(name).map(|s| s.value.as_str());
        text.filter(|t| !t.is_empty())
    }

    fn or_default(&self, name: &str) -> String {
        let default = known::find(name).map(|k| k.default).unwrap_or_default();
        self.text(name).unwrap_or(default).to_string()
    }

    /// Kafka Streams' name is for the same topics, but for those of the service itself.
    fn replicas(&self) -> Option<u32> {
        let names = ["ksql.internal.topic.replicas", "replication.factor"];
        let given = names.into_iter().map(|name| self.number(name));
        given.filter_map(|n| n.try_into().ok()).find(|n| *n > 0)
    }

    fn number(&self, name: &str) -> u64 {
        self.or_default(name).parse().unwrap_or(0)
    }

    /// The listener as `host:port`.
    fn listen(&self) -> Result<String, String> {
        let listeners = self.or_default("listeners");
        let listener = listeners.trim();
        let shown = known::without_users(listener);
        if listener.contains(',') {
            return Err(format!("listeners is '{shown}', expected one listener"));
        }
        if listener.starts_with("https://") {
            return Err(format!("listener {shown}: TLS is not supported yet, use http"));
        }
        if listener.contains('@') {
            return Err(format!("listeners is '{shown}', expected http://host:port"));
        }
        let address = listener.strip_prefix("http://").unwrap_or(listener).trim_end_matches('/');
        Ok(address.to_string())
    }

    /// It begins the names of topics and groups.
    fn service_id(&self) -> Result<String, String> {
        let id = self.or_default("ksql.service.id");
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match id.len() <= SERVICE_ID_CHARS_MAX && id.chars().all(fits) {
            true => Ok(id),
            false => Err(format!(
                "setting ksql.service.id is '{id}', expected at most {SERVICE_ID_CHARS_MAX} \
                 letters, digits, '.', '_' or '-', as in names of topics"
            )),
        }
    }

    fn state_dir(&self) -> PathBuf {
        let dir = self.text("millrace.state.dir").or_else(|| self.text("state.dir"));
        match dir {
            Some(dir) => PathBuf::from(dir),
            None => PathBuf::from(self.or_default("millrace.state.dir")),
        }
    }

    fn cache_bytes(&self) -> u64 {
        match self.text("statestore.cache.max.bytes") {
            Some(bytes) => bytes.parse().unwrap_or(0),
            None => self.number("cache.max.bytes.buffering"),
        }
    }

    fn session(&self) -> Properties {
        let set = self
            .settings
            .iter()
            .filter(|(name, _)| known::find(name).is_some_and(|k| k.reach.is_of_statements()));
        set.map(|(name, s)| (name.clone(), s.value.clone())).collect()
    }

    fn client(&self) -> Properties {
        let set = self.settings.iter().filter(|(name, _)| client::is_client(name));
        set.map(|(name, s)| (name.clone(), s.value.clone())).collect()
    }
}

fn unused(name: &str) -> String {
    if let Some(why) = client::java_only(name) {
        return format!("{name} is not used: {why}");
    }
    let hint = known::nearest(name).map(|n| format!(", did you mean {n}?")).unwrap_or_default();
    format!("unknown setting {name} is not used{hint}")
}

/// What to tell about a weaker guarantee: it is accepted, and exceeded.
pub fn guarantee_note(value: Option<&str>) -> Option<&'static str> {
    (value == Some("at_least_once")).then_some(
        "processing.guarantee=at_least_once is accepted; queries run exactly once all the same",
    )
}

/// `KSQL_KSQL_SERVICE_ID` (as ksqlDB's images) and `KSQL_SERVICE_ID` both mean `ksql.service.id`;
/// `MILLRACE_STATE_DIR` means `millrace.state.dir`. `None`: not ours.
fn property_of_variable(variable: &str) -> Option<String> {
    if JVM_VARIABLES.contains(&variable) {
        return None;
    }
    let dotted = variable.to_ascii_lowercase().replace('_', ".");
    if dotted.starts_with("millrace.") {
        // MILLRACE_LOG is the filter of the log lines, see `main`.
        return (variable != "MILLRACE_LOG").then(|| known_spelling(&dotted));
    }
    let rest = dotted.strip_prefix("ksql.")?;
    let is_name = |name: &str| {
        let name = known::canonical(name);
        client::is_client(name) || known::KNOWN.iter().any(|k| spelled(k.name) == spelled(name))
    };
    Some(known_spelling(if is_name(rest) || !is_name(&dotted) { rest } else { &dotted }))
}

/// A variable cannot tell `_` from `.`: take the spelling of the known name.
fn known_spelling(name: &str) -> String {
    let name = known::canonical(name);
    let known = known::KNOWN.iter().find(|k| spelled(k.name) == spelled(name));
    known.map_or(name, |k| k.name).to_string()
}

fn spelled(name: &str) -> String {
    name.replace(['_', '-'], ".")
}

/// Checks properties that a request brings (`streamsProperties`, SET): the canonical name and the
/// value as it is used.
///
/// # Errors
/// When the name is not one that a session may set, or the value does not fit; with a hint.
pub fn check_session(name: &str, value: &str) -> Result<(String, String), SqlError> {
    let canonical = known::canonical(name);
    let Some(known) = known::find(canonical) else {
        let near = known::nearest(canonical);
        let hint = near.map(|n| format!("did you mean '{n}'? ")).unwrap_or_default();
        return Err(SqlError::invalid(format!("Unknown property '{name}'."))
            .hint(format!("{hint}SHOW PROPERTIES lists those that can be set")));
    };
    if matches!(known.reach, Reach::Server | Reach::Fixed) {
        return Err(session_refusal(canonical));
    }
    if canonical == "auto.offset.reset" && value.trim().eq_ignore_ascii_case("none") {
        let message = "'none' is not valid for this property within KSQL";
        return Err(SqlError::invalid(message).hint("expected earliest or latest"));
    }
    let value = known.ty.check(value).map_err(|expected| {
        let shown = known::shown(name, value);
        SqlError::invalid(format!("Invalid value '{shown}' for property '{name}'."))
            .hint(format!("expected {expected}"))
    })?;
    Ok((canonical.to_string(), value))
}

fn session_refusal(name: &str) -> SqlError {
    let message = match name {
        "commit.interval.ms" => "Property 'commit.interval.ms' cannot be set for one query: all \
                                 queries of a lane share a transaction."
            .to_string(),
        _ => format!("Cannot override property '{name}'"),
    };
    SqlError::invalid(message).hint("set it in the configuration of the server")
}

/// True for names that `/is_valid_property` accepts.
pub fn is_valid_property(name: &str) -> bool {
    known::find(known::canonical(name))
        .is_some_and(|k| matches!(k.reach, Reach::Session | Reach::NoEffect))
}

/// The type word of SHOW PROPERTIES.
pub fn type_name(ty: Ty) -> &'static str {
    match ty {
        Ty::Text | Ty::OneOf(_) => "STRING",
        Ty::Bool => "BOOLEAN",
        Ty::Int(_) => "LONG",
    }
}

#[cfg(test)]
mod tests;
