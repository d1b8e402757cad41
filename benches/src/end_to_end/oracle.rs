//! What a query has to give: built while the bids are written, by other code than the engine's.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::query::{FILTER_DIVISOR, Kind, WINDOW_MS};
use crate::bids::Bid;

/// The expected output, or what has been seen of the real one. Rows are summed up by hash, so that
/// their order does not count and one that is lost or doubled shows.
#[derive(Debug)]
pub struct Oracle {
    kind: Kind,
    rows: u64,
    hash: u64,
    counts: HashMap<(u64, i64), u64>,
    /// Partition and offset of each malformed record.
    malformed: HashSet<(i32, i64)>,
}

/// An output row; columns that a query does not have stay empty.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Row<'a> {
    bidder: Option<u64>,
    #[serde(borrow)]
    price: Option<&'a RawValue>,
    channel: Option<&'a str>,
    url: Option<&'a str>,
    datetime: Option<i64>,
    extra: Option<&'a str>,
    n: Option<u64>,
}

type Fields<'a> =
    (u64, Option<u64>, &'a str, Option<&'a str>, Option<&'a str>, Option<i64>, Option<&'a str>);

impl Oracle {
    /// Nothing yet.
    pub fn new(kind: Kind) -> Self {
        let (counts, malformed) = (HashMap::new(), HashSet::new());
        Oracle { kind, rows: 0, hash: 0, counts, malformed }
    }

    /// Expects what a good bid gives.
    pub fn take(&mut self, bid: &Bid) {
        let Bid { auction, bidder, price, channel, url, time_ms, extra } = bid;
        let plain = price.to_string();
        match self.kind {
            Kind::PassThrough => self.add(&(
                *auction,
                Some(*bidder),
                &plain,
                Some(channel),
                Some(url),
                Some(*time_ms),
                Some(extra),
            )),
            Kind::Projection => {
                let product = price * 908;
                let product = format!("{}.{:03}", product / 1000, product % 1000);
                let (time, extra) = (Some(*time_ms), Some(extra.as_str()));
                self.add(&(*auction, Some(*bidder), &product, None, None, time, extra));
            }
            Kind::Filter if auction % FILTER_DIVISOR == 0 => {
                self.add(&(*auction, None, &plain, None, None, None, None));
            }
            Kind::Filter => {}
            Kind::Count => {
                let start = time_ms - time_ms.rem_euclid(WINDOW_MS);
                *self.counts.entry((*auction, start)).or_default() += 1;
                self.rows += 1;
            }
        }
    }

    /// Expects a record in the processing log.
    pub fn reject(&mut self, partition: i32, offset: i64) {
        self.malformed.insert((partition, offset));
    }

    /// Takes an output record of the real query.
    ///
    /// # Errors
    /// It is no row of the query, or a count goes back.
    pub fn see(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let text = || String::from_utf8_lossy(value).into_owned();
        let row: Row<'_> =
            serde_json::from_slice(value).map_err(|e| format!("output {}: {e}", text()))?;
        let number = |at: usize| -> Result<u64, String> {
            let bytes = key.get(at..at + 8).and_then(|b| b.try_into().ok());
            bytes.map(u64::from_be_bytes).ok_or_else(|| format!("key {key:?}"))
        };
        let auction = number(0)?;
        if self.kind == Kind::Count {
            let count = row.n.ok_or_else(|| format!("no count in {}", text()))?;
            let last = self.counts.entry((auction, number(8)? as i64)).or_default();
            if count < *last {
                return Err(format!("auction {auction}: {count} after {last}"));
            }
            self.rows += count - *last;
            *last = count;
            return Ok(());
        }
        let price = row.price.map_or("", RawValue::get);
        self.add(&(auction, row.bidder, price, row.channel, row.url, row.datetime, row.extra));
        Ok(())
    }

    /// Takes a record of the processing log.
    pub fn see_malformed(&mut self, partition: i32, offset: i64) -> bool {
        self.malformed.insert((partition, offset))
    }

    /// Rows, or counted events.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Malformed records.
    pub fn malformed(&self) -> usize {
        self.malformed.len()
    }

    /// How `seen` differs from what is expected, if it does.
    pub fn difference(&self, seen: &Oracle) -> Option<String> {
        if self.rows != seen.rows {
            return Some(format!("{} rows instead of {}", seen.rows, self.rows));
        }
        if self.hash != seen.hash {
            return Some("as many rows as expected, with other contents".to_owned());
        }
        if self.counts != seen.counts {
            let wrong = self.counts.iter().filter(|(k, n)| seen.counts.get(k) != Some(n)).count();
            return Some(format!("{wrong} of {} counts are wrong", self.counts.len()));
        }
        None
    }

    /// Whether the same records were rejected.
    pub fn rejects_as(&self, seen: &Oracle) -> bool {
        self.malformed == seen.malformed
    }

    fn add(&mut self, fields: &Fields<'_>) {
        let mut hasher = DefaultHasher::new();
        fields.hash(&mut hasher);
        self.hash = self.hash.wrapping_add(hasher.finish());
        self.rows += 1;
    }
}
