//! Kafka in a container, where a container engine answers.

use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use testcontainers::core::{IntoContainerPort, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt};
use tokio::runtime::Runtime;

/// Names another image; it must take `KAFKA_*` variables as the official one does.
const IMAGE_VARIABLE: &str = "MILLRACE_KAFKA_IMAGE";
const IMAGE: &str = "apache/kafka";
const PORT: u16 = 9092;
const CONTROLLER_PORT: u16 = 9093;
const BROKER_PORT: u16 = 9094;
const START_TIME_MAX: Duration = Duration::from_secs(120);
/// Removes the container when this process ends, in whatever way.
const LEASH: &str = r#"cat >/dev/null; docker rm -f "$1" >/dev/null 2>&1"#;

/// A running container. Dropping it removes it.
pub struct Container {
    runtime: Runtime,
    container: Mutex<Option<ContainerAsync<GenericImage>>>,
    /// What it was made of.
    pub image: String,
    _leash: Option<(Child, ChildStdin)>,
}

impl Container {
    /// Starts a broker that listens on a port of this machine and tells clients to come to another
    /// (or the same) one. `properties` are lines of `server.properties`.
    ///
    /// # Errors
    /// No engine answers, or it has no such image and cannot get it.
    pub fn start(
        version: &str,
        port: u16,
        advertised: u16,
        properties: &str,
    ) -> Result<Container, String> {
        let image = std::env::var(IMAGE_VARIABLE).unwrap_or_else(|_| format!("{IMAGE}:{version}"));
        let (name, tag) = image.rsplit_once(':').unwrap_or((&image, "latest"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|e| format!("no runtime: {e}"))?;
        let request = GenericImage::new(name, tag)
            .with_wait_for(WaitFor::message_on_stdout("Kafka Server started"))
            .with_mapped_port(port, PORT.tcp())
            .with_startup_timeout(START_TIME_MAX);
        let request = with_properties(request, advertised, properties);
        let started = runtime.block_on(request.start());
        let container = started.map_err(|e| format!("no container of {image}: {e}"))?;
        let leash = leash(container.id());
        let container = Mutex::new(Some(container));
        Ok(Container { runtime, container, image: image.clone(), _leash: leash })
    }

    /// Kills the broker without warning, or ends it in order.
    pub fn stop(&self, grace_s: i32) {
        if let Some(container) = &*self.container.lock() {
            // A broker that is gone already is as wanted.
            drop(self.runtime.block_on(container.stop_with_timeout(Some(grace_s))));
        }
    }

    /// Starts it again on its own data.
    ///
    /// # Errors
    /// What the engine says.
    pub fn start_again(&self) -> Result<(), String> {
        match &*self.container.lock() {
            Some(container) => {
                let started = self.runtime.block_on(container.start());
                started.map_err(|e| format!("the container does not start again: {e}"))
            }
            None => Err("the container is gone".to_owned()),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(container) = self.container.lock().take() {
            drop(self.runtime.block_on(container.rm()));
        }
    }
}

fn leash(id: &str) -> Option<(Child, ChildStdin)> {
    let mut command = Command::new("sh");
    command.args(["-c", LEASH, "leash", id]).stdin(Stdio::piped());
    let mut shell = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
    let input = shell.stdin.take()?;
    Some((shell, input))
}

/// The image makes `server.properties` of variables: all of them, for one of them switches its
/// defaults off.
fn with_properties(
    request: ContainerRequest<GenericImage>,
    advertised: u16,
    properties: &str,
) -> ContainerRequest<GenericImage> {
    // The broker talks to itself, to end transactions: inside, the advertised port is nobody's.
    let inside = format!("BROKER://localhost:{BROKER_PORT}");
    let protocols = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT".to_owned();
    let listeners =
        format!("PLAINTEXT://:{PORT},BROKER://:{BROKER_PORT},CONTROLLER://:{CONTROLLER_PORT}");
    let own = [
        ("listeners", listeners),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{advertised},{inside}")),
        ("listener.security.protocol.map", protocols),
        ("inter.broker.listener.name", "BROKER".to_owned()),
        ("controller.quorum.voters", format!("0@localhost:{CONTROLLER_PORT}")),
        ("log.dirs", "/tmp/kafka-data".to_owned()),
    ];
    let given = properties.lines().filter_map(|line| line.trim().split_once('='));
    let mut request = request;
    for (name, value) in given.chain(own.iter().map(|(name, value)| (*name, value.as_str()))) {
        request = request.with_env_var(variable(name), value);
    }
    request
}

/// The image's name of a property.
fn variable(property: &str) -> String {
    let name = property.replace('_', "__").replace('-', "___").replace('.', "_");
    format!("KAFKA_{}", name.to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_as_the_image_reads_them() {
        for (property, want) in
            [("process.roles", "KAFKA_PROCESS_ROLES"), ("a.b-c_d", "KAFKA_A_B___C__D")]
        {
            assert_eq!(variable(property), want);
        }
    }
}
