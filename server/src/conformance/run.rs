//! Finds the files of cases and runs them on all cores.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use millrace_sql::analyze::EXTENSIONS;
use millrace_sql::parser::STACK_BYTES;
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::Format;
use super::case::{self, Case};
use super::query_case::{self, Verdict};
use super::report::Report;
use super::rest;
use super::script::{self, Script};

/// Cases of all files, in order.
#[derive(Default)]
pub struct Suites {
    cases: Vec<(Format, Case)>,
    scripts: Vec<Script>,
}

impl Suites {
    /// # Errors
    /// A path that cannot be read, or a file that is none of the known forms.
    pub fn read(paths: &[PathBuf], format: Option<Format>) -> Result<Self, String> {
        let mut suites = Suites::default();
        for path in paths {
            for file in files(path)? {
                suites.add(&file, format).map_err(|e| format!("{}: {e}", file.display()))?;
            }
        }
        Ok(suites)
    }

    fn add(&mut self, file: &Path, format: Option<Format>) -> Result<(), String> {
        let text = std::fs::read_to_string(file).map_err(|e| e.to_string())?;
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if format == Some(Format::Sql) || file.extension().is_some_and(|e| e == "sql") {
            let folder = file.parent().unwrap_or(Path::new("."));
            self.scripts.extend(script::parse(stem, &text, folder)?);
            return Ok(());
        }
        let cases = case::parse(stem, &text)?;
        // A file holds cases of one form; not each has what tells the form.
        let rest = |case: &Case| {
            ["responses", "expectedError"].iter().any(|field| case.raw.contains_key(*field))
        };
        let found = if cases.iter().any(rest) { Format::Rest } else { Format::Qtt };
        self.cases.extend(cases.into_iter().map(|case| (format.unwrap_or(found), case)));
        Ok(())
    }

    /// Runs all cases with `millrace.extensions` on, where they do not say otherwise themselves.
    pub fn extend(&mut self) {
        for (_, case) in &mut self.cases {
            case.properties.entry(EXTENSIONS.to_owned()).or_insert_with(|| "true".to_owned());
            let raw = case.raw.entry("properties").or_insert_with(|| Value::Object(Map::new()));
            if let Some(raw) = raw.as_object_mut() {
                raw.entry(EXTENSIONS).or_insert(Value::Bool(true));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.cases.len() + self.scripts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The file, or the files of cases in the folder and its folders, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let (mut found, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let file = entry.path();
        // Links to folders are not followed: they may lead back here.
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(file);
        } else if file.extension().is_some_and(|e| e == "json" || e == "sql") {
            found.push(file);
        }
    }
    for folder in folders {
        found.extend(files(&folder)?);
    }
    found.sort();
    Ok(found)
}

/// Runs the cases whose name holds `filter`, in parallel.
pub fn run_all(suites: &Suites, filter: Option<&str>) -> Report {
    millrace_sql::functions::add_test_functions();
    let cases = suites.cases.iter().map(|(format, case)| Job::Case(*format, case));
    let mut jobs: Vec<Job<'_>> = cases.chain(suites.scripts.iter().map(Job::Script)).collect();
    jobs.retain(|job| filter.is_none_or(|text| job.name().contains(text)));
    let results: Mutex<Vec<Option<Verdict>>> = Mutex::new(vec![None; jobs.len()]);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return };
            let verdict = job.run();
            if let Some(slot) = results.lock().get_mut(at) {
                *slot = Some(verdict);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let builder = std::thread::Builder::new().stack_size(STACK_BYTES);
            if builder.spawn_scoped(scope, work).is_err() {
                work();
            }
        }
    });
    let verdicts = results.into_inner().into_iter();
    let named = jobs.iter().zip(verdicts).map(|(job, verdict)| {
        let verdict = verdict.unwrap_or_else(|| Verdict::Failed("it did not run".to_owned()));
        (job.name().to_owned(), verdict)
    });
    Report::new(named.collect())
}

/// One test.
enum Job<'a> {
    Case(Format, &'a Case),
    Script(&'a Script),
}

impl Job<'_> {
    fn name(&self) -> &str {
        match self {
            Job::Case(_, case) => &case.name,
            Job::Script(script) => &script.name,
        }
    }

    /// A panic is a failure of its case alone.
    fn run(&self) -> Verdict {
        let run = || match self {
            Job::Case(Format::Rest, case) => rest::run(case),
            Job::Case(_, case) => query_case::run(case),
            Job::Script(script) => script::run(script),
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Verdict::Failed(format!("panicked: {}", text.unwrap_or("(no text)")))
        })
    }
}
