//! The queries that are measured.

/// One query of the bench, and how many auctions its bids are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    pub name: &'static str,
    pub auctions: u64,
    pub kind: Kind,
    sql: &'static str,
}

/// How a query's output is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One row for each bid.
    PassThrough,
    /// One row for each bid: a product and some columns.
    Projection,
    /// Some of the bids.
    Filter,
    /// The last count of each auction and window.
    Count,
}

/// Width of the counted windows, in milliseconds.
pub const WINDOW_MS: i64 = 10_000;
/// What the filter keeps: auctions that this divides.
pub const FILTER_DIVISOR: u64 = 123;

const COUNT: &str = "CREATE TABLE {sink} AS SELECT auction, COUNT(*) AS n FROM bids \
     WINDOW TUMBLING (SIZE 10 SECONDS) GROUP BY auction EMIT CHANGES;";

/// All of them.
pub const QUERIES: [Query; 5] = [
    Query {
        name: "q0",
        auctions: 10_000,
        kind: Kind::PassThrough,
        sql: "CREATE STREAM {sink} AS SELECT * FROM bids EMIT CHANGES;",
    },
    Query {
        name: "q1",
        auctions: 10_000,
        kind: Kind::Projection,
        sql: "CREATE STREAM {sink} AS SELECT auction, bidder, 0.908 * price AS price, dateTime, \
              extra FROM bids EMIT CHANGES;",
    },
    Query {
        name: "q2",
        auctions: 10_000,
        kind: Kind::Filter,
        sql: "CREATE STREAM {sink} AS SELECT auction, price FROM bids WHERE auction % 123 = 0 \
              EMIT CHANGES;",
    },
    Query { name: "count10k", auctions: 10_000, kind: Kind::Count, sql: COUNT },
    Query { name: "count1m", auctions: 1_000_000, kind: Kind::Count, sql: COUNT },
];

/// The statement that makes the stream of bids over `topic`.
pub fn stream_sql(topic: &str) -> String {
    format!(
        "CREATE STREAM bids (auction BIGINT KEY, bidder BIGINT, price BIGINT, channel STRING, \
         url STRING, dateTime BIGINT, extra STRING) WITH \
         (KAFKA_TOPIC='{topic}', KEY_FORMAT='KAFKA', VALUE_FORMAT='JSON');"
    )
}

impl Query {
    /// The statement that runs it, into a topic of the name `sink`.
    pub fn sql(&self, sink: &str) -> String {
        self.sql.replace("{sink}", sink)
    }
}
