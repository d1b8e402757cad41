//! A real Pinot from the published jars with a local JDK: ZooKeeper, controller, broker and server
//! in one process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use millrace_connectors::olap::basic;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::jars::{fetched, rig_file};
use super::process::{Guarded, free_ports};
use crate::kill9::http;

const START_TIME_MAX: Duration = Duration::from_secs(180);
const VERSION: &str = "0.11.0";
/// What Pinot and its libraries reach into.
const OPENED: [&str; 6] =
    ["java.nio", "sun.nio.ch", "java.lang", "java.util", "java.lang.reflect", "jdk.internal.misc"];
const EXPORTED: [&str; 3] = ["jdk.internal.ref", "jdk.internal.misc", "sun.nio.ch"];

/// A running Pinot. Dropping it kills it.
pub struct Pinot {
    pub controller: u16,
    broker: u16,
    zookeeper: u16,
    /// It says nothing without a password.
    guarded: bool,
    jars: PathBuf,
    process: Mutex<Option<Guarded>>,
    data: tempfile::TempDir,
}

impl Pinot {
    /// # Errors
    /// What is missing and what to do about it.
    pub fn start() -> Result<Pinot, String> {
        Pinot::start_for(None)
    }

    /// One that answers only this user with this password.
    ///
    /// # Errors
    /// What is missing and what to do about it.
    pub fn start_guarded(user: &str, password: &str) -> Result<Pinot, String> {
        Pinot::start_for(Some((user, password)))
    }

    fn start_for(login: Option<(&str, &str)>) -> Result<Pinot, String> {
        let jars = fetched("pinot", VERSION, |_| Ok(()))?;
        let ports = free_ports(9)?;
        let data = tempfile::tempdir().map_err(|e| format!("no directory for data: {e}"))?;
        for (role, settings) in settings(data.path(), &ports) {
            let file = data.path().join(format!("{role}.properties"));
            let login = login.map(|login| login_settings(role, login)).unwrap_or_default();
            std::fs::write(&file, settings + &login)
                .map_err(|e| format!("{}: {e}", file.display()))?;
        }
        let pinot = Pinot {
            controller: ports[0],
            broker: ports[1],
            zookeeper: ports[2],
            guarded: login.is_some(),
            jars,
            process: Mutex::new(None),
            data,
        };
        pinot.boot()?;
        Ok(pinot)
    }

    /// Where CREATE SINK finds it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.controller)
    }

    /// Kills it without warning.
    pub fn kill9(&self) {
        drop(self.process.lock().take());
    }

    /// Starts it, again on its own data, and waits until all parts answer.
    ///
    /// # Errors
    /// It does not come up: the end of its log.
    pub fn boot(&self) -> Result<(), String> {
        let log = self.data.path().join("out.log");
        let process = Guarded::start("java", &self.java_args(), &log)?;
        let start = Instant::now();
        while !self.is_ready() {
            if start.elapsed() > START_TIME_MAX || !process.runs() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = said.lines().collect();
                let end = lines[lines.len().saturating_sub(20)..].join("\n");
                return Err(format!("Pinot did not start; its log ends:\n{end}"));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
        *self.process.lock() = Some(process);
        Ok(())
    }

    /// The rows of a query; NULLs are what Pinot shows for them.
    ///
    /// # Errors
    /// No answer, or what Pinot refuses.
    pub fn query(&self, sql: &str) -> Result<Vec<Vec<Value>>, String> {
        let options = "timeoutMs=60000";
        let body = json!({ "sql": sql, "queryOptions": options }).to_string();
        let answer = http::send(self.broker, "POST", "/query/sql", &body)?;
        let failures = answer["exceptions"].as_array().map_or(0, Vec::len);
        if failures > 0 {
            return Err(format!("{sql}: {}", answer["exceptions"]));
        }
        let rows = answer["resultTable"]["rows"].as_array().cloned().unwrap_or_default();
        Ok(rows.into_iter().filter_map(|row| row.as_array().cloned()).collect())
    }

    fn is_ready(&self) -> bool {
        let alive = |port| http::text(port, "/health").is_ok_and(|said| said.trim() == "OK");
        let servers = || http::get(self.controller, "/instances").map(|all| all.to_string());
        alive(self.controller)
            && alive(self.broker)
            && (self.guarded || servers().is_ok_and(|all| all.contains("Server_")))
    }

    fn java_args(&self) -> Vec<String> {
        let mut args: Vec<String> = Vec::new();
        args.extend(OPENED.map(|m| format!("--add-opens=java.base/{m}=ALL-UNNAMED")));
        args.extend(EXPORTED.map(|m| format!("--add-exports=java.base/{m}=ALL-UNNAMED")));
        args.extend(
            [
                "-Xmx1000m",
                "-XX:MaxDirectMemorySize=300m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Duser.timezone=UTC",
                "-Dzookeeper.admin.enableServer=false",
            ]
            .map(str::to_owned),
        );
        let main = rig_file("Pinot.java").display().to_string();
        let folder = self.data.path().display().to_string();
        let path = format!("{}/*", self.jars.display());
        args.extend(["-cp".to_owned(), path, main, folder, self.zookeeper.to_string()]);
        args
    }
}

