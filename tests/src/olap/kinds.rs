//! Every kind of source that a sink can have, and what its rows must be.

use serde_json::{Value, json};

use super::Rows;
use super::events::{ADVANCE_MS, FINAL_MS, GAP_MS, GRACE_MS, WINDOW_MS, WITHIN_MS};
use super::feed::PARTITIONS;
use super::items::COLUMNS;
use super::model::{Model, Topics};

/// Who is asked: each shows NULLs and some types in its own way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Pull,
    Pinot,
    Druid,
}

impl Who {
    fn null(self, in_pinot: Value) -> Value {
        match self {
            Who::Pinot => in_pinot,
            Who::Pull | Who::Druid => Value::Null,
        }
    }
}

/// A source with its sink.
pub struct Kind {
    /// What the source is.
    pub what: &'static str,
    pub source: &'static str,
    /// Columns of a pull query.
    pub columns: &'static str,
    /// Druid gets sums of changes, in segments of this granularity.
    pub sums: Option<&'static str>,
    pub expected: fn(&Model, Who) -> Rows,
}

impl Kind {
    /// The sink's name.
    pub fn sink(&self) -> String {
        format!("{}_{}", self.source, if self.sums.is_some() { "sums" } else { "olap" })
    }
}

/// All sinks that a target can have.
pub fn kinds(who: Who) -> impl Iterator<Item = &'static Kind> {
    let sums: &[Kind] = if who == Who::Druid { &SUMS } else { &[] };
    KINDS.iter().chain(sums)
}

const WINDOWED: &str = "k, WINDOWSTART, WINDOWEND, n, total";

/// Each kind of source.
pub static KINDS: [Kind; 11] = [
    Kind {
        what: "table of all types",
        source: "items_now",
        columns: "*",
        sums: None,
        expected: |model, who| match who {
            Who::Pull => model.items.pulled(),
            Who::Pinot => model.items.in_pinot(),
            Who::Druid => model.items.in_druid(),
        },
    },
    Kind {
        what: "stream",
        source: "events",
        columns: "k, id, amount, moment",
        sums: None,
        expected: |model, _| model.events.rows(),
    },
    Kind {
        what: "tumbling windows",
        source: "tumbled",
        columns: WINDOWED,
        sums: None,
        expected: |model, _| model.events.tumbling(),
    },
    Kind {
        what: "hopping windows",
        source: "hopped",
        columns: WINDOWED,
        sums: None,
        expected: |model, _| model.events.hopping(),
    },
    Kind {
        what: "sessions",
        source: "sessions",
        columns: WINDOWED,
        sums: None,
        expected: |model, _| model.events.sessions(),
    },
    Kind {
        what: "EMIT FINAL",
        source: "finals",
        columns: WINDOWED,
        sums: None,
        expected: |model, who| match who {
            // The state has what is not over, too.
            Who::Pull => model.events.all_finals(),
            Who::Pinot | Who::Druid => model.events.finals(),
        },
    },
    Kind {
        what: "stream-stream join",
        source: "paid",
        columns: "*",
        sums: None,
        expected: |model, _| model.events.paid(),
    },
    Kind {
        what: "stream-table join",
        source: "named",
        columns: "*",
        sums: None,
        expected: |model, who| model.events.named(&who.null(json!("null"))),
    },
    Kind {
        what: "table-table join",
        source: "both_sides",
        columns: "*",
        sums: None,
        expected: |model, who| model.sides.both(&who.null(json!(i64::MIN))),
    },
    Kind {
        what: "foreign-key join",
        source: "referred",
        columns: "*",
        sums: None,
        expected: |model, _| model.sides.referred(),
    },
    Kind {
        what: "groups of a table",
        source: "grouped",
        columns: "*",
        sums: None,
        expected: |model, _| model.sides.grouped(),
    },
];

