//! A real Kafka: in a container, from the published jars with a local JDK, or one that runs already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::container::Container;
use super::jars::fetched;
use super::process::{Guarded, await_port, free_ports};
use super::proxy::Proxy;

/// A cluster. Dropping it kills its nodes and removes their data.
pub struct Kafka {
    /// `host:port,...` of its nodes.
    pub bootstrap: String,
    nodes: Vec<Node>,
    /// The only node, when it runs in a container.
    container: Option<Container>,
    /// Removed after the nodes are dead: fields drop in order.
    _data: Option<tempfile::TempDir>,
}

struct Node {
    port: u16,
    dir: PathBuf,
    heap_mib: u32,
    process: Mutex<Option<Guarded>>,
}

/// Names an external cluster for all tests; it is never stopped or killed.
const BOOTSTRAP_VARIABLE: &str = "KAFKA_BOOTSTRAP";
/// Set to `jars`: no containers.
const RIG_VARIABLE: &str = "MILLRACE_RIG";
const START_TIME_MAX: Duration = Duration::from_secs(60);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
const JAVA_MIN: u32 = 17;
const HEAP_MIB: u32 = 512;
/// Of each of several nodes: the tests give them less to do.
const HEAP_OF_MANY_MIB: u32 = 400;
const POM: &str = include_str!("../../rig/kafka-pom.xml");

impl Kafka {
    /// Starts a cluster of `nodes` combined brokers and controllers.
    ///
    /// # Errors
    /// What is missing (Java, Maven, memory) and what to do about it.
    pub fn start(nodes: usize) -> Result<Kafka, String> {
        Kafka::start_with(nodes, "")
    }

    /// As [`Kafka::start`], with further lines of `server.properties`; they have the last word.
    ///
    /// # Errors
    /// As for [`Kafka::start`].
    pub fn start_with(nodes: usize, further: &str) -> Result<Kafka, String> {
        if let Ok(bootstrap) = std::env::var(BOOTSTRAP_VARIABLE) {
            return Ok(Kafka { bootstrap, nodes: Vec::new(), container: None, _data: None });
        }
        let ports = free_ports(2 * nodes)?;
        let (brokers, controllers) = ports.split_at(nodes);
        Self::start_cluster(&Cluster { brokers, controllers, advertised: brokers, further })
    }

