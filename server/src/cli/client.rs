//! HTTP to a server: one request at a time, answers whole or line by line.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::config::known::without_users;

/// A server by its URL.
#[derive(Clone)]
pub struct Client {
    base: String,
    http: HttpClient<HttpConnector, Full<Bytes>>,
}

/// A request that brought no usable answer.
#[derive(Debug, Clone)]
pub enum ClientError {
    /// Nobody answers there.
    Unreachable(String),
    /// The server refused or failed. Code and message are the server's.
    Refused { code: Option<u64>, message: String },
}

impl ClientError {
    pub fn message(&self) -> &str {
        match self {
            ClientError::Unreachable(message) | ClientError::Refused { message, .. } => message,
        }
    }

    /// `error 40001: message`; who does not answer has no code.
    pub fn line(&self) -> String {
        match self {
            ClientError::Refused { code: Some(code), message } => {
                format!("error {code}: {message}")
            }
            other => format!("error: {}", other.message()),
        }
    }
}

impl Client {
    /// # Errors
    /// When `url` is no `http://host:port`; one line.
    pub fn new(url: &str) -> Result<Client, String> {
        let url = if url.contains("://") { url.to_string() } else { format!("http://{url}") };
        let shown = without_users(&url);
        if url.starts_with("https://") {
            return Err(format!("{shown}: TLS is not supported yet, use http"));
        }
        if url.contains('@') {
            return Err(format!("'{shown}' has a user, but the server asks for none"));
        }
        let uri: Uri = url.parse().map_err(|e| format!("'{url}' is no URL: {e}"))?;
        let authority = uri.authority().ok_or_else(|| format!("'{url}' names no server"))?;
        let authority = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:8088"),
        };
        // A connection for each request: a shell sits idle for longer than a server keeps one open, and
        // does not hear it being closed while it waits for a key.
        let http = HttpClient::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Client { base: format!("http://{authority}"), http })
    }

    pub fn url(&self) -> &str {
        &self.base
    }

    /// `GET path` as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let response = self.send(Method::GET, path, Bytes::new(), JSON).await?;
        self.whole(response).await
    }

    /// `POST path` with a body, the answer as JSON.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&self, path: &str, body: Bytes) -> Result<Value, ClientError> {
        let response = self.send(Method::POST, path, body, JSON).await?;
        self.whole(response).await
    }

    /// `POST path`, the answer line by line.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn lines(
        &self,
        path: &str,
        body: Bytes,
        accept: &'static str,
    ) -> Result<Lines, ClientError> {
        let response = self.send(Method::POST, path, body, accept).await?;
        if !response.status().is_success() {
            return Err(match self.whole(response).await {
                Err(e) => e,
                Ok(value) => refused(StatusCode::OK, &value),
            });
        }
        Ok(Lines { body: response.into_body(), buffer: Vec::new(), ended: false })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        accept: &'static str,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", JSON)
            .header("accept", accept)
            .body(Full::new(body));
        let request = request.map_err(|e| self.unreachable(&e.to_string()))?;
        self.http.request(request).await.map_err(|e| {
            let mut cause: &dyn std::error::Error = &e;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            self.unreachable(&cause.to_string())
        })
    }

    async fn whole(&self, response: Response<Incoming>) -> Result<Value, ClientError> {
        let status = response.status();
        let body = response.into_body().collect().await;
        let body = body.map_err(|e| self.unreachable(&e.to_string()))?.to_bytes();
        let value = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
        if status.is_success() { Ok(value) } else { Err(refused(status, &value)) }
    }

    fn unreachable(&self, why: &str) -> ClientError {
        ClientError::Unreachable(format!("cannot reach the server at {}: {why}", self.base))
    }
}

const JSON: &str = "application/json";

