//! Sinks of every kind of source against the real Pinot and Druid, while Millrace, the broker and the target
//! are killed in turn. Larger by hand:
//! `MILLRACE_OLAP_SYSTEMS=pinot MILLRACE_OLAP_CHANGES=100000 MILLRACE_OLAP_KILLS=100 \
//!  MILLRACE_OLAP_DOWN_S=400 cargo test --workspace --test it -- --nocapture olap::sinks`

use std::time::{Duration, Instant};

use millrace_tests::olap::kinds::KINDS;
use millrace_tests::olap::model::Model;
use millrace_tests::olap::target::Target;
use millrace_tests::olap::world::{Plan, World};
use millrace_tests::olap::{EQUAL_TIME_MAX, LOOK, demo, page};
use millrace_tests::rig::{Druid, Pinot, missing_tools};
use millrace_tests::skipped::skipped;
use serde_json::Value;

/// Unless `MILLRACE_OLAP_SYSTEMS` names others.
const SYSTEMS: &str = "pinot";
const CHANGES: usize = 3_000;
const KILLS: usize = 5;
/// How long the target is away once, and how long it has to be to prove anything about time-outs.
const DOWN_S: usize = 5;
const DOWN_S_MIN: usize = 360;
/// Aborted records at the end of a source and of a sink's topic.
const ABORTED_TAIL: usize = 1_500;

type Outcome = Result<(), String>;

/// One after the other, for each needs gigabytes; in one test, for a test that waits holds a thread.
#[test]
fn sinks_are_equal_to_the_model() {
    let given = std::env::var("MILLRACE_OLAP_SYSTEMS").ok();
    let systems = given.as_deref().unwrap_or_else(|| {
        skipped("sinks into a real Druid, which take minutes more (MILLRACE_OLAP_SYSTEMS=druid)");
        SYSTEMS
    });
    for system in systems.split(',') {
        if let Some(why) = missing_tools(system) {
            skipped(&format!("sinks into a real {system} ({why})"));
            continue;
        }
        let done = match system {
            "pinot" => Pinot::start()
                .and_then(|pinot| equal_to_the_model(Target::Pinot(pinot), pinot_alone)),
            "druid" => Druid::start()
                .and_then(|druid| equal_to_the_model(Target::Druid(druid), druid_alone)),
            other => Err(format!("MILLRACE_OLAP_SYSTEMS names {other}")),
        };
        done.unwrap_or_else(|why| panic!("{system}: {why}"));
    }
}

fn number(variable: &str, default: usize) -> usize {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

fn plan() -> Plan {
    let seed = number("MILLRACE_SEED", std::process::id() as usize) as u64;
    let down = number("MILLRACE_OLAP_DOWN_S", DOWN_S);
    let plan = Plan {
        changes: number("MILLRACE_OLAP_CHANGES", CHANGES),
        kills: number("MILLRACE_OLAP_KILLS", KILLS),
        down: Duration::from_secs(down as u64),
        seed,
    };
    println!("MILLRACE_SEED={seed} {plan:?}");
    if down < DOWN_S_MIN {
        skipped(&format!(
            "a target that is away for more than six minutes (here {down} s; set \
             MILLRACE_OLAP_DOWN_S)"
        ));
    }
    plan
}

fn equal_to_the_model(target: Target, alone: fn(&World, &Model) -> Outcome) -> Outcome {
    let (plan, start) = (plan(), Instant::now());
    let mut world = World::start(target)?;
    if !world.has_own_broker() {
        skipped("kills of the broker, for the cluster is external");
    }
    let source = world.prepare(plan.seed)?;
    refusals(&world)?;
    let mut source = world.run(source, &plan)?;
    world.check(&source.model)?;
    let topics: Vec<String> = world.kinds().map(|kind| world.topic(&kind.sink())).collect();
    source.aborted_tail(ABORTED_TAIL, &topics)?;
    world.kinds().try_for_each(|kind| world.await_caught_up(&kind.sink()))?;
    // Neither the aborted records of the sources nor those of the sinks' topics hold anything up.
    source.some_more()?;
    world.check(&source.model)?;
    let model = &source.model;
    assert!(model.events.late() > 0, "no event was late");
    alone(&world, model)?;
    papers(&world)?;
    println!(
        "{}: {} changes, {} aborted records, {} late events, {} kills, 0 differences, {:.0?}",
        world.target.system(),
        model.changes,
        model.aborted,
        model.events.late(),
        plan.kills,
        start.elapsed()
    );
    Ok(())
}

/// What the pages say of this system, and the demo.
fn papers(world: &World) -> Outcome {
    let read = |name: &str| {
        let page = format!("{}/../{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&page).map_err(|e| format!("{page}: {e}"))
    };
    let page = format!("docs/{}.md", world.target.system().to_ascii_lowercase());
    let answers = page::run(world, &read(&page)?).map_err(|why| format!("{page}: {why}"))?;
    let wanted = if world.target.system() == "DRUID" { 4 } else { 2 };
    assert_eq!(answers, wanted, "every answer of {page} was compared");
    demo::run(world, &read("README.md")?)
}

fn refusals(world: &World) -> Outcome {
    let (system, property, url) =
        (world.target.system(), world.target.property(), world.target.url());
    let from =
        |source: &str, with: &str| format!("CREATE SINK x FOR {system} FROM {source}{with};");
    let with = |url: &str| format!(" WITH ({property}='{url}')");
    world.refused(&from("nobody", &with(&url)), "NOBODY does not exist")?;
    world.refused(&from("items", ""), "where is")?;
    world.refused(&from("items", &with("http://127.0.0.1:1")), "does not answer")?;
    world.refused(&from("items", &with("http://u:p@h")), "belong in the configuration")?;
    let taken = format!(" WITH ({property}='{url}', TABLE='items_now_olap')");
    world.refused(&from("events", &taken), "already")?;
    let own = format!("http://127.0.0.1:{}", world.port());
    world.refused(&from("items", &with(&own)), "is no")?;
    let topics = world.sql("SHOW TOPICS;")?.to_string();
    match topics.contains("X_OLAP") {
        true => Err(format!("something is left of what was refused: {topics}")),
        false => Ok(()),
    }
}

/// NULLs are NULLs, though Pinot shows something for them; a table that was dropped can be made again.
fn pinot_alone(world: &World, model: &Model) -> Outcome {
    for (column, nulls) in model.items.nulls() {
        let sql = format!(
            "SELECT COUNT(*) FROM items_now_olap WHERE \"_deleted\" = false AND \"{column}\" IS NULL"
        );
        let found = world.target.query(&sql)?;
        if found != [[Value::from(nulls)]] {
            return Err(format!("{column}: {found:?} NULLs instead of {nulls}"));
        }
    }
    world.refused("DROP SINK items_now_olap DELETE TOPIC;", "DELETE TABLE")?;
    world.refused("DROP TABLE items_now;", "read from this source")?;
    world.sql("DROP SINK items_now_olap DELETE TABLE DELETE TOPIC;")?;
    if world.target.query("SELECT * FROM items_now_olap LIMIT 1").is_ok() {
        return Err("the table is still there".to_owned());
    }
    world.create_sink(&KINDS[0])?;
    world.check_target(&KINDS[0], model)
}

fn druid_alone(world: &World, _: &Model) -> Outcome {
    world.sql("DROP SINK events_olap DELETE TABLE DELETE TOPIC;")?;
    let gone = Instant::now();
    while world.target.query("SELECT COUNT(*) FROM events_olap").is_ok() {
        if gone.elapsed() > EQUAL_TIME_MAX {
            return Err("the rows are still there".to_owned());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
