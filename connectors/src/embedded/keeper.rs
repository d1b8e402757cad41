//! The log's background thread: makes writes durable, and keeps house.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::housekeeping;
use super::options::Durability;
use super::shared::Shared;

/// Pause after a failure, so that a full disk does not fill the program's output.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);

/// The running thread; dropping it stops the thread after a last write to the disk.
pub struct Keeper {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// Wakes the keeper.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<Rung>,
    rung: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Rung {
    written: bool,
    stop: bool,
}

impl Bell {
    /// Something was written that is not durable yet.
    pub fn written(&self) {
        let mut state = self.state.lock();
        if !state.written {
            state.written = true;
            self.rung.notify_all();
        }
    }

    fn wait(&self, until: Instant) -> Rung {
        let mut state = self.state.lock();
        while !state.written && !state.stop {
            if self.rung.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        let now = *state;
        state.written = false;
        now
    }

    /// Waits for `pause`, or less if the keeper is to stop.
    fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.state.lock();
        while !state.stop && !self.rung.wait_until(&mut state, until).timed_out() {}
    }
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let bell = shared.bell.clone();
        let thread = std::thread::Builder::new().name("log-keeper".to_owned());
        let thread = thread.spawn(move || run(&shared))?;
        Ok(Keeper { bell, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.bell.state.lock().stop = true;
        self.bell.rung.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed; there is nothing left to do for it.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared) {
    let every = shared.options.housekeeping_every;
    let mut next = Instant::now() + every;
    loop {
        let rung = shared.bell.wait(next);
        if rung.written
            && !rung.stop
            && let Durability::Every(pause) = shared.options.durability
        {
            shared.bell.pause(pause);
        }
        if let Err(error) = shared.sync() {
            tracing::error!(%error, "the embedded log cannot be made durable");
            shared.bell.pause(FAILURE_PAUSE);
        }
        if rung.stop {
            return;
        }
        if Instant::now() >= next {
            if let Err(error) = housekeeping::run(shared) {
                tracing::error!(%error, "cannot keep the embedded log's house");
            }
            next = Instant::now() + every;
        }
    }
}
