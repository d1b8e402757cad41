//! Entities of `/ksql` as text for people.

use serde_json::Value;

use super::table::draw;

/// One entity as text that ends with a line break.
pub fn entity(entity: &Value, width: usize) -> String {
    let mut out = match text(entity, "@type").as_str() {
        "currentStatus" => message(&text(&entity["commandStatus"], "message")),
        "warning_entity" => message(&text(entity, "message")),
        "terminate_query" => message(&format!("Query {} terminated", text(entity, "queryId"))),
        "streams" => sources(&entity["streams"], "Stream Name", width),
        "tables" => sources(&entity["tables"], "Table Name", width),
        "kafka_topics" | "kafka_topics_extended" => topics(&entity["topics"], width),
        "queries" => queries(&entity["queries"], width),
        "sinks" => sinks(&entity["sinks"], width),
        "sink_description" => sink(&entity["sinkDescription"], width),
        "properties" => properties(entity, width),
        "function_names" => {
            let columns = [("Function Name", "name"), ("Type", "type"), ("Category", "category")];
            listing(&entity["functions"], &columns, width)
        }
        "variables" => {
            let columns = [("Variable Name", "name"), ("Value", "value")];
            listing(&entity["variables"], &columns, width)
        }
        "type_list" => types(&entity["types"], width),
        "sourceDescription" => source(&entity["sourceDescription"], width),
        "source_descriptions" => each(&entity["sourceDescriptions"], |s| source(s, width)),
        "queryDescription" => query(&entity["queryDescription"], width),
        "query_descriptions" => each(&entity["queryDescriptions"], |q| query(q, width)),
        "describe_function" => function(entity),
        _ => pretty(entity),
    };
    for warning in list(&entity["warnings"]) {
        out.push_str(&format!("WARNING: {}\n", text(warning, "message")));
    }
    out
}

/// JSON with indentation.
pub fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    text + "\n"
}

