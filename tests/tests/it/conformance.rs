//! ksqlDB's own test cases, held against the list of those that are known to fail. The cases are not
//! part of the project: MILLRACE_CONFORMANCE_DIR names their folder.

use std::path::{Path, PathBuf};

use millrace_server::conformance::known::Known;
use millrace_server::conformance::{Format, Suites, run_all};
use millrace_tests::skipped::skipped;

const FOLDER: &str = "MILLRACE_CONFORMANCE_DIR";

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder, or the one of its sub-folders that has that name.
fn folder_of(kind: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let inner = folder.join(kind);
    Some(if inner.is_dir() { inner } else { folder })
}

/// Cases of the project itself: they need no folder from outside.
#[test]
fn own_conformance_cases_pass() {
    let suites = Suites::read(&[here("conformance/own")], None).expect("the cases can be read");
    assert!(suites.len() >= 20, "{}", suites.len());
    let report = run_all(&suites, None);
    let failures: Vec<String> =
        report.failures().map(|(name, why)| format!("{name}\n  {why}")).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The switch `millrace.extensions` changes exactly the cases that are listed.
#[test]
fn extensions_change_only_the_listed_cases() {
    let Some(folder) = folder_of("query") else {
        skipped(&format!("cases of ksqlDB, for {FOLDER} is not set"));
        return;
    };
    let failing = Known::read(&here("conformance/known-failures.txt")).expect("the list is there");
    let changed = Known::read(&here("conformance/extensions.txt")).expect("the list is there");
    let mut suites = Suites::read(&[folder], Some(Format::Qtt)).expect("the cases can be read");
    suites.extend();
    let mut report = run_all(&suites, None);
    report.leave_out(&failing);
    let drift = changed.drift(&report, false);
    assert!(drift.is_empty(), "{}", drift.lines().join("\n"));
}

/// The same of REST cases. What fails without the switch, too, is not the switch's doing.
#[test]
fn extensions_change_only_the_listed_rest_cases() {
    let Some(folder) = folder_of("rest") else {
        skipped(&format!("REST cases of ksqlDB, for {FOLDER} is not set"));
        return;
    };
    let changed = Known::read(&here("conformance/extensions-rest.txt")).expect("the list is there");
    let mut suites = Suites::read(&[folder], Some(Format::Rest)).expect("the cases can be read");
    let plain = run_all(&suites, None);
    println!("{}", plain.summary());
    suites.extend();
    let mut extended = run_all(&suites, None);
    extended.leave_out(&Known::default().updated(&plain, false));
    let drift = changed.drift(&extended, false);
    assert!(drift.is_empty(), "{}", drift.lines().join("\n"));
}

#[test]
fn conformance_cases_of_queries_fail_only_as_listed() {
    let Some(folder) = folder_of("query") else {
        skipped(&format!("cases of ksqlDB, for {FOLDER} is not set"));
        return;
    };
    let known = Known::read(&here("conformance/known-failures.txt")).expect("the list is there");
    let suites = Suites::read(&[folder], Some(Format::Qtt)).expect("the cases can be read");
    assert!(!suites.is_empty(), "{FOLDER} holds no cases");
    let report = run_all(&suites, None);
    println!("{}", report.summary());
    let drift = known.drift(&report, false);
    assert!(
        drift.is_empty(),
        "mend it, or list it (millrace test FOLDER --known FILE --update-known):\n{}",
        drift.lines().join("\n")
    );
}
