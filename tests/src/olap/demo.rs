//! The demo with a target: the week is replayed, and the target answers what the demo says to ask.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::page::{answer_rows, as_shown, blocks};
use super::world::World;
use super::{LOOK, await_equal, rows};
use crate::kill9::server::binary;
use crate::rig::process::{Guarded, free_ports};

const REPLAY_TIME_MAX: Duration = Duration::from_secs(240);

/// Runs the demo and asks what it says; the answer must be that of `readme`.
///
/// # Errors
/// The demo fails, says nothing to ask, or the answer is another one.
pub fn run(world: &World, readme: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| format!("no directory: {e}"))?;
    let (log, state) = (dir.path().join("demo.log"), dir.path().join("state"));
    let flag = format!("--{}", world.target.system().to_ascii_lowercase());
    let listen = format!("127.0.0.1:{}", free_ports(1)?[0]);
    let args = [
        "demo",
        "--pace",
        "200000",
        "--listen",
        &listen,
        "--state-dir",
        &state.display().to_string(),
        "--bootstrap-servers",
        world.bootstrap(),
        &flag,
        &world.target.url(),
    ];
    let _demo = Guarded::start(&binary()?.display().to_string(), &args.map(str::to_owned), &log)?;
    let start = Instant::now();
    let said = loop {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if said.contains("Ctrl-C here stops the server") {
            break said;
        }
        if start.elapsed() > REPLAY_TIME_MAX || said.contains("error:") {
            return Err(format!("the demo does not end: {said}"));
        }
        std::thread::sleep(LOOK);
    };
    let question = question(&said).ok_or_else(|| format!("nothing to ask: {said}"))?;
    let shown = blocks(readme);
    let answer = shown.iter().find(|(kind, _)| kind == "answer").ok_or("no answer in the page")?;
    let asked =
        shown.iter().find(|(kind, _)| kind == "sql pinot").ok_or("no question in the page")?;
    let asked = asked.1.split_whitespace().collect::<Vec<_>>().join(" ");
    if flag == "--pinot" && asked != question {
        return Err(format!("the page asks {asked}, the demo says {question}"));
    }
    await_equal(&question, &answer_rows(&answer.1), || {
        world.target.query(&question).map(|found| rows(found.into_iter().map(as_shown)))
    })
}

/// The SQL of the request that the demo prints.
fn question(said: &str) -> Option<String> {
    let body =
        said.lines().filter_map(|line| line.split_once("application/json' -d '")).next_back()?.1;
    let body: Value = serde_json::from_str(body.trim_end().trim_end_matches('\'')).ok()?;
    let sql = body["sql"].as_str().or(body["query"].as_str())?;
    Some(sql.to_owned())
}
