//! Runs one case: its statements, then its queries one after another, each alone and over the whole
//! input, then compares what the topics hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use millrace_connectors::formats::RegistryFormats;
use millrace_connectors::registry::MemoryRegistry;
use millrace_engine::format::Formats;
use millrace_engine::log::Record;

use super::case::{Case, TestRecord};
use super::compare;
use super::driver::{Driver, Planned};
use super::post;
use super::records::TopicSerde;
use super::registry;
use super::session::Session;
use super::thrown::{Stage, Thrown};

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Expected and actual.
    Failed(String),
    NotApplicable(String),
}

/// How a case ended before its end.
pub enum Stop {
    /// The error that the statements or the queries ended with.
    Thrown(Thrown),
    /// The case is not as it says: wrong outputs, or inputs that cannot be written.
    Broken(String),
}

impl From<Thrown> for Stop {
    fn from(thrown: Thrown) -> Self {
        Stop::Thrown(thrown)
    }
}

/// Runs a case.
pub fn run(case: &Case) -> Verdict {
    let ended = execute(case);
    match (&case.exception, ended) {
        (None, Ok(())) => Verdict::Passed,
        (None, Err(Stop::Thrown(thrown))) => Verdict::Failed(thrown.message),
        (_, Err(Stop::Broken(why))) => Verdict::Failed(why),
        (Some(expected), Ok(())) => {
            let text = expected.message.as_deref().unwrap_or("(any)");
            Verdict::Failed(format!("Expected an error, but there was none: {text}"))
        }
        (Some(expected), Err(Stop::Thrown(thrown))) => match thrown.differs(expected) {
            None => Verdict::Passed,
            Some(why) => Verdict::Failed(why),
        },
    }
}

fn execute(case: &Case) -> Result<(), Stop> {
    let registry = Arc::new(MemoryRegistry::default());
    let formats: Arc<dyn Formats> = Arc::new(RegistryFormats::new(registry.clone()));
    registry::fill(case, &registry, formats.as_ref()).map_err(Stop::Broken)?;
    let mut session = Session::new(case, formats.clone());
    session.run(&case.statements)?;
    if case.exception.is_some() && case.inputs.is_empty() {
        return Ok(());
    }
    if session.queries.is_empty() && case.exception.is_none() {
        return Err(Stop::Broken("the statements made no query".to_owned()));
    }
    let mut topics = Topics::fill(case, &session)?;
    for query in &session.queries {
        topics.run_query(case, query, formats.clone())?;
    }
    verify(case, &session, &topics)?;
    let written = topics.internal.iter().map(String::as_str).collect::<Vec<_>>();
    post::check(&case.post, &session, &written).map_err(Stop::Broken)
}

/// What the topics of a case hold.
#[derive(Default)]
struct Topics {
    records: BTreeMap<String, Vec<Record>>,
    /// Inputs in the order of the case.
    inputs: Vec<(String, Record)>,
    /// Internal topics that a query wrote to.
    internal: Vec<String>,
}

impl Topics {
    fn fill(case: &Case, session: &Session) -> Result<Self, Stop> {
        let mut topics = Topics::default();
        for (topic, record) in &session.inserted {
            topics.append(topic, record.clone());
        }
        for (at, input) in case.inputs.iter().enumerate() {
            let broken = |why| Stop::Broken(format!("inputs[{at}]: {why}"));
            let serde = serde(case, session, &input.topic).map_err(broken)?;
            let record = serde.encode(input).map_err(broken)?;
            topics.append(&input.topic, record.clone());
            topics.inputs.push((input.topic.clone(), record));
        }
        Ok(topics)
    }

    fn append(&mut self, topic: &str, record: Record) {
        self.records.entry(topic.to_owned()).or_default().push(record);
    }

