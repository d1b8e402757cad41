//! Pinot and Druid as they answer, in this process: what versions know, what they refuse, which rows
//! their segments and tasks keep. For what a real one takes minutes to show, or is not at hand.

mod druid;
mod pinot;
mod tables;
mod tls;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace_engine::log::Log;
use parking_lot::Mutex;
use serde_json::Value;

pub use tables::Row;
use tables::Tables;
pub use tls::Authority;

/// Who is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Played {
    /// By version: major, minor.
    Pinot(u32, u32),
    Druid(u32),
}

/// How a stub is set up.
pub struct Setup<'a> {
    pub played: Played,
    /// What the header `Authorization` must be.
    pub authorization: Option<String>,
    pub tls: Option<&'a Authority>,
    /// Where the topics are, if rows are read at all.
    pub log: Option<Arc<dyn Log>>,
}

impl Setup<'_> {
    /// Neither credentials nor TLS nor topics.
    pub fn new(played: Played) -> Self {
        Setup { played, authorization: None, tls: None, log: None }
    }
}

/// A running stub; it ends with the process.
pub struct Stub {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    played: Played,
    authorization: Option<String>,
    tables: Mutex<Tables>,
    /// The header `Authorization` of every request.
    shown: Mutex<Vec<Option<String>>>,
    down: AtomicBool,
    /// The method and path that fail with 500.
    broken: Mutex<Option<String>>,
}

/// A request, as the players see it.
struct Request {
    method: String,
    /// Without what follows a `?`.
    path: String,
    body: Value,
}

/// Status and body of an answer.
type Reply = (u16, String);

impl Stub {
    /// # Panics
    /// There is no port.
    pub fn start(setup: Setup<'_>) -> Stub {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = setup.tls.map(Authority::acceptor);
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}");
        let shared = Arc::new(Shared {
            played: setup.played,
            authorization: setup.authorization,
            tables: Mutex::new(Tables::over(setup.log.clone())),
            shown: Mutex::default(),
            down: AtomicBool::new(false),
            broken: Mutex::default(),
        });
        if let Some(log) = setup.log {
            let read = shared.clone();
            std::thread::spawn(move || tables::read_on(log.as_ref(), &read.tables));
        }
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, acceptor) = (served.clone(), acceptor.clone());
                std::thread::spawn(move || {
                    // A client that gives up ends it.
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
                    match acceptor {
                        None => serve(stream, &shared),
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream) {
                                serve(stream, &shared);
                            }
                        }
                    }
                });
            }
        });
        Stub { url, shared }
    }

    /// Connections are closed unanswered.
    pub fn set_down(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// This call (`POST /tableConfigs`) fails from now on.
    pub fn break_at(&self, call: Option<&str>) {
        *self.shared.broken.lock() = call.map(str::to_owned);
    }

    /// A consumer of Pinot stops with this exception; `None`: it goes on.
    pub fn set_failing(&self, why: Option<&str>) {
        self.shared.tables.lock().failing = why.map(str::to_owned);
    }

    /// The credentials that came with each request.
    pub fn shown(&self) -> Vec<Option<String>> {
        self.shared.shown.lock().clone()
    }

    /// Names of the tables that are there.
    pub fn tables(&self) -> Vec<String> {
        self.shared.tables.lock().names()
    }

    /// The document of a table.
    pub fn document(&self, table: &str) -> Value {
        self.shared.tables.lock().document(table)
    }

    /// Changes the document of a table behind the back of everybody.
    pub fn spoil(&self, table: &str, change: impl FnOnce(&mut Value)) {
        self.shared.tables.lock().spoil(table, change);
    }

    /// A schema of Pinot without a table, as a controller leaves it that dies in between.
    pub fn leave_schema(&self, name: &str, schema: Value) {
        self.shared.tables.lock().schemas.insert(name.to_owned(), schema);
    }

    /// The rows that the table keeps, all versions.
    pub fn rows(&self, table: &str) -> Vec<Row> {
        self.shared.tables.lock().rows(table)
    }
}

/// One request per connection.
fn serve(mut stream: impl Read + Write, shared: &Shared) {
    if shared.down.load(Ordering::SeqCst) {
        return;
    }
    let mut reader = BufReader::new(&mut stream);
    let Some((request, authorization)) = read_request(&mut reader) else { return };
    let what = format!("{} {}", request.method, request.path);
    let let_in = shared.authorization.is_none() || shared.authorization == authorization;
    shared.shown.lock().push(authorization);
    let broken = shared.broken.lock().as_ref().is_some_and(|call| what == *call);
    let (status, body) = match (let_in, broken, shared.played) {
        (false, ..) => (401, "who are you?".to_owned()),
        (_, true, _) => (500, r#"{"error":"it burns"}"#.to_owned()),
        (.., Played::Pinot(major, minor)) => {
            pinot::answer((major, minor), &request, &mut shared.tables.lock())
        }
        (.., Played::Druid(version)) => druid::answer(version, &request, &mut shared.tables.lock()),
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // Who does not wait for the answer misses it.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    let _ = stream.flush();
}

fn read_request(reader: &mut impl BufRead) -> Option<(Request, Option<String>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.split('?').next()?.to_owned());
    let (mut authorization, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = Some(value.trim().to_owned()),
            "content-length" => length = value.trim().parse().ok()?,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    Some((Request { method, path, body }, authorization))
}
