//! A TCP proxy that can lose what goes through it, one direction at a time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use parking_lot::Mutex;

/// Forwards a port of its own to another local port, until dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

/// What happens to bytes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Lossy {
    Nothing,
    /// Requests arrive, answers do not.
    Answers,
    /// Requests do not arrive.
    Requests,
}

struct Shared {
    target: SocketAddr,
    lossy: AtomicU8,
    closed: AtomicBool,
    /// Both ends of each connection, to break them.
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// # Errors
    /// No port can be bound.
    pub fn start(target_port: u16) -> Result<Proxy, String> {
        let failed = |e: std::io::Error| format!("no proxy: {e}");
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let shared = Arc::new(Shared {
            target: SocketAddr::from(([127, 0, 0, 1], target_port)),
            lossy: AtomicU8::new(Lossy::Nothing as u8),
            closed: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.closed.load(Ordering::Acquire) {
                    return;
                }
                accepting.forward(client);
            }
        });
        Ok(Proxy { port, shared })
    }

    /// From now on, loses these bytes. Going back to losing nothing breaks all connections: they
    /// have holes.
    pub fn lose(&self, what: Lossy) {
        self.shared.lossy.store(what as u8, Ordering::Release);
        if what == Lossy::Nothing {
            self.break_all();
        }
    }

    /// Closes every connection.
    pub fn break_all(&self) {
        for stream in self.shared.open.lock().drain(..) {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        // Wakes the accepting thread.
        drop(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], self.port))));
        self.break_all();
    }
}

impl Shared {
    fn forward(self: &Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(self.target) else { return };
        let streams = [client.try_clone(), server.try_clone()];
        let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else {
            return;
        };
        self.open.lock().extend(streams.into_iter().flatten());
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        let (up, down) = (self.clone(), self.clone());
        std::thread::spawn(move || up.pump(client, server, Lossy::Requests));
        std::thread::spawn(move || down.pump(server_too, client_too, Lossy::Answers));
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, lost_when: Lossy) {
        let mut buffer = [0; 64 * 1024];
        loop {
            match from.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(_) if self.lossy.load(Ordering::Acquire) == lost_when as u8 => {}
                Ok(count) if to.write_all(&buffer[..count]).is_ok() => {}
                Ok(_) => break,
            }
        }
        drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn loses_one_direction_and_recovers() {
        let echo = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = echo.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in echo.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        stream.write_all(&byte).unwrap();
                    }
                });
            }
        });
        let proxy = Proxy::start(port).unwrap();
        let ask = |stream: &mut TcpStream| {
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let sent = stream.write_all(b"x");
            sent.is_ok() && stream.read_exact(&mut [0]).is_ok()
        };
        let open = || TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
        let mut stream = open();
        assert!(ask(&mut stream));
        for what in [Lossy::Answers, Lossy::Requests] {
            proxy.lose(what);
            assert!(!ask(&mut stream), "{what:?}");
            proxy.lose(Lossy::Nothing);
            stream = open();
            assert!(ask(&mut stream), "{what:?}");
        }
    }
}
