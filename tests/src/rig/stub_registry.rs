//! A schema registry that says what a test wants it to say, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: String,
    /// Pause before it is given.
    pub after: Duration,
}

impl Reply {
    pub fn new(status: u16, body: &str) -> Self {
        Reply { status, body: body.to_owned(), after: Duration::ZERO }
    }
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /subjects/s/versions/latest`, without what follows a `?`.
    pub what: String,
    pub authorization: Option<String>,
    pub body: String,
}

#[derive(Default)]
struct State {
    /// By method and path: given in turn, the last one for ever.
    replies: BTreeMap<String, Vec<Reply>>,
    asked: Vec<Asked>,
}

/// The running stub; it ends with the process.
pub struct StubRegistry {
    pub url: String,
    state: Arc<Mutex<State>>,
    /// Connections are closed unanswered.
    down: Arc<AtomicBool>,
}

impl StubRegistry {
    /// Starts it on a port of its own. What it was not told to answer is 404.
    ///
    /// # Panics
    /// There is no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (state, down) = (Arc::new(Mutex::new(State::default())), Arc::default());
        let stub = StubRegistry { url, state: Arc::clone(&state), down: Arc::clone(&down) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, down) = (Arc::clone(&state), Arc::clone(&down));
                std::thread::spawn(move || serve(&stream, &state, &down));
            }
        });
        stub.on("GET /schemas/types", &[Reply::new(200, "[\"AVRO\"]")]);
        stub
    }

    /// Answers `what` with these, one after the other.
    pub fn on(&self, what: &str, replies: &[Reply]) {
        self.state.lock().replies.insert(what.to_owned(), replies.to_vec());
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().asked.clone()
    }

    /// How often that was asked.
    pub fn count(&self, what: &str) -> usize {
        self.state.lock().asked.iter().filter(|asked| asked.what == what).count()
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }
}

/// One request per connection.
fn serve(stream: &TcpStream, state: &Mutex<State>, down: &AtomicBool) {
    if down.load(Ordering::SeqCst) {
        return;
    }
    let mut reader = BufReader::new(stream);
    let Some(asked) = read_request(&mut reader) else { return };
    let reply = {
        let mut state = state.lock();
        state.asked.push(asked.clone());
        match state.replies.get_mut(&asked.what) {
            Some(replies) if replies.len() > 1 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => Reply::new(404, r#"{"error_code":40403,"message":"Schema not found"}"#),
        }
    };
    std::thread::sleep(reply.after);
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        reply.status,
        reply.body.len()
    );
    let mut out = stream;
    // Who does not wait for the answer misses it.
    let _ = out.write_all(head.as_bytes()).and_then(|()| out.write_all(reply.body.as_bytes()));
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?, words.next()?);
    let what = format!("{method} {}", path.split('?').next()?);
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
    Some(Asked { what, authorization, body: String::from_utf8_lossy(&body).into_owned() })
}
