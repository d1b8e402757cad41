//! Topics: describing, making, deleting and purging them. Blocking, for worker threads.

use std::collections::HashMap;
use std::ffi::c_char;
use std::time::{Duration, Instant};

use millrace_engine::ids::{Offset, TopicId, Tp};
use millrace_engine::log::{Cleanup, EnsureError, LogError, TopicInfo, TopicSpec};
use rdkafka_sys as sys;
use sys::rd_kafka_admin_op_t as Op;

use super::admin::{Admin, Found, c_strings};
use super::ids::Seen;
use super::inner::Inner;
use super::native::{NativeError, c_string, code, text};
use super::partitions::Partitions;

/// A topic's shape, without its settings.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub id: TopicId,
    pub name: String,
    pub partitions: u32,
    pub replicas: u32,
    pub has_leaders: bool,
}

/// A topic's settings that matter here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub cleanup: Cleanup,
    pub retention_ms: i64,
    pub record_bytes_max: Option<usize>,
}

impl Settings {
    const UNKNOWN: Settings =
        Settings { cleanup: Cleanup::Delete, retention_ms: -1, record_bytes_max: None };
}

/// Makes a topic unless it exists, and compares it if it does.
pub(super) fn ensure_now(inner: &Inner, spec: &TopicSpec) -> Result<TopicInfo, EnsureError> {
    let failed = |e: NativeError| e.to_log(&spec.name);
    // What a broker has not heard of yet shows when it is made.
    if let Some((info, settings)) = inner.admin.describe(&spec.name).map_err(failed)? {
        return compare(spec, inner.note(info, &settings));
    }
    let refused =
        |e: &NativeError| EnsureError::Refused { topic: spec.name.clone(), reason: e.text.clone() };
    let is_new = inner.admin.create(spec).map_err(|e| match e.code {
        code::BAD_REPLICAS | code::BAD_PARTITIONS | code::BAD_CONFIG | code::POLICY => refused(&e),
        _ => EnsureError::Log(failed(e)),
    })?;
    inner.admin.await_topic(&spec.name).map_err(failed)?;
    let found = await_description(inner, &spec.name)?;
    match is_new {
        true => Ok(found),
        false => compare(spec, found),
    }
}

/// A topic as it is now. A broker that has not heard of it does not prove that there is none: new topics
/// are told to brokers one after the other. The cluster's controller knows; who may not ask it asks the
/// brokers for a while.
pub(super) fn find_now(inner: &Inner, name: &str) -> Result<Option<TopicInfo>, LogError> {
    let failed = |e: NativeError| e.to_log(name);
    let until = Instant::now() + UNHEARD_MAX;
    loop {
        if let Some((info, settings)) = inner.admin.describe(name).map_err(failed)? {
            return Ok(Some(inner.note(info, &settings)));
        }
        match inner.admin.is_there(name).map_err(failed)? {
            Some(true) => return await_description(inner, name).map(Some),
            Some(false) => return Ok(None),
            None if Instant::now() > until => return Ok(None),
            None => std::thread::sleep(TOPIC_POLL),
        }
    }
}

/// A topic that is there for the broker that was asked last: the next one may not know of it yet.
fn await_description(inner: &Inner, name: &str) -> Result<TopicInfo, LogError> {
    let deadline = Instant::now() + Duration::from_millis(inner.admin.timeout_ms.max(0) as u64);
    loop {
        match inner.admin.describe(name).map_err(|e| e.to_log(name))? {
            Some((info, settings)) => return Ok(inner.note(info, &settings)),
            None if Instant::now() > deadline => return Err(LogError::Gone(name.to_owned())),
            None => std::thread::sleep(TOPIC_POLL),
        }
    }
}

