//! What is run: statements, the shape of the input, and the fold that says what must come out.

use millrace_connectors::embedded::core::chunk::RECORD_HEAD_BYTES;

use super::compare::Expected;
use super::inputs::{Input, Shape};
use super::{oracle, oracle_extensions, oracle_idle, oracle_joins, oracle_ttl};

/// One kind of operator, or a chain.
pub struct Workload {
    pub name: &'static str,
    queries: &'static [&'static str],
    pub shape: Shape,
    /// All input is there before the query starts: joins see it in the order of event time.
    pub preload: bool,
    /// The largest record that the sink's topic takes.
    pub record_bytes_max: Option<usize>,
    oracle: fn(&[Input], bool) -> Expected,
}

pub(super) const SOURCES: [&str; 4] = [
    "CREATE STREAM S (K VARCHAR KEY, G VARCHAR, V BIGINT) \
     WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON', PARTITIONS=2);",
    "CREATE STREAM R (K VARCHAR KEY, G VARCHAR, V BIGINT) \
     WITH (KAFKA_TOPIC='r', VALUE_FORMAT='JSON', PARTITIONS=2);",
    "CREATE TABLE T (K VARCHAR PRIMARY KEY, G VARCHAR, V BIGINT) \
     WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2);",
    "CREATE TABLE U (K VARCHAR PRIMARY KEY, G VARCHAR, V BIGINT) \
     WITH (KAFKA_TOPIC='u', VALUE_FORMAT='JSON', PARTITIONS=2);",
];

/// The table T, with rows that expire.
const SHORT_LIVED: &str = "CREATE TABLE X (K VARCHAR PRIMARY KEY, G VARCHAR, V BIGINT) \
     WITH (KAFKA_TOPIC='t', VALUE_FORMAT='JSON', PARTITIONS=2, ROW_TTL='2 SECONDS');";

/// No record comes for longer only after all input.
const IDLE: &str = "SET 'millrace.window.idle.close.ms'='40000';";

impl Workload {
    pub fn statements(&self) -> Vec<&'static str> {
        SOURCES.iter().chain(self.queries).copied().collect()
    }

    /// Several tasks of the query send rows to one partition: they send each other messages, the rows
    /// are repartitioned twice, or several SELECTs write to the sink. Which of them comes first depends
    /// on how fast each task is, so only what they come to is promised.
    pub fn meets_by_chance(&self) -> bool {
        self.name.starts_with("foreign-") || ["groups-of-groups", "union-all"].contains(&self.name)
    }

    /// What comes out is complete only when the clock has gone on without input.
    pub fn idles(&self) -> bool {
        self.queries.contains(&IDLE)
    }

    /// What the sink must hold after `inputs`.
    pub fn expected(&self, inputs: &[Input], coalesce: bool) -> Expected {
        (self.oracle)(inputs, coalesce)
    }
}

pub(super) const fn shape(topics: &'static [&'static str], jitter: bool) -> Shape {
    Shape { topics, jitter }
}

/// The workload of that name.
pub fn find(name: &str) -> Option<&'static Workload> {
    all().iter().find(|workload| workload.name == name)
}

/// Every kind of operator.
pub fn all() -> &'static [Workload] {
    &ALL
}

