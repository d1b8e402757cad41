//! What the compiler does not check: sizes, panics, and which way dependencies point.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
/// What ends the process from code that a user can reach.
const PANICS: [&str; 6] =
    [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", ".unwrap_err()"];
/// Folders that only tests and benches are built from.
const TEST_FOLDERS: [&str; 2] = ["tests", "benches"];
/// Crates in the order in which they may depend on each other: each on those before it.
const ORDER: [&str; 6] = ["sql", "engine", "connectors", "server", "tests", "benches"];

#[test]
fn files_and_functions_are_small() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines"));
        }
        for (name, line, length) in functions(&text) {
            // A test may hold a long table of cases.
            if length > FUNCTION_LINES_MAX && !is_test(&path) {
                complaints.push(format!("{path}:{line}: {name} has {length} lines"));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn nothing_outside_of_tests_panics() {
    let mut complaints = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !is_test(path)) {
        let tested = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
        for (number, line) in text[..tested].lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if PANICS.iter().any(|panic| code.contains(panic)) {
                complaints.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    complain(&complaints);
}

#[test]
fn dependencies_point_one_way() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let answer = command.current_dir(root()).output().expect("cargo runs");
    let metadata: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    let place = |name: &str| {
        let short = name.strip_prefix("millrace-")?;
        ORDER.iter().position(|crate_| *crate_ == short)
    };
    let mut complaints = Vec::new();
    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let own = place(name).unwrap_or_else(|| panic!("{name} has no place in the order"));
        seen += 1;
        for needed in package["dependencies"].as_array().expect("dependencies") {
            let needed = needed["name"].as_str().expect("a name");
            if place(needed).is_some_and(|other| other >= own) {
                complaints.push(format!("{name} depends on {needed}"));
            }
        }
    }
    assert_eq!(seen, ORDER.len());
    complain(&complaints);
}

#[test]
fn rules_see_what_they_forbid() {
    let long =
        format!("fn short() {{\n}}\n    fn long() {{\n{}    }}\n", "        x();\n".repeat(80));
    let found: BTreeMap<String, usize> =
        functions(&long).into_iter().map(|(name, _, length)| (name, length)).collect();
    assert_eq!(found.get("short"), Some(&2));
    assert_eq!(found.get("long"), Some(&82));
}

/// Functions of a formatted file: name, first line, length. A function ends with the brace that
/// stands as far to the right as its first line.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else { continue };
        let keywords = ["", "pub", "const", "async", "unsafe", "extern", "\"C\""];
        let is_keyword = |word: &str| keywords.contains(&word) || word.starts_with("pub(");
        let head_end = lines[at..].iter().find(|l| l.ends_with(['{', ';', '}']));
        if !before.split(' ').all(is_keyword) || head_end.is_none_or(|l| l.ends_with(';')) {
            continue;
        }
        let closing = format!("{}}}", &line[..line.len() - code.len()]);
        let in_one_line = line.ends_with('}');
        let closes = |l: &&str| in_one_line || **l == closing;
        let length = lines[at..].iter().position(closes).map_or(1, |n| n + 1);
        let name = after.split(['(', '<']).next().unwrap_or_default();
        found.push((name.to_owned(), at + 1, length));
    }
    found
}

fn complain(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} places:\n{}", complaints.len(), complaints.join("\n"));
}

fn is_test(path: &str) -> bool {
    let file = path.rsplit('/').next().unwrap_or_default();
    TEST_FOLDERS.iter().any(|folder| path.starts_with(&format!("{folder}/")))
        || path.contains("/tests/")
        || ["tests.rs", "testing.rs", "arbitrary.rs", "samples.rs"].contains(&file)
}

/// The project's source files, by path from its root.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = ORDER.iter().map(|crate_| root().join(crate_)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).expect("text");
                let short = path.strip_prefix(root()).expect("inside").display().to_string();
                files.push((short, text));
            }
        }
    }
    assert!(files.len() > 100, "the sources are not where they are looked for");
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project's root")
}
