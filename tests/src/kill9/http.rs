//! As much HTTP as the tests need: one request a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// Runs statements.
///
/// # Errors
/// The server does not answer, or refuses one of them: what it said.
pub fn ksql(port: u16, sql: &str) -> Result<Value, String> {
    let body = json!({
        "ksql": sql,
        "streamsProperties": { "auto.offset.reset": "earliest" },
    });
    post(port, "/ksql", &body)
}

/// The rows of a pull query.
///
/// # Errors
/// As for [`ksql`].
pub fn pull(port: u16, sql: &str) -> Result<Vec<Vec<Value>>, String> {
    let answer = post(port, "/query", &json!({ "ksql": sql }))?;
    let lines = answer.as_array().ok_or_else(|| format!("no rows: {answer}"))?;
    let columns = |line: &Value| line["row"]["columns"].as_array().cloned();
    Ok(lines.iter().filter_map(columns).collect())
}

/// What a path shows.
///
/// # Errors
/// The server does not answer.
pub fn get(port: u16, path: &str) -> Result<Value, String> {
    request(port, "GET", path, "")
}

/// Sends JSON to a path.
///
/// # Errors
/// The server does not answer, or refuses it.
pub fn put(port: u16, path: &str, body: &str) -> Result<Value, String> {
    request(port, "PUT", path, body)
}

/// Sends a request with a body of JSON.
///
/// # Errors
/// The server does not answer, or refuses it.
pub fn send(port: u16, verb: &str, path: &str, body: &str) -> Result<Value, String> {
    request(port, verb, path, body)
}

/// What a path shows, as text.
///
/// # Errors
/// The server does not answer.
pub fn text(port: u16, path: &str) -> Result<String, String> {
    exchange(port, "GET", path, "")
}

/// Opens a push query and reads what comes, in the background, until it ends; where the bytes that came
/// are counted.
///
/// # Errors
/// The server does not answer.
pub fn push(port: u16, sql: &str) -> Result<Arc<AtomicU64>, String> {
    let failed = |e: std::io::Error| format!("a push query: {e}");
    let body = json!({ "ksql": sql }).to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    let head = format!(
        "POST /query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).map_err(failed)?;
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            counted.fetch_add(read as u64, Ordering::Relaxed);
        }
    });
    Ok(count)
}

fn post(port: u16, path: &str, body: &Value) -> Result<Value, String> {
    request(port, "POST", path, &body.to_string())
}

fn request(port: u16, verb: &str, path: &str, body: &str) -> Result<Value, String> {
    let said = exchange(port, verb, path, body)?;
    serde_json::from_str(&said).map_err(|e| format!("{verb} {path} said no JSON ({e}): {said}"))
}

fn exchange(port: u16, verb: &str, path: &str, body: &str) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{verb} {path}: {e}");
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX).map_err(failed)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX)).map_err(failed)?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    let head = format!(
        "{verb} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    stream.write_all(body.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, body) = answer.split_at(end.ok_or("an answer without a body")?);
    let (head, body) = (String::from_utf8_lossy(head).to_ascii_lowercase(), &body[4..]);
    // Some servers send pieces even then.
    let body = match head.contains("transfer-encoding: chunked") {
        true => joined(body),
        false => body.to_vec(),
    };
    let body = String::from_utf8_lossy(&body);
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        return Err(format!("{verb} {path} said {status}: {body}"));
    }
    Ok(body.into_owned())
}

/// The pieces of a chunked body as one; what is damaged is left out.
fn joined(mut chunked: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = chunked.windows(2).position(|two| two == b"\r\n") {
        let length = String::from_utf8_lossy(&chunked[..end]);
        let Ok(length) = usize::from_str_radix(length.trim(), 16) else { break };
        let Some(piece) = chunked.get(end + 2..end + 2 + length).filter(|p| !p.is_empty()) else {
            break;
        };
        whole.extend_from_slice(piece);
        chunked = chunked.get(end + 4 + length..).unwrap_or_default();
    }
    whole
}
