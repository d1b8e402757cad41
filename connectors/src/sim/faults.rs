//! What may go wrong, and plans of it.

use std::collections::BTreeMap;

use millrace_engine::ids::Tp;
use millrace_engine::seams::{Entropy, SeededEntropy};
use parking_lot::Mutex;

/// Decides, at each operation, what goes wrong. Must answer from its seed and its calls alone.
pub trait Faults: Send + Sync {
    fn at(&self, point: &Point<'_>) -> Fault;
}

/// An operation that is about to happen.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    pub node: &'a str,
    pub op: Op,
    /// Writer id, topic name or group, as the operation has it.
    pub id: &'a str,
    pub tp: Option<Tp>,
}

/// Operations of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Describe,
    List,
    Ensure,
    Delete,
    Purge,
    Ends,
    /// A cursor's poll.
    Poll,
    OpenWriter,
    Append,
    AppendIf,
    Send,
    WriterPoll,
    Commit,
    Abort,
    Settle,
}

/// What goes wrong. A fault that makes no sense for an operation does nothing to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Not ready for `before` polls; then it is done, and its answer waits for `after` more (for
    /// commits and aborts; otherwise added to `before`).
    Slow {
        before: u32,
        after: u32,
    },
    /// The node dies just before it is done.
    CrashBefore,
    /// The node dies just after it was done.
    CrashAfter,
    /// The node dies; its commit or abort takes effect later: when [`super::SimCluster::land_late`]
    /// says, at the latest before the next writer of that id is ready.
    CrashLate,
    /// The answer is lost; the thing was done or not.
    Unknown {
        done: bool,
    },
    /// The answer is lost; the commit or abort takes effect later, as with `CrashLate`.
    Late,
    /// Somebody else opens a writer of that id first.
    Fence,
    /// The transaction times out first.
    TimeOut,
    /// The broker dies right after it has ended the transaction, and when it is back some partitions
    /// are not told: those whose bits of `which` are set, by their place in the transaction. The answer
    /// came before (`told`), and the writer notices only then that its connection broke; or it is lost.
    Forget {
        which: u64,
        told: bool,
    },
    /// Cannot reach the log; nothing was done.
    Unreachable,
    /// The producer's queue is full.
    Full,
    /// A poll returns at most so many records.
    Few(u32),
}

/// Nothing goes wrong.
#[derive(Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn at(&self, _point: &Point<'_>) -> Fault {
        Fault::None
    }
}

/// Given faults at given operations: the n-th (from 0) of a kind since the fault was planned.
#[derive(Debug, Default)]
pub struct Scripted {
    planned: Mutex<BTreeMap<Op, Vec<(u64, Fault)>>>,
}

impl Scripted {
    /// Plans `fault` for the operation of kind `op` that comes after `skip` others of that kind.
    pub fn plan(&self, op: Op, skip: u64, fault: Fault) {
        self.planned.lock().entry(op).or_default().push((skip, fault));
    }

    /// True when all that was planned has happened.
    pub fn exhausted(&self) -> bool {
        self.planned.lock().values().all(Vec::is_empty)
    }
}

impl Faults for Scripted {
    fn at(&self, point: &Point<'_>) -> Fault {
        let mut planned = self.planned.lock();
        let Some(faults) = planned.get_mut(&point.op) else { return Fault::None };
        let now = faults.iter().position(|(skip, _)| *skip == 0);
        let fault = now.map_or(Fault::None, |i| faults.remove(i).1);
        for (skip, _) in faults.iter_mut() {
            *skip = skip.saturating_sub(1);
        }
        fault
    }
}

/// How often each kind of fault strikes, in a million operations where it makes sense.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    pub slow: u32,
    pub crash: u32,
    pub unknown: u32,
    pub late: u32,
    pub fence: u32,
    pub time_out: u32,
    pub unreachable: u32,
    pub full: u32,
    pub few: u32,
    pub forget: u32,
}

impl Default for Rates {
    /// Much more than any network does.
    fn default() -> Self {
        Rates {
            slow: 100_000,
            crash: 3_000,
            unknown: 20_000,
            late: 20_000,
            fence: 2_000,
            time_out: 2_000,
            unreachable: 20_000,
            full: 10_000,
            few: 300_000,
            forget: 10_000,
        }
    }
}

/// Faults at random, all from one seed.
#[derive(Debug)]
pub struct SeededFaults {
    random: SeededEntropy,
    rates: Mutex<Rates>,
}

impl SeededFaults {
    pub fn new(seed: u64, rates: Rates) -> Self {
        SeededFaults { random: SeededEntropy::new(seed), rates: Mutex::new(rates) }
    }

    /// Other rates from now on, e.g. none at the end of a test so that it can settle.
    pub fn set(&self, rates: Rates) {
        *self.rates.lock() = rates;
    }
}

impl Rates {
    pub const NONE: Rates = Rates {
        slow: 0,
        crash: 0,
        unknown: 0,
        late: 0,
        fence: 0,
        time_out: 0,
        unreachable: 0,
        full: 0,
        few: 0,
        forget: 0,
    };
}

impl Faults for SeededFaults {
    fn at(&self, point: &Point<'_>) -> Fault {
        let rates = *self.rates.lock();
        let random = self.random.next_u64();
        // Two draws from one number: which fault, and its details.
        let (mut dice, detail) = ((random % 1_000_000) as u32, random >> 32);
        for (rate, fault) in sensible(point.op, &rates, detail) {
            if dice < rate {
                return fault;
            }
            dice -= rate;
        }
        Fault::None
    }
}

fn sensible(op: Op, rates: &Rates, detail: u64) -> Vec<(u32, Fault)> {
    let (small, even) = ((detail % 5) as u32, detail.is_multiple_of(2));
    let slow = (rates.slow, Fault::Slow { before: small, after: (detail % 3) as u32 });
    let crash = match detail % 3 {
        0 => Fault::CrashBefore,
        1 => Fault::CrashAfter,
        _ => Fault::CrashLate,
    };
    let crash = (rates.crash, crash);
    let unknown = (rates.unknown, Fault::Unknown { done: even });
    let (fence, time_out) = ((rates.fence, Fault::Fence), (rates.time_out, Fault::TimeOut));
    let unreachable = (rates.unreachable, Fault::Unreachable);
    let forget = Fault::Forget { which: detail | 1 << (detail % 4), told: even };
    let forget = (rates.forget, forget);
    match op {
        Op::Poll => vec![(rates.few, Fault::Few(small + 1)), slow, crash, unreachable],
        Op::Send => vec![(rates.full, Fault::Full), crash, fence, time_out],
        Op::WriterPoll => vec![slow, crash, fence, time_out],
        Op::Commit | Op::Abort => {
            vec![slow, crash, unknown, (rates.late, Fault::Late), fence, time_out, forget]
        }
        Op::Describe | Op::List | Op::Ends => vec![slow, crash, unreachable],
        _ => vec![slow, crash, unknown, unreachable],
    }
}
