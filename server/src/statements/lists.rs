//! SHOW TOPICS, FUNCTIONS, PROPERTIES, TYPES, VARIABLES; DESCRIBE FUNCTION.

use millrace_engine::api::{Api, Properties};
use millrace_engine::log::TopicInfo;
use millrace_engine::names::Names;
use millrace_sql::catalog::Catalog;
use millrace_sql::functions::{self, FunctionDoc};
use millrace_sql::parser::Variables;
use serde_json::{Map, Value, json};

use super::entity::{entity, schema};
use crate::config::known::{self, KNOWN, Reach};
use crate::config::{Config, type_name};
use crate::http::error::HttpError;

/// `SHOW [ALL] TOPICS [EXTENDED]`.
///
/// # Errors
/// When the log cannot be asked.
pub fn topics(
    api: &dyn Api,
    statement: &str,
    all: bool,
    extended: bool,
) -> Result<Value, HttpError> {
    let mut topics = api.topics().map_err(|e| HttpError::from_api(statement, e))?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let catalog = api.catalog();
    let shown = topics.iter().filter(|t| all || !is_hidden(&t.name));
    let lines: Vec<Value> = shown.map(|t| topic(t, &catalog, extended)).collect();
    let kind = if extended { "kafka_topics_extended" } else { "kafka_topics" };
    Ok(entity(kind, statement, json!({ "topics": lines })))
}

fn topic(topic: &TopicInfo, catalog: &Catalog, extended: bool) -> Value {
    let mut line = json!({
        "name": topic.name,
        "replicaInfo": vec![topic.replicas; topic.partitions as usize],
    });
    if extended {
        let reads = |name: &String| catalog.source(name).is_some_and(|s| s.topic == topic.name);
        let readers = catalog.queries.values().filter(|q| q.reads.iter().any(reads)).count();
        line["consumerCount"] = json!(readers);
        line["consumerGroupCount"] = json!(readers);
    }
    line
}

/// Topics that ksqlDB hides unless ALL is said, and our own internal ones.
pub fn is_hidden(topic: &str) -> bool {
    const PREFIXES: [&str; 4] =
        ["_schemas", "connect-configs", "connect-offsets", "connect-status"];
    PREFIXES.iter().any(|p| topic.starts_with(p)) || Names::is_internal(topic)
}

/// `SHOW FUNCTIONS`.
pub fn functions(statement: &str) -> Value {
    let mut all: Vec<&FunctionDoc> = functions::all().collect();
    all.sort_by_key(|f| f.name);
    let line =
        |f: &&FunctionDoc| json!({"name": f.name, "type": f.kind.name(), "category": f.category});
    entity(
        "function_names",
        statement,
        json!({ "functions": all.iter().map(line).collect::<Vec<_>>() }),
    )
}

/// `DESCRIBE FUNCTION f`.
///
/// # Errors
/// When there is no such function.
pub fn describe_function(name: &str, statement: &str) -> Result<Value, HttpError> {
    let found = functions::all().find(|f| f.name.eq_ignore_ascii_case(name));
    let Some(doc) = found else {
        let message = format!(
            "Can't find any functions with the name '{name}'. SHOW FUNCTIONS lists them all."
        );
        return Err(HttpError::refused(statement, message));
    };
    let overloads: Vec<Value> = doc.signatures.iter().map(|s| overload(s, doc)).collect();
    let members = json!({
        "name": doc.name,
        "description": format!("{}\nExample: {}", doc.description, doc.example),
        "author": "Millrace",
        "version": "",
        "path": "internal",
        "functions": overloads,
        "type": doc.kind.name(),
    });
    Ok(entity("describe_function", statement, members))
}

/// From `(STRING, INT...) -> STRING`.
fn overload(signature: &str, doc: &FunctionDoc) -> Value {
    let (arguments, returns) = signature.rsplit_once("->").unwrap_or((signature, ""));
    let arguments = arguments.trim();
    let arguments = arguments.strip_prefix('(').unwrap_or(arguments);
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    let arguments: Vec<Value> = split_arguments(arguments)
        .into_iter()
        .enumerate()
        .map(|(i, argument)| {
            let (ty, name) = split_name(argument);
            let variadic = ty.ends_with("...");
            json!({
                "name": name.map_or_else(|| format!("arg{}", i + 1), str::to_owned),
                "type": ty.trim_end_matches("..."),
                "description": "",
                "isVariadic": variadic,
            })
        })
        .collect();
    json!({
        "arguments": arguments,
        "returnType": returns.trim(),
        "description": doc.description,
    })
}

/// Type and name of `ARRAY<T> list`; the name may be missing.
fn split_name(argument: &str) -> (&str, Option<&str>) {
    match argument.rsplit_once(' ') {
        Some((ty, name)) if !name.ends_with(['>', ')', ']', '.']) => (ty.trim_end(), Some(name)),
        _ => (argument, None),
    }
}

/// At commas that stand in no bracket.
fn split_arguments(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0i32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..i].trim());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|p| !p.is_empty());
    parts
}