    /// Starts one node that clients reach through a proxy only.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn start_behind_proxy() -> Result<(Kafka, Proxy), String> {
        let ports = free_ports(2)?;
        let proxy = Proxy::start(ports[0])?;
        let (brokers, controllers, advertised) = (&ports[..1], &ports[1..], &[proxy.port]);
        let cluster = Cluster { brokers, controllers, advertised, further: "" };
        Ok((Self::start_cluster(&cluster)?, proxy))
    }

    /// In a container where an engine answers, else from the published jars. What is used is
    /// printed.
    fn start_cluster(cluster: &Cluster<'_>) -> Result<Kafka, String> {
        match Self::start_container(cluster) {
            Ok(kafka) => return Ok(kafka),
            Err(why) => println!("rig: Kafka from the published jars ({why})"),
        }
        Self::start_jars(cluster)
    }

    /// One node only: containers do not know each other's ports.
    fn start_container(cluster: &Cluster<'_>) -> Result<Kafka, String> {
        if std::env::var(RIG_VARIABLE).is_ok_and(|rig| rig == "jars") {
            return Err(format!("{RIG_VARIABLE} says so"));
        }
        let ([port], [advertised]) = (cluster.brokers, cluster.advertised) else {
            return Err(format!("{} nodes", cluster.brokers.len()));
        };
        let version = version().ok_or("no Kafka version in kafka-pom.xml")?;
        let properties = cluster.properties(0, Path::new("/tmp")) + cluster.further;
        let container = Container::start(version, *port, *advertised, &properties)?;
        println!("rig: Kafka in a container of {}", container.image);
        let bootstrap = format!("127.0.0.1:{advertised}");
        let kafka = Kafka { bootstrap, nodes: Vec::new(), container: Some(container), _data: None };
        await_answer(*port)?;
        Ok(kafka)
    }

    fn start_jars(cluster: &Cluster<'_>) -> Result<Kafka, String> {
        check_java()?;
        let jars = jars()?;
        sweep();
        let prefix = format!("{DATA_PREFIX}{}-", std::process::id());
        let data = tempfile::Builder::new().prefix(&prefix).tempdir();
        let data = data.map_err(|e| format!("no directory for data: {e}"))?;
        let (brokers, nodes) = (cluster.brokers, cluster.brokers.len());
        for index in 0..nodes {
            let dir = data.path().join(index.to_string());
            std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
            let properties = cluster.properties(index, &dir) + cluster.further;
            write(&dir.join("server.properties"), &properties)?;
            write(&dir.join("log4j2.xml"), LOG4J)?;
            format_storage(&jars, &dir)?;
        }
        let advertised = cluster.advertised.iter();
        let bootstrap: Vec<String> = advertised.map(|p| format!("127.0.0.1:{p}")).collect();
        let node = |(index, port): (usize, &u16)| Node {
            port: *port,
            dir: data.path().join(index.to_string()),
            heap_mib: if nodes > 1 { HEAP_OF_MANY_MIB } else { HEAP_MIB },
            process: Mutex::new(None),
        };
        let nodes = brokers.iter().enumerate().map(node).collect();
        let (bootstrap, data) = (bootstrap.join(","), Some(data));
        let kafka = Kafka { bootstrap, nodes, container: None, _data: data };
        for index in 0..kafka.nodes.len() {
            kafka.boot(index)?;
        }
        kafka.await_nodes()?;
        Ok(kafka)
    }

    /// One single-node cluster for all tests of the process that do not hurt it.
    ///
    /// # Panics
    /// It cannot be started; the message says why.
    pub fn shared() -> &'static Kafka {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| match Kafka::start(1) {
            Ok(kafka) => kafka,
            Err(reason) => panic!("no Kafka for the tests: {reason}"),
        })
    }

    /// Whether nodes can be killed: an external cluster is left alone.
    pub fn is_ours(&self) -> bool {
        !self.nodes.is_empty() || self.container.is_some()
    }

    /// How many nodes can be killed one by one.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Ends all nodes in order.
    pub fn stop(&self) {
        if let Some(container) = &self.container {
            container.stop(STOP_TIME_MAX.as_secs() as i32);
        }
        let taken: Vec<Guarded> =
            self.nodes.iter().filter_map(|n| n.process.lock().take()).collect();
        for process in &taken {
            process.signal("TERM");
        }
        for process in taken {
            process.stop(STOP_TIME_MAX);
        }
    }

    /// Kills a node without warning.
    pub fn kill9(&self, node: usize) {
        if let Some(container) = &self.container {
            container.stop(0);
        }
        if let Some(node) = self.nodes.get(node) {
            drop(node.process.lock().take());
        }
    }

    /// Starts a killed node again on its own data, and waits until it listens.
    ///
    /// # Errors
    /// It does not come up.
    pub fn revive(&self, node: usize) -> Result<(), String> {
        if let Some(container) = &self.container {
            container.start_again()?;
            let port = self.bootstrap.rsplit(':').next().and_then(|port| port.parse().ok());
            return await_answer(port.ok_or("an address without a port")?);
        }
        self.boot(node)?;
        self.await_nodes()
    }

    fn boot(&self, index: usize) -> Result<(), String> {
        let Some(node) = self.nodes.get(index) else { return Err(format!("no node {index}")) };
        let jars = jars()?;
        let args = java_args(&jars, &node.dir, node.heap_mib, "kafka.Kafka", &[node.properties()]);
        let process = Guarded::start("java", &args, &node.dir.join("out.log"))?;
        *node.process.lock() = Some(process);
        Ok(())
    }

    fn await_nodes(&self) -> Result<(), String> {
        for node in self.nodes.iter().filter(|n| n.process.lock().is_some()) {
            if !await_port(node.port, START_TIME_MAX) {
                let log = std::fs::read_to_string(node.dir.join("out.log")).unwrap_or_default();
                return Err(format!("Kafka did not start; its log ends:\n{}", tail(&log)));
            }
        }
        Ok(())
    }
}

impl Node {
    fn properties(&self) -> String {
        self.dir.join("server.properties").display().to_string()
    }
}