/// Files of settings, one a role.
fn settings(dir: &Path, ports: &[u16]) -> [(&'static str, String); 3] {
    let (controller, broker, zookeeper) = (ports[0], ports[1], ports[2]);
    let dir = dir.display();
    let common = format!("pinot.zk.server=127.0.0.1:{zookeeper}\npinot.cluster.name=rig\n");
    let controller = format!(
        "{common}controller.zk.str=127.0.0.1:{zookeeper}\n\
         controller.helix.cluster.name=rig\n\
         controller.host=127.0.0.1\n\
         controller.port={controller}\n\
         controller.data.dir={dir}/controller\n\
         cluster.tenant.isolation.enable=true\n"
    );
    let broker = format!(
        "{common}pinot.broker.hostname=127.0.0.1\n\
         pinot.broker.client.queryPort={broker}\n\
         pinot.query.runner.hostname=127.0.0.1\n\
         pinot.query.runner.port={}\n\
         pinot.broker.delayShutdownTimeMs=0\n",
        ports[3]
    );
    // The version of data tables: without it, NULLs cannot be asked for.
    let server = format!(
        "{common}pinot.server.netty.host=127.0.0.1\n\
         pinot.server.netty.port={}\n\
         pinot.server.adminapi.port={}\n\
         pinot.server.grpc.port={}\n\
         pinot.query.server.port={}\n\
         pinot.query.runner.hostname=127.0.0.1\n\
         pinot.query.runner.port={}\n\
         pinot.server.instance.dataDir={dir}/index\n\
         pinot.server.instance.segmentTarDir={dir}/segments\n\
         pinot.server.instance.currentDataTableVersion=4\n\
         pinot.server.startup.serviceStatusCheckIntervalMs=200\n",
        ports[4], ports[5], ports[6], ports[7], ports[8]
    );
    [("controller", controller), ("broker", broker), ("server", server)]
}

/// Settings of a role by which it wants a password, and sends it to the others.
fn login_settings(role: &str, (user, password): (&str, &str)) -> String {
    const PACKAGE: &str = "org.apache.pinot";
    let (factory, principals) = match role {
        "controller" => (
            format!(
                "controller.admin.access.control.factory.class={PACKAGE}.controller.api.access"
            ),
            "controller.admin.access.control.principals",
        ),
        "broker" => (
            format!("pinot.broker.access.control.class={PACKAGE}.broker.broker"),
            "pinot.broker.access.control.principals",
        ),
        _ => {
            let token = basic(&format!("{user}:{password}"));
            let of = |name: &str| format!("pinot.server.{name}.auth.token={token}\n");
            return ["segment.fetcher", "segment.uploader", "instance"].map(of).concat();
        }
    };
    format!(
        "{factory}.BasicAuthAccessControlFactory\n{principals}={user}\n\
         {principals}.{user}.password={password}\n"
    )
}
