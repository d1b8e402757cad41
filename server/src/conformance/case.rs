//! Test cases in ksqlDB's JSON form: what a file holds, and its expansion to single cases.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Places in which a case's format stands.
const FORMAT_PLACE: &str = "{FORMAT}";
/// Value of the property that takes the elements of `config`.
const CONFIG_PLACE: &str = "{CONFIG}";

/// A single case, with formats and settings filled in.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// `file - name[ - FORMAT][ - property=value]`: unique in its file.
    pub name: String,
    pub statements: Vec<String>,
    /// Session properties of every statement.
    pub properties: BTreeMap<String, String>,
    pub topics: Vec<TopicDef>,
    pub inputs: Vec<TestRecord>,
    pub outputs: Vec<TestRecord>,
    /// The case must fail like this.
    pub exception: Option<Exception>,
    /// What the catalog must hold at the end; an object or null.
    pub post: Value,
    /// All fields as written, for what only some kinds of cases have (`responses`, ...).
    pub raw: Map<String, Value>,
}

/// A topic that a case declares.
#[derive(Debug, Clone)]
pub struct TopicDef {
    pub name: String,
    /// 1 unless given.
    pub partitions: u32,
    pub replicas: u32,
    pub key: Option<SchemaDef>,
    pub value: Option<SchemaDef>,
}

/// A schema that is registered before the statements run.
#[derive(Debug, Clone)]
pub struct SchemaDef {
    /// AVRO, PROTOBUF, JSON or JSON_SR, upper-cased: how to read `schema`.
    pub format: String,
    pub schema: Value,
    /// An id that the case fixes.
    pub id: Option<i32>,
    pub references: Vec<SchemaReference>,
}

/// A schema that another one imports.
#[derive(Debug, Clone)]
pub struct SchemaReference {
    pub name: String,
    pub format: String,
    pub schema: Value,
}

/// An input or an expected output.
#[derive(Debug, Clone)]
pub struct TestRecord {
    pub topic: String,
    pub key: Value,
    pub value: Value,
    /// Inputs: 0 when missing. Outputs: not checked when missing.
    pub timestamp: Option<i64>,
    pub window: Option<TestWindow>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The window of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestWindow {
    pub start: i64,
    pub end: i64,
    pub session: bool,
}

/// How a case must fail. Texts are parts of the message.
#[derive(Debug, Clone)]
pub struct Exception {
    pub class: Option<String>,
    pub message: Option<String>,
    pub cause: Option<String>,
    pub cause_message: Option<String>,
}

/// True if the text is that of a file of cases.
pub fn is_suite(root: &Value) -> bool {
    root.get("tests").is_some_and(Value::is_array)
}

/// All enabled cases of a file whose name without extension is `stem`.
///
/// # Errors
/// Text that is no JSON, or fields that are not what they must be.
pub fn parse(stem: &str, text: &str) -> Result<Vec<Case>, String> {
    let root: Value = serde_json::from_str(text).map_err(|e| format!("no JSON: {e}"))?;
    let tests = root.get("tests").and_then(Value::as_array);
    let tests = tests.ok_or("there is no array \"tests\"")?;
    let mut cases = Vec::with_capacity(tests.len());
    for test in tests {
        let test = test.as_object().ok_or("a test is no object")?;
        if test.get("enabled").and_then(Value::as_bool) == Some(false) {
            continue;
        }
        let name = test.get("name").and_then(Value::as_str).unwrap_or("(no name)");
        expand(stem, test, &mut cases).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(cases)
}

/// One case per format and setting, formats outside.
fn expand(stem: &str, test: &Map<String, Value>, out: &mut Vec<Case>) -> Result<(), String> {
    let name = text(test, "name")?.ok_or("a test has no name")?;
    let formats = strings(test, "format")?;
    let configs = strings(test, "config")?;
    let optional = |list: &[String]| -> Vec<Option<String>> {
        match list {
            [] => vec![None],
            list => list.iter().cloned().map(Some).collect(),
        }
    };
    for format in optional(&formats) {
        for config in optional(&configs) {
            let mut full = format!("{stem} - {name}");
            let mut case = one(test)?;
            if let Some(format) = &format {
                full.push_str(&format!(" - {format}"));
                for statement in &mut case.statements {
                    *statement = statement.replace(FORMAT_PLACE, format);
                }
            }
            if let Some(config) = config {
                let place =
                    case.properties.iter_mut().find(|(_, v)| v.eq_ignore_ascii_case(CONFIG_PLACE));
                let (property, value) = place.ok_or("no property takes the config")?;
                full.push_str(&format!(" - {property}={config}"));
                *value = config;
            }
            case.name = full;
            out.push(case);
        }
    }
    Ok(())
}

fn one(test: &Map<String, Value>) -> Result<Case, String> {
    let list = |name: &str| -> Result<Vec<&Value>, String> {
        match test.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list.iter().collect()),
            Some(_) => Err(format!("\"{name}\" is no array")),
        }
    };
    let records = |name: &str| -> Result<Vec<TestRecord>, String> {
        list(name)?
            .into_iter()
            .enumerate()
            .map(|(i, v)| record(v).map_err(|e| format!("{name}[{i}]: {e}")))
            .collect()
    };
    Ok(Case {
        name: String::new(),
        statements: strings(test, "statements")?,
        properties: properties(test.get("properties")),
        topics: list("topics")?.into_iter().map(topic).collect::<Result<_, _>>()?,
        inputs: records("inputs")?,
        outputs: records("outputs")?,
        exception: test.get("expectedException").filter(|e| e.is_object()).map(exception),
        post: test.get("post").cloned().unwrap_or(Value::Null),
        raw: test.clone(),
    })
}

