//! How much memory there is for further servers.

/// MiB that can be used without swapping; `None`: this system does not tell.
pub fn available_mib() -> Option<u64> {
    available(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn available(told: &str) -> Option<u64> {
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells() {
        let told = "MemTotal:  8000000 kB\nMemFree: 10 kB\nMemAvailable:    3072000 kB\n";
        assert_eq!(available(told), Some(3000));
        assert_eq!(available("MemTotal:  8000000 kB\n"), None);
    }
}