/// What is added up in Druid.
static SUMS: [Kind; 3] = [
    Kind {
        what: "sums of groups",
        source: "grouped",
        columns: "*",
        sums: Some("YEAR"),
        expected: |model, _| model.sides.grouped(),
    },
    Kind {
        what: "sums of a join with NULLs",
        source: "both_sides",
        columns: "*",
        sums: Some("YEAR"),
        expected: |model, _| model.sides.both(&Value::Null),
    },
    Kind {
        what: "sums of a foreign-key join",
        source: "referred",
        columns: "*",
        sums: Some("ALL"),
        expected: |model, _| model.sides.referred(),
    },
];

/// What has to be there before the statements of [`queries`]: sources, whose topics are made with them.
pub fn sources(topics: &Topics) -> String {
    let with = |topic: &str, further: &str| {
        format!(
            "WITH (KAFKA_TOPIC='{topic}', PARTITIONS={PARTITIONS}, RETENTION_MS=-1, \
             VALUE_FORMAT='JSON'{further});"
        )
    };
    let Topics { items, events, payments, names, left, right, marks } = topics;
    let timed = ", TIMESTAMP='moment'";
    let columns = "k VARCHAR KEY, id BIGINT, amount BIGINT, moment BIGINT";
    [
        format!("CREATE TABLE items ({COLUMNS}) {}", with(items, "")),
        format!("CREATE STREAM events ({columns}) {}", with(events, timed)),
        format!("CREATE STREAM payments ({columns}) {}", with(payments, timed)),
        format!("CREATE TABLE names (k VARCHAR PRIMARY KEY, name VARCHAR) {}", with(names, "")),
        format!(
            "CREATE TABLE lefts (k VARCHAR PRIMARY KEY, a BIGINT, ref VARCHAR) {}",
            with(left, "")
        ),
        format!("CREATE TABLE rights (k VARCHAR PRIMARY KEY, b BIGINT) {}", with(right, "")),
        format!("CREATE STREAM marks (k VARCHAR KEY, n BIGINT) {}", with(marks, "")),
    ]
    .concat()
}

/// Queries over them.
pub fn queries() -> String {
    let counts = |name: &str, window: &str, last: &str| {
        format!(
            "CREATE TABLE {name} AS SELECT k, COUNT(*) AS n, SUM(amount) AS total FROM events \
             WINDOW {window} GROUP BY k EMIT {last};"
        )
    };
    let s = |ms: i64| format!("{} SECONDS", ms / 1000);
    let kept = format!("RETENTION 1000 DAYS, GRACE PERIOD {}", s(GRACE_MS));
    let tumbling = |size| format!("TUMBLING (SIZE {}, {kept})", s(size));
    let hopping = format!("HOPPING (SIZE {}, ADVANCE BY {}, {kept})", s(WINDOW_MS), s(ADVANCE_MS));
    let session = format!("SESSION ({}, GRACE PERIOD 100 DAYS)", s(GAP_MS));
    [
        "CREATE TABLE items_now AS SELECT * FROM items;".to_owned(),
        counts("tumbled", &tumbling(WINDOW_MS), "CHANGES"),
        counts("hopped", &hopping, "CHANGES"),
        counts("sessions", &session, "CHANGES"),
        counts("finals", &tumbling(FINAL_MS), "FINAL"),
        format!(
            "CREATE STREAM paid AS SELECT e.k AS k, e.id AS id, p.id AS payment FROM events e \
             JOIN payments p WITHIN {} GRACE PERIOD 100 DAYS ON e.k = p.k;",
            s(WITHIN_MS)
        ),
        "CREATE STREAM named AS SELECT e.k AS k, e.id AS id, n.name AS name FROM events e \
         LEFT JOIN names n ON e.k = n.k;"
            .to_owned(),
        "CREATE TABLE both_sides AS SELECT l.k AS k, l.a AS a, r.b AS b FROM lefts l \
         LEFT JOIN rights r ON l.k = r.k;"
            .to_owned(),
        "CREATE TABLE referred AS SELECT l.k AS k, l.a AS a, r.b AS b FROM lefts l \
         JOIN rights r ON l.ref = r.k;"
            .to_owned(),
        "CREATE TABLE grouped AS SELECT ref, COUNT(*) AS n, SUM(a) AS total FROM lefts \
         GROUP BY ref HAVING COUNT(*) > 0;"
            .to_owned(),
    ]
    .concat()
}
