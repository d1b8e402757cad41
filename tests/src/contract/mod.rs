//! The contract of `Log` as cases that every log must pass: Kafka, the embedded log, and the
//! simulator's. A case that needs something a log cannot be made to do quickly (compact now, lose
//! an answer) names it and is skipped and counted there.

mod ctx;
mod faults;
mod reading;
mod records;
mod retention;
mod topics;
mod transactions;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::Log;

pub use ctx::Ctx;

/// A log to hold to the contract.
pub struct Subject {
    pub log: Arc<dyn Log>,
    pub hooks: Hooks,
    /// Dropped after the case.
    pub keep: Box<dyn std::any::Any>,
}

/// See [`Hooks::settle`].
pub type Settle = Box<dyn Fn(&[(Tp, Offset)])>;

/// What the suite can make a log do, beyond the contract. Absent: cases that need it are skipped.
#[derive(Default)]
pub struct Hooks {
    /// Applies retention now.
    pub expire: Option<Box<dyn Fn()>>,
    /// Compacts a partition now.
    pub compact: Option<Box<dyn Fn(Tp)>>,
    /// Gives a topic this many partitions.
    pub grow: Option<Box<dyn Fn(TopicId, u32)>>,
    /// Lets wall-clock time pass.
    pub advance: Option<Box<dyn Fn(Duration)>>,
    /// Waits until a transaction that was ended can be read up to these offsets: a broker answers
    /// before it has written its markers.
    pub settle: Option<Settle>,
    /// Lets the answer to the next commit be lost, after it was done or undone.
    pub lose_commit: Option<Box<dyn Fn(bool)>>,
}

/// What a case needs of [`Hooks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Expire,
    Compact,
    CompactAndAdvance,
    Grow,
    LoseCommit,
}

/// One rule of the contract.
pub struct Case {
    pub name: &'static str,
    pub need: Need,
    run: fn(&Ctx),
}

/// Shorthand for the lists of cases.
const fn case(name: &'static str, need: Need, run: fn(&Ctx)) -> Case {
    Case { name, need, run }
}

/// How a log did.
#[derive(Debug, Default)]
pub struct Report {
    pub passed: usize,
    pub skipped: Vec<&'static str>,
    pub failed: Vec<(&'static str, String)>,
}

/// All cases.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    let groups = [
        records::CASES,
        transactions::CASES,
        reading::CASES,
        topics::CASES,
        retention::CASES,
        faults::CASES,
    ];
    groups.into_iter().flatten()
}

/// Runs every case whose name contains `filter` on a log of its own from `open`, which is given the
/// case's name. Panics at the end if one failed, naming all that did.
pub fn run(name: &str, filter: &str, open: &dyn Fn(&str) -> Subject) -> Report {
    let mut report = Report::default();
    for case in cases().filter(|case| case.name.contains(filter)) {
        let subject = open(case.name);
        if !subject.hooks.offer(case.need) {
            report.skipped.push(case.name);
            continue;
        }
        let ctx = Ctx::new(subject, case.name);
        match catch_unwind(AssertUnwindSafe(|| (case.run)(&ctx))) {
            Ok(()) => report.passed += 1,
            Err(panic) => report.failed.push((case.name, message(&*panic))),
        }
    }
    println!("contract of {name}: {} passed, skipped {:?}", report.passed, report.skipped);
    let failed: Vec<_> = report.failed.iter().map(|(case, why)| format!("{case}: {why}")).collect();
    assert!(failed.is_empty(), "the {name} log breaks its contract:\n{}", failed.join("\n"));
    report
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked").to_owned()
}

impl Hooks {
    fn offer(&self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Expire => self.expire.is_some(),
            Need::Compact => self.compact.is_some(),
            Need::CompactAndAdvance => self.compact.is_some() && self.advance.is_some(),
            Need::Grow => self.grow.is_some(),
            Need::LoseCommit => self.lose_commit.is_some(),
        }
    }
}