fn compare(spec: &TopicSpec, found: TopicInfo) -> Result<TopicInfo, EnsureError> {
    let mut differences = Vec::new();
    let mut differ = |what: &str, is: String, wanted: String| {
        if is != wanted {
            differences.push(format!("{what} is {is}, wanted {wanted}"));
        }
    };
    differ("partitions", found.partitions.to_string(), spec.partitions.to_string());
    let (is, wanted) = (cleanup_text(found.cleanup), cleanup_text(spec.cleanup));
    differ("cleanup.policy", is.into(), wanted.into());
    if let Some(wanted) = spec.retention_ms {
        differ("retention.ms", found.retention_ms.to_string(), wanted.to_string());
    }
    if let Some(wanted) = spec.replicas {
        differ("replicas", found.replicas.to_string(), wanted.to_string());
    }
    match differences.is_empty() {
        true => Ok(found),
        false => Err(EnsureError::Differs { topic: spec.name.clone(), differences }),
    }
}

/// Deletes a topic if its name still belongs to that identity: librdkafka deletes by name, so the
/// identity is checked right before.
pub(super) fn delete_now(inner: &Inner, topic: TopicId) -> Result<(), LogError> {
    let seen = match inner.topic_now(topic) {
        Ok(seen) => seen,
        Err(LogError::Gone(_)) => return Ok(()),
        Err(other) => return Err(other),
    };
    let failed = |e: NativeError| e.to_log(&seen.name);
    let now = inner.admin.shapes(&[&seen.name]).map_err(failed)?.pop();
    if now.is_some_and(|now| now.id == topic) {
        inner.admin.delete(&seen.name).map_err(failed)?;
        inner.admin.await_end(&seen.name, topic).map_err(failed)?;
    }
    // Whatever has the name now is noted, so that the deleted identity is gone.
    inner.describe_now(&seen.name).map(drop)
}

pub(super) fn purge_now(inner: &Inner, below: &[(Tp, Offset)]) -> Result<(), LogError> {
    if below.is_empty() {
        return Ok(());
    }
    let list = named(inner, below)?;
    inner.admin.purge(&list).map_err(|e| e.to_log("purge"))
}

/// Best effort: what goes wrong is only noted.
pub(super) fn publish_now(inner: &Inner, group: &str, at: &[(Tp, Offset)]) {
    if at.is_empty() {
        return;
    }
    let published = named(inner, at)
        .and_then(|list| inner.admin.alter_group(group, &list).map_err(|e| e.to_log(group)));
    if let Err(error) = published {
        tracing::debug!(%error, group, "positions were not published");
    }
}

fn named(inner: &Inner, at: &[(Tp, Offset)]) -> Result<Partitions, LogError> {
    let topics: Vec<Seen> =
        at.iter().map(|(tp, _)| inner.topic_now(tp.topic)).collect::<Result<_, _>>()?;
    Partitions::of(topics.iter().zip(at).map(|(t, (tp, o))| (&*t.name, tp.partition.0, o.0)))
}

