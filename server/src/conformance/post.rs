//! What the catalog and the topics must be at the end of a case.

use millrace_engine::schemas::subject;
use millrace_sql::ast::{ColumnMarker, Statement};
use millrace_sql::catalog::{ColumnRole, FormatKind, FormatSpec, KeyWindow, Source, SourceKind};
use millrace_sql::parser;
use millrace_sql::types::SqlType;
use serde_json::Value;

use super::session::Session;

/// Partitions that ksqlDB's harness gives to every sink.
const SINK_PARTITIONS: u64 = 4;

/// Checks the `post` object of a case; `written` are the topics that hold records.
///
/// # Errors
/// The first condition that does not hold.
pub fn check(post: &Value, session: &Session, written: &[&str]) -> Result<(), String> {
    for source in list(post, "sources") {
        let name = source.get("name").and_then(Value::as_str).unwrap_or_default();
        check_source(source, name, session).map_err(|e| format!("Source {name}: {e}"))?;
    }
    let Some(topics) = post.get("topics") else { return Ok(()) };
    if let Some(pattern) = topics.get("blacklist").and_then(Value::as_str)
        && let Some(topic) = written.iter().find(|topic| finds(pattern, topic))
    {
        return Err(format!("The topic {topic} must not be there: {pattern}"));
    }
    for topic in list(topics, "topics") {
        let name = topic.get("name").and_then(Value::as_str).unwrap_or_default();
        // Internal topics have names that depend on the numbers of a topology's nodes.
        if name.starts_with("_confluent-ksql-") {
            continue;
        }
        check_topic(topic, name, session).map_err(|e| format!("Topic {name}: {e}"))?;
    }
    Ok(())
}

/// `find` of a pattern that has no other special part than `.*`.
fn finds(pattern: &str, text: &str) -> bool {
    let mut rest = text;
    pattern.split(".*").all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

fn check_source(expected: &Value, name: &str, session: &Session) -> Result<(), String> {
    let source = session.catalog.source(name).ok_or("it does not exist")?;
    let kind = match source.kind {
        SourceKind::Stream => "stream",
        SourceKind::Table => "table",
    };
    let text = |field: &str| expected.get(field).and_then(Value::as_str);
    if let Some(want) = text("type").filter(|want| !want.eq_ignore_ascii_case(kind)) {
        return Err(format!("expected a {want}, but it is a {kind}"));
    }
    if let Some(want) = text("schema") {
        check_schema(want, source, session)?;
    }
    if let Some(want) = expected.get("keyFormat").filter(|f| f.is_object()) {
        check_key_format(want, source)?;
    }
    let value_format = source.value_format.kind.name();
    if let Some(want) = text("valueFormat").filter(|want| *want != value_format) {
        return Err(format!("expected the value format {want}, but it is {value_format}"));
    }
    if let Some(want) = expected.get("isSource").and_then(Value::as_bool)
        && want != source.read_only
    {
        return Err(format!("expected isSource {want}, but it is {}", source.read_only));
    }
    for (field, got) in [("keyFeatures", key_features(source)), ("valueFeatures", features(source))]
    {
        let Some(want) = expected.get(field).and_then(Value::as_array) else { continue };
        let mut want: Vec<&str> = want.iter().filter_map(Value::as_str).collect();
        want.sort_unstable();
        if want != got {
            return Err(format!("expected the {field} {want:?}, but they are {got:?}"));
        }
    }
    Ok(())
}

/// What the columns of a source are compared by.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    ty: SqlType,
    role: ColumnRole,
}

fn check_schema(want: &str, source: &Source, session: &Session) -> Result<(), String> {
    // Streams say KEY and tables PRIMARY KEY; a schema may say either.
    let parse = |kind: &str| parser::parse_statement(&format!("CREATE {kind} X ({want});"));
    let parsed = parse("STREAM").or_else(|_| parse("TABLE"));
    let parsed = parsed.map_err(|e| format!("schema {want}: {e}"))?;
    let Statement::CreateSource(create) = parsed else {
        return Err(format!("{want} is no schema"));
    };
    let mut expected = Vec::with_capacity(create.columns.len());
    for def in create.columns {
        let role = match def.marker {
            ColumnMarker::None => ColumnRole::Value,
            ColumnMarker::Key | ColumnMarker::PrimaryKey => ColumnRole::Key,
            ColumnMarker::Headers => ColumnRole::Headers(None),
            ColumnMarker::Header(name) => ColumnRole::Headers(Some(name)),
        };
        let ty = session.resolve_type(&def.ty).map_err(|e| format!("schema {want}: {e}"))?;
        expected.push(Shape { name: def.name.value, ty, role });
    }
    let shape = |c: &millrace_sql::catalog::Column| Shape {
        name: c.name.clone(),
        ty: c.ty.clone(),
        role: c.role.clone(),
    };
    let actual: Vec<Shape> = source.columns.iter().map(shape).collect();
    match actual == expected {
        true => Ok(()),
        false => Err(format!("expected the schema {want}, but it is {}", shown(&actual))),
    }
}

