//! Blocking requests behind poll-style calls: the first ask starts one on a worker thread, later
//! asks with the same arguments find it, and its answer is given out once.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Record, TopicSpec};
use parking_lot::{Condvar, Mutex};

use super::limits::{JOBS_MAX, WORKERS_MAX};
use super::signal::Signal;

/// What a request asks for: the call and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Describe(String),
    List,
    Ensure(TopicSpec),
    Delete(TopicId),
    Purge(Vec<(Tp, Offset)>),
    Ends(Vec<Tp>),
    /// A cursor's question where a partition starts.
    Start(Tp),
    Writer(String),
    Append(Tp, Vec<Record>),
    AppendIf(String, Tp, Offset, Record),
    /// Looks for topics whose ids nobody has seen.
    Resolve,
}

/// An answer or a request that nobody asks for any more is dropped after this time; a later ask
/// with the same arguments starts anew instead of getting old news.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);

type Answer = Box<dyn Any + Send>;
type Job = Box<dyn FnOnce() + Send>;

/// Running requests and unclaimed answers.
pub(super) struct Requests {
    slots: Mutex<Vec<Slot>>,
    pool: Arc<Pool>,
    signal: Arc<Signal>,
}

struct Slot {
    key: Key,
    asked_at: Instant,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Requests {
    pub fn new(signal: Arc<Signal>) -> Self {
        Requests { slots: Mutex::new(Vec::new()), pool: Arc::new(Pool::default()), signal }
    }

    /// Polls the request that `same` recognises; if there is none, `start` says its key and its
    /// work. The type of the answer must follow from the key.
    pub fn ask<T, W>(
        &self,
        same: impl Fn(&Key) -> bool,
        start: impl FnOnce() -> (Key, W),
    ) -> Poll<T>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let mut slots = self.slots.lock();
        let now = Instant::now();
        slots.retain(|s| now.duration_since(s.asked_at) < ABANDONED_AFTER);
        if let Some(at) = slots.iter().position(|s| same(&s.key)) {
            slots[at].asked_at = now;
            let Some(answer) = slots[at].answer.lock().take() else { return Poll::Pending };
            slots.swap_remove(at);
            let answer = answer.downcast::<T>().expect("a key has one type of answer");
            return Poll::Ready(*answer);
        }
        if self.pool.is_full() {
            return Poll::Pending;
        }
        let answer = Arc::new(Mutex::new(None));
        let (key, work) = start();
        slots.push(Slot { key, asked_at: now, answer: answer.clone() });
        drop(slots);
        let signal = self.signal.clone();
        self.pool.run(Box::new(move || {
            let found: Answer = Box::new(work());
            *answer.lock() = Some(found);
            signal.raise();
        }));
        Poll::Pending
    }

    /// Does `work` some time, for nobody; or never, when there is too much to do.
    pub fn run(&self, work: impl FnOnce() + Send + 'static) {
        match self.pool.is_full() {
            true => tracing::debug!("too many Kafka requests wait: one is left out"),
            false => self.pool.run(Box::new(work)),
        }
    }

    /// Forgets requests, so that what was asked before now answers nobody.
    pub fn forget(&self, which: impl Fn(&Key) -> bool) {
        self.slots.lock().retain(|s| !which(&s.key));
    }

    /// Ends the worker threads once they are done with what they do now.
    pub fn close(&self) {
        self.pool.state.lock().closed = true;
        self.pool.changed.notify_all();
    }
}

/// Worker threads, started when there is work and no idle one.
#[derive(Default)]
struct Pool {
    state: Mutex<PoolState>,
    changed: Condvar,
}

#[derive(Default)]
struct PoolState {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    fn is_full(&self) -> bool {
        self.state.lock().jobs.len() >= JOBS_MAX
    }

    fn run(self: &Arc<Self>, job: Job) {
        let mut state = self.state.lock();
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads < WORKERS_MAX {
            let pool = self.clone();
            let name = format!("kafka-admin-{}", state.threads);
            match std::thread::Builder::new().name(name).spawn(move || pool.work()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::warn!(%error, "no thread for a Kafka request"),
            }
        }
        self.changed.notify_one();
    }

    fn work(&self) {
        let mut state = self.state.lock();
        while !state.closed {
            match state.jobs.pop_front() {
                Some(job) => parking_lot::MutexGuard::unlocked(&mut state, job),
                None => {
                    state.idle += 1;
                    self.changed.wait(&mut state);
                    state.idle -= 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        Requests::new(Arc::new(Signal::new()))
    }

    fn wait<T>(mut ask: impl FnMut() -> Poll<T>) -> T {
        loop {
            match ask() {
                Poll::Ready(answer) => return answer,
                Poll::Pending => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn describe(r: &Requests, name: &str, answer: u32) -> Poll<u32> {
        let key = Key::Describe(name.into());
        r.ask(|k| *k == key, || (key.clone(), move || answer))
    }

    #[test]
    fn an_answer_is_given_once_and_the_next_ask_starts_anew() {
        let r = requests();
        assert_eq!(describe(&r, "a", 1), Poll::Pending);
        assert_eq!(wait(|| describe(&r, "a", 2)), 1);
        assert_eq!(describe(&r, "a", 3), Poll::Pending);
        assert_eq!(wait(|| describe(&r, "a", 4)), 3);
    }

    #[test]
    fn different_arguments_are_different_requests() {
        let r = requests();
        assert!(describe(&r, "a", 1).is_pending() && describe(&r, "b", 2).is_pending());
        assert_eq!((wait(|| describe(&r, "b", 0)), wait(|| describe(&r, "a", 0))), (2, 1));
    }

    #[test]
    fn what_was_asked_before_forgetting_answers_nobody() {
        let r = requests();
        assert!(describe(&r, "a", 1).is_pending());
        r.forget(|k| matches!(k, Key::Describe(_)));
        assert_eq!(wait(|| describe(&r, "a", 2)), 2);
    }

    /// With all threads busy and the queue full, nothing more is taken; all of it goes on later.
    #[test]
    fn what_waits_is_bounded() {
        let r = requests();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let done = Arc::new(Mutex::new(0));
        for _ in 0..WORKERS_MAX + 2 * JOBS_MAX {
            let (held, done) = (held.clone(), done.clone());
            r.run(move || {
                // Until the sender is gone.
                let _ = held.lock().recv();
                *done.lock() += 1;
            });
            assert!(r.pool.state.lock().jobs.len() <= JOBS_MAX);
        }
        for _ in 0..3 {
            assert!(describe(&r, "a", 1).is_pending());
        }
        assert!(r.slots.lock().is_empty(), "it was not begun");
        drop(hold);
        assert_eq!(wait(|| describe(&r, "a", 2)), 2);
        let taken = *done.lock();
        assert!((JOBS_MAX - WORKERS_MAX..=JOBS_MAX + WORKERS_MAX).contains(&taken), "{taken}");
    }
}
