//! The specification of the supervisor that feeds a datasource.

use millrace_sql::olap::{OlapColumn, OlapTable};
use millrace_sql::types::SqlType;
use serde_json::{Value, json};

/// Each change of a row is kept; [`current_rows`] reads the newest.
pub fn spec(table: &OlapTable, brokers: &str) -> Value {
    let option = |name: &str| table.options.get(name).map(String::as_str);
    let number = |name: &str, default: i64| {
        option(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or(default)
    };
    let granularity = granularity(option("SEGMENT_GRANULARITY").unwrap_or("DAY"));
    // What is added up must not lie in different moments.
    let query_granularity =
        if table.rolls_up() { granularity.clone() } else { json!({ "type": "none" }) };
    json!({
        "type": "kafka",
        "spec": {
            "dataSchema": {
                "dataSource": table.name,
                "timestampSpec": { "column": OlapTable::ROWTIME, "format": "millis" },
                "dimensionsSpec": { "dimensions": dimensions(table) },
                "metricsSpec": metrics(table),
                "granularitySpec": {
                    "type": "uniform",
                    "segmentGranularity": granularity,
                    "queryGranularity": query_granularity,
                    "rollup": table.rolls_up(),
                },
            },
            "ioConfig": {
                "topic": table.topic,
                "inputFormat": { "type": "json" },
                "consumerProperties": { "bootstrap.servers": brokers },
                "useEarliestOffset": true,
                "taskCount": number("TASKS", 1),
                "replicas": number("TABLE_REPLICAS", 1),
                "taskDuration": duration(number("TASK_DURATION_MINUTES", 60)),
                "startDelay": "PT1S",
                "period": "PT5S",
            },
            "tuningConfig": {
                "type": "kafka",
                "logParseExceptions": true,
                "maxSavedParseExceptions": 10,
                "offsetFetchPeriod": "PT5S",
            },
        },
        "context": { "useConcurrentLocks": true },
    })
}

/// As Druid gives it back: it tells the others by their names.
fn granularity(name: &str) -> Value {
    if name == "ALL" { json!({ "type": "all" }) } else { json!(name) }
}

fn dimensions(table: &OlapTable) -> Vec<Value> {
    if table.rolls_up() {
        return table.key().map(dimension).collect();
    }
    let mut dimensions: Vec<Value> = table.columns.iter().map(dimension).collect();
    if table.keyed {
        dimensions.push(json!({ "type": "long", "name": OlapTable::DELETED }));
    }
    dimensions.push(json!({ "type": "long", "name": OlapTable::VERSION }));
    dimensions
}

/// What is added up: the changes of numbers, how often they are set, and rows.
fn metrics(table: &OlapTable) -> Vec<Value> {
    if !table.rolls_up() {
        return Vec::new();
    }
    let numbers = table.columns.iter().filter(|column| !column.key);
    let names = numbers.flat_map(|c| [c.name.clone(), OlapTable::set_column(&c.name)]);
    let sum = |name: String| json!({ "type": "longSum", "name": name, "fieldName": name });
    names.chain([OlapTable::ROWS.to_owned()]).map(sum).collect()
}

/// As Druid gives it back.
fn duration(minutes: i64) -> String {
    format!("PT{}S", minutes * 60)
}

fn dimension(column: &OlapColumn) -> Value {
    json!({ "type": dimension_type(column), "name": column.name })
}

/// Druid has no type for decimals: they are text. Keys of many parts are text, too.
fn dimension_type(column: &OlapColumn) -> &'static str {
    let scalar =
        |ty: &SqlType| !matches!(ty, SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_));
    match &column.ty {
        SqlType::Boolean
        | SqlType::Integer
        | SqlType::Bigint
        | SqlType::Time
        | SqlType::Timestamp => "long",
        SqlType::Double => "double",
        SqlType::Decimal { .. } | SqlType::String | SqlType::Bytes | SqlType::Date => "string",
        SqlType::Array(item) if scalar(item) => "auto",
        SqlType::Array(_) | SqlType::Map(..) | SqlType::Struct(_) => "json",
    }
}

/// Druid's SQL that reads the rows as they are now: of each key, the newest, unless it is deleted.
pub fn current_rows(table: &OlapTable) -> String {
    let quoted = |column: &OlapColumn| format!("\"{}\"", column.name);
    let columns: Vec<String> = table.columns.iter().map(quoted).collect();
    let (columns, name) = (columns.join(", "), &table.name);
    if !table.keyed {
        return format!("SELECT {columns} FROM \"{name}\"");
    }
    let key: Vec<String> = table.key().map(quoted).collect();
    if table.rolls_up() {
        return sums(table, &key.join(", "));
    }
    let (version, deleted) = (OlapTable::VERSION, OlapTable::DELETED);
    format!(
        "SELECT {columns} FROM \"{name}\" WHERE \"{deleted}\" = 0 AND \"{version}\" IN (SELECT \
         MAX(\"{version}\") FROM \"{name}\" GROUP BY {})",
        key.join(", ")
    )
}

/// Sums of changes are the values; a key with a row more than were deleted is there.
fn sums(table: &OlapTable, key: &str) -> String {
    let shown = |column: &OlapColumn| {
        let (name, set) = (&column.name, OlapTable::set_column(&column.name));
        match column.key {
            true => format!("\"{name}\""),
            false => {
                format!("CASE WHEN SUM(\"{set}\") > 0 THEN SUM(\"{name}\") END AS \"{name}\"")
            }
        }
    };
    let columns: Vec<String> = table.columns.iter().map(shown).collect();
    format!(
        "SELECT {} FROM \"{}\" GROUP BY {key} HAVING SUM(\"{}\") > 0",
        columns.join(", "),
        table.name,
        OlapTable::ROWS
    )
}
