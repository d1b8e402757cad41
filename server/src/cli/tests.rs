//! The shell against a server with a fake engine.

use super::client::Client;
use super::rows::Output;
use super::shell::{Ended, Shell};
use crate::testing::{FakeApi, Running};

/// Runs `work` with a shell, off the async threads as in the binary.
async fn with_shell<T: Send + 'static>(
    url: &str,
    work: impl FnOnce(&mut Shell) -> T + Send + 'static,
) -> T {
    let client = Client::new(url).unwrap();
    let done = tokio::task::spawn_blocking(move || {
        work(&mut Shell::new(client, Output::Tabular).unwrap())
    });
    done.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes() {
    let running = Running::start(FakeApi::new(), &[]).await;
    let cases = [
        ("SHOW STREAMS; SHOW TOPICS;", Ended::Fine),
        ("DESCRIBE S EXTENDED", Ended::Fine),
        ("SELECT * FROM T;", Ended::Fine),
        ("with x AS (SELECT * FROM T) SELECT * FROM x;", Ended::Fine),
        ("PRINT s FROM BEGINNING LIMIT 1;", Ended::Fine),
        ("FOO;", Ended::Failed),
        ("SHOW STREAMS; DESCRIBE NOBODY; SHOW TABLES;", Ended::Failed),
        ("SET 'auto.offset.reset'='earliest';", Ended::Fine),
        ("SET 'auto.ofset.reset'='earliest';", Ended::Failed),
        ("UNSET 'auto.offset.reset';", Ended::Fine),
        ("UNSET 'auto.offset.reset';", Ended::Failed),
        ("OUTPUT JSON; SHOW STREAMS; OUTPUT TABULAR;", Ended::Fine),
        ("OUTPUT XML;", Ended::Failed),
        ("RUN SCRIPT '/nowhere';", Ended::Failed),
        ("help; exit; FOO;", Ended::Exit),
        ("-- nothing", Ended::Fine),
    ];
    with_shell(&running.base, move |shell| {
        for (text, expected) in cases {
            assert_eq!(shell.run_text(text), expected, "{text}");
        }
    })
    .await;
    let nobody = with_shell("127.0.0.1:1", |shell| shell.run_text("SHOW STREAMS;")).await;
    assert_eq!(nobody, Ended::Unreachable);
}

/// Answers each connection once, as if it were to stay open, and closes it.
fn forgetful_server(listener: std::net::TcpListener) {
    use std::io::{Read, Write};
    const BODY: &str = "[]";
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2";
        stream.write_all(format!("{head}\r\n\r\n{BODY}").as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_meanwhile_is_not_used() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || forgetful_server(listener));
    let ended = with_shell(&url, |shell| {
        (0..3).map(|_| shell.run_text("SHOW STREAMS;")).collect::<Vec<_>>()
    });
    assert_eq!(ended.await, [Ended::Fine, Ended::Fine, Ended::Fine]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_travels_with_requests() {
    let api = FakeApi::new();
    let running = Running::start(api.clone(), &[]).await;
    let text = "DEFINE Source = 'S'; SET 'auto.offset.reset'='earliest';\n\
                INSERT INTO ${source} (K) VALUES ('a'); UNDEFINE Source;\n\
                DROP STREAM S;";
    let ended = with_shell(&running.base, move |shell| shell.run_text(text)).await;
    assert_eq!(ended, Ended::Fine);
    let ran = api.ran.lock();
    assert_eq!(ran[0].0, "INSERT INTO S (K) VALUES ('a');");
    assert_eq!(ran[0].1["auto.offset.reset"], "earliest");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_do_not_run_each_other_for_ever() {
    let running = Running::start(FakeApi::new(), &[]).await;
    let name = format!("millrace-script-{}.sql", uuid::Uuid::new_v4());
    let file = std::env::temp_dir().join(name);
    let text = format!("SHOW STREAMS; RUN SCRIPT '{}';", file.display());
    std::fs::write(&file, &text).unwrap();
    let ended = with_shell(&running.base, move |shell| shell.run_text(&text)).await;
    assert_eq!(ended, Ended::Failed);
    std::fs::remove_file(file).unwrap();
}