    /// A topic that has inputs is fed with them alone, the others with what they hold by now.
    fn run_query(
        &mut self,
        case: &Case,
        query: &Planned,
        formats: Arc<dyn Formats>,
    ) -> Result<(), Stop> {
        let mut sources = query.source_topics();
        sources.sort_by_key(|topic| bucket(topic));
        let failed = |why: String| {
            let message = format!("Exception caught in process: {why}");
            Stop::Thrown(Thrown::new(Stage::Run, message))
        };
        let mut driver = Driver::start(query, formats)
            .map_err(|why| Stop::Thrown(Thrown::new(Stage::Execute, why)))?;
        for (topic, record) in self.inputs.iter().filter(|(topic, _)| sources.contains(topic)) {
            driver.pipe(topic, record).map_err(failed)?;
        }
        let is_input = |topic: &String| case.inputs.iter().any(|input| input.topic == *topic);
        for topic in sources.iter().filter(|topic| !is_input(topic)) {
            for record in self.records.get(topic).map_or(&[][..], Vec::as_slice) {
                driver.pipe(topic, record).map_err(failed)?;
            }
        }
        if let Some(sink) = &query.sink {
            for record in driver.read(&sink.topic).map_err(Stop::Broken)? {
                self.append(&sink.topic, record);
            }
        }
        self.internal.extend(driver.written_topics().map_err(Stop::Broken)?);
        Ok(())
    }
}

/// Place of a text in a small `java.util.HashMap`, in whose order ksqlDB's harness walks.
pub fn bucket(text: &str) -> u32 {
    let hash = text
        .encode_utf16()
        .fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash ^ (hash >> 16)) & 15
}

fn serde(case: &Case, session: &Session, topic: &str) -> Result<TopicSerde, String> {
    let source = session.source_of(topic);
    let source = source.ok_or_else(|| format!("no source reads topic {topic}"))?;
    let exact = case.properties.get("use.exact.numeric.comparison").is_none_or(|v| v != "false");
    let serde = TopicSerde::of(source, exact);
    match session.formats().registry() {
        Some(registry) => Ok(serde.with_registry(topic, registry)),
        None => Ok(serde),
    }
}

fn verify(case: &Case, session: &Session, topics: &Topics) -> Result<(), Stop> {
    let mut names: Vec<&str> = Vec::new();
    for output in &case.outputs {
        if !names.contains(&output.topic.as_str()) {
            names.push(&output.topic);
        }
    }
    for name in names {
        let expected: Vec<&TestRecord> = case.outputs.iter().filter(|o| o.topic == name).collect();
        let actual = topics.records.get(name).map_or(&[][..], Vec::as_slice);
        let serde = serde(case, session, name).map_err(Stop::Broken)?;
        compare_topic(name, &serde, &expected, actual, case.inputs.is_empty())
            .map_err(Stop::Broken)?;
    }
    Ok(())
}

/// # Errors
/// The first difference, and all records where their number is not as expected.
pub fn compare_topic(
    name: &str,
    serde: &TopicSerde,
    expected: &[&TestRecord],
    actual: &[Record],
    any_zero_time: bool,
) -> Result<(), String> {
    let mut decoded = Vec::with_capacity(actual.len());
    for (at, record) in actual.iter().enumerate() {
        let record = serde.decode(record);
        decoded.push(record.map_err(|e| format!("Topic '{name}', message {at}: {e}"))?);
    }
    for (at, (expected, actual)) in expected.iter().zip(&decoded).enumerate() {
        if let Some(what) = compare::difference(actual, expected, any_zero_time) {
            return Err(format!(
                "Topic '{name}', message {at} ({what}): Expected {expected} but was {actual}"
            ));
        }
    }
    if expected.len() == decoded.len() {
        return Ok(());
    }
    let (want, got) = (expected.len(), decoded.len());
    let mut why = format!("Topic {name}. Expected <{want}> records but it was <{got}>");
    for missing in &expected[got.min(want)..] {
        why.push_str(&format!("\n  missing {missing}"));
    }
    for surplus in &decoded[got.min(want)..] {
        why.push_str(&format!("\n  surplus {surplus}"));
    }
    Err(why)
}

#[cfg(test)]
mod tests {
    #[test]
    fn topics_are_walked_in_the_order_of_a_java_hash_map() {
        let want = [
            ("input", 1),
            ("right_topic", 3),
            ("OUTPUT", 5),
            ("sink", 6),
            ("test_topic", 6),
            ("source", 11),
            ("left_topic", 14),
        ];
        for (topic, bucket) in want {
            assert_eq!(super::bucket(topic), bucket, "{topic}");
        }
    }
}
