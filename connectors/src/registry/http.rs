//! Calls of Confluent's REST protocol.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use millrace_engine::schemas::{RegistryError, RegistryResult};
use millrace_sql::catalog::{RegisteredSchema, SchemaKind, SchemaReference, SchemaText};
use reqwest::{Client, Method, StatusCode};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, perform_sr_call};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RawRegisteredSchema, RegisteredReference, SrCall,
};
use serde_json::{Value, json};

use super::limits::{
    ANSWER_BYTES_MAX, CALL_RETRY_PAUSE, CALL_TRIES_MAX, REFERENCE_DEPTH_MAX, REFERENCES_MAX,
};

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
    /// Fetches and registers schemas.
    settings: SrSettings,
    /// Does the rest: that crate neither deletes nor asks how the registry is.
    client: Client,
    config: RegistryConfig,
}

impl Http {
    /// `timeout`: how long one call may take.
    ///
    /// # Errors
    /// When the TLS library cannot be used.
    pub fn new(config: RegistryConfig, timeout: Duration) -> Result<Self, String> {
        let urls = config.urls.iter().map(|url| url.trim_end_matches('/').to_owned());
        let config = RegistryConfig { urls: urls.collect(), ..config };
        let (first, others) = config.urls.split_first().ok_or("no URL is configured")?;
        let mut builder = SrSettings::new_builder(first.clone());
        others.iter().for_each(|url| {
            builder.add_url(url.clone());
        });
        if let Some(Credentials { user, password }) = &config.credentials {
            builder.set_basic_authorization(user, Some(password));
        }
        let failed = |e: &dyn std::fmt::Display| format!("cannot make HTTP calls: {e}");
        let settings = builder.set_timeout(timeout).build().map_err(|e| failed(&e))?;
        let client = Client::builder().timeout(timeout).build().map_err(|e| failed(&e))?;
        Ok(Http { settings, client, config })
    }

