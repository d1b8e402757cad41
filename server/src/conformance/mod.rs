//! `millrace test`: runs test cases in ksqlDB's forms. Query cases go through the engine without a
//! server: the same parser, analyser, plans, lanes, operators and formats, over a log in memory.
//! REST cases go through a whole server.

pub mod case;
pub mod compare;
mod driver;
pub mod exact;
pub mod known;
mod post;
pub mod query_case;
pub mod records;
mod registry;
pub mod report;
pub mod rest;
mod run;
mod script;
mod script_assert;
mod session;
mod thrown;
mod tool;

use std::path::PathBuf;

use crate::cli::exit;
use crate::terminal::{errln, outln};
use known::Known;
pub use run::{Suites, run_all};

/// Arguments of `millrace test`.
#[derive(Debug, Default, clap::Args)]
pub struct TestArgs {
    /// Files of cases, or folders of them
    #[arg(value_name = "PATH", required_unless_present = "sql_file")]
    pub paths: Vec<PathBuf>,
    /// What the files hold; found out from them when not given
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Only cases whose name holds this text
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write what became of every case to this file, as JSON
    #[arg(long, value_name = "FILE.json")]
    pub report: Option<PathBuf>,
    /// Cases that are known to fail: fail for others, and for those of them that pass
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// Rewrite the file of --known, keeping the reasons that it has
    #[arg(long, requires = "known")]
    pub update_known: bool,
    /// Leave out the cases of this list, which is like that of --known
    #[arg(long, value_name = "FILE")]
    pub except: Option<PathBuf>,
    /// Run the cases with millrace.extensions on: those that fail then are what it changes
    #[arg(long)]
    pub extensions: bool,
    /// Tell of failures in one line each
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub tool: tool::ToolArgs,
}

/// What a file of cases holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Statements, input records and output records
    Qtt,
    /// Requests and responses of the REST API
    Rest,
    /// SQL scripts with ASSERT statements
    Sql,
}

/// Runs the cases; the exit code.
pub fn run(args: &TestArgs) -> u8 {
    if let (Some(sql), Some(output)) = (&args.tool.sql_file, &args.tool.output_file) {
        return tool::run(sql, output, args.tool.input_file.as_deref());
    }
    match try_run(args) {
        Ok(true) => exit::FINE,
        Ok(false) => exit::FAILED,
        Err(why) => {
            errln!("error: {why}");
            exit::FAILED
        }
    }
}

/// True when all is as it should be.
fn try_run(args: &TestArgs) -> Result<bool, String> {
    let mut suites = Suites::read(&args.paths, args.format)?;
    if args.extensions {
        suites.extend();
    }
    // A panic is told with its case.
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = run_all(&suites, args.filter.as_deref());
    if let Some(path) = &args.except {
        report.leave_out(&Known::read(path)?);
    }
    if let Some(path) = &args.report {
        let text = format!("{:#}\n", report.to_json());
        std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    let partial = args.filter.is_some();
    if let Some(path) = &args.known {
        let known = match path.exists() || !args.update_known {
            true => Known::read(path)?,
            false => Known::default(),
        };
        if args.update_known {
            let text = known.updated(&report, partial).to_text();
            let written = std::fs::write(path, text);
            written.map_err(|e| format!("cannot write {}: {e}", path.display()))?;
            outln!("{}", report.summary());
            return Ok(true);
        }
        let drift = known.drift(&report, partial);
        drift.lines().iter().for_each(|line| outln!("{line}"));
        outln!("{}", report.summary());
        return Ok(drift.is_empty());
    }
    for (name, why) in report.failures() {
        match args.quiet {
            true => outln!("FAILED {name}: {}", why.lines().next().unwrap_or_default()),
            false => outln!("FAILED {name}\n  {}\n", why.replace('\n', "\n  ")),
        }
    }
    outln!("{}", report.summary());
    Ok(report.counts().1 == 0)
}