impl Admin {
    /// The topics of those names; what does not exist is left out.
    pub fn shapes(&self, names: &[&str]) -> Found<Vec<Shape>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let owned = c_strings(names)?;
        let mut pointers: Vec<*const c_char> = owned.iter().map(|n| n.as_ptr()).collect();
        // SAFETY: the names live until the collection has copied them; the collection lives until
        // the call has copied it.
        let pending = unsafe {
            let (start, len) = (pointers.as_mut_ptr(), pointers.len());
            let topics = sys::rd_kafka_TopicCollection_of_topic_names(start, len);
            let pending = self.send(Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, None, |o, q| {
                sys::rd_kafka_DescribeTopics(self.client.ptr(), topics, o, q);
            });
            sys::rd_kafka_TopicCollection_destroy(topics);
            pending?
        };
        let event = pending.wait()?;
        let mut shapes = Vec::with_capacity(names.len());
        // SAFETY: the event is the answer to this request and outlives what is read from it.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(event.0.as_ptr());
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            for i in 0..count {
                shapes.extend(shape(*topics.add(i))?);
            }
        }
        Ok(shapes)
    }

    /// Names of all topics that are not Kafka's own.
    pub fn names(&self) -> Found<Vec<String>> {
        let mut metadata = std::ptr::null();
        // SAFETY: librdkafka allocates the metadata on success; it is destroyed once below.
        unsafe {
            let (client, none) = (self.client.ptr(), std::ptr::null_mut());
            let got = sys::rd_kafka_metadata(client, 1, none, &mut metadata, self.timeout_ms);
            NativeError::check(got)?;
            let count = (*metadata).topic_cnt.max(0) as usize;
            let names = (0..count).map(|i| text((*(*metadata).topics.add(i)).topic));
            let names = names.filter(|n| !INTERNAL.contains(&n.as_str())).collect();
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(names)
        }
    }

    /// Settings of those topics; what does not exist is left out.
    pub fn settings(&self, names: &[&str]) -> Found<HashMap<String, Settings>> {
        if names.is_empty() {
            return Ok(HashMap::new());
        }
        let owned = c_strings(names)?;
        // SAFETY: resources are made here, copied by the call, and destroyed once.
        let pending = unsafe {
            let topic = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
            let new = |n: &std::ffi::CString| sys::rd_kafka_ConfigResource_new(topic, n.as_ptr());
            let mut resources: Vec<_> = owned.iter().map(new).collect();
            let (start, len) = (resources.as_mut_ptr(), resources.len());
            let pending = self.send(Op::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, None, |o, q| {
                sys::rd_kafka_DescribeConfigs(self.client.ptr(), start, len, o, q);
            });
            sys::rd_kafka_ConfigResource_destroy_array(start, len);
            pending?
        };
        let event = pending.wait()?;
        let mut found = HashMap::with_capacity(names.len());
        // SAFETY: the event is the answer to this request and outlives what is read from it.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(event.0.as_ptr());
            let mut count = 0;
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &mut count);
            for i in 0..count {
                let resource = *resources.add(i);
                let name = text(sys::rd_kafka_ConfigResource_name(resource));
                match sys::rd_kafka_ConfigResource_error(resource) as i32 {
                    code::NONE => drop(found.insert(name, settings(resource))),
                    code::UNKNOWN_TOPIC => {}
                    // A topic that may be read but not looked into.
                    code::TOPIC_DENIED | code::CLUSTER_DENIED => {
                        tracing::debug!(topic = name, "not allowed to see its settings");
                        found.insert(name, Settings::UNKNOWN);
                    }
                    other => return Err(NativeError::of(other)),
                }
            }
        }
        Ok(found)
    }

    /// Makes a topic; whether it is new.
    pub fn create(&self, spec: &TopicSpec) -> Found<bool> {
        self.create_or_check(spec, false)
    }

    /// Whether the controller knows a topic of that name, by asking it whether one could be made. `None`:
    /// we may not ask.
    fn is_there(&self, name: &str) -> Found<Option<bool>> {
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions: 1,
            replicas: None,
            cleanup: Cleanup::Delete,
            retention_ms: None,
            config: Vec::new(),
        };
        match self.create_or_check(&spec, true) {
            Ok(could_be_made) => Ok(Some(!could_be_made)),
            Err(e) if [code::TOPIC_DENIED, code::CLUSTER_DENIED].contains(&e.code) => Ok(None),
            Err(e) if e.is_transient() => Err(e),
            // One that cannot be made is not there: the name is looked at first.
            Err(_) => Ok(Some(false)),
        }
    }

    /// `only_check`: nothing is made.
    fn create_or_check(&self, spec: &TopicSpec, only_check: bool) -> Found<bool> {
        let bad = |e: LogError| NativeError::new(code::FATAL, e.to_string());
        let name = c_string(&spec.name).map_err(bad)?;
        let mut config = vec![("cleanup.policy".to_owned(), cleanup_text(spec.cleanup).to_owned())];
        config.extend(spec.retention_ms.map(|ms| ("retention.ms".to_owned(), ms.to_string())));
        config.extend(spec.config.iter().cloned());
        let replicas = spec.replicas.map_or(-1, |r| r as i32);
        let mut buffer = [0 as c_char; 256];
        // SAFETY: the topic is made here, copied by the call, and destroyed once; strings live
        // until they have been copied.
        let pending = unsafe {
            let (b, n) = (buffer.as_mut_ptr(), buffer.len());
            let partitions = spec.partitions as i32;
            let topic = sys::rd_kafka_NewTopic_new(name.as_ptr(), partitions, replicas, b, n);
            if topic.is_null() {
                return Err(NativeError::new(code::FATAL, text(buffer.as_ptr())));
            }
            for (key, value) in &config {
                let (key, value) = (c_string(key).map_err(bad)?, c_string(value).map_err(bad)?);
                sys::rd_kafka_NewTopic_set_config(topic, key.as_ptr(), value.as_ptr());
            }
            let mut topics = [topic];
            let pending = self.send(Op::RD_KAFKA_ADMIN_OP_CREATETOPICS, None, |o, q| {
                let check = i32::from(only_check);
                sys::rd_kafka_AdminOptions_set_validate_only(o, check, b, n);
                sys::rd_kafka_CreateTopics(self.client.ptr(), topics.as_mut_ptr(), 1, o, q);
            });
            sys::rd_kafka_NewTopic_destroy(topic);
            pending?
        };
        let event = pending.wait()?;
        // SAFETY: the event is the answer to this request.
        let outcome = unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(event.0.as_ptr());
            let mut count = 0;
            topic_result(sys::rd_kafka_CreateTopics_result_topics(result, &mut count), count)
        };
        match outcome {
            Ok(()) => Ok(true),
            Err(error) if error.code == code::TOPIC_EXISTS => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes the topic of that name, if there is one.
    pub fn delete(&self, name: &str) -> Found<()> {
        let owned = c_strings(&[name])?;
        // SAFETY: the request object is made here, copied by the call, and destroyed once.
        let pending = unsafe {
            let topic = sys::rd_kafka_DeleteTopic_new(owned[0].as_ptr());
            let mut topics = [topic];
            let pending = self.send(Op::RD_KAFKA_ADMIN_OP_DELETETOPICS, None, |o, q| {
                sys::rd_kafka_DeleteTopics(self.client.ptr(), topics.as_mut_ptr(), 1, o, q);
            });
            sys::rd_kafka_DeleteTopic_destroy(topic);
            pending?
        };
        let event = pending.wait()?;
        // SAFETY: the event is the answer to this request.
        let outcome = unsafe {
            let result = sys::rd_kafka_event_DeleteTopics_result(event.0.as_ptr());
            let mut count = 0;
            topic_result(sys::rd_kafka_DeleteTopics_result_topics(result, &mut count), count)
        };
        match outcome {
            Err(error) if error.code == code::UNKNOWN_TOPIC => Ok(()),
            other => other,
        }
    }

    /// Waits until brokers do not show the deleted topic any more.
    fn await_end(&self, name: &str, id: TopicId) -> Found<()> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms.max(0) as u64);
        while self.shapes(&[name])?.iter().any(|s| s.id == id) {
            if Instant::now() > deadline {
                return Err(NativeError::of(code::TIMED_OUT));
            }
            std::thread::sleep(TOPIC_POLL);
        }
        Ok(())
    }

    /// Waits until every broker that answers knows the topic and its leaders.
    pub fn await_topic(&self, name: &str) -> Found<Shape> {
        let deadline = Instant::now() + Duration::from_millis(self.timeout_ms.max(0) as u64);
        loop {
            match self.shapes(&[name])?.pop() {
                Some(shape) if shape.has_leaders => return Ok(shape),
                _ if Instant::now() > deadline => return Err(NativeError::of(code::TIMED_OUT)),
                _ => std::thread::sleep(TOPIC_POLL),
            }
        }
    }

    /// A topic with its settings.
    pub fn describe(&self, name: &str) -> Found<Option<(TopicInfo, Settings)>> {
        Ok(self.describe_all(&[name])?.pop())
    }

    /// Topics with their settings; what does not exist is left out.
    pub fn describe_all(&self, names: &[&str]) -> Found<Vec<(TopicInfo, Settings)>> {
        let shapes = self.shapes(names)?;
        let names: Vec<&str> = shapes.iter().map(|s| s.name.as_str()).collect();
        let settings = self.settings(&names)?;
        let join = |shape: &Shape| settings.get(&shape.name).map(|s| (info(shape, s), *s));
        Ok(shapes.iter().filter_map(join).collect())
    }
}

