use super::*;

fn build(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile_dir();
    let path = dir.join("server.properties");
    std::fs::write(&path, file).unwrap();
    let mut builder = ConfigBuilder::default();
    builder.file(&path)?;
    builder.environment(env.iter().map(|(n, v)| (n.to_string(), v.to_string())));
    for (name, value) in flags {
        builder.flag(name, Some(value));
    }
    let built = builder.build();
    std::fs::remove_dir_all(dir).unwrap();
    built
}

fn tempfile_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("millrace-config-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn defaults() {
    let config = build("", &[], &[]).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8088");
    assert_eq!(config.service_id, "default_");
    assert_eq!(config.commit_interval, Duration::from_secs(1));
    assert_eq!(config.cache_bytes, 10_000_000);
    assert_eq!(config.bootstrap_servers, None);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

/// A cluster of several brokers is asked for its own default: with one replica, the death of one broker
/// stops every query.
#[test]
fn internal_topics_have_as_many_replicas_as_the_brokers_say() {
    let check = |file: &str, expected: Option<u32>| {
        assert_eq!(build(file, &[], &[]).unwrap().replicas, expected, "{file}");
    };
    check("", None);
    check("ksql.internal.topic.replicas=-1", None);
    check("ksql.internal.topic.replicas=1", Some(1));
    check("ksql.streams.replication.factor=3", Some(3));
    check("ksql.internal.topic.replicas=2\nksql.streams.replication.factor=3", Some(2));
}

#[test]
fn later_origins_override() {
    let file = "ksql.service.id=file_\nbootstrap.servers=a:1\nlisteners=http://0.0.0.0:1\n";
    let env = [("KSQL_KSQL_SERVICE_ID", "env_"), ("KSQL_BOOTSTRAP_SERVERS", "b:2")];
    let config = build(file, &env, &[("bootstrap.servers", "c:3")]).unwrap();
    assert_eq!(config.service_id, "env_");
    assert_eq!(config.bootstrap_servers.as_deref(), Some("c:3"));
    assert_eq!(config.listen, "0.0.0.0:1");
}

#[test]
fn variables_name_properties() {
    let cases = [
        ("KSQL_SERVICE_ID", Some("ksql.service.id")),
        ("KSQL_KSQL_SERVICE_ID", Some("ksql.service.id")),
        ("KSQL_LISTENERS", Some("listeners")),
        ("KSQL_KSQL_STREAMS_AUTO_OFFSET_RESET", Some("auto.offset.reset")),
        ("KSQL_KSQL_FUNCTIONS_COLLECT_LIST_LIMIT", Some("ksql.functions.collect_list.limit")),
        ("KSQL_SASL_MECHANISM", Some("sasl.mechanism")),
        ("MILLRACE_STATE_DIR", Some("millrace.state.dir")),
        ("MILLRACE_LOG", None),
        ("KSQL_HEAP_OPTS", None),
        ("HOME", None),
    ];
    for (variable, expected) in cases {
        assert_eq!(property_of_variable(variable).as_deref(), expected, "{variable}");
    }
}

#[test]
fn unknown_names_are_told_with_the_nearest() {
    let config = build("ksql.servce.id=x\nnum.stream.threads=4\n", &[], &[]).unwrap();
    assert_eq!(
        config.warnings,
        [
            "unknown setting ksql.servce.id is not used, did you mean ksql.service.id?",
            "num.stream.threads has no effect on Millrace",
        ]
    );
}

#[test]
fn wrong_values_are_refused() {
    let cases = [
        (
            "commit.interval.ms=fast",
            "setting commit.interval.ms is 'fast', expected a whole number",
        ),
        ("millrace.lanes=0", "setting millrace.lanes is '0', expected at least 1"),
        ("listeners=https://a:1", "listener https://a:1: TLS is not supported yet, use http"),
        (
            "listeners=http://a:1,http://a:2",
            "listeners is 'http://a:1,http://a:2', expected one listener",
        ),
        (
            "ksql.service.id=a/b c",
            "setting ksql.service.id is 'a/b c', expected at most 100 letters, digits, '.', '_' or \
             '-', as in names of topics",
        ),
    ];
    for (file, expected) in cases {
        assert_eq!(build(file, &[], &[]).unwrap_err(), expected);
    }
}

#[test]
fn at_least_once_runs_exactly_once_and_says_so() {
    let config = build("processing.guarantee=at_least_once", &[], &[]).unwrap();
    assert!(config.warnings[0].contains("exactly once"), "{:?}", config.warnings);
}

#[test]
fn session_and_client_settings_are_told_apart() {
    let file = "ksql.streams.auto.offset.reset=earliest\nsecurity.protocol=SASL_SSL\n\
                sasl.jaas.config=x.PlainLoginModule required username=\"u\" password=\"p\";\n";
    let config = build(file, &[], &[]).unwrap();
    assert_eq!(config.session.get("auto.offset.reset").map(String::as_str), Some("earliest"));
    assert_eq!(config.client.len(), 3);
}

#[test]
fn properties_of_a_request_are_checked() {
    let config = build("ksql.headers.columns.enabled=false", &[], &[]).unwrap();
    assert!(config.session.contains_key("ksql.headers.columns.enabled"));
    let reset = check_session("ksql.streams.auto.offset.reset", "EARLIEST").unwrap();
    assert_eq!(reset, ("auto.offset.reset".to_string(), "earliest".to_string()));
    for (name, value, part) in [
        ("auto.ofset.reset", "x", "hint: did you mean 'auto.offset.reset'?"),
        ("auto.offset.reset", "x", "hint: expected one of earliest, latest, none"),
        ("auto.offset.reset", "none", "'none' is not valid for this property within KSQL"),
        ("commit.interval.ms", "10", "share a transaction"),
        ("ksql.headers.columns.enabled", "true", "Cannot override property"),
        ("ksql.pull.queries.enable", "true", "set it in the configuration of the server"),
        ("ksql.service.id", "x", "Cannot override property 'ksql.service.id'"),
    ] {
        let error = check_session(name, value).unwrap_err().render("");
        assert!(error.contains(part), "{error}");
    }
}
