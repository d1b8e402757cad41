//! A real Druid from the published jars with a local JDK: ZooKeeper and Druid's services, a process
//! each. Settings are system properties.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::jars::fetched;
use super::process::{Guarded, free_ports};
use crate::kill9::http;

const START_TIME_MAX: Duration = Duration::from_secs(240);
const VERSION: &str = "33.0.0";
const SUBQUERY_ROWS_MAX: u32 = 2_000_000;
const ZOOKEEPER: &str = "org.apache.zookeeper.server.ZooKeeperServerMain";
const DRUID: &str = "org.apache.druid.cli.Main";
/// Services in the order of their ports, and their heaps in MB.
const SERVICES: [(&str, u32); 5] =
    [("coordinator", 320), ("broker", 384), ("historical", 256), ("indexer", 768), ("router", 128)];
const OPENED: [&str; 6] = [
    "java.base/java.lang",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/jdk.internal.ref",
    "jdk.management/com.sun.management.internal",
];
const EXPORTED: [&str; 2] = ["java.base/jdk.internal.ref", "java.base/jdk.internal.misc"];

/// A running Druid. Dropping it kills it.
pub struct Druid {
    ports: Vec<u16>,
    jars: PathBuf,
    processes: Mutex<Vec<Guarded>>,
    data: tempfile::TempDir,
}

impl Druid {
    /// # Errors
    /// What is missing and what to do about it.
    pub fn start() -> Result<Druid, String> {
        let jars = fetched("druid", VERSION, |_| Ok(()))?;
        let data = tempfile::tempdir().map_err(|e| format!("no directory for data: {e}"))?;
        std::fs::create_dir_all(data.path().join("tmp")).map_err(|e| e.to_string())?;
        // ZooKeeper's and the metadata's come after the services'.
        let ports = free_ports(SERVICES.len() + 2)?;
        let druid = Druid { ports, jars, processes: Mutex::default(), data };
        druid.boot()?;
        Ok(druid)
    }