const TOPIC_POLL: Duration = Duration::from_millis(20);
/// How long brokers may not have heard of a topic, for those who may not ask the controller.
const UNHEARD_MAX: Duration = Duration::from_secs(1);
/// Kafka's own topics.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

fn info(shape: &Shape, settings: &Settings) -> TopicInfo {
    TopicInfo {
        id: shape.id,
        name: shape.name.clone(),
        partitions: shape.partitions,
        replicas: shape.replicas,
        cleanup: settings.cleanup,
        retention_ms: settings.retention_ms,
    }
}

/// `None` when the topic does not exist.
///
/// # Safety
/// `topic` is a valid description.
unsafe fn shape(topic: *const sys::rd_kafka_TopicDescription_t) -> Found<Option<Shape>> {
    // SAFETY: all parts belong to the description.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(topic);
        let failed = if error.is_null() { 0 } else { sys::rd_kafka_error_code(error) as i32 };
        match failed {
            code::NONE => {}
            code::UNKNOWN_TOPIC => return Ok(None),
            other => return Err(NativeError::new(other, text(sys::rd_kafka_error_string(error)))),
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let high = sys::rd_kafka_Uuid_most_significant_bits(id) as u64;
        let low = sys::rd_kafka_Uuid_least_significant_bits(id) as u64;
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let mut replicas = 0;
        let mut has_leaders = count > 0;
        for i in 0..count {
            let partition = *partitions.add(i);
            has_leaders &= !sys::rd_kafka_TopicPartitionInfo_leader(partition).is_null();
            if i == 0 {
                sys::rd_kafka_TopicPartitionInfo_replicas(partition, &mut replicas);
            }
        }
        Ok(Some(Shape {
            id: TopicId((u128::from(high) << 64) | u128::from(low)),
            name: text(sys::rd_kafka_TopicDescription_name(topic)),
            partitions: count as u32,
            replicas: replicas as u32,
            has_leaders,
        }))
    }
}