fn message(text: &str) -> String {
    let width = text.lines().map(|l| l.chars().count()).max().unwrap_or(0).max(7);
    let rule = "-".repeat(width + 2);
    let lines: String = text.lines().map(|l| format!(" {l}\n")).collect();
    format!("\n Message\n{rule}\n{lines}{rule}\n")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A member as text; strings without quotes, null as nothing.
fn text(value: &Value, member: &str) -> String {
    match &value[member] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|i| i.as_str().map_or_else(|| i.to_string(), str::to_string))
                .collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

fn listing(items: &Value, columns: &[(&str, &str)], width: usize) -> String {
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let rows: Vec<Vec<String>> = list(items)
        .iter()
        .map(|item| columns.iter().map(|(_, member)| text(item, member)).collect())
        .collect();
    format!("\n{}", draw(&header, &rows, width))
}

fn sources(items: &Value, name: &str, width: usize) -> String {
    let columns = [
        (name, "name"),
        ("Kafka Topic", "topic"),
        ("Key Format", "keyFormat"),
        ("Value Format", "valueFormat"),
        ("Windowed", "isWindowed"),
    ];
    listing(items, &columns, width)
}

fn topics(items: &Value, width: usize) -> String {
    let rows: Vec<Vec<String>> = list(items)
        .iter()
        .map(|topic| {
            let replicas = list(&topic["replicaInfo"]);
            let first = replicas.first().map(Value::to_string).unwrap_or_default();
            let mut row = vec![text(topic, "name"), replicas.len().to_string(), first];
            if topic.get("consumerCount").is_some() {
                row.push(text(topic, "consumerCount"));
                row.push(text(topic, "consumerGroupCount"));
            }
            row
        })
        .collect();
    let extended = rows.first().is_some_and(|r| r.len() > 3);
    let header = ["Kafka Topic", "Partitions", "Partition Replicas", "Consumers", "ConsumerGroups"];
    let header = if extended { &header[..] } else { &header[..3] };
    format!("\n{}", draw(header, &rows, width))
}

fn queries(items: &Value, width: usize) -> String {
    let columns = [
        ("Query ID", "id"),
        ("Query Type", "queryType"),
        ("Status", "state"),
        ("Sink Name", "sinks"),
        ("Sink Kafka Topic", "sinkKafkaTopics"),
        ("Query String", "queryString"),
    ];
    let mut items = items.clone();
    for query in items.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default() {
        // One line: the statement is laid out over several.
        let sql = text(query, "queryString");
        query["queryString"] = sql.split_whitespace().collect::<Vec<_>>().join(" ").into();
    }
    let items = &items;
    format!(
        "{}For detailed information on a query run: EXPLAIN <Query ID>;\n",
        listing(items, &columns, width)
    )
}

fn sinks(items: &Value, width: usize) -> String {
    let columns = [
        ("Sink", "name"),
        ("System", "system"),
        ("Table", "table"),
        ("Source", "source"),
        ("State", "state"),
        ("Lag", "lag"),
        ("Behind (s)", "freshnessSeconds"),
        ("Last Error", "lastError"),
    ];
    listing(items, &columns, width)
}

fn sink(sink: &Value, width: usize) -> String {
    let mut out = String::from("\n");
    for (title, member) in [
        ("Name", "name"),
        ("System", "system"),
        ("Table", "table"),
        ("Source", "source"),
        ("Kafka topic", "topic"),
        ("Query", "queryId"),
        ("State", "state"),
        ("Lag", "lag"),
        ("Behind (s)", "freshnessSeconds"),
        ("Rows emitted", "rowsEmitted"),
        ("Last error", "lastError"),
        ("Statement", "statement"),
    ] {
        let value = text(sink, member);
        if !value.is_empty() {
            out.push_str(&format!("{title:<15}: {value}\n"));
        }
    }
    out.push_str(&fields(sink, width));
    out.push_str(&format!("Current rows, in its own SQL:\n{}\n", text(sink, "currentRowsQuery")));
    if !sink["documents"].is_null() {
        out.push_str(&format!("\nDocuments\n---------\n{}", pretty(&sink["documents"])));
    }
    out
}

fn properties(entity: &Value, width: usize) -> String {
    let overwritten = list(&entity["overwrittenProperties"]);
    let rows: Vec<Vec<String>> = list(&entity["properties"])
        .iter()
        .map(|p| {
            let origin = if overwritten.contains(&p["name"]) { "SESSION" } else { "" };
            vec![text(p, "name"), text(p, "level"), origin.to_string(), text(p, "value")]
        })
        .collect();
    format!("\n{}", draw(&["Property", "Level", "Override", "Effective Value"], &rows, width))
}

fn types(types: &Value, width: usize) -> String {
    let empty = serde_json::Map::new();
    let rows: Vec<Vec<String>> = types
        .as_object()
        .unwrap_or(&empty)
        .iter()
        .map(|(name, schema)| vec![name.clone(), type_text(schema)])
        .collect();
    format!("\n{}", draw(&["Type Name", "Schema"], &rows, width))
}

fn source(source: &Value, width: usize) -> String {
    let mut out = format!("\n{:<21}: {}\n", "Name", text(source, "name"));
    for (title, member, what) in [
        ("Rows expire", "rowTtlMs", "after the last change"),
        ("Windows close", "idleCloseMs", "after the last record, as the clock goes on"),
    ] {
        if let Some(ms) = source[member].as_i64() {
            out.push_str(&format!("{title:<21}: {ms} ms {what}\n"));
        }
    }
    if source["extended"] == Value::Bool(true) {
        for (title, member) in [
            ("Type", "type"),
            ("Timestamp field", "timestamp"),
            ("Key format", "keyFormat"),
            ("Value format", "valueFormat"),
            ("Kafka topic", "topic"),
            ("Partitions", "partitions"),
            ("Replication", "replication"),
            ("Statement", "statement"),
        ] {
            out.push_str(&format!("{title:<21}: {}\n", text(source, member)));
        }
    }
    out.push_str(&fields(source, width));
    if source["extended"] == Value::Bool(true) {
        out.push_str(&source_queries(source));
        for member in ["statistics", "errorStats"] {
            out.push_str(&format!("{}\n", text(source, member)));
        }
        out.push_str(&groups(source, width));
    } else {
        let name = text(source, "name");
        out.push_str(&format!(
            "For runtime statistics and query details run: DESCRIBE {name} EXTENDED;\n"
        ));
    }
    out
}

fn source_queries(source: &Value) -> String {
    let mut out = String::new();
    for (title, member) in [("read from", "readQueries"), ("write into", "writeQueries")] {
        let queries = list(&source[member]);
        if !queries.is_empty() {
            out.push_str(&format!("\nQueries that {title} this {}\n", text(source, "type")));
        }
        for query in queries {
            let (id, state) = (text(query, "id"), text(query, "state"));
            out.push_str(&format!("  {id} ({state}) : {}\n", text(query, "queryString")));
        }
    }
    out.push('\n');
    out
}

/// How far the queries that write a source have read.
fn groups(source: &Value, width: usize) -> String {
    let mut out = String::new();
    for group in list(&source["queryOffsetSummaries"]) {
        out.push_str(&format!("\n{:<21}: {}\n", "Consumer group", text(group, "groupId")));
        for topic in list(&group["topicSummaries"]) {
            let offset = |at: &Value, name: &str| at[name].as_i64().unwrap_or_default();
            let lag = |at: &Value| {
                let lag = offset(at, "logEndOffset") - offset(at, "consumerOffset");
                lag.max(0)
            };
            let partitions = list(&topic["offsets"]);
            let most = partitions.iter().map(lag).max().unwrap_or_default();
            out.push_str(&format!("{:<21}: {}\n", "Kafka topic", text(topic, "kafkaTopic")));
            out.push_str(&format!("{:<21}: {most}\n", "Max lag"));
            let row = |at: &Value| {
                let names = ["partition", "logStartOffset", "logEndOffset", "consumerOffset"];
                let mut row: Vec<String> = names.iter().map(|name| text(at, name)).collect();
                row.push(lag(at).to_string());
                row
            };
            let rows: Vec<Vec<String>> = partitions.iter().map(row).collect();
            out.push_str(&draw(&["Partition", "Start", "End", "Offset", "Lag"], &rows, width));
        }
    }
    out
}

fn fields(described: &Value, width: usize) -> String {
    let windowed = !described["windowType"].is_null();
    let table = described["type"] == "TABLE";
    let rows: Vec<Vec<String>> = list(&described["fields"])
        .iter()
        .map(|field| {
            let mark = match field["type"].as_str() {
                Some("KEY") if table => " (primary key)",
                Some("KEY") => " (key)",
                Some("HEADER") => " (header)",
                _ => "",
            };
            let window = match (field["type"].as_str(), windowed) {
                (Some("KEY"), true) => {
                    format!(" (Window type: {})", text(described, "windowType"))
                }
                _ => String::new(),
            };
            vec![text(field, "name"), format!("{}{mark}{window}", type_text(&field["schema"]))]
        })
        .collect();
    draw(&["Field", "Type"], &rows, width)
}

/// A schema as SQL text.
fn type_text(schema: &Value) -> String {
    match schema["type"].as_str().unwrap_or_default() {
        "STRING" => "VARCHAR(STRING)".to_string(),
        "ARRAY" => format!("ARRAY<{}>", type_text(&schema["memberSchema"])),
        "MAP" => format!("MAP<STRING, {}>", type_text(&schema["memberSchema"])),
        "DECIMAL" => {
            let parameters = &schema["parameters"];
            format!("DECIMAL({}, {})", text(parameters, "precision"), text(parameters, "scale"))
        }
        "STRUCT" => {
            let fields: Vec<String> = list(&schema["fields"])
                .iter()
                .map(|f| format!("{} {}", text(f, "name"), type_text(&f["schema"])))
                .collect();
            format!("STRUCT<{}>", fields.join(", "))
        }
        other => other.to_string(),
    }
}

fn query(query: &Value, width: usize) -> String {
    let mut out = String::from("\n");
    for (title, member) in
        [("ID", "id"), ("Query Type", "queryType"), ("State", "state"), ("SQL", "statementText")]
    {
        let value = text(query, member);
        if !value.is_empty() {
            out.push_str(&format!("{title:<15}: {value}\n"));
        }
    }
    out.push_str(&fields(query, width));
    for (title, member) in [("Sources", "sources"), ("Sinks", "sinks")] {
        let value = text(query, member);
        if !value.is_empty() {
            out.push_str(&format!("{title:<15}: {value}\n"));
        }
    }
    for (title, member) in [("Logical plan", "executionPlan"), ("Topology", "topology")] {
        let value = text(query, member);
        if !value.is_empty() {
            out.push_str(&format!("\n{title}\n{}\n{value}\n", "-".repeat(title.len())));
        }
    }
    if !query["documents"].is_null() {
        out.push_str(&format!("\nDocuments\n---------\n{}", pretty(&query["documents"])));
    }
    for error in list(&query["queryErrors"]) {
        let (at, message) = (text(error, "timestamp"), text(error, "errorMessage"));
        out.push_str(&format!("error at {at}: {message}\n"));
    }
    out
}

fn function(entity: &Value) -> String {
    let mut out = String::from("\n");
    for (title, member) in [("Name", "name"), ("Overview", "description"), ("Type", "type")] {
        out.push_str(&format!("{title:<12}: {}\n", text(entity, member)));
    }
    out.push_str("Variations  :\n");
    for overload in list(&entity["functions"]) {
        let arguments: Vec<String> = list(&overload["arguments"])
            .iter()
            .map(|a| {
                let dots = if a["isVariadic"] == Value::Bool(true) { "..." } else { "" };
                format!("{}{dots}", text(a, "type"))
            })
            .collect();
        let (name, returns) = (text(entity, "name"), text(overload, "returnType"));
        out.push_str(&format!("  {name}({}) -> {returns}\n", arguments.join(", ")));
    }
    out
}

fn each(items: &Value, render: impl Fn(&Value) -> String) -> String {
    let all: String = list(items).iter().map(render).collect();
    if all.is_empty() { "\nNothing there.\n".to_string() } else { all }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses() {
        let status = json!({"@type": "currentStatus",
            "commandStatus": {"status": "SUCCESS", "message": "Stream created"}, "warnings": []});
        let expected = "\n Message\n----------------\n Stream created\n----------------\n";
        assert_eq!(entity(&status, 80), expected);
    }

    #[test]
    fn listings() {
        let streams = json!({"@type": "streams", "streams": [
            {"name": "S", "topic": "s", "keyFormat": "KAFKA", "valueFormat": "JSON",
             "isWindowed": false}], "warnings": [{"message": "careful"}]});
        let drawn = entity(&streams, 80);
        assert!(drawn.contains("|Stream Name|Kafka Topic|Key Format|Value Format|Windowed|"));
        assert!(drawn.contains("|S          |s          |KAFKA     |JSON        |false   |"));
        assert!(drawn.ends_with("WARNING: careful\n"));
    }

    #[test]
    fn described_fields() {
        let schema = json!({"type": "ARRAY", "memberSchema": {"type": "DECIMAL",
            "parameters": {"precision": 4, "scale": 2}}});
        let described = json!({"@type": "sourceDescription", "warnings": [],
            "sourceDescription": {"name": "T", "type": "TABLE", "extended": false, "fields": [
                {"name": "K", "schema": {"type": "STRING"}, "type": "KEY"},
                {"name": "A", "schema": schema}]}});
        let drawn = entity(&described, 80);
        assert!(drawn.contains("|K    |VARCHAR(STRING) (primary key)|"), "{drawn}");
        assert!(drawn.contains("|A    |ARRAY<DECIMAL(4, 2)>         |"), "{drawn}");
    }

    #[test]
    fn lag_of_consumer_groups() {
        let at = |partition: i64, position: i64| {
            json!({"partition": partition, "logStartOffset": 0, "logEndOffset": 9,
                "consumerOffset": position})
        };
        let described = json!({"@type": "sourceDescription", "warnings": [],
            "sourceDescription": {"name": "T", "type": "TABLE", "extended": true, "fields": [],
                "queryOffsetSummaries": [{"groupId": "g", "topicSummaries": [
                    {"kafkaTopic": "t", "offsets": [at(0, 9), at(1, 4)]}]}]}});
        let drawn = entity(&described, 80);
        assert!(drawn.contains("Consumer group       : g\n"), "{drawn}");
        assert!(drawn.contains("Max lag              : 5\n"), "{drawn}");
        assert!(drawn.contains("|1        |0    |9  |4     |5  |"), "{drawn}");
    }

    #[test]
    fn unknown_entities_are_shown_as_they_are() {
        let drawn = entity(&json!({"@type": "new_thing", "x": 1}), 80);
        assert!(drawn.contains("\"x\": 1"));
    }
}