    /// Whether anybody answers.
    pub async fn probe(&self) -> RegistryResult<()> {
        match self.call(Method::GET, "/schemas/types").await {
            Ok(_) | Err(RegistryError::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn by_id(&self, id: u32) -> RegistryResult<Option<RegisteredSchema>> {
        let answer = found(self.schema_call(SrCall::GetById(id)).await)?;
        let Some(answer) = answer else { return Ok(None) };
        let schema = self.resolved(answer).await?;
        Ok(Some(RegisteredSchema { id, schema }))
    }

    pub async fn latest(&self, subject: &str) -> RegistryResult<Option<RegisteredSchema>> {
        let answer = found(self.schema_call(SrCall::GetLatest(&escaped(subject))).await)?;
        let Some(answer) = answer else { return Ok(None) };
        let id = answer.id.ok_or_else(|| unreadable("no id"))?;
        let schema = self.resolved(answer).await?;
        Ok(Some(RegisteredSchema { id, schema }))
    }

    pub async fn register(&self, subject: &str, schema: &SchemaText) -> RegistryResult<u32> {
        let mut body = json!({ "schema": registered_text(schema) });
        if schema.kind != SchemaKind::Avro {
            body["schemaType"] = json!(schema.kind.name());
        }
        if !schema.references.is_empty() {
            let reference = |r: &SchemaReference| json!({ "name": r.name, "subject": r.subject, "version": r.version });
            body["references"] = schema.references.iter().map(reference).collect();
        }
        let (subject, body) = (escaped(subject), body.to_string());
        let answer = self.schema_call(SrCall::PostNew(&subject, &body)).await?;
        answer.id.ok_or_else(|| unreadable("no id"))
    }

    /// Deletes a subject for good.
    pub async fn delete(&self, subject: &str) -> RegistryResult<()> {
        let path = format!("/subjects/{}", escaped(subject));
        found(self.call(Method::DELETE, &path).await)?;
        found(self.call(Method::DELETE, &format!("{path}?permanent=true")).await)?;
        Ok(())
    }

    /// The schema with all that it refers to.
    async fn resolved(&self, answer: RawRegisteredSchema) -> RegistryResult<SchemaText> {
        let kind = kind(answer.schema_type.as_deref())?;
        let wanted = answer.references.clone().unwrap_or_default();
        let references = self.references(kind, wanted).await?;
        Ok(SchemaText { kind, text: text(&answer)?, references })
    }

    /// Fetches references level by level, then puts them together from the deepest one up.
    async fn references(
        &self,
        kind: SchemaKind,
        wanted: Vec<RegisteredReference>,
    ) -> RegistryResult<Vec<SchemaReference>> {
        let mut fetched = Fetched::new();
        let mut level = wanted.clone();
        for _ in 0..REFERENCE_DEPTH_MAX {
            let mut next = Vec::new();
            for reference in level {
                let key = (reference.subject, reference.version);
                if fetched.contains_key(&key) {
                    continue;
                }
                if fetched.len() >= REFERENCES_MAX {
                    return Err(unreadable("a schema with too many references"));
                }
                let subject = escaped(&key.0);
                let call = SrCall::GetBySubjectAndVersion(&subject, key.1);
                let answer = self.schema_call(call).await?;
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

    /// A call about a schema; what may pass is tried again.
    async fn schema_call(&self, call: SrCall<'_>) -> RegistryResult<RawRegisteredSchema> {
        let mut tries = 1;
        loop {
            let Failure { error, passing } = match perform_sr_call(&self.settings, call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failure(&error),
            };
            if !passing || tries >= CALL_TRIES_MAX {
                return Err(error);
            }
            tokio::time::sleep(CALL_RETRY_PAUSE * tries).await;
            tries += 1;
        }
    }

    /// Another call; each URL is tried once.
    async fn call(&self, method: Method, path: &str) -> RegistryResult<()> {
        let mut failure = RegistryError::Unreachable("no URL is configured".to_string());
        for url in &self.config.urls {
            match self.call_one(method.clone(), &format!("{url}{path}")).await {
                Err(error @ RegistryError::Unreachable(_)) => failure = error,
                decided => return decided,
            }
        }
        Err(failure)
    }

    async fn call_one(&self, method: Method, url: &str) -> RegistryResult<()> {
        let mut request = self.client.request(method, url).header("Accept", CONTENT_TYPE);
        if let Some(Credentials { user, password }) = &self.config.credentials {
            request = request.basic_auth(user, Some(password));
        }
        let unreachable = |e: reqwest::Error| RegistryError::Unreachable(chain(&e));
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_BYTES_MAX {
                return Err(unreadable("an answer that is too long"));
            }
        }
        let words = serde_json::from_slice::<RawError>(&bytes).ok();
        Err(refusal(status, words.map(|words| (words.error_code, words.message))).error)
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

/// Why a call failed, and whether it may do better soon.
struct Failure {
    error: RegistryError,
    passing: bool,
}

/// What stands behind an error of the crate that makes the calls.
fn failure(error: &SRCError) -> Failure {
    let source = std::error::Error::source(error);
    if let Some(words) = source.and_then(|source| source.downcast_ref::<RawError>()) {
        // The crate tells the status only in its text.
        let status = error.error.rsplit_once("status ").map_or("", |(_, status)| status);
        let status = status.get(..3).and_then(|code| code.parse().ok());
        let status = status.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Without a code it was no answer of a registry, and the crate made the message up.
        let words = (words.error_code != 0).then(|| (words.error_code, words.message.clone()));
        return refusal(status, words);
    }
    match source.and_then(|source| source.downcast_ref::<reqwest::Error>()) {
        Some(cause) if cause.is_decode() => {
            Failure { error: unreadable(&chain(cause)), passing: false }
        }
        Some(cause) => {
            // Who waited for the time-out once does not wait again.
            let passing = !cause.is_timeout();
            Failure { error: RegistryError::Unreachable(chain(cause)), passing }
        }
        None => Failure { error: unreadable(&error.error), passing: false },
    }
}

/// What the registry says instead of an answer: its status, its own code and words.
fn refusal(status: StatusCode, words: Option<(u32, String)>) -> Failure {
    // A gateway in front of the registry, or a registry that is not well.
    if matches!(status.as_u16(), 502..=504 | 429) {
        let error = RegistryError::Unreachable(status.to_string());
        return Failure { error, passing: true };
    }
    let (code, mut message) = words.unwrap_or((status.as_u16().into(), status.to_string()));
    if status == StatusCode::UNAUTHORIZED {
        message.push_str("; check ksql.schema.registry.basic.auth.user.info");
    }
    let passing = status.is_server_error();
    Failure { error: RegistryError::Refused { code: code.into(), message }, passing }
}

/// `None` when the registry has no such thing.
fn found<T>(answer: RegistryResult<T>) -> RegistryResult<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(RegistryError::Refused { code: 404 | 40401..=40499, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn text(answer: &RawRegisteredSchema) -> RegistryResult<String> {
    match &answer.schema {
        Some(text) if text.len() <= ANSWER_BYTES_MAX => Ok(text.clone()),
        Some(_) => Err(unreadable("a schema that is too long")),
        None => Err(unreadable("no schema")),
    }
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

/// Schemas by subject and version.
type Fetched = HashMap<(String, u32), RawRegisteredSchema>;

fn assemble(
    kind_of_parent: SchemaKind,
    wanted: &[RegisteredReference],
    fetched: &Fetched,
    left: &mut usize,
) -> RegistryResult<Vec<SchemaReference>> {
    let mut references = Vec::new();
    for RegisteredReference { name, subject, version, .. } in wanted.iter().cloned() {
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
        let schema = SchemaText { kind, text: text(answer)?, references: inner };
        let version = i32::try_from(version).unwrap_or(i32::MAX);
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
