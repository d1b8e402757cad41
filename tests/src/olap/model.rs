//! All sources together: what is sent, and what of it was committed.

use super::events::{self, Clock, Event, Events};
use super::feed::Record;
use super::items::{self, Items};
use super::sides::{self, Sides};
use crate::kill9::random::Random;

/// What a record changes.
#[derive(Debug, Clone)]
pub enum Change {
    Item(items::Change),
    Event(Event),
    Payment(Event),
    Side(sides::Change),
}

/// Topics of a run.
#[derive(Debug, Clone)]
pub struct Topics {
    pub items: String,
    pub events: String,
    pub payments: String,
    pub names: String,
    pub left: String,
    pub right: String,
    pub marks: String,
}

impl Topics {
    /// Names that no other run has.
    pub fn new(run: &str) -> Topics {
        let name = |topic: &str| format!("{run}-{topic}");
        Topics {
            items: name("items"),
            events: name("events"),
            payments: name("payments"),
            names: name("names"),
            left: name("left"),
            right: name("right"),
            marks: name("marks"),
        }
    }
}

/// What everybody must show.
#[derive(Debug, Default)]
pub struct Model {
    pub items: Items,
    pub events: Events,
    pub sides: Sides,
    /// Committed changes.
    pub changes: usize,
    /// Records of transactions that were aborted.
    pub aborted: usize,
    clock: Clock,
}

impl Model {
    /// A change of some source.
    pub fn draw(&mut self, random: &Random, topics: &Topics) -> (Record, Change) {
        match random.below(100) {
            0..30 => {
                let (record, change) = items::change(random, &topics.items);
                (record, Change::Item(change))
            }
            30..60 => {
                let (record, event) = self.clock.next(random, &topics.events);
                (record, Change::Event(event))
            }
            60..75 => {
                let (record, payment) = self.clock.next(random, &topics.payments);
                (record, Change::Payment(payment))
            }
            75..88 => {
                let (record, change) = sides::change_left(random, &topics.left);
                (record, Change::Side(change))
            }
            _ => {
                let (record, change) = sides::change_right(random, &topics.right);
                (record, Change::Side(change))
            }
        }
    }

    /// A transaction was committed.
    pub fn commit(&mut self, changes: Vec<Change>) {
        self.changes += changes.len();
        for change in changes {
            match change {
                Change::Item(change) => self.items.apply(change),
                Change::Event(event) => self.events.events.push(event),
                Change::Payment(payment) => self.events.payments.push(payment),
                Change::Side(change) => self.sides.apply(change),
            }
        }
    }

    /// What is there from the beginning.
    pub fn preload(topics: &Topics) -> Vec<Record> {
        events::names(&topics.names)
    }
}
