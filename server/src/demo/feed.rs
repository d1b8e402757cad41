//! The week of flights as records in the order of their time.

use millrace_engine::ids::Timestamp;
use millrace_engine::log::Record;
use serde_json::Value;

const DEPARTURES: &str = include_str!("../../demo/flights/departures.jsonl");
const ARRIVALS: &str = include_str!("../../demo/flights/arrivals.jsonl");
const AIRLINES: &str = include_str!("../../demo/flights/airlines.jsonl");

/// A record and where it goes.
#[derive(Debug, Clone)]
pub struct Event {
    pub topic: &'static str,
    pub record: Record,
}

/// Departures and arrivals merged by time.
///
/// # Errors
/// Names the line that is broken; the data is part of the binary, so that is a bug.
pub fn events() -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for (topic, lines, times) in [
        ("departures", DEPARTURES, &["departed", "scheduled"][..]),
        ("arrivals", ARRIVALS, &["arrived"][..]),
    ] {
        for (i, line) in lines.lines().enumerate() {
            let record = record(line, "flight_id", times);
            let record = record.ok_or_else(|| format!("{topic}.jsonl, line {}", i + 1))?;
            events.push(Event { topic, record });
        }
    }
    events.sort_by_key(|e| e.record.timestamp);
    Ok(events)
}

/// The airlines, as of `at`.
///
/// # Errors
/// As [`events`].
pub fn airlines(at: Timestamp) -> Result<Vec<Record>, String> {
    let records = AIRLINES.lines().map(|line| record(line, "carrier", &[]));
    let records: Option<Vec<Record>> = records.collect();
    let mut records = records.ok_or("airlines.jsonl")?;
    records.iter_mut().for_each(|r| r.timestamp = at);
    Ok(records)
}

/// Keyed by one field; its time is the first of `times` that is not null.
fn record(line: &str, key: &str, times: &[&str]) -> Option<Record> {
    let members: Value = serde_json::from_str(line).ok()?;
    let key = members[key].as_str()?.as_bytes();
    let time = match times {
        [] => 0,
        times => times.iter().find_map(|t| members[*t].as_i64())?,
    };
    Some(Record::new(Timestamp(time), Some(key), Some(line.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_week_is_whole_and_in_order() {
        let events = events().unwrap();
        let of = |topic: &str| events.iter().filter(|e| e.topic == topic).count();
        assert_eq!((of("departures"), of("arrivals")), (6099, 5880));
        assert!(events.is_sorted_by_key(|e| e.record.timestamp));
        assert_eq!(airlines(Timestamp(5)).unwrap().len(), 16);
    }
}