/// Waits until a broker answers: an engine listens for a container that does not yet.
fn await_answer(port: u16) -> Result<(), String> {
    let client: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .create()
        .map_err(|e| format!("no client: {e}"))?;
    let until = Instant::now() + START_TIME_MAX;
    loop {
        match client.fetch_metadata(None, ANSWER_TIME_MAX) {
            Ok(_) => return Ok(()),
            Err(e) if Instant::now() > until => return Err(format!("Kafka does not answer: {e}")),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// Gives a topic more partitions.
///
/// # Panics
/// The cluster refuses.
pub fn grow(bootstrap: &str, topic: &str, partitions: u32) {
    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .expect("a client");
    let wanted = [NewPartitions::new(topic, partitions as usize)];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let options = AdminOptions::new();
    let grown = runtime.block_on(admin.create_partitions(&wanted, &options)).expect("an answer");
    assert!(grown[0].is_ok(), "{grown:?}");
}

struct Cluster<'a> {
    brokers: &'a [u16],
    controllers: &'a [u16],
    /// Where clients are told to connect to.
    advertised: &'a [u16],
    /// Further lines of `server.properties`.
    further: &'a str,
}

impl Cluster<'_> {
    fn properties(&self, node: usize, dir: &Path) -> String {
        let voter = |(i, port): (usize, &u16)| format!("{i}@127.0.0.1:{port}");
        let voters: Vec<String> = self.controllers.iter().enumerate().map(voter).collect();
        let replicas = self.brokers.len().min(3);
        let in_sync = if replicas < 3 { 1 } else { 2 };
        let (voters, data) = (voters.join(","), dir.join("data"));
        let (broker, controller) = (self.brokers[node], self.controllers[node]);
        let (advertised, data) = (self.advertised[node], data.display());
        format!(
            "process.roles=broker,controller\n\
             node.id={node}\n\
             controller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{advertised}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             log.dirs={data}\n\
             num.partitions=4\n\
             log.retention.ms=-1\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={in_sync}\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions=8\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={in_sync}\n\
             transaction.state.log.num.partitions=8\n\
             share.coordinator.state.topic.replication.factor={replicas}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             group.initial.rebalance.delay.ms=0\n\
             auto.create.topics.enable=false\n\
             transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n"
        )
    }
}

const LOG4J: &str = r#"<Configuration status="WARN">
<Appenders><Console name="c"><PatternLayout pattern="%d %p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="c"/></Root></Loggers>
</Configuration>
"#;

/// Removes the data of processes that ended without dropping their cluster: the shared one is
/// never dropped.
fn sweep() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(DATA_PREFIX).and_then(|rest| rest.split('-').next());
        let is_dead =
            |pid: &str| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists();
        if owner.is_some_and(is_dead) {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// Followed by the owner's process id.
const DATA_PREFIX: &str = "millrace-kafka-";

/// Where the jars are, fetched if they are not there yet.
fn jars() -> Result<PathBuf, String> {
    let version = version().ok_or("no Kafka version in kafka-pom.xml")?;
    fetched("kafka", version, |_| Ok(()))
        .map_err(|why| format!("{why}\nOr set {BOOTSTRAP_VARIABLE} to a running cluster"))
}

/// Kafka's version in the pom.
fn version() -> Option<&'static str> {
    let (_, rest) = POM.split_once("<artifactId>kafka_2.13</artifactId>")?;
    let (_, rest) = rest.split_once("<version>")?;
    Some(rest.split_once("</version>")?.0)
}

fn check_java() -> Result<(), String> {
    let hint = format!(
        "install a JDK of {JAVA_MIN} or newer, or set {BOOTSTRAP_VARIABLE} to a running cluster"
    );
    let asked = Command::new("java").arg("-version").output();
    let said = asked.map_err(|e| format!("java cannot be run ({e}): {hint}"))?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let quoted = said.split('"').nth(1).unwrap_or_default();
    let major = quoted.split(['.', '-']).next().and_then(|m| m.parse::<u32>().ok());
    match major {
        Some(major) if major >= JAVA_MIN => Ok(()),
        _ => Err(format!("java is too old ({quoted}): {hint}")),
    }
}

fn format_storage(jars: &Path, dir: &Path) -> Result<(), String> {
    let properties = dir.join("server.properties").display().to_string();
    let args = ["format", "-t", CLUSTER_ID, "-c", &properties].map(str::to_owned);
    let done = Command::new("java")
        .args(java_args(jars, dir, HEAP_MIB, "kafka.tools.StorageTool", &args))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("java cannot be run: {e}"))?;
    match done.status.success() {
        true => Ok(()),
        false => {
            let said = [done.stdout, done.stderr].concat();
            Err(format!("formatting failed:\n{}", tail(&String::from_utf8_lossy(&said))))
        }
    }
}

/// All clusters may have the same: they never meet.
const CLUSTER_ID: &str = "bWlsbHJhY2UtdGVzdC1yaQ";

fn java_args(jars: &Path, dir: &Path, heap_mib: u32, main: &str, args: &[String]) -> Vec<String> {
    let log4j = dir.join("log4j2.xml");
    let mut all: Vec<String> = [
        format!("-Xmx{heap_mib}m"),
        // Starts in half the time; tests are too short for the optimising compiler.
        "-XX:TieredStopAtLevel=1".to_owned(),
        "-XX:+UseSerialGC".to_owned(),
        format!("-Dlog4j2.configurationFile={}", log4j.display()),
        "-cp".to_owned(),
        format!("{}/*", jars.display()),
        main.to_owned(),
    ]
    .into();
    all.extend_from_slice(args);
    all
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
