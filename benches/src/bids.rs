//! Bids in the shape of Nexmark: seven flat JSON members, about 257 bytes, or 206 where decoders are
//! compared.

use std::fmt::Write;
use std::sync::Arc;

use millrace_connectors::formats::{RegistryFormats, StandardFormats};
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::error::EngineError;
use millrace_engine::format::{EncodedRows, Formats};
use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{RawBatch, RecordRef};
use millrace_engine::schemas::SchemaRegistry;
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_sql::catalog::{Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::plan::ScanColumn;
use millrace_sql::types::SqlType;

/// Milliseconds since the epoch of the first bid.
const BASE_TIME_MS: i64 = 1_700_000_000_000;
/// Letters of a bid's last member, at least; up to 27 more follow.
const EXTRA_LETTERS_MIN: u64 = 58;
/// ... of a short bid, of 206 bytes on average
const EXTRA_LETTERS_MIN_SHORT: u64 = 13;
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// The stream of bids: no key, JSON values.
pub fn source() -> Source {
    let format = |kind| FormatSpec::new(kind, true);
    let columns = [
        ("AUCTION", SqlType::Bigint),
        ("BIDDER", SqlType::Bigint),
        ("PRICE", SqlType::Bigint),
        ("CHANNEL", SqlType::String),
        ("URL", SqlType::String),
        ("DATETIME", SqlType::Timestamp),
        ("EXTRA", SqlType::String),
    ];
    let column =
        |(name, ty): (&str, SqlType)| Column { name: name.into(), ty, role: ColumnRole::Value };
    Source {
        name: "BID".into(),
        kind: SourceKind::Stream,
        columns: columns.map(column).to_vec(),
        topic: "bid".into(),
        partitions: 1,
        key_format: format(FormatKind::None),
        value_format: format(FormatKind::Json),
        window: None,
        timestamp: None,
        sql: String::new(),
        query: None,
        read_only: false,
        row_ttl_ms: None,
    }
}

/// One bid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Bid {
    pub auction: u64,
    pub bidder: u64,
    pub price: u64,
    pub channel: String,
    pub url: String,
    pub time_ms: i64,
    pub extra: String,
}

/// Bids over `auctions` auctions, the same ones every time.
pub struct Bids {
    random: SeededEntropy,
    auctions: u64,
    per_second: i64,
    next: i64,
    extra_letters_min: u64,
}

impl Bids {
    /// `per_second` bids to a second of event time.
    pub fn new(auctions: u64, per_second: i64) -> Self {
        let random = SeededEntropy::new(7);
        Bids { random, auctions, per_second, next: 0, extra_letters_min: EXTRA_LETTERS_MIN }
    }

    /// The same with less text in each.
    pub fn short(self) -> Self {
        Bids { extra_letters_min: EXTRA_LETTERS_MIN_SHORT, ..self }
    }

    /// Writes the next bid over `bid`, whose strings keep their memory.
    pub fn next_into(&mut self, bid: &mut Bid) {
        bid.auction = 1000 + self.below(self.auctions);
        bid.bidder = 1000 + self.below(5_000);
        bid.price = 10u64.pow(2 + self.below(6) as u32) + self.below(100);
        bid.time_ms = BASE_TIME_MS + self.next * 1000 / self.per_second;
        let hot = self.below(2) == 0;
        bid.channel.clear();
        bid.url.clear();
        bid.url.push_str("https://www.nexmark.com/");
        for _ in 0..3 {
            self.word(5, &mut bid.url);
            bid.url.push('/');
        }
        bid.url.push_str("item.htm?query=1");
        if hot {
            bid.channel.push_str(CHANNELS[self.below(4) as usize]);
        } else {
            push(&mut bid.channel, format_args!("channel-{}", self.below(10_000)));
            push(&mut bid.url, format_args!("&channel_id={}", self.below(1 << 31)));
        }
        bid.extra.clear();
        let length = self.extra_letters_min + self.below(28);
        self.word(length, &mut bid.extra);
        self.next += 1;
    }

    fn below(&self, n: u64) -> u64 {
        self.random.next_u64() % n
    }

    /// Ten letters to a random number.
    fn word(&self, length: u64, out: &mut String) {
        let mut bits = 0;
        for i in 0..length {
            if i % 10 == 0 {
                bits = self.random.next_u64();
            }
            out.push(char::from(b'a' + (bits % 26) as u8));
            bits /= 26;
        }
    }
}

impl Bid {
    /// Appends the bid as a JSON object of 257 bytes on average.
    pub fn write_json(&self, out: &mut String) {
        let Bid { auction, bidder, price, channel, url, time_ms, extra } = self;
        push(
            out,
            format_args!(
                "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\
                 \"channel\":\"{channel}\",\"url\":\"{url}\",\"dateTime\":{time_ms},\
                 \"extra\":\"{extra}\"}}"
            ),
        );
    }
}

/// `rows` bids as they stand in a topic.
pub fn batch(rows: usize) -> RawBatch {
    batch_of(Bids::new(10_000, 1000), rows)
}

/// `rows` bids of 206 bytes on average.
pub fn short_batch(rows: usize) -> RawBatch {
    batch_of(Bids::new(10_000, 1000).short(), rows)
}

fn batch_of(mut bids: Bids, rows: usize) -> RawBatch {
    let mut raw = RawBatch::new(Tp::new(TopicId(1), 0));
    let (mut bid, mut text) = (Bid::default(), String::new());
    for i in 0..rows as i64 {
        text.clear();
        bids.next_into(&mut bid);
        bid.write_json(&mut text);
        let timestamp = Timestamp(bid.time_ms);
        let value = Some(text.as_bytes());
        raw.push(Offset(i), &RecordRef { timestamp, key: None, value, headers: &[] });
    }
    raw
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// Bids in a format with schemas.
pub struct InFormat {
    pub source: Source,
    pub raw: RawBatch,
    /// With the registry that knows the schema.
    pub formats: RegistryFormats,
}

/// `rows` bids in a format with schemas.
///
/// # Errors
/// Only when the format cannot hold bids.
pub fn in_format(kind: FormatKind, rows: usize) -> Result<InFormat, EngineError> {
    let (mut source, json) = (source(), batch(rows));
    let all: Vec<_> = (0..source.columns.len()).map(ScanColumn::Declared).collect();
    let decoded = StandardFormats.decoder(&source, &all)?.decode(&json, 0..rows)?;
    source.value_format = FormatSpec::new(kind, true);
    let columns: Vec<_> = source.columns.iter().map(|c| (c.name.clone(), c.ty.clone())).collect();
    let schema = StandardFormats.describe(&source.value_format, &columns)?;
    let registry = Arc::new(MemoryRegistry::default());
    let registered = registry.register("bid-value", &schema);
    let registered = registered.map_err(|e| EngineError::Config(e.to_string()))?;
    source.value_format.schema.registered = Some(registered);
    let mut out = EncodedRows::default();
    StandardFormats.encoder(&source)?.encode(&decoded.rows, None, &mut out)?;
    let mut raw = RawBatch::new(Tp::new(TopicId(1), 0));
    for (i, row) in out.rows.iter().enumerate() {
        let value = row.value.clone().map(|range| &out.data[range]);
        let timestamp = Timestamp(BASE_TIME_MS + i as i64);
        raw.push(Offset(i as i64), &RecordRef { timestamp, key: None, value, headers: &[] });
    }
    Ok(InFormat { source, raw, formats: RegistryFormats::new(registry) })
}