fn refused(status: StatusCode, body: &Value) -> ClientError {
    let message = match body {
        Value::String(text) if !text.is_empty() => text.clone(),
        body => match body.get("message").and_then(Value::as_str) {
            Some(message) => message.to_string(),
            None => format!("the server answered {status}"),
        },
    };
    ClientError::Refused { code: body.get("error_code").and_then(Value::as_u64), message }
}

/// Lines of an answer as they arrive. Dropping it ends the request.
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// The next line without its end; `None` after the last. Cancel safe.
    ///
    /// The end of a line of an array comes with the element after it. A whole element is not kept
    /// waiting for that: it is a line, and its separator another.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let line = std::mem::replace(&mut self.buffer, rest);
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.ended || is_element(&self.buffer) {
                let last = std::mem::take(&mut self.buffer);
                let last = String::from_utf8_lossy(&last).into_owned();
                return Ok((!last.is_empty()).then_some(last));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(e)) => {
                    let message = format!("the connection to the server broke: {e}");
                    return Err(ClientError::Unreachable(message));
                }
                None => self.ended = true,
            }
        }
    }
}

/// Whether these bytes are one whole object, perhaps the first one of an array.
fn is_element(bytes: &[u8]) -> bool {
    let object = bytes.strip_prefix(b"[").unwrap_or(bytes);
    object.ends_with(b"}") && serde_json::from_slice::<serde::de::IgnoredAny>(object).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls() {
        let cases = [
            ("http://localhost:8088", Ok("http://localhost:8088")),
            ("localhost", Ok("http://localhost:8088")),
            ("10.0.0.1:99/", Ok("http://10.0.0.1:99")),
            ("https://a", Err("TLS")),
            ("http://", Err("URL")),
            ("http://u:p@a", Err("'http://[hidden]@a' has a user")),
            ("https://u:p@a", Err("https://[hidden]@a: TLS")),
        ];
        for (url, expected) in cases {
            match (Client::new(url), expected) {
                (Ok(client), Ok(base)) => assert_eq!(client.url(), base),
                (Err(e), Err(part)) => assert!(e.contains(part), "{e}"),
                (got, _) => panic!("{url}: {:?}", got.map(|c| c.base)),
            }
        }
    }

    #[test]
    fn the_code_is_told() {
        for (body, expected) in [
            (r#"{"error_code":40001,"message":"no S\n  x\n  ^"}"#, "error 40001: no S\n  x\n  ^"),
            (r#"{"message":"no"}"#, "error: no"),
            (r#""no""#, "error: no"),
            ("{}", "error: the server answered 400 Bad Request"),
        ] {
            let body = serde_json::from_str(body).unwrap();
            assert_eq!(refused(StatusCode::BAD_REQUEST, &body).line(), expected);
        }
        assert_eq!(ClientError::Unreachable("gone".into()).line(), "error: gone");
    }

    #[test]
    fn elements() {
        let whole = [r#"{"row":{"columns":["}"]}}"#, r#"[{"header":{}}"#];
        let parts = ["", "{", "}", "[", ",", r#"{"row":{}"#, "[1]", "rowtime: 1, value: {}"];
        whole.iter().for_each(|text| assert!(is_element(text.as_bytes()), "{text}"));
        parts.iter().for_each(|text| assert!(!is_element(text.as_bytes()), "{text}"));
    }

    /// A row is shown when it comes, not when the next one does.
    #[tokio::test]
    async fn the_last_row_does_not_wait() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string()).unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            let body = "[{\"header\":{}},\n{\"row\":{}}";
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000";
            stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut lines = client.lines("/query", Bytes::new(), JSON).await.unwrap();
        for expected in [r#"[{"header":{}},"#, r#"{"row":{}}"#] {
            assert_eq!(lines.next().await.unwrap().as_deref(), Some(expected));
        }
        served.abort();
    }

    #[tokio::test]
    async fn nobody_there() {
        let client = Client::new("127.0.0.1:1").unwrap();
        let error = client.get("/info").await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
    }
}
