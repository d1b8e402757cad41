//! Credentials of a real Pinot, which takes minutes and gigabytes:
//! `cargo test --workspace --test it -- --ignored olap_auth_real`.

use std::time::{Duration, Instant};

use millrace_tests::kill9::http::ksql;
use millrace_tests::kill9::server::binary;
use millrace_tests::rig::process::{Guarded, await_port, free_ports};
use millrace_tests::rig::{Kafka, Pinot};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(500);
const USER: &str = "feeder";
const PASSWORD: &str = "Dis-no-one-may-see";

struct World {
    run: String,
    port: u16,
    server: Option<Guarded>,
    dir: tempfile::TempDir,
}

impl World {
    /// Starts the server anew with these settings.
    fn boot(&mut self, settings: &str) {
        drop(self.server.take());
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        std::fs::write(path("server.properties"), settings).expect("a file");
        let mut args =
            vec!["NO_COLOR=1".to_owned(), binary().expect("a server").display().to_string()];
        args.push("server".to_owned());
        let flags = [
            ("--config", path("server.properties")),
            ("--state-dir", path("state")),
            ("--listen", format!("127.0.0.1:{}", self.port)),
            ("--service-id", format!("{}_", self.run)),
            ("--bootstrap-servers", Kafka::shared().bootstrap.clone()),
        ];
        args.extend(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]));
        let log = self.dir.path().join("server.log");
        self.server = Some(Guarded::start("env", &args, &log).expect("a server"));
        assert!(await_port(self.port, PATIENCE), "it listens");
        self.await_done("SHOW SINKS;");
    }

    fn await_done(&self, sql: &str) -> Value {
        let start = Instant::now();
        loop {
            match ksql(self.port, sql) {
                Ok(answer) => return answer,
                Err(why) => assert!(start.elapsed() < PATIENCE, "{sql}: {why}"),
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Nothing is made with the wrong password, or none; with the right one a row arrives.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn pinot_wants_a_password() {
    let pinot = Pinot::start_guarded(USER, PASSWORD).expect("a Pinot");
    let mut world = World {
        run: format!("auth-real-{}", std::process::id()),
        port: free_ports(1).expect("a port")[0],
        server: None,
        dir: tempfile::tempdir().expect("a folder"),
    };
    let url = format!("millrace.pinot.url={}\n", pinot.url());
    let user =
        |password: &str| format!("{url}millrace.pinot.basic.auth.user.info={USER}:{password}\n");
    let run = world.run.clone();
    let create =
        format!("CREATE SINK guarded FOR PINOT FROM items WITH (KAFKA_TOPIC='{run}-olap');");
    world.boot(&url);
    world.await_done(&format!(
        "CREATE TABLE items (k VARCHAR PRIMARY KEY, a INT) WITH (KAFKA_TOPIC='{run}-items', \
         PARTITIONS=1, VALUE_FORMAT='JSON');"
    ));
    for settings in [url.clone(), user("guessed")] {
        world.boot(&settings);
        let why = ksql(world.port, &create).expect_err("refused");
        assert!(why.contains("refuses the credentials"), "{why}");
        println!("refused: {why}");
        assert_eq!(world.await_done("SHOW SINKS;")[0]["sinks"], Value::Array(Vec::new()));
        let topics = world.await_done("SHOW TOPICS;").to_string();
        assert!(!topics.contains(&format!("{run}-olap")), "{topics}");
    }
    world.boot(&user(PASSWORD));
    // Its server may take some seconds to be known.
    world.await_done(&create);
    world.await_done("INSERT INTO items VALUES ('x', 7);");
    let start = Instant::now();
    loop {
        let described = world.await_done("DESCRIBE SINK guarded;");
        let sink = &described[0]["sinkDescription"];
        if sink["state"] == "RUNNING" && sink["rowsEmitted"] == 1 && sink["lag"] == 0 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{sink}");
        std::thread::sleep(LOOK);
    }
    world.await_done("DROP SINK guarded DELETE TABLE DELETE TOPIC;");
}
