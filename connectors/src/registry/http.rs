//! Calls of Confluent's REST protocol.

use std::borrow::Cow;
use std::collections::HashMap;

use millrace_engine::schemas::{RegistryError, RegistryResult};
use millrace_sql::catalog::{RegisteredSchema, SchemaKind, SchemaReference, SchemaText};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::limits::{ANSWER_BYTES_MAX, CALL_TIMEOUT, REFERENCE_DEPTH_MAX, REFERENCES_MAX};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Where the registry is and who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryConfig {
    /// Tried in this order.
    pub urls: Vec<String>,
    pub credentials: Option<Credentials>,
}

/// Name and password of HTTP basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

/// Never shows the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Makes the calls.
pub struct Http {
    client: Client,
    config: RegistryConfig,
}

/// An answer about a schema.
#[derive(Debug, Deserialize)]
struct SchemaAnswer {
    #[serde(default)]
    id: Option<u32>,
    schema: String,
    #[serde(default, rename = "schemaType")]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<ReferenceAnswer>>,
}

#[derive(Debug, Clone, Deserialize)]
struct ReferenceAnswer {
    name: String,
    subject: String,
    version: i32,
}

#[derive(Debug, Deserialize)]
struct IdAnswer {
    id: u32,
}

#[derive(Debug, Deserialize)]
struct ErrorAnswer {
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Http {
    /// # Errors
    /// When the TLS library cannot be used.
    pub fn new(config: RegistryConfig) -> Result<Self, String> {
        let client = Client::builder().timeout(CALL_TIMEOUT).build();
        let client = client.map_err(|e| format!("cannot make HTTP calls: {e}"))?;
        Ok(Http { client, config })
    }

    /// Whether anybody answers.
    pub async fn probe(&self) -> RegistryResult<()> {
        match self.call(Method::GET, "/schemas/types", None).await {
            Ok(_) | Err(RegistryError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn by_id(&self, id: u32) -> RegistryResult<Option<RegisteredSchema>> {
        let answer = self.call(Method::GET, &format!("/schemas/ids/{id}"), None).await;
        let Some(answer) = found::<SchemaAnswer>(answer)? else { return Ok(None) };
        let schema = self.resolved(answer).await?;
        Ok(Some(RegisteredSchema { id, schema }))
    }

    pub async fn latest(&self, subject: &str) -> RegistryResult<Option<RegisteredSchema>> {
        let path = format!("/subjects/{}/versions/latest", escaped(subject));
        let answer = self.call(Method::GET, &path, None).await;
        let Some(answer) = found::<SchemaAnswer>(answer)? else { return Ok(None) };
        let id = answer.id.ok_or_else(|| unreadable("no id"))?;
        let schema = self.resolved(answer).await?;
        Ok(Some(RegisteredSchema { id, schema }))
    }

    pub async fn register(&self, subject: &str, schema: &SchemaText) -> RegistryResult<u32> {
        let path = format!("/subjects/{}/versions", escaped(subject));
        let mut body = json!({ "schema": registered_text(schema) });
        if schema.kind != SchemaKind::Avro {
            body["schemaType"] = json!(schema.kind.name());
        }
        if !schema.references.is_empty() {
            let reference = |r: &SchemaReference| json!({ "name": r.name, "subject": r.subject, "version": r.version });
            body["references"] = schema.references.iter().map(reference).collect();
        }
        let answer = self.call(Method::POST, &path, Some(body)).await?;
        Ok(read::<IdAnswer>(&answer)?.id)
    }

    /// Deletes a subject for good.
    pub async fn delete(&self, subject: &str) -> RegistryResult<()> {
        let path = format!("/subjects/{}", escaped(subject));
        found::<Value>(self.call(Method::DELETE, &path, None).await)?;
        let path = format!("{path}?permanent=true");
        found::<Value>(self.call(Method::DELETE, &path, None).await)?;
        Ok(())
    }

    /// The schema with all that it refers to.
    async fn resolved(&self, answer: SchemaAnswer) -> RegistryResult<SchemaText> {
        let kind = kind(answer.schema_type.as_deref())?;
        let wanted = answer.references.unwrap_or_default();
        let references = self.references(kind, wanted).await?;
        Ok(SchemaText { kind, text: answer.schema, references })
    }

    /// Fetches references level by level, then puts them together from the deepest one up.
    async fn references(
        &self,
        kind: SchemaKind,
        wanted: Vec<ReferenceAnswer>,
    ) -> RegistryResult<Vec<SchemaReference>> {
        let mut fetched: HashMap<(String, i32), SchemaAnswer> = HashMap::new();
        let mut level = wanted.clone();
        for _ in 0..REFERENCE_DEPTH_MAX {
            let mut next = Vec::new();
            for reference in level {
                let key = (reference.subject.clone(), reference.version);
                if fetched.contains_key(&key) {
                    continue;
                }
                if fetched.len() >= REFERENCES_MAX {
                    return Err(unreadable("a schema with too many references"));
                }
                let path = format!("/subjects/{}/versions/{}", escaped(&key.0), key.1);
                let answer: SchemaAnswer = read(&self.call(Method::GET, &path, None).await?)?;
                next.extend(answer.references.clone().unwrap_or_default());
                fetched.insert(key, answer);
            }
            if next.is_empty() {
                let mut left = REFERENCES_MAX;
                return assemble(kind, &wanted, &fetched, &mut left);
            }
            level = next;
        }
        Err(unreadable("a schema whose references are nested too deep"))
    }

    /// One call; each URL is tried once.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> RegistryResult<Vec<u8>> {
        let mut failure = RegistryError::Unreachable("no URL is configured".to_string());
        for url in &self.config.urls {
            let url = format!("{}{path}", url.trim_end_matches('/'));
            match self.call_one(method.clone(), &url, body.as_ref()).await {
                Err(error @ RegistryError::Unreachable(_)) => failure = error,
                decided => return decided,
            }
        }
        Err(failure)
    }

    async fn call_one(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> RegistryResult<Vec<u8>> {
        let mut request = self.client.request(method, url).header("Accept", CONTENT_TYPE);
        if let Some(Credentials { user, password }) = &self.config.credentials {
            request = request.basic_auth(user, Some(password));
        }
        if let Some(body) = body {
            request = request.header("Content-Type", CONTENT_TYPE).body(body.to_string());
        }
        let unreachable = |e: reqwest::Error| RegistryError::Unreachable(chain(&e));
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(unreadable("an answer that is too long"));
            }
        }
        if status.is_success() { Ok(bytes) } else { Err(refusal(status, &bytes)) }
    }
}

/// The schema's text as registries take it: some recognise a JSON schema only by its root's type
/// or by the dialect it names, and the schema of an unwrapped column has no type at its root.
fn registered_text(schema: &SchemaText) -> Cow<'_, str> {
    let text = schema.text.as_str();
    if schema.kind != SchemaKind::Json {
        return Cow::Borrowed(text);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut root))
            if !root.contains_key("type") && !root.contains_key("$schema") =>
        {
            root.insert("$schema".into(), json!("http://json-schema.org/draft-07/schema#"));
            Cow::Owned(Value::Object(root).to_string())
        }
        _ => Cow::Borrowed(text),
    }
}