static ALL: [Workload; 37] = [
    Workload {
        name: "filter",
        queries: &["CREATE STREAM OUT AS SELECT K, G, V * 2 AS W FROM S WHERE V > 30 \
                        EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::filter,
    },
    Workload {
        name: "narrow",
        queries: &["CREATE STREAM OUT AS SELECT K, G, V * 2 AS W FROM S WHERE V > 30 \
                        EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        // A row with a number of two digits just fits.
        record_bytes_max: Some(RECORD_HEAD_BYTES + r#"k1{"G":"g1","W":62}"#.len()),
        oracle: oracle::narrow,
    },
    Workload {
        name: "count",
        queries: &["CREATE TABLE OUT AS SELECT G, COUNT(*) AS N FROM S GROUP BY G \
                        EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::count,
    },
    Workload {
        name: "chain",
        queries: &[
            "CREATE STREAM M AS SELECT K, G, V FROM S WHERE V > 30 EMIT CHANGES;",
            "CREATE TABLE OUT AS SELECT G, COUNT(*) AS N FROM M GROUP BY G EMIT CHANGES;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::chain,
    },
    Workload {
        name: "tumbling",
        queries: &["CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        TUMBLING (SIZE 10 SECONDS, GRACE PERIOD 3 SECONDS) GROUP BY K \
                        EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::tumbling,
    },
    Workload {
        name: "hopping",
        queries: &["CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        HOPPING (SIZE 10 SECONDS, ADVANCE BY 4 SECONDS, GRACE PERIOD 3 SECONDS) \
                        GROUP BY K EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::hopping,
    },
    Workload {
        name: "final",
        queries: &["CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY K \
                        EMIT FINAL;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::emit_final,
    },
    Workload {
        name: "session",
        queries: &["CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        SESSION (1 SECONDS, GRACE PERIOD 1 HOUR) GROUP BY K EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::session,
    },
    Workload {
        name: "session-final",
        queries: &["CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        SESSION (1 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY K EMIT FINAL;"],
        shape: shape(&["s"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::session_final,
    },
    Workload {
        name: "table-filter",
        queries: &["CREATE TABLE OUT AS SELECT K, V AS W FROM T WHERE V > 50 EMIT CHANGES;"],
        shape: shape(&["t"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::table_filter,
    },
    Workload {
        name: "table-group",
        queries: &["CREATE TABLE OUT AS SELECT G, COUNT(*) AS N, SUM(V) AS W FROM T \
                        GROUP BY G EMIT CHANGES;"],
        shape: shape(&["t"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::table_group,
    },
    Workload {
        name: "stream-table",
        queries: &["CREATE STREAM OUT AS SELECT S.K AS K, S.V AS V, T.V AS W FROM S \
                        LEFT JOIN T ON S.K = T.K EMIT CHANGES;"],
        shape: shape(&["s", "t"], false),
        preload: true,
        record_bytes_max: None,
        oracle: oracle_joins::stream_table,
    },
    Workload {
        name: "stream-stream",
        queries: &["CREATE STREAM OUT AS SELECT S.K AS K, S.V AS V, R.V AS W FROM S \
                        LEFT JOIN R WITHIN 1 SECONDS GRACE PERIOD 1 SECONDS ON S.K = R.K \
                        EMIT CHANGES;"],
        shape: shape(&["s", "r"], false),
        preload: true,
        record_bytes_max: None,
        oracle: oracle_joins::stream_stream,
    },
    Workload {
        name: "table-table",
        queries: &["CREATE TABLE OUT AS SELECT T.K AS K, T.V AS V, U.V AS W FROM T \
                        JOIN U ON T.K = U.K EMIT CHANGES;"],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_joins::table_table,
    },
    Workload {
        name: "self-join",
        queries: &["CREATE STREAM OUT AS SELECT A.K AS K, A.V AS V, B.V AS W FROM S A \
                        JOIN S B WITHIN 1 SECONDS GRACE PERIOD 1 SECONDS \
                        ON A.K = B.K AND A.V < B.V EMIT CHANGES;"],
        shape: shape(&["s"], false),
        preload: true,
        record_bytes_max: None,
        oracle: oracle_extensions::self_join,
    },
    Workload {
        name: "subquery-count",
        queries: &[
            "CREATE TABLE OUT AS SELECT G, COUNT(*) AS N FROM (SELECT G FROM S WHERE V > 30) M \
                        GROUP BY G EMIT CHANGES;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::chain,
    },
    Workload {
        name: "groups-of-groups",
        queries: &["CREATE TABLE OUT AS WITH M AS (SELECT G, COUNT(*) AS C FROM S GROUP BY G) \
                        SELECT C - C / 3 * 3 AS K, COUNT(*) AS N, SUM(C) AS W FROM M \
                        GROUP BY C - C / 3 * 3 HAVING COUNT(*) > 0 EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_extensions::groups_of_groups,
    },
    Workload {
        name: "table-extremes",
        queries: &[
            "CREATE TABLE OUT AS SELECT G, MIN(V) AS N, TOPK(V, 1)[1] AS W FROM T GROUP BY G \
                        HAVING COUNT(*) > 0 EMIT CHANGES;",
        ],
        shape: shape(&["t"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_extensions::table_extremes,
    },
    Workload {
        name: "union-all",
        queries: &["CREATE STREAM OUT AS SELECT K, V FROM S UNION ALL SELECT K, V FROM R \
                        UNION ALL SELECT K, V + 1000 AS V FROM S WHERE V > 50 EMIT CHANGES;"],
        shape: shape(&["s", "r"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_extensions::union_all,
    },
    Workload {
        name: "table-table-rest",
        queries: &["CREATE TABLE OUT AS SELECT T.K AS K, T.V AS V, U.V AS W FROM T \
                        LEFT JOIN U ON T.V < U.V AND T.K = U.K EMIT CHANGES;"],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_extensions::left_if_greater,
    },
    Workload {
        name: "foreign-inner",
        queries: &["CREATE TABLE OUT AS SELECT T.K AS K, T.V AS V, U.V AS W FROM T \
                        JOIN U ON REPLACE(T.G, 'g', 'k') = U.K EMIT CHANGES;"],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_joins::foreign_inner,
    },
    Workload {
        name: "foreign-left",
        queries: &["CREATE TABLE OUT AS SELECT T.K AS K, T.V AS V, U.V AS W FROM T \
                        LEFT JOIN U ON REPLACE(T.G, 'g', 'k') = U.K EMIT CHANGES;"],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_joins::foreign_left,
    },
    Workload {
        name: "foreign-group",
        queries: &["CREATE TABLE OUT AS SELECT U.K AS K, COUNT(*) AS N, SUM(T.V) AS W FROM T \
                        JOIN U ON REPLACE(T.G, 'g', 'k') = U.K GROUP BY U.K HAVING COUNT(*) > 0 \
                        EMIT CHANGES;"],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_joins::foreign_group,
    },
    Workload {
        name: "replaced-count",
        queries: &[
            "CREATE TABLE OUT AS SELECT G, COUNT(*) AS N FROM S GROUP BY G EMIT CHANGES;",
            "CREATE OR REPLACE TABLE OUT AS SELECT G, COUNT(*) + 0 AS N FROM S WHERE V > -1 \
                        GROUP BY G HAVING COUNT(*) > 0 EMIT CHANGES;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::count,
    },
    Workload {
        name: "replaced-final",
        queries: &[
            "CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY K \
                        EMIT FINAL;",
            "CREATE OR REPLACE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) + 0 AS W FROM S WINDOW \
                        TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS) WHERE G <> 'none' \
                        GROUP BY K EMIT FINAL;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::emit_final,
    },
    Workload {
        name: "replaced-table",
        queries: &[
            "CREATE TABLE OUT AS SELECT K, V AS W FROM T WHERE V > 50 EMIT CHANGES;",
            "CREATE OR REPLACE TABLE OUT AS SELECT K, V + 0 AS W FROM T WHERE V > 50 AND \
                        G <> 'none' EMIT CHANGES;",
        ],
        shape: shape(&["t"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle::table_filter,
    },
    Workload {
        name: "foreign-replaced",
        queries: &[
            "CREATE TABLE OUT AS SELECT T.K AS K, T.V AS V, U.V AS W FROM T \
                        JOIN U ON REPLACE(T.G, 'g', 'k') = U.K EMIT CHANGES;",
            "CREATE OR REPLACE TABLE OUT AS SELECT T.K AS K, T.V + 0 AS V, U.V AS W FROM T \
                        JOIN U ON REPLACE(T.G, 'g', 'k') = U.K WHERE U.V > -1 EMIT CHANGES;",
        ],
        shape: shape(&["t", "u"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_joins::foreign_inner,
    },
    Workload {
        name: "ttl-count",
        queries: &["CREATE TABLE OUT WITH (ROW_TTL='2 SECONDS') AS SELECT K, COUNT(*) AS N, \
                        SUM(V) AS W FROM S GROUP BY K EMIT CHANGES;"],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_ttl::count,
    },
    Workload {
        name: "ttl-table",
        queries: &["CREATE TABLE OUT WITH (ROW_TTL='2 SECONDS') AS SELECT K, V AS W FROM T \
                        EMIT CHANGES;"],
        shape: shape(&["t"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_ttl::table,
    },
    Workload {
        name: "ttl-grouped",
        queries: &[
            SHORT_LIVED,
            "CREATE TABLE OUT AS SELECT G, COUNT(*) AS N, SUM(V) AS W FROM X GROUP BY G \
                        EMIT CHANGES;",
        ],
        shape: shape(&["t"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_ttl::grouped,
    },
    Workload {
        name: "ttl-stream-table",
        queries: &[
            SHORT_LIVED,
            "CREATE STREAM OUT AS SELECT S.K AS K, S.V AS V, X.V AS W FROM S \
                        LEFT JOIN X ON S.K = X.K EMIT CHANGES;",
        ],
        shape: shape(&["s", "t"], false),
        preload: true,
        record_bytes_max: None,
        oracle: oracle_ttl::stream_table,
    },
    Workload {
        name: "ttl-replaced",
        queries: &[
            "CREATE TABLE OUT WITH (ROW_TTL='2 SECONDS') AS SELECT K, COUNT(*) AS N, \
                        SUM(V) AS W FROM S GROUP BY K EMIT CHANGES;",
            "CREATE OR REPLACE TABLE OUT WITH (ROW_TTL='2 SECONDS') AS SELECT K, COUNT(*) AS N, \
                        SUM(V) + 0 AS W FROM S WHERE G <> 'none' GROUP BY K EMIT CHANGES;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_ttl::count,
    },
    Workload {
        name: "final-idle",
        queries: &[
            IDLE,
            "CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        TUMBLING (SIZE 5 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY K \
                        EMIT FINAL;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_idle::emit_final,
    },
    Workload {
        name: "final-idle-grouped",
        queries: &[
            IDLE,
            "CREATE TABLE OUT AS SELECT G AS K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        HOPPING (SIZE 6 SECONDS, ADVANCE BY 2 SECONDS, GRACE PERIOD 1 SECOND) \
                        GROUP BY G EMIT FINAL;",
        ],
        shape: shape(&["s"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_idle::final_groups,
    },
    Workload {
        name: "session-idle",
        queries: &[
            IDLE,
            "CREATE TABLE OUT AS SELECT K, COUNT(*) AS N, SUM(V) AS W FROM S WINDOW \
                        SESSION (1 SECONDS, GRACE PERIOD 2 SECONDS) GROUP BY K EMIT FINAL;",
        ],
        shape: shape(&["s"], false),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_idle::session_final,
    },
    Workload {
        name: "outer-idle",
        queries: &[
            IDLE,
            "CREATE STREAM OUT AS SELECT S.K AS K, S.V AS V, R.V AS W FROM S \
                        LEFT JOIN R WITHIN 1 SECONDS GRACE PERIOD 1 SECONDS ON S.K = R.K \
                        EMIT CHANGES;",
        ],
        shape: shape(&["s", "r"], false),
        preload: true,
        record_bytes_max: None,
        oracle: oracle_idle::outer,
    },
    Workload {
        name: "ttl-idle",
        queries: &[
            IDLE,
            "CREATE TABLE OUT WITH (ROW_TTL='2 SECONDS') AS SELECT K, COUNT(*) AS N, \
                        SUM(V) AS W FROM S GROUP BY K EMIT CHANGES;",
        ],
        shape: shape(&["s"], true),
        preload: false,
        record_bytes_max: None,
        oracle: oracle_ttl::count_and_idle,
    },
];
