//! A real schema registry: from the published jars with a local JDK, or one that runs already. It
//! speaks Confluent's protocol and keeps what it knows in a folder of its own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::jars::{fetched, run};
use super::process::{Guarded, free_ports};
use crate::kill9::http;

/// Names a registry that runs already.
const URL_VARIABLE: &str = "SCHEMA_REGISTRY_URL";
/// Names the Java to run it with.
const JAVA_VARIABLE: &str = "MILLRACE_REGISTRY_JAVA";
const JAVA_MIN: u32 = 21;
const VERSION: &str = "3.3.3";
const START_TIME_MAX: Duration = Duration::from_secs(120);
const PATH: &str = "/apis/ccompat/v7";

/// A running registry. Dropping it kills it.
pub struct Registry {
    pub url: String,
    /// `None`: it is not ours.
    own: Option<Own>,
}

/// A registry that was started here.
struct Own {
    java: String,
    jars: PathBuf,
    port: u16,
    data: tempfile::TempDir,
    /// `None` while it is stopped.
    process: Option<Guarded>,
}

impl Registry {
    /// # Errors
    /// What is missing and what to do about it.
    pub fn start() -> Result<Registry, String> {
        if let Ok(url) = std::env::var(URL_VARIABLE) {
            return Ok(Registry { url, own: None });
        }
        let (java, jars, port) = (java()?, jars()?, free_ports(1)?[0]);
        let data = tempfile::tempdir().map_err(|e| format!("no directory for data: {e}"))?;
        let mut own = Own { java, jars, port, data, process: None };
        own.start()?;
        // As Confluent's registry: readers of the new schema can read what is there.
        http::put(port, &format!("{PATH}/config"), r#"{"compatibility":"BACKWARD"}"#)?;
        let url = format!("http://127.0.0.1:{port}{PATH}");
        Ok(Registry { url, own: Some(own) })
    }

    /// Kills it; false: it is not ours.
    pub fn stop(&mut self) -> bool {
        self.own.as_mut().map(|own| own.process = None).is_some()
    }

    /// Starts it again where it was, with all that it knew.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.own.as_mut().map_or(Ok(()), Own::start)
    }
}

impl Own {
    fn start(&mut self) -> Result<(), String> {
        let Own { java, jars, port, data, process } = self;
        let dir = data.path().display();
        let args = [
            "-Xmx512m".to_owned(),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-Dquarkus.http.host=127.0.0.1".to_owned(),
            format!("-Dquarkus.http.port={port}"),
            // Else it takes port 9000, too.
            "-Dquarkus.management.host=127.0.0.1".to_owned(),
            "-Dquarkus.management.port=0".to_owned(),
            format!("-Dapicurio.storage.snapshot.location={dir}"),
            format!("-Dapicurio.import.work-dir={dir}"),
            format!("-Dapicurio.datasource.url=jdbc:h2:file:{dir}/registry"),
            "-jar".to_owned(),
            jars.join("quarkus-run.jar").display().to_string(),
        ];
        let log = data.path().join("out.log");
        let started = process.insert(Guarded::start(java, &args, &log)?);
        let start = Instant::now();
        while http::get(*port, &format!("{PATH}/subjects")).is_err() {
            if start.elapsed() > START_TIME_MAX || !started.runs() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let lines: Vec<&str> = said.lines().rev().take(20).collect();
                return Err(format!("the registry did not start:\n{}", lines.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }
}

/// The first Java that is new enough.
fn java() -> Result<String, String> {
    let mut candidates: Vec<String> = std::env::var(JAVA_VARIABLE).into_iter().collect();
    candidates.push("java".to_owned());
    let machines = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    candidates.extend(machines.map(|dir| dir.path().join("bin/java").display().to_string()));
    let new_enough = |java: &String| major(java).is_some_and(|major| major >= JAVA_MIN);
    candidates.into_iter().find(new_enough).ok_or_else(|| {
        format!(
            "no Java of {JAVA_MIN} or newer: install one, name it in {JAVA_VARIABLE}, or set \
             {URL_VARIABLE} to a running registry"
        )
    })
}

fn major(java: &str) -> Option<u32> {
    let asked = Command::new(java).arg("-version").output().ok()?;
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    said.split('"').nth(1)?.split(['.', '-']).next()?.parse().ok()
}

/// Where the unpacked registry is, fetched if it is not there.
fn jars() -> Result<PathBuf, String> {
    fetched("registry", VERSION, |dir| {
        let packed = std::fs::read_dir(dir).map_err(|e| e.to_string())?.flatten();
        for file in packed.filter(|file| file.path().extension().is_some_and(|e| e == "gz")) {
            run(Command::new("tar").arg("xzf").arg(file.path()).arg("-C").arg(dir))?;
            drop(std::fs::remove_file(file.path()));
        }
        Ok(())
    })
}
