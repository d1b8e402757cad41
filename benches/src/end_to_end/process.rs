//! What a process has used (Linux).

use std::fs;

/// Kernel ticks to a second; Linux tells user space 100 on all machines.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU seconds of a process, of user and kernel.
///
/// # Errors
/// There is no such process.
pub fn cpu_s(pid: u32) -> Result<f64, String> {
    let stat = read(pid, "stat")?;
    // The name, in brackets, may hold blanks.
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after.split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS_PER_SECOND),
        _ => Err(format!("/proc/{pid}/stat has another form")),
    }
}

/// The most memory that a process held at a time, in MiB.
///
/// # Errors
/// There is no such process.
pub fn peak_rss_mib(pid: u32) -> Result<f64, String> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().split(' ').next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| format!("/proc/{pid}/status has another form"))
}

fn read(pid: u32, file: &str) -> Result<String, String> {
    fs::read_to_string(format!("/proc/{pid}/{file}")).map_err(|e| format!("process {pid}: {e}"))
}
