//! Bodies of requests.

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::error::{HttpError, code};
use crate::limits;

/// What `/ksql`, `/query` and `/query-stream` are asked; unknown members are ignored.
#[derive(Debug, Default)]
pub struct SqlRequest {
    pub sql: String,
    pub properties: Map<String, Value>,
    pub variables: Map<String, Value>,
    pub command_sequence: Option<i64>,
}

impl SqlRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// 400 when it is not such a JSON object, 413 when it is too long.
    pub async fn read(request: Request) -> Result<SqlRequest, HttpError> {
        let bytes = body(request, limits::BODY_BYTES_MAX).await?;
        Self::parse(&bytes)
    }

    /// From the JSON of a body.
    ///
    /// # Errors
    /// 400 when it is not such a JSON object.
    pub fn parse(bytes: &[u8]) -> Result<SqlRequest, HttpError> {
        let Value::Object(mut members) = parse(bytes)? else {
            return Err(HttpError::bad_request("Invalid request: the body must be a JSON object"));
        };
        let mut first = |names: [&str; 2]| {
            names.iter().find_map(|n| members.remove(*n).filter(|v| !v.is_null()))
        };
        let sql = match first(["ksql", "sql"]) {
            Some(Value::String(sql)) => sql,
            Some(_) => return Err(HttpError::bad_request("Invalid request: 'ksql' must be text")),
            None => return Err(HttpError::bad_request("Invalid request: 'ksql' is missing")),
        };
        Ok(SqlRequest {
            sql,
            properties: object(first(["streamsProperties", "properties"]), "streamsProperties")?,
            variables: object(first(["sessionVariables", "variables"]), "sessionVariables")?,
            command_sequence: first(["commandSequenceNumber", ""]).and_then(|n| n.as_i64()),
        })
    }
}

/// The whole body.
///
/// # Errors
/// 413 when it has more than `bytes_max` bytes, 400 when it breaks off.
pub async fn body(request: Request<Body>, bytes_max: usize) -> Result<Bytes, HttpError> {
    let limited = Limited::new(request.into_body(), bytes_max);
    match limited.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(e) if e.is::<LengthLimitError>() => {
            let message = format!("The request is longer than {bytes_max} bytes");
            Err(HttpError::new(code::TOO_LARGE, message))
        }
        Err(e) => Err(HttpError::bad_request(format!("The request broke off: {e}"))),
    }
}

/// JSON of a body; serde_json bounds its depth.
///
/// # Errors
/// 400, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, HttpError> {
    serde_json::from_slice(bytes)
        .map_err(|e| HttpError::bad_request(format!("Invalid JSON in request: {e}")))
}

fn object(value: Option<Value>, name: &str) -> Result<Map<String, Value>, HttpError> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => {
            Err(HttpError::bad_request(format!("Invalid request: '{name}' must be an object")))
        }
    }
}

/// Form of a streamed answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// A header line, then an array a line.
    Delimited,
    /// The same as one JSON array.
    JsonArray,
    /// ksqlDB's `StreamedRow`s as one JSON array.
    Rows,
    /// The same with each row as a Protobuf message.
    Protobuf,
}

impl StreamFormat {
    pub fn media_type(self) -> &'static str {
        match self {
            StreamFormat::Delimited => DELIMITED,
            StreamFormat::JsonArray => "application/json",
            StreamFormat::Rows => KSQL_JSON,
            StreamFormat::Protobuf => PROTOBUF,
        }
    }
}

const DELIMITED: &str = "application/vnd.ksqlapi.delimited.v1";
const PROTOBUF: &str = "application/vnd.ksql.v1+protobuf";
const KSQL_JSON: &str = "application/vnd.ksql.v1+json";

/// The first acceptable form; `json` says what `application/json` means, `any` what `*/*` means.
///
/// # Errors
/// 406 when none of the accepted types can be served.
pub fn accepted(
    headers: &HeaderMap,
    json: StreamFormat,
    any: StreamFormat,
) -> Result<StreamFormat, HttpError> {
    let Some(accept) = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()) else {
        return Ok(any);
    };
    for part in accept.split(',') {
        match part.split(';').next().unwrap_or_default().trim() {
            DELIMITED => return Ok(StreamFormat::Delimited),
            KSQL_JSON => return Ok(StreamFormat::Rows),
            PROTOBUF => return Ok(StreamFormat::Protobuf),
            "application/json" => return Ok(json),
            "*/*" | "application/*" | "" => return Ok(any),
            _ => {}
        }
    }
    let message = format!(
        "None of the accepted types ({accept}) is available; there are {DELIMITED}, \
         application/json, {KSQL_JSON} and {PROTOBUF}"
    );
    Err(HttpError::new(code::NOT_ACCEPTABLE, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_headers() {
        use StreamFormat::{Delimited, JsonArray, Protobuf, Rows};
        let cases = [
            (None, Some(Delimited)),
            (Some("*/*"), Some(Delimited)),
            (Some("application/json"), Some(JsonArray)),
            (Some("application/vnd.ksql.v1+json"), Some(Rows)),
            (Some("application/vnd.ksqlapi.delimited.v1; q=0.8"), Some(Delimited)),
            (Some("text/html, application/json"), Some(JsonArray)),
            (Some("application/vnd.ksql.v1+protobuf"), Some(Protobuf)),
            (Some("image/png"), None),
        ];
        for (accept, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            let got = accepted(&headers, JsonArray, Delimited);
            assert_eq!(got.ok(), expected, "{accept:?}");
        }
    }

    #[tokio::test]
    async fn bodies_that_are_refused() {
        let long = "x".repeat(limits::BODY_BYTES_MAX + 1);
        let cases = [
            ("", 40000),
            ("[]", 40000),
            ("{}", 40000),
            ("{\"ksql\":1}", 40000),
            ("{\"ksql\":\"\",\"streamsProperties\":[]}", 40000),
            (long.as_str(), 41300),
        ];
        for (text, code) in cases {
            let request = Request::new(Body::from(text.to_string()));
            let error = SqlRequest::read(request).await.unwrap_err();
            assert_eq!(error.code, code, "{:.40}", text);
        }
    }
}
