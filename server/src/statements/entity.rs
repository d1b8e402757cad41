//! The JSON of statements' answers, as ksqlDB shapes it: parts that several entities share.

use millrace_engine::api::{Executed, QueryStatus, ResultColumn};
use millrace_sql::catalog::{Column, ColumnRole, KeyWindow, Source, SourceKind};
use millrace_sql::types::{SqlType, StructField};
use serde_json::{Map, Value, json};

/// An entity: `@type`, the statement, the given members, no warnings.
pub fn entity(kind: &str, statement: &str, members: Value) -> Value {
    let mut out = Map::new();
    out.insert("@type".to_string(), json!(kind));
    out.insert("statementText".to_string(), json!(statement));
    if let Value::Object(members) = members {
        out.extend(members);
    }
    out.insert("warnings".to_string(), json!([]));
    Value::Object(out)
}

/// Adds a warning to an entity.
pub fn warn(entity: &mut Value, message: &str) {
    if let Some(Value::Array(warnings)) = entity.get_mut("warnings") {
        warnings.push(json!({ "message": message }));
    }
}

/// What a distributed statement answers.
pub fn executed(statement: &str, done: &Executed) -> Value {
    if let Some(warning) = &done.warning {
        return entity("warning_entity", statement, json!({ "message": warning }));
    }
    let status = json!({
        "status": "SUCCESS",
        "message": done.message,
        "queryId": done.query_id,
    });
    let members = json!({
        "commandId": done.command_id,
        "commandStatus": status,
        "commandSequenceNumber": done.sequence,
    });
    entity("currentStatus", statement, members)
}

/// The schema JSON of a type.
pub fn schema(ty: &SqlType) -> Value {
    let mut out = Map::new();
    out.insert("type".to_string(), json!(ty.base_name()));
    let fields = match ty {
        SqlType::Struct(fields) => {
            let field = |f: &StructField| json!({ "name": f.name, "schema": schema(&f.ty) });
            Value::Array(fields.iter().map(field).collect())
        }
        _ => Value::Null,
    };
    out.insert("fields".to_string(), fields);
    let member = match ty {
        SqlType::Array(item) => schema(item),
        SqlType::Map(_, value) => schema(value),
        _ => Value::Null,
    };
    out.insert("memberSchema".to_string(), member);
    if let SqlType::Decimal { precision, scale } = ty {
        out.insert("parameters".to_string(), json!({"precision": precision, "scale": scale}));
    }
    Value::Object(out)
}

/// A column of DESCRIBE.
pub fn field(column: &Column) -> Value {
    let mut out = json!({ "name": column.name, "schema": schema(&column.ty) });
    match &column.role {
        ColumnRole::Key => out["type"] = json!("KEY"),
        ColumnRole::Headers(name) => {
            out["type"] = json!("HEADER");
            if let Some(name) = name {
                out["headerKey"] = json!(name);
            }
        }
        ColumnRole::Value => {}
    }
    out
}

/// A column of a query's result.
pub fn result_field(column: &ResultColumn) -> Value {
    let mut out = json!({ "name": column.name, "schema": schema(&column.ty) });
    if column.key {
        out["type"] = json!("KEY");
    }
    out
}

/// One line of SHOW QUERIES.
pub fn running_query(query: &QueryStatus) -> Value {
    let state = query.state.name();
    json!({
        "queryString": query.sql,
        "sinks": query.sink.iter().collect::<Vec<_>>(),
        "sinkKafkaTopics": query.sink_topic.iter().collect::<Vec<_>>(),
        "id": query.id,
        "statusCount": { state: 1 },
        "queryType": if query.persistent { "PERSISTENT" } else { "PUSH" },
        "state": format!("{state}:1"),
    })
}

pub fn kind_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

/// `TUMBLING`, `HOPPING`, `SESSION`; null without windows.
pub fn window_type(source: &Source) -> Value {
    match source.window {
        Some(KeyWindow::Time { hopping: true, .. }) => json!("HOPPING"),
        Some(KeyWindow::Time { hopping: false, .. }) => json!("TUMBLING"),
        Some(KeyWindow::Session) => json!("SESSION"),
        None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas() {
        let item = SqlType::Struct(vec![StructField { name: "A".into(), ty: SqlType::Integer }]);
        let cases = [
            (SqlType::String, json!({"type": "STRING", "fields": null, "memberSchema": null})),
            (
                SqlType::Decimal { precision: 4, scale: 2 },
                json!({"type": "DECIMAL", "fields": null, "memberSchema": null,
                    "parameters": {"precision": 4, "scale": 2}}),
            ),
            (
                SqlType::Array(Box::new(item)),
                json!({"type": "ARRAY", "fields": null, "memberSchema":
                    {"type": "STRUCT", "memberSchema": null, "fields": [{"name": "A", "schema":
                        {"type": "INTEGER", "fields": null, "memberSchema": null}}]}}),
            ),
        ];
        for (ty, expected) in cases {
            assert_eq!(schema(&ty), expected);
        }
    }

    #[test]
    fn statuses_and_warnings() {
        let mut done = Executed {
            command_id: "stream/S/create".into(),
            sequence: 4,
            message: "Stream created".into(),
            query_id: None,
            warning: None,
        };
        let status = executed("CREATE ...;", &done);
        assert_eq!(status["@type"], "currentStatus");
        assert_eq!(status["commandStatus"]["status"], "SUCCESS");
        assert_eq!(status["commandSequenceNumber"], 4);
        done.warning = Some("exists".into());
        assert_eq!(executed("CREATE ...;", &done)["@type"], "warning_entity");
    }
}