fn properties(value: Option<&Value>) -> BTreeMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    entries.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn exception(value: &Value) -> Exception {
    let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Exception {
        class: field("type"),
        message: field("message"),
        cause: field("cause"),
        cause_message: field("causeMessage"),
    }
}

fn topic(value: &Value) -> Result<TopicDef, String> {
    let def = value.as_object().ok_or("a topic is no object")?;
    let number = |name: &str| def.get(name).and_then(Value::as_u64).map(|n| n as u32);
    Ok(TopicDef {
        name: text(def, "name")?.ok_or("a topic has no name")?,
        partitions: number("partitions").unwrap_or(1),
        replicas: number("replicas").unwrap_or(1),
        key: schema(def, "key")?,
        value: schema(def, "value")?,
    })
}

fn schema(def: &Map<String, Value>, side: &str) -> Result<Option<SchemaDef>, String> {
    let schema = match def.get(&format!("{side}Schema")) {
        None | Some(Value::Null) => return Ok(None),
        Some(schema) => schema.clone(),
    };
    let format = text(def, &format!("{side}Format"))?.unwrap_or_else(|| "AVRO".to_owned());
    let id = def.get(&format!("{side}SchemaId")).and_then(Value::as_i64).map(|id| id as i32);
    let references = match def.get(&format!("{side}SchemaReferences")) {
        Some(Value::Array(list)) => list.iter().map(reference).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    Ok(Some(SchemaDef { format: format.to_uppercase(), schema, id, references }))
}

fn reference(value: &Value) -> Result<SchemaReference, String> {
    let def = value.as_object().ok_or("a schema reference is no object")?;
    Ok(SchemaReference {
        name: text(def, "name")?.ok_or("a schema reference has no name")?,
        format: text(def, "format")?.unwrap_or_else(|| "AVRO".to_owned()).to_uppercase(),
        schema: def.get("schema").cloned().unwrap_or(Value::Null),
    })
}

/// Reads an input or an expected output.
///
/// # Errors
/// A missing topic or value, or fields of another type.
pub fn record(value: &Value) -> Result<TestRecord, String> {
    let def = value.as_object().ok_or("a record is no object")?;
    let headers = match def.get("headers") {
        Some(Value::Array(list)) => list.iter().map(header).collect::<Result<_, _>>()?,
        _ => Vec::new(),
    };
    Ok(TestRecord {
        topic: text(def, "topic")?.ok_or("it has no topic")?,
        key: def.get("key").cloned().unwrap_or(Value::Null),
        value: def.get("value").cloned().ok_or("it has no value")?,
        timestamp: def.get("timestamp").and_then(Value::as_i64),
        window: def.get("window").filter(|w| w.is_object()).map(window).transpose()?,
        headers,
    })
}

fn window(value: &Value) -> Result<TestWindow, String> {
    let number = |name: &str| value.get(name).and_then(Value::as_i64).unwrap_or(0);
    let kind = value.get("type").and_then(Value::as_str).unwrap_or("time");
    let session = match kind.to_ascii_lowercase().as_str() {
        "session" => true,
        "time" => false,
        _ => return Err(format!("a window is of type time or session, not {kind}")),
    };
    Ok(TestWindow { start: number("start"), end: number("end"), session })
}

fn header(value: &Value) -> Result<(String, Option<Vec<u8>>), String> {
    let key = value.get("KEY").and_then(Value::as_str).ok_or("a header has no KEY")?;
    let content = match value.get("VALUE") {
        Some(Value::String(text)) => {
            Some(super::records::from_base64(text).ok_or("a header is no base64")?)
        }
        _ => None,
    };
    Ok((key.to_owned(), content))
}

fn text(map: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("\"{name}\" is no text")),
    }
}

fn strings(map: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => list
            .iter()
            .map(|v| v.as_str().map(str::to_owned).ok_or(format!("\"{name}\" holds no text")))
            .collect(),
        Some(_) => Err(format!("\"{name}\" is no array")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_expanded_by_format_and_by_setting() {
        let text = r#"{"tests": [
            {"name": "off", "enabled": false, "statements": ["X;"]},
            {"name": "two", "format": ["JSON", "AVRO"], "statements": ["A {FORMAT};"],
             "inputs": [{"topic": "t{FORMAT}", "value": null}]},
            {"name": "set", "config": ["true", "false"], "properties": {"p": "{config}", "q": 1},
             "statements": ["B {FORMAT};"]}
        ]}"#;
        let cases = parse("file", text).expect("it is well formed");
        let got: Vec<_> = cases
            .iter()
            .map(|c| (c.name.as_str(), c.statements[0].as_str(), c.properties.get("p")))
            .collect();
        let (on, off) = ("true".to_owned(), "false".to_owned());
        let want = [
            ("file - two - JSON", "A JSON;", None),
            ("file - two - AVRO", "A AVRO;", None),
            ("file - set - p=true", "B {FORMAT};", Some(&on)),
            ("file - set - p=false", "B {FORMAT};", Some(&off)),
        ];
        assert_eq!(got, want);
        assert_eq!(cases[0].inputs[0].topic, "t{FORMAT}");
        assert_eq!(cases[2].properties.get("q").map(String::as_str), Some("1"));
    }

    #[test]
    fn wrong_files_are_refused_with_the_place() {
        let cases = [
            ("[", "no JSON"),
            ("{}", "there is no array \"tests\""),
            (
                r#"{"tests":[{"name":"a","inputs":[{"topic":"t"}]}]}"#,
                "a: inputs[0]: it has no value",
            ),
            (r#"{"tests":[{"name":"a","config":["x"],"statements":[]}]}"#, "a: no property takes"),
        ];
        for (text, want) in cases {
            let error = parse("f", text).expect_err("it is wrong");
            assert!(error.starts_with(want), "{error}");
        }
    }
}
