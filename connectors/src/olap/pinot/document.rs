//! The document of a table: its schema and its configuration.

use millrace_sql::olap::OlapTable;
use serde_json::{Map, Value, json};

use super::field::{Place, field};

/// What versions of Pinot understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// 1.0 and later: a column tells which rows are deleted.
    Current,
    /// Before that. The delete column is data: whoever reads leaves deleted rows out.
    Old,
}

/// Rows of a consuming segment, unless FLUSH_ROWS says otherwise.
const FLUSH_ROWS_DEFAULT: &str = "500000";
const QUERY_ROWS_MAX: i64 = 1_000_000_000;

/// Schema and REALTIME table, as `/tableConfigs` takes them.
pub fn documents(table: &OlapTable, brokers: &str, dialect: Dialect) -> Value {
    json!({
        "tableName": table.name,
        "schema": schema(table),
        "realtime": realtime(table, brokers, dialect),
    })
}

fn schema(table: &OlapTable) -> Value {
    let (mut dimensions, mut metrics) = (Vec::new(), Vec::new());
    for column in &table.columns {
        match field(column) {
            (Place::Dimension, field) => dimensions.push(field),
            (Place::Metric, field) => metrics.push(field),
        }
    }
    if table.keyed {
        dimensions.push(json!({ "name": OlapTable::DELETED, "dataType": "BOOLEAN" }));
    }
    dimensions.push(json!({ "name": OlapTable::VERSION, "dataType": "LONG" }));
    let mut schema = json!({
        "schemaName": table.name,
        "dimensionFieldSpecs": dimensions,
        "metricFieldSpecs": metrics,
        "dateTimeFieldSpecs": [{
            "name": OlapTable::ROWTIME,
            "dataType": "LONG",
            "format": "1:MILLISECONDS:EPOCH",
            "granularity": "1:MILLISECONDS",
        }],
    });
    if table.keyed {
        let key: Vec<&str> = table.key().map(|column| column.name.as_str()).collect();
        schema["primaryKeyColumns"] = json!(key);
    }
    schema
}

fn realtime(table: &OlapTable, brokers: &str, dialect: Dialect) -> Value {
    let option = |name: &str| table.options.get(name).map(String::as_str);
    let replicas = option("TABLE_REPLICAS").unwrap_or("1");
    let mut segments = json!({
        "timeColumnName": OlapTable::ROWTIME,
        "replication": replicas,
    });
    if dialect == Dialect::Old {
        segments["replicasPerPartition"] = json!(replicas);
        segments["schemaName"] = json!(table.name);
    }
    if let Some(days) = option("TABLE_RETENTION_DAYS") {
        segments["retentionTimeUnit"] = json!("DAYS");
        segments["retentionTimeValue"] = json!(days);
    }
    let mut realtime = json!({
        "tableName": table.name,
        "tableType": "REALTIME",
        "segmentsConfig": segments,
        "tenants": {},
        "tableIndexConfig": { "loadMode": "MMAP", "nullHandlingEnabled": true },
        "metadata": {},
        "ingestionConfig": {
            "streamIngestionConfig": { "streamConfigMaps": [stream(table, brokers)] },
        },
    });
    if dialect == Dialect::Current {
        realtime["ingestionConfig"]["segmentTimeValueCheck"] = json!(false);
    }
    if table.keyed {
        realtime["routing"] = json!({ "instanceSelectorType": "strictReplicaGroup" });
        realtime["upsertConfig"] = upsert(dialect);
    }
    realtime
}

fn upsert(dialect: Dialect) -> Value {
    match dialect {
        Dialect::Current => json!({
            "mode": "FULL",
            "comparisonColumns": [OlapTable::VERSION],
            "deleteRecordColumn": OlapTable::DELETED,
            "hashFunction": "NONE",
        }),
        Dialect::Old => json!({
            "mode": "FULL",
            "comparisonColumn": OlapTable::VERSION,
            "hashFunction": "NONE",
        }),
    }
}

/// The class of version 2.0 is an alias of newer ones in newer versions.
fn stream(table: &OlapTable, brokers: &str) -> Value {
    let rows = table.options.get("FLUSH_ROWS").map_or(FLUSH_ROWS_DEFAULT, String::as_str);
    let settings = [
        ("streamType", "kafka"),
        ("stream.kafka.topic.name", &table.topic),
        ("stream.kafka.broker.list", brokers),
        ("stream.kafka.consumer.type", "lowlevel"),
        (
            "stream.kafka.consumer.factory.class.name",
            "org.apache.pinot.plugin.stream.kafka20.KafkaConsumerFactory",
        ),
        (
            "stream.kafka.decoder.class.name",
            "org.apache.pinot.plugin.inputformat.json.JSONMessageDecoder",
        ),
        ("stream.kafka.consumer.prop.auto.offset.reset", "smallest"),
        ("stream.kafka.isolation.level", "read_committed"),
        ("realtime.segment.flush.threshold.rows", rows),
        ("realtime.segment.flush.threshold.time", "6h"),
    ];
    let members = settings.into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// Pinot's SQL that reads the rows as they are now.
pub fn current_rows(table: &OlapTable) -> String {
    let columns: Vec<String> =
        table.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let live = match table.keyed {
        true => format!(" WHERE \"{}\" = false", OlapTable::DELETED),
        false => String::new(),
    };
    // Without a limit, Pinot gives ten rows.
    format!("SELECT {} FROM \"{}\"{live} LIMIT {QUERY_ROWS_MAX}", columns.join(", "), table.name)
}
