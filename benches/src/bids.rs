//! Bids in the shape of Nexmark: seven flat JSON members, about 257 bytes.

use std::fmt::Write;

use millrace_engine::ids::{Offset, Timestamp, TopicId, Tp};
use millrace_engine::log::{RawBatch, RecordRef};
use millrace_engine::seams::{Entropy, SeededEntropy};
use millrace_sql::catalog::{Column, ColumnRole, FormatKind, FormatSpec, Source, SourceKind};
use millrace_sql::types::SqlType;

/// Milliseconds since the epoch of the first bid.
const BASE_TIME_MS: i64 = 1_700_000_000_000;
const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];

/// The stream of bids: no key, JSON values.
pub fn source() -> Source {
    let format = |kind| FormatSpec { kind, delimiter: ',', wrapped: true };
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
    }
}

/// `rows` bids, the same ones every time.
pub fn batch(rows: usize) -> RawBatch {
    let random = SeededEntropy::new(7);
    let mut raw = RawBatch::new(Tp::new(TopicId(1), 0));
    let mut text = String::new();
    for i in 0..rows as i64 {
        text.clear();
        write_bid(&random, i, &mut text);
        let timestamp = Timestamp(BASE_TIME_MS + i);
        let value = Some(text.as_bytes());
        raw.push(Offset(i), &RecordRef { timestamp, key: None, value, headers: &[] });
    }
    raw
}

fn write_bid(random: &SeededEntropy, i: i64, out: &mut String) {
    let below = |n: u64| random.next_u64() % n;
    let word =
        |len: u64| -> String { (0..len).map(|_| char::from(b'a' + below(26) as u8)).collect() };
    let (auction, bidder) = (1000 + below(10_000), 1000 + below(5_000));
    let price = 10u64.pow(2 + below(6) as u32) + below(100);
    let hot = below(2) == 0;
    let cold_channel = format!("channel-{}", below(10_000));
    let channel = if hot { CHANNELS[below(4) as usize] } else { &cold_channel };
    let suffix = if hot { String::new() } else { format!("&channel_id={}", below(1 << 31)) };
    let (a, b, c) = (word(5), word(5), word(5));
    let url = format!("https://www.nexmark.com/{a}/{b}/{c}/item.htm?query=1{suffix}");
    let time = BASE_TIME_MS + i;
    let extra = word(58 + below(28));
    let written = write!(
        out,
        "{{\"auction\":{auction},\"bidder\":{bidder},\"price\":{price},\"channel\":\"{channel}\",\
         \"url\":\"{url}\",\"dateTime\":{time},\"extra\":\"{extra}\"}}"
    );
    written.expect("a String takes everything");
}