/// # Safety
/// `resource` is a valid resource of a DescribeConfigs answer.
unsafe fn settings(resource: *const sys::rd_kafka_ConfigResource_t) -> Settings {
    let mut found = Settings { cleanup: Cleanup::Delete, retention_ms: -1, record_bytes_max: None };
    // SAFETY: entries and their texts belong to the resource.
    unsafe {
        let mut count = 0;
        let entries = sys::rd_kafka_ConfigResource_configs(resource, &mut count);
        for i in 0..count {
            let entry = *entries.add(i);
            let value = text(sys::rd_kafka_ConfigEntry_value(entry));
            match text(sys::rd_kafka_ConfigEntry_name(entry)).as_str() {
                "cleanup.policy" => found.cleanup = cleanup(&value),
                "retention.ms" => found.retention_ms = value.parse().unwrap_or(-1),
                "max.message.bytes" => found.record_bytes_max = value.parse().ok(),
                _ => {}
            }
        }
    }
    found
}

fn cleanup(text: &str) -> Cleanup {
    match (text.contains("compact"), text.contains("delete")) {
        (true, true) => Cleanup::CompactDelete,
        (true, false) => Cleanup::Compact,
        (false, _) => Cleanup::Delete,
    }
}

fn cleanup_text(cleanup: Cleanup) -> &'static str {
    match cleanup {
        Cleanup::Delete => "delete",
        Cleanup::Compact => "compact",
        Cleanup::CompactDelete => "compact,delete",
    }
}

/// # Safety
/// `results` has `count` valid results.
unsafe fn topic_result(
    results: *mut *const sys::rd_kafka_topic_result_t,
    count: usize,
) -> Found<()> {
    // SAFETY: per the contract; texts belong to the results.
    unsafe {
        for i in 0..count {
            let failed = sys::rd_kafka_topic_result_error(*results.add(i)) as i32;
            if failed != code::NONE {
                let reason = text(sys::rd_kafka_topic_result_error_string(*results.add(i)));
                return Err(NativeError::new(failed, reason));
            }
        }
    }
    Ok(())
}
