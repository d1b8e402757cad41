//! `fuzz [--seconds N] [--seed N] [--only NAME] [--case N] [--trace FILE]`: damaged input for
//! decoders, schemas and the parser; 10 seconds unless told otherwise. The seed repeats a run.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millrace_tests::fuzz::counting::Counting;
use millrace_tests::fuzz::{Plan, run};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    println!("seed {}", plan.seed);
    let builder = std::thread::Builder::new().stack_size(millrace_sql::parser::STACK_BYTES);
    let worker = builder.spawn(move || run(&plan)).expect("a thread");
    match worker.join().expect("panics are caught") {
        Ok(outcomes) => {
            for outcome in outcomes {
                let (name, cases, worst) = (outcome.name, outcome.cases, outcome.worst);
                println!("{name:24} {cases:>10} cases, at most {worst} bytes per byte");
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn plan(mut args: impl Iterator<Item = String>) -> Result<Plan, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut plan = Plan {
        seed: u64::from(now.subsec_nanos()),
        time: Duration::from_secs(10),
        only: String::new(),
        case: None,
        trace: None,
    };
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|e| format!("{name} {value}: {e}"));
        match name.as_str() {
            "--seconds" => plan.time = Duration::from_secs(number()?),
            "--seed" => plan.seed = number()?,
            "--case" => plan.case = Some(number()?),
            "--only" => plan.only = value,
            "--trace" => plan.trace = Some(value.into()),
            _ => return Err(format!("{name} is unknown")),
        }
    }
    Ok(plan)
}
