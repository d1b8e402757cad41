//! Calls with JSON, on a thread of their own; statements wait for them.

use std::sync::mpsc;
use std::time::Duration;

use millrace_engine::olap::OlapResult;
use reqwest::{Certificate, Client, ClientBuilder, Method, redirect};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT, SHOWN_CHARS_MAX, STATE_TIMEOUT};

/// Makes the calls.
pub struct Http {
    runtime: Runtime,
}

/// A server of a system, and who asks it.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    http: &'a Http,
    client: &'a Client,
    /// `Pinot` or `Druid`.
    pub system: &'static str,
    pub url: &'a str,
    authorization: Option<&'a str>,
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Http {
    /// # Errors
    /// When the system refuses the thread.
    pub fn new() -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("olap")
            .enable_all()
            .build()
            .map_err(|e| format!("cannot start the thread for Pinot and Druid: {e}"))?;
        Ok(Http { runtime })
    }

    pub fn site<'a>(
        &'a self,
        client: &'a Client,
        system: &'static str,
        url: &'a str,
        authorization: Option<&'a str>,
    ) -> Site<'a> {
        Site { http: self, client, system, url, authorization }
    }
}

/// A client that trusts the authorities of the machine, and those of `ca_pem`.
///
/// # Errors
/// When there is no certificate in it, or TLS cannot be used.
pub fn client(ca_pem: Option<&str>) -> Result<Client, String> {
    // Credentials go nowhere but to the server that they are for.
    let mut builder = Client::builder().redirect(redirect::Policy::none());
    if let Some(pem) = ca_pem {
        let found = Certificate::from_pem_bundle(pem.as_bytes());
        let found = found.map_err(|e| format!("it has no certificates as PEM ({})", chain(&e)))?;
        if found.is_empty() {
            return Err("it has no certificates as PEM".to_owned());
        }
        builder = found.into_iter().fold(builder, ClientBuilder::add_root_certificate);
    }
    builder.build().map_err(|e| format!("cannot make HTTP calls: {}", chain(&e)))
}

impl Site<'_> {
    pub fn get(&self, path: &str) -> OlapResult<Answer> {
        self.call(Method::GET, path, None, STATE_TIMEOUT)
    }

    pub fn post(&self, path: &str, body: &Value) -> OlapResult<Answer> {
        self.call(Method::POST, path, Some(body.to_string()), CALL_TIMEOUT)
    }

    /// A question with a document: it changes nothing.
    pub fn ask(&self, path: &str, body: &Value) -> OlapResult<Answer> {
        self.call(Method::POST, path, Some(body.to_string()), STATE_TIMEOUT)
    }

    pub fn put(&self, path: &str, body: &Value) -> OlapResult<Answer> {
        self.call(Method::PUT, path, Some(body.to_string()), CALL_TIMEOUT)
    }

    pub fn delete(&self, path: &str) -> OlapResult<Answer> {
        self.call(Method::DELETE, path, None, CALL_TIMEOUT)
    }

    /// # Errors
    /// No answer, or one that no call should get: credentials, redirections, gateways.
    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
        timeout: Duration,
    ) -> OlapResult<Answer> {
        let Site { http, client, system, url, authorization } = *self;
        let mut request = client.request(method, format!("{url}{path}")).timeout(timeout);
        request = request.header("Accept", "application/json");
        if let Some(secret) = authorization {
            request = request.header("Authorization", secret);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        let (sender, answer) = mpsc::sync_channel(1);
        http.runtime.spawn(async move {
            // Nobody waits any more: the call took too long.
            let _ = sender.send(ask(request).await);
        });
        let late = || format!("no answer within {} s", timeout.as_secs());
        let answer = answer.recv_timeout(timeout * 2).unwrap_or_else(|_| Err(late()));
        let answer = answer.map_err(|why| {
            let hint = match why.contains("certificate") {
                true => format!(
                    "; millrace.{}.tls.ca.file in the configuration names a file of authorities",
                    system.to_lowercase()
                ),
                false => String::new(),
            };
            format!("{system} at {url} does not answer: {why}{hint}")
        })?;
        self.usable(answer)
    }

    fn usable(&self, answer: Answer) -> OlapResult<Answer> {
        let (system, url, lower) = (self.system, self.url, self.system.to_lowercase());
        match answer.status {
            401 | 403 => Err(format!(
                "{system} at {url} refuses the credentials ({}); {}",
                answer.status,
                match self.authorization {
                    Some(_) => format!("check those of millrace.{lower}.* in the configuration"),
                    None => format!(
                        "set millrace.{lower}.url to just this URL and \
                         millrace.{lower}.basic.auth.user.info or \
                         millrace.{lower}.bearer.auth.token in the configuration"
                    ),
                }
            )),
            300..=399 | 502..=504 | 429 => {
                Err(format!("{system} at {url} is not there: status {}", answer.status))
            }
            _ => Ok(answer),
        }
    }
}

async fn ask(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let mut response = request.send().await.map_err(|e| chain(&e))?;
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| chain(&e))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err("its answer is too long".to_owned());
        }
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&bytes).into_owned() })
}

/// An error with its causes, without the URL.
fn chain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    let mut text = String::new();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = if text.is_empty() { part } else { format!("{text}: {part}") };
        }
        cause = error.source();
    }
    if text.is_empty() { "the call failed".to_owned() } else { text }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// What an error says: the message in its body, or the beginning of it.
    pub fn message(&self) -> String {
        let body = self.json();
        let members = ["error", "errorMessage", "message", "_error"];
        let found = members.iter().find_map(|name| body[*name].as_str());
        let text = found.unwrap_or(&self.body).split_whitespace().collect::<Vec<_>>().join(" ");
        let shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
        if shown.is_empty() { format!("status {}", self.status) } else { shown }
    }
}
