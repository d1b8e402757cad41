//! Tables of Apache Pinot and Apache Druid: pure generators of the documents that make them, and
//! clients that make them, ask how they are, and delete them.

mod druid;
mod http;
mod limits;
mod pinot;
mod same;

use millrace_engine::olap::{OlapResult, OlapState, OlapTargets};
use millrace_sql::olap::{OlapSystem, OlapTable};
use serde_json::Value;

use self::druid::DruidClient;
use self::http::Http;
use self::pinot::PinotClient;

/// Where the systems are, and who asks them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OlapConfig {
    /// `host:port,...` of the Kafka that the systems read from.
    pub brokers: String,
    pub pinot: Access,
    pub druid: Access,
}

/// Where a system is, unless a statement says otherwise, and who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// `http://host:port`, without a trailing slash.
    pub url: Option<String>,
    /// Value of the header `Authorization`. Sent to `url` only: who writes statements must not
    /// learn it by naming another server.
    pub authorization: Option<String>,
    /// Certificates, as PEM, of authorities that its TLS may use beside those of the machine.
    pub ca_pem: Option<String>,
}

/// Never shows the secret.
impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Access {
    /// The URL that a table is at.
    fn url<'a>(&'a self, table: &'a OlapTable) -> OlapResult<&'a str> {
        let (system, property) = (table.system.name(), table.system.url_property());
        match (table.url.as_str(), &self.url) {
            ("", Some(url)) => Ok(url),
            ("", None) => Err(format!(
                "where is {system}? Say it with {property} = 'http://host:port' in WITH, or in \
                 the configuration of the server"
            )),
            (url, _) => Ok(url),
        }
    }

    /// What to send to a URL.
    fn authorization(&self, url: &str) -> Option<&str> {
        self.authorization.as_deref().filter(|_| self.url.as_deref() == Some(url))
    }
}

/// Header of HTTP basic authentication, of `user:password`.
pub fn basic(user_info: &str) -> String {
    let mut text = b"Basic ".to_vec();
    crate::formats::base64::encode(user_info.as_bytes(), &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Makes tables over HTTP, on a thread of its own.
pub struct OlapClients {
    http: Http,
    pinot: reqwest::Client,
    druid: reqwest::Client,
    config: OlapConfig,
}

impl OlapClients {
    /// # Errors
    /// When the system refuses the thread, or TLS cannot be used.
    pub fn new(config: OlapConfig) -> Result<Self, String> {
        let client = |system: &str, access: &Access| {
            let made = http::client(access.ca_pem.as_deref());
            made.map_err(|why| format!("millrace.{system}.tls.ca.file: {why}"))
        };
        let (pinot, druid) = (client("pinot", &config.pinot)?, client("druid", &config.druid)?);
        Ok(OlapClients { http: Http::new()?, pinot, druid, config })
    }

    fn brokers<'a>(&'a self, table: &'a OlapTable) -> &'a str {
        table.options.get("KAFKA_BROKERS").map_or(self.config.brokers.as_str(), String::as_str)
    }

    fn pinot<'a>(&'a self, table: &'a OlapTable) -> OlapResult<PinotClient<'a>> {
        let access = &self.config.pinot;
        let url = access.url(table)?;
        Ok(PinotClient::new(self.http.site(&self.pinot, "Pinot", url, access.authorization(url))))
    }

    fn druid<'a>(&'a self, table: &'a OlapTable) -> OlapResult<DruidClient<'a>> {
        let access = &self.config.druid;
        let url = access.url(table)?;
        Ok(DruidClient::new(self.http.site(&self.druid, "Druid", url, access.authorization(url))))
    }
}

impl OlapTargets for OlapClients {
    fn documents(&self, table: &OlapTable) -> OlapResult<Value> {
        let brokers = self.brokers(table);
        if table.system == OlapSystem::Druid {
            return Ok(druid::spec(table, brokers));
        }
        let understood = self.pinot(table).and_then(|pinot| pinot.understood(table, brokers));
        let current = |_| pinot::documents(table, brokers, pinot::Dialect::Current);
        Ok(understood.unwrap_or_else(current))
    }

    fn check(&self, table: &OlapTable) -> OlapResult<()> {
        match table.system {
            OlapSystem::Pinot => self.pinot(table)?.check(table, self.brokers(table)).map(|_| ()),
            OlapSystem::Druid => self.druid(table)?.check(table, self.brokers(table)).map(|_| ()),
        }
    }

    fn create(&self, table: &OlapTable) -> OlapResult<()> {
        match table.system {
            OlapSystem::Pinot => self.pinot(table)?.create(table, self.brokers(table)),
            OlapSystem::Druid => self.druid(table)?.create(table, self.brokers(table)),
        }
    }

    fn alter(&self, old: &OlapTable, new: &OlapTable) -> OlapResult<()> {
        let brokers = self.brokers(new);
        match new.system {
            OlapSystem::Pinot => self.pinot(new)?.alter(new, brokers),
            OlapSystem::Druid => self.druid(new)?.alter(old, new, brokers),
        }
    }

    fn delete(&self, table: &OlapTable) -> OlapResult<()> {
        match table.system {
            OlapSystem::Pinot => self.pinot(table)?.delete(table),
            OlapSystem::Druid => self.druid(table)?.delete(table),
        }
    }

    fn state(&self, table: &OlapTable) -> OlapState {
        let state = match table.system {
            OlapSystem::Pinot => self.pinot(table).and_then(|pinot| pinot.state(table)),
            OlapSystem::Druid => self.druid(table).and_then(|druid| druid.state(table)),
        };
        state.unwrap_or_else(|why| OlapState {
            state: "UNREACHABLE".to_owned(),
            last_error: Some(why),
            ..OlapState::default()
        })
    }

    fn current_rows(&self, table: &OlapTable) -> String {
        match table.system {
            OlapSystem::Pinot => pinot::current_rows(table),
            OlapSystem::Druid => druid::current_rows(table),
        }
    }
}

#[cfg(test)]
mod tests;