fn shown(columns: &[Shape]) -> String {
    let column = |c: &Shape| {
        let role = match &c.role {
            ColumnRole::Value => String::new(),
            ColumnRole::Key => " KEY".to_owned(),
            ColumnRole::Headers(None) => " HEADERS".to_owned(),
            ColumnRole::Headers(Some(name)) => format!(" HEADER('{name}')"),
        };
        format!("`{}` {}{role}", c.name, c.ty)
    };
    columns.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn check_key_format(want: &Value, source: &Source) -> Result<(), String> {
    let format = source.key_format.kind.name();
    if let Some(want) = want.get("format").and_then(Value::as_str).filter(|want| *want != format) {
        return Err(format!("expected the key format {want}, but it is {format}"));
    }
    let (kind, size) = window_of(source);
    let want_kind = want.get("windowType").and_then(Value::as_str);
    let want_size = want.get("windowSize").and_then(Value::as_i64);
    if (want_kind, want_size) != (kind, size) {
        return Err(format!(
            "expected the window {want_kind:?} of {want_size:?} ms, but it is {kind:?} of {size:?}"
        ));
    }
    Ok(())
}

/// Type and size in milliseconds.
fn window_of(source: &Source) -> (Option<&'static str>, Option<i64>) {
    match source.window {
        None => (None, None),
        Some(KeyWindow::Session) => (Some("SESSION"), None),
        Some(KeyWindow::Time { size_ms, hopping: true }) => (Some("HOPPING"), Some(size_ms)),
        Some(KeyWindow::Time { size_ms, hopping: false }) => (Some("TUMBLING"), Some(size_ms)),
    }
}

/// True for formats that write a single column with or without a record around it.
fn wraps_or_not(format: &FormatSpec) -> bool {
    matches!(format.kind.name(), "JSON" | "JSON_SR" | "AVRO")
}

fn key_features(source: &Source) -> Vec<&'static str> {
    let single = source.key_columns().count() == 1;
    if single && wraps_or_not(&source.key_format) { vec!["UNWRAP_SINGLES"] } else { Vec::new() }
}

fn features(source: &Source) -> Vec<&'static str> {
    let format = &source.value_format;
    let single = source.value_columns().count() == 1;
    match single && wraps_or_not(format) && !format.wrapped {
        true => vec!["UNWRAP_SINGLES"],
        false => Vec::new(),
    }
}

fn check_topic(expected: &Value, name: &str, session: &Session) -> Result<(), String> {
    let source = session.source_of(name).ok_or("no source is over it")?;
    let format = |side: &str| {
        expected.get(side).and_then(|f| f.get("format")).and_then(Value::as_str).unwrap_or("")
    };
    let sides: [(&str, FormatKind); 2] =
        [("keyFormat", source.key_format.kind), ("valueFormat", source.value_format.kind)];
    for (side, kind) in sides {
        if format(side) != kind.name() {
            let (want, got) = (format(side), kind.name());
            return Err(format!("expected the {side} {want}, but it is {got}"));
        }
    }
    check_window(expected, source)?;
    for (side, is_key) in [("keySchema", true), ("valueSchema", false)] {
        if let Some(want) = expected.get(side).filter(|want| !want.is_null()) {
            let registry = session.formats().registry().ok_or("there is no registry")?;
            let found = registry.latest(&subject(name, is_key)).map_err(|e| e.to_string())?;
            let found = found.ok_or(format!("no {side} is registered"))?;
            same_schema(want, &found.schema.text).map_err(|e| format!("{side}: {e}"))?;
        }
    }
    let partitions = match source.query {
        Some(_) => SINK_PARTITIONS,
        None => source.partitions.into(),
    };
    match expected.get("partitions").and_then(Value::as_u64) {
        Some(want) if want != partitions => {
            Err(format!("expected {want} partitions, but it has {partitions}"))
        }
        _ => Ok(()),
    }
}

/// The window of a topic's keys, whose size a case gives in seconds.
fn check_window(expected: &Value, source: &Source) -> Result<(), String> {
    let want = expected.get("keyFormat").and_then(|f| f.get("windowInfo"));
    let member = |name: &str| want.and_then(|info| info.get(name));
    let want_kind = member("type").and_then(Value::as_str);
    let want_ms = member("size").and_then(Value::as_f64).map(|seconds| (seconds * 1000.0) as i64);
    let (kind, size_ms) = window_of(source);
    if (want_kind, want_ms) == (kind, size_ms) {
        return Ok(());
    }
    Err(format!(
        "expected the window {want_kind:?} of {want_ms:?} ms, but it is {kind:?} of {size_ms:?}"
    ))
}

/// Schemas of JSON are compared as JSON, others by their text.
fn same_schema(want: &Value, got: &str) -> Result<(), String> {
    let same = match (want, serde_json::from_str::<Value>(got)) {
        (Value::String(text), Err(_)) => text == got,
        (want, Ok(got)) => *want == got,
        _ => false,
    };
    if same { Ok(()) } else { Err(format!("expected {want}, but it is {got}")) }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_are_found_anywhere() {
        let cases = [
            (".*-repartition", "q-Join-repartition", true),
            (".*-repartition", "q-Join-repartition-x", true),
            (".*-repartition", "q-changelog", false),
            ("a.*b", "xxbxxa", false),
        ];
        for (pattern, text, want) in cases {
            assert_eq!(super::finds(pattern, text), want, "{pattern} {text}");
        }
    }
}