/// What the registry says instead of an answer.
fn refusal(status: StatusCode, body: &[u8]) -> RegistryError {
    let code = i64::from(status.as_u16());
    match serde_json::from_slice::<ErrorAnswer>(body) {
        // A gateway in front of the registry, or a registry that is not well.
        _ if matches!(code, 502..=504 | 429) => RegistryError::Unreachable(status.to_string()),
        Ok(ErrorAnswer { error_code, message }) => {
            let code = if error_code == 0 { code } else { error_code };
            RegistryError::Refused { code, message }
        }
        Err(_) => RegistryError::Refused { code, message: status.to_string() },
    }
}

/// `None` when the registry has no such thing.
fn found<T: for<'a> Deserialize<'a>>(answer: RegistryResult<Vec<u8>>) -> RegistryResult<Option<T>> {
    match answer {
        Ok(bytes) => read(&bytes).map(Some),
        Err(RegistryError::Refused { code: 404 | 40401..=40499, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> RegistryResult<T> {
    serde_json::from_slice(bytes).map_err(|e| unreadable(&e.to_string()))
}

fn unreadable(why: &str) -> RegistryError {
    RegistryError::Unreachable(format!("its answer cannot be used: {why}"))
}

fn kind(word: Option<&str>) -> RegistryResult<SchemaKind> {
    match word {
        None | Some("AVRO") => Ok(SchemaKind::Avro),
        Some("JSON") => Ok(SchemaKind::Json),
        Some("PROTOBUF") => Ok(SchemaKind::Protobuf),
        Some(other) => {
            let message = format!("a schema of the unknown type {other}");
            Err(RegistryError::Refused { code: 422, message })
        }
    }
}

fn assemble(
    kind_of_parent: SchemaKind,
    wanted: &[ReferenceAnswer],
    fetched: &HashMap<(String, i32), SchemaAnswer>,
    left: &mut usize,
) -> RegistryResult<Vec<SchemaReference>> {
    let mut references = Vec::new();
    for ReferenceAnswer { name, subject, version } in wanted.iter().cloned() {
        let Some(rest) = left.checked_sub(1) else {
            return Err(unreadable("a schema with too many references"));
        };
        *left = rest;
        let answer = fetched.get(&(subject.clone(), version));
        let answer = answer.ok_or_else(|| unreadable("a reference without a schema"))?;
        let kind = match answer.schema_type.as_deref() {
            None => kind_of_parent,
            word => kind(word)?,
        };
        let inner = answer.references.clone().unwrap_or_default();
        let inner = assemble(kind, &inner, fetched, left)?;
        let schema = SchemaText { kind, text: answer.schema.clone(), references: inner };
        references.push(SchemaReference { name, subject, version, schema });
    }
    Ok(references)
}

/// A subject in a path.
fn escaped(subject: &str) -> String {
    let mut out = String::new();
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// An error with its causes, without the URL's secrets.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = if text.is_empty() { part } else { format!("{text}: {part}") };
        }
        cause = error.source();
    }
    text
}