/// `SHOW PROPERTIES`: known settings with their values, secrets hidden.
pub fn properties(api: &dyn Api, config: &Config, session: &Properties, statement: &str) -> Value {
    let effective: Properties = api.settings().into_iter().collect();
    let mut lines = Vec::new();
    for known in KNOWN {
        let set = config.settings.get(known.name).map(|s| &s.value);
        let value = session.get(known.name).or(set).or(effective.get(known.name));
        let value = known::shown(known.name, value.map_or(known.default, String::as_str));
        lines.push(property(
            known.name,
            &value,
            known.reach == Reach::Session,
            type_name(known.ty),
        ));
    }
    let mut others = effective;
    let set = config.settings.iter();
    others.extend(set.map(|(name, s)| (name.clone(), known::shown(name, &s.value).into_owned())));
    others.retain(|name, _| known::find(name).is_none());
    lines.extend(others.iter().map(|(name, value)| property(name, value, false, "STRING")));
    let overwritten: Vec<&String> = session
        .iter()
        .filter(|(name, value)| config.session.get(*name) != Some(*value))
        .map(|(name, _)| name)
        .collect();
    let defaults: Vec<&str> = KNOWN
        .iter()
        .filter(|k| !config.settings.contains_key(k.name) && !session.contains_key(k.name))
        .map(|k| k.name)
        .collect();
    let members = json!({
        "properties": lines,
        "overwrittenProperties": overwritten,
        "defaultProperties": defaults,
    });
    entity("properties", statement, members)
}

/// `value`: as it may be shown.
fn property(name: &str, value: &str, editable: bool, ty: &str) -> Value {
    let scope = if name.starts_with("ksql.") || name.starts_with("millrace.") {
        "KSQL"
    } else {
        "KAFKA_STREAMS"
    };
    json!({
        "name": name,
        "scope": scope,
        "value": value,
        "editable": editable,
        "level": if editable { "QUERY" } else { "SERVER" },
        "type": ty,
    })
}

/// `SHOW TYPES`: names made by CREATE TYPE, and what they stand for.
pub fn types(catalog: &Catalog, statement: &str) -> Value {
    let types: Map<String, Value> =
        catalog.types.iter().map(|(name, ty)| (name.clone(), schema(ty))).collect();
    entity("type_list", statement, json!({ "types": types }))
}

/// `SHOW VARIABLES`.
pub fn variables(variables: &Variables, statement: &str) -> Value {
    let lines: Vec<Value> =
        variables.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    entity("variables", statement, json!({ "variables": lines }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigBuilder;

    #[test]
    fn overloads_are_read_from_signatures() {
        static DOC: FunctionDoc = FunctionDoc {
            name: "F",
            kind: functions::FunctionKind::Scalar,
            category: "OTHER",
            signatures: Vec::new(),
            description: "d",
            example: "F(1)",
            example_rows: &[],
            example_result: "1",
        };
        let got = overload("(STRING, MAP<STRING, INT>, INT...) -> ARRAY<INT>", &DOC);
        let types: Vec<&str> = got["arguments"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|a| a["type"].as_str())
            .collect();
        assert_eq!(types, ["STRING", "MAP<STRING, INT>", "INT"]);
        assert_eq!(got["arguments"][2]["isVariadic"], true);
        assert_eq!(got["returnType"], "ARRAY<INT>");
        assert_eq!(overload("() -> BIGINT", &DOC)["arguments"], json!([]));
        let got = overload("(MAP<STRING, T> entries, DECIMAL(p, s)) -> T", &DOC);
        let named =
            |i: usize| (got["arguments"][i]["name"].clone(), got["arguments"][i]["type"].clone());
        assert_eq!(named(0), (json!("entries"), json!("MAP<STRING, T>")));
        assert_eq!(named(1), (json!("arg2"), json!("DECIMAL(p, s)")));
    }

    #[test]
    fn secrets_are_not_listed() {
        let mut builder = ConfigBuilder::default();
        builder.flag(
            "sasl.jaas.config",
            Some("x.PlainLoginModule required username=\"u\" password=\"hunter2\";"),
        );
        builder.flag("ssl.keystore.password", Some("hunter2"));
        builder.flag("some.interceptor.setting", Some("hunter2"));
        builder.flag("ksql.schema.registry.url", Some("http://u:hunter2@127.0.0.1:1"));
        let config = builder.build().unwrap();
        let api = crate::testing::FakeApi::new();
        let text = properties(api.as_ref(), &config, &Properties::new(), "").to_string();
        assert!(!text.contains("hunter2") && text.contains("[hidden]"));
        assert!(text.contains("http://[hidden]@127.0.0.1:1"), "{text}");
    }

    #[test]
    fn types_are_listed() {
        let mut catalog = Catalog::default();
        catalog.types.insert("N".to_owned(), millrace_sql::types::SqlType::Integer);
        let listed = types(&catalog, "SHOW TYPES;");
        assert_eq!(listed["types"]["N"]["type"], "INTEGER");
    }

    #[test]
    fn internal_topics_are_hidden() {
        for (topic, hidden) in [
            ("_confluent-ksql-default_command_topic", true),
            ("_schemas", true),
            ("__consumer_offsets", true),
            ("default_ksql_processing_log", false),
            ("orders", false),
        ] {
            assert_eq!(is_hidden(topic), hidden, "{topic}");
        }
    }
}
