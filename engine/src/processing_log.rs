//! Entries of the processing log, in ksqlDB's JSON with topic, partition and offset added. They are
//! written in the transaction that takes the record in, so each appears exactly once.

use serde_json::{Value, json};

use crate::format::RejectKind;
use crate::ids::{Timestamp, Tp};

/// A rejected record or row.
#[derive(Debug, Clone)]
pub struct LogEntry {
    pub query: String,
    /// Step of the query, e.g. `KsqlTopic.Source.deserializer`.
    pub step: String,
    pub kind: RejectKind,
    pub reason: String,
    pub origin: Option<Origin>,
    /// The row as JSON text, for processing errors.
    pub row: Option<String>,
}

/// The input record that an entry is about.
#[derive(Debug, Clone)]
pub struct Origin {
    pub topic: String,
    pub tp: Tp,
    pub offset: i64,
    /// Key or value as it was, whichever is at fault; of a record that was read, its row is told instead.
    pub bytes: Option<Vec<u8>>,
}

/// Longest raw record kept in an entry; the rest is cut and `recordTruncated` says so.
const RECORD_BYTES_MAX: usize = 256 << 10;
/// Longest text kept in an entry.
const TEXT_BYTES_MAX: usize = 64 << 10;

impl LogEntry {
    /// A record that its topic does not take.
    pub fn too_large(query: &str, (topic, tp): (&str, Tp), bytes: usize, bytes_max: usize) -> Self {
        LogEntry {
            query: query.to_owned(),
            step: "KsqlSink.producer".to_owned(),
            kind: RejectKind::Production,
            reason: format!(
                "Error producing to topic {topic}, partition {}: a record of {bytes} bytes is larger \
                 than the topic takes ({bytes_max} bytes); raise max.message.bytes of the topic",
                tp.partition.0
            ),
            origin: None,
            row: None,
        }
    }

    /// The value of the record; its key is the logger's name.
    pub fn to_json(&self, now: Timestamp) -> Vec<u8> {
        let (number, member) = match self.kind {
            RejectKind::DeserializeKey | RejectKind::DeserializeValue => {
                (0, "deserializationError")
            }
            RejectKind::Processing => (1, "recordProcessingError"),
            RejectKind::Production => (2, "productionError"),
            RejectKind::SerializeKey | RejectKind::SerializeValue => (3, "serializationError"),
        };
        let mut message = json!({
            "type": number,
            "deserializationError": null,
            "recordProcessingError": null,
            "productionError": null,
            "serializationError": null,
            "kafkaStreamsThreadError": null,
        });
        message[member] = self.detail();
        let entry = json!({
            "level": "ERROR",
            "logger": self.logger(),
            "time": now.0,
            "message": message,
        });
        entry.to_string().into_bytes()
    }

    pub fn logger(&self) -> String {
        format!("processing.{}.{}", self.query, self.step)
    }

    fn detail(&self) -> Value {
        let mut detail = json!({ "errorMessage": cut(&self.reason), "cause": [] });
        match self.kind {
            RejectKind::DeserializeKey | RejectKind::SerializeKey => {
                detail["target"] = json!("key")
            }
            RejectKind::DeserializeValue | RejectKind::SerializeValue => {
                detail["target"] = json!("value");
            }
            RejectKind::Processing | RejectKind::Production => {}
        }
        if let Some(row) = &self.row {
            detail["record"] = json!(cut(row));
        }
        if let Some(origin) = &self.origin {
            detail["topic"] = json!(origin.topic);
            detail["partition"] = json!(origin.tp.partition.0);
            detail["offset"] = json!(origin.offset);
            if let Some(bytes) = &origin.bytes {
                let kept = &bytes[..bytes.len().min(RECORD_BYTES_MAX)];
                detail["recordB64"] = json!(base64(kept));
                if kept.len() < bytes.len() {
                    detail["recordTruncated"] = json!(true);
                }
            }
        }
        detail
    }
}

/// The text, or as much of it as an entry keeps.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// Standard base64 with padding (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |acc, b| acc << 8 | u32::from(*b));
        let group = group << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                let index = (group >> (18 - 6 * i)) & 63;
                out.push(char::from(ALPHABET[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        for (bytes, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), want);
        }
    }
}