    /// Where CREATE SINK finds it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port("router"))
    }

    /// Kills all services without warning.
    pub fn kill9(&self) {
        self.processes.lock().clear();
    }

    /// Starts all services, again on their own data, and waits until they answer.
    ///
    /// # Errors
    /// They do not come up.
    pub fn boot(&self) -> Result<(), String> {
        let mut processes = self.processes.lock();
        let zookeeper = self.ports[SERVICES.len()].to_string();
        let folder = self.data.path().join("zookeeper").display().to_string();
        processes.push(self.java("zookeeper", 64, &[ZOOKEEPER.to_owned(), zookeeper, folder])?);
        for (service, heap) in SERVICES {
            let main = [DRUID, "server", service].map(str::to_owned);
            processes.push(self.java(service, heap, &main)?);
        }
        let start = Instant::now();
        while !self.is_ready() {
            if let Some(ended) = processes.iter().position(|process| !process.runs()) {
                return Err(format!("process {ended} of Druid ended; see {:?}", self.logs()));
            }
            if start.elapsed() > START_TIME_MAX {
                return Err(format!("Druid did not start; see {:?}", self.logs()));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// No answer, or what Druid refuses.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        let body = json!({
            "query": sql,
            "resultFormat": "array",
            "context": { "maxSubqueryRows": SUBQUERY_ROWS_MAX },
        })
        .to_string();
        let answer = http::send(self.port("router"), "POST", "/druid/v2/sql", &body)?;
        let rows = answer.as_array().ok_or_else(|| format!("no rows: {answer}"))?;
        Ok(rows.iter().filter_map(|row| row.as_array().cloned()).collect())
    }

    fn port(&self, service: &str) -> u16 {
        let at = SERVICES.iter().position(|(name, _)| *name == service);
        self.ports[at.unwrap_or_default()]
    }

    fn is_ready(&self) -> bool {
        let workers = http::text(self.port("coordinator"), "/druid/indexer/v1/workers");
        workers.is_ok_and(|said| said.contains("\"host\""))
            && http::text(self.port("historical"), "/status/health").is_ok()
            && http::text(self.port("router"), "/druid/indexer/v1/supervisor").is_ok()
            && self.query("SELECT 1").is_ok()
    }

    /// The ends of the logs.
    fn logs(&self) -> Vec<String> {
        let of = |name: &str| {
            let log = self.data.path().join(format!("{name}.log"));
            let said = std::fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().rev().take(8).collect();
            format!("{name}: {}", lines.join("\n"))
        };
        SERVICES.iter().map(|(name, _)| of(name)).chain([of("zookeeper")]).collect()
    }

    fn java(&self, name: &str, heap: u32, main: &[String]) -> Result<Guarded, String> {
        let mut args: Vec<String> = Vec::new();
        args.extend(OPENED.map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
        args.extend(EXPORTED.map(|package| format!("--add-exports={package}=ALL-UNNAMED")));
        args.push(format!("-Xmx{heap}m"));
        args.push(format!("-Djava.io.tmpdir={}", self.data.path().join("tmp").display()));
        let derby = self.data.path().join("derby.log");
        args.push(format!("-Dderby.stream.error.file={}", derby.display()));
        let plain = ["-XX:MaxDirectMemorySize=256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        args.extend(plain.map(str::to_owned));
        args.extend(["-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"].map(str::to_owned));
        args.push("-Dzookeeper.admin.enableServer=false".to_owned());
        if main[0] == DRUID {
            let settings = self.settings(name);
            args.extend(settings.lines().map(|setting| format!("-Ddruid.{}", setting.trim())));
        }
        args.extend(["-cp".to_owned(), format!("{}/*", self.jars.display())]);
        args.extend_from_slice(main);
        let log = self.data.path().join(format!("{name}.log"));
        Guarded::start("java", &args, &log)
    }

    fn settings(&self, service: &str) -> String {
        let dir = self.data.path().display();
        let [zookeeper, derby] = [0, 1].map(|at| self.ports[SERVICES.len() + at]);
        let port = self.port(service);
        format!(
            "service=druid/{service}
            plaintextPort={port}
            host=127.0.0.1
            extensions.loadList=[]
            startup.logging.logProperties=false
            zk.service.host=127.0.0.1:{zookeeper}
            metadata.storage.type=derby
            metadata.storage.connector.connectURI=jdbc:derby://127.0.0.1:{derby}/{dir}/meta;create=true
            metadata.storage.connector.host=127.0.0.1
            metadata.storage.connector.port={derby}
            storage.type=local
            storage.storageDirectory={dir}/deep
            indexer.logs.directory={dir}/tasklog
            indexer.task.baseDir={dir}/task
            indexer.runner.type=httpRemote
            indexer.storage.type=metadata
            indexer.queue.startDelay=PT1S
            selectors.indexing.serviceName=druid/overlord
            selectors.coordinator.serviceName=druid/coordinator
            coordinator.asOverlord.enabled=true
            coordinator.asOverlord.overlordService=druid/overlord
            coordinator.startDelay=PT5S
            coordinator.period=PT5S
            manager.segments.pollDuration=PT5S
            segment.handoff.pollDuration=PT1S
            segmentCache.locations=[{{\"path\":\"{dir}/cache\",\"maxSize\":\"10g\"}}]
            worker.capacity=24
            router.managementProxy.enabled=true
            router.defaultBrokerServiceName=druid/broker
            router.coordinatorServiceName=druid/coordinator
            sql.planner.metadataRefreshPeriod=PT1S
            sql.planner.awaitInitializationOnStart=false
            processing.numThreads=1
            processing.numMergeBuffers=2
            processing.buffer.sizeBytes=10MiB
            server.http.numThreads=20
            lookup.enableLookupSyncOnStartup=false
            monitoring.monitors=[]
            emitter=noop"
        )
    }
}
