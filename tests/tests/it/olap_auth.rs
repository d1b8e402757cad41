//! Credentials and TLS of Pinot and Druid, through the real server: wrong ones are said and leave
//! nothing behind, and right ones are shown nowhere.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use millrace_connectors::kafka::{KafkaConfig, KafkaLog};
use millrace_engine::names::Names;
use millrace_tests::kill9::http::{get, ksql};
use millrace_tests::kill9::server::binary;
use millrace_tests::local::{await_some, read};
use millrace_tests::olap_stub::{Authority, Played, Setup, Stub};
use millrace_tests::rig::Kafka;
use millrace_tests::rig::process::{Guarded, await_port, free_ports};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "Dis-no-one-may-see";
/// `reader:` and the password, as basic authentication writes it.
const BASIC: &str = "Basic cmVhZGVyOkRpcy1uby1vbmUtbWF5LXNlZQ==";
const TOKEN: &str = "t0ken-no-one-may-see";

struct World {
    pinot: Stub,
    druid: Stub,
    authority: Authority,
    port: u16,
    service: String,
    server: Option<Guarded>,
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let authority = Authority::new();
        let stub = |played, authorization: &str| {
            let authorization = Some(authorization.to_owned());
            let tls = Some(&authority);
            Stub::start(Setup { authorization, tls, ..Setup::new(played) })
        };
        World {
            pinot: stub(Played::Pinot(0, 11), BASIC),
            druid: stub(Played::Druid(33), &format!("Bearer {TOKEN}")),
            authority,
            port: free_ports(1).expect("a port")[0],
            service: format!("auth-{}_", std::process::id()),
            server: None,
            dir: tempfile::tempdir().expect("a folder"),
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// Starts the server anew with these settings beside the URLs.
    fn boot(&mut self, settings: &str) {
        drop(self.server.take());
        let dir = self.dir.path();
        let config = dir.join("server.properties");
        let urls = format!(
            "millrace.pinot.url={}\nmillrace.druid.url={}\n",
            self.pinot.url, self.druid.url
        );
        std::fs::write(&config, format!("{urls}{settings}")).expect("a file");
        let text = |path: PathBuf| path.display().to_string();
        let mut args = vec!["NO_COLOR=1".to_owned(), text(binary().expect("a server"))];
        args.extend(["server".to_owned(), "--config".to_owned(), text(config)]);
        args.extend(["--state-dir".to_owned(), text(dir.join("state"))]);
        args.extend(["--listen".to_owned(), format!("127.0.0.1:{}", self.port)]);
        args.extend(["--service-id".to_owned(), self.service.clone()]);
        args.extend(["--bootstrap-servers".to_owned(), Kafka::shared().bootstrap.clone()]);
        self.server = Some(Guarded::start("env", &args, &self.log()).expect("a server"));
        assert!(await_port(self.port, PATIENCE), "{}", self.said());
        let start = Instant::now();
        while let Err(why) = ksql(self.port, "SHOW SINKS;") {
            assert!(start.elapsed() < PATIENCE, "{why}\n{}", self.said());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn run(&self, sql: &str) -> Value {
        ksql(self.port, sql).unwrap_or_else(|e| panic!("{sql}: {e}"))
    }

    fn create(&self, system: &str) -> String {
        let topic = format!("{}x-{system}", self.service);
        format!("CREATE SINK x_{system} FOR {system} FROM items WITH (KAFKA_TOPIC='{topic}');")
    }

    /// Neither of the two can be made, and nothing is left of them.
    fn check_refused(&self, part: &str, of: &dyn Fn(&str) -> String) {
        for system in ["pinot", "druid"] {
            let sql = self.create(system);
            let why = ksql(self.port, &sql).expect_err(&sql);
            assert!(why.contains(part) && why.contains(&of(system)), "{sql}: {why}");
        }
        let topics = self.run("SHOW TOPICS;").to_string();
        assert!(!topics.contains(&format!("{}x-", self.service)), "{topics}");
        assert_eq!(self.run("SHOW SINKS;")[0]["sinks"], Value::Array(Vec::new()));
        assert!(self.pinot.tables().is_empty() && self.druid.tables().is_empty());
    }
}

fn check_hidden(what: &str, text: &str) {
    for secret in [PASSWORD, TOKEN, BASIC.trim_start_matches("Basic ")] {
        assert!(!text.contains(secret), "{what} shows a secret");
    }
}

#[test]
fn credentials_and_tls_of_targets() {
    let mut world = World::new();
    let ca = world.dir.path().join("ca.crt");
    std::fs::write(&ca, world.authority.pem()).expect("a file");
    let trust = |system| format!("millrace.{system}.tls.ca.file={}\n", ca.display());
    let trust = trust("pinot") + &trust("druid");
    let secrets = format!(
        "millrace.pinot.basic.auth.user.info=reader:{PASSWORD}\n\
         millrace.druid.bearer.auth.token={TOKEN}\n"
    );
    world.boot(&secrets);
    world.run(&format!(
        "CREATE TABLE items (k VARCHAR PRIMARY KEY, a INT) WITH (KAFKA_TOPIC='{}items', \
         PARTITIONS=1, VALUE_FORMAT='JSON');",
        world.service
    ));
    world.check_refused("certificate", &|system| format!("millrace.{system}.tls.ca.file"));
    assert!(world.pinot.shown().is_empty(), "nothing is said to a stranger");

    world.boot(&trust);
    world.check_refused("refuses the credentials (401)", &|system| {
        format!("millrace.{system}.basic.auth.user.info")
    });
    let wrong = "millrace.pinot.basic.auth.user.info=reader:guessed\n\
                 millrace.druid.bearer.auth.token=guessed\n";
    world.boot(&format!("{trust}{wrong}"));
    world.check_refused("refuses the credentials (401)", &|system| {
        format!("check those of millrace.{system}.*")
    });

    world.boot(&format!("{trust}{secrets}"));
    // They go to no other place, whatever a statement says.
    let stranger = Stub::start(Setup::new(Played::Pinot(0, 11)));
    let explain =
        format!("EXPLAIN CREATE SINK y FOR PINOT FROM items WITH (CONTROLLER='{}');", stranger.url);
    world.run(&explain);
    assert!(!stranger.shown().is_empty(), "it is asked what it knows");
    assert!(stranger.shown().iter().all(Option::is_none), "without credentials");
    for system in ["pinot", "druid"] {
        world.run(&world.create(system));
    }
    assert_eq!(
        (world.pinot.tables(), world.druid.tables()),
        (vec!["x_pinot".to_owned()], vec!["x_druid".to_owned()],)
    );
    for sql in [
        "DESCRIBE SINK x_pinot EXTENDED;",
        "DESCRIBE SINK x_druid EXTENDED;",
        "SHOW SINKS;",
        "SHOW PROPERTIES;",
        "SHOW QUERIES EXTENDED;",
        "EXPLAIN CREATE SINK y FOR PINOT FROM items;",
        "EXPLAIN CREATE SINK y FOR DRUID FROM items;",
    ] {
        check_hidden(sql, &world.run(sql).to_string());
    }
    let described = world.run("DESCRIBE SINK x_pinot;");
    assert_eq!(described[0]["sinkDescription"]["state"], "RUNNING", "{described}");
    check_hidden("/info", &get(world.port, "/info").expect("an answer").to_string());
    check_hidden("the server's log", &world.said());
    let log = KafkaLog::connect(KafkaConfig::new(&Kafka::shared().bootstrap)).expect("a client");
    let commands = read(log.as_ref(), &Names::new(&world.service).command_topic());
    assert!(commands.iter().any(|record| record.text().contains("create-sink")));
    commands.iter().for_each(|record| check_hidden("the command topic", &record.text()));

    // A password that is changed there is said, and nothing else happens.
    world.boot(&format!("{trust}{wrong}"));
    let sink = await_some("a target that refuses", || {
        let described = world.run("DESCRIBE SINK x_druid;");
        let sink = described[0]["sinkDescription"].clone();
        if sink["state"] == "UNREACHABLE" { Ok(sink) } else { Err(sink) }
    });
    assert!(sink["lastError"].as_str().is_some_and(|why| why.contains("401")), "{sink}");
}
