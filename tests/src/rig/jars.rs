//! Jars of published servers, fetched once with Maven and kept in the user's cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Stands in a folder of which all jars have been fetched.
const COMPLETE: &str = ".complete";

/// A file of the rig that is part of the project.
pub fn rig_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("rig").join(name)
}

/// The folder of `name` with all jars that `<system>-pom.xml` asks for. `unpack` is called once, when
/// they have been fetched.
///
/// # Errors
/// What is missing or went wrong, and what to do about it.
pub fn fetched(
    system: &str,
    version: &str,
    unpack: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let dir = cache()?.join(format!("{system}-{version}"));
    let complete = dir.join(COMPLETE);
    if complete.exists() {
        return Ok(dir);
    }
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-f"])
        .arg(rig_file(&format!("{system}-pom.xml")))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", dir.display()));
    run(&mut maven).map_err(|why| format!("the jars of {system} cannot be fetched: {why}"))?;
    unpack(&dir)?;
    std::fs::write(&complete, "").map_err(|e| format!("{}: {e}", complete.display()))?;
    Ok(dir)
}

/// What the published jars of `system` need and this machine has not; `None`: they can be started.
pub fn missing_tools(system: &str) -> Option<String> {
    let runs = |program: &str, flag: &str| {
        let asked = Command::new(program).arg(flag).stdin(Stdio::null()).output();
        asked.is_ok_and(|answer| answer.status.success())
    };
    if !runs("java", "-version") {
        return Some("there is no JDK: no `java` can be run".to_owned());
    }
    let has_jars = cache().is_ok_and(|cache| {
        let folders = std::fs::read_dir(cache).into_iter().flatten().flatten();
        let mut own = folders.filter(|folder| {
            folder.file_name().to_string_lossy().starts_with(&format!("{system}-"))
        });
        own.any(|folder| folder.path().join(COMPLETE).exists())
    });
    match has_jars || runs("mvn", "-version") {
        true => None,
        false => Some("there is no Maven to fetch the jars: no `mvn` can be run".to_owned()),
    }
}

fn cache() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or(home).ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(cache.join("millrace"))
}

/// Runs a command to its end.
///
/// # Errors
/// It is not there, or the end of what it said when it failed.
pub fn run(command: &mut Command) -> Result<(), String> {
    const LINES_MAX: usize = 20;
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|e| format!("{program} cannot be run ({e}): install it"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stdout);
    let lines: Vec<&str> = said.lines().collect();
    let end = lines[lines.len().saturating_sub(LINES_MAX)..].join("\n");
    Err(format!("{program} failed:\n{end}"))
}
