//! The most memory that this process has held, and what the machine has.
//!
//! Linux keeps the first in `/proc/self/status` under `VmHWM`, the second in `/proc/meminfo`, in units of 1024 bytes. Elsewhere
//! they are not known.

/// Bytes held at most since the process began, or `None` where the system does not say.
pub fn peak() -> Option<u64> {
    parse(
        &std::fs::read_to_string("/proc/self/status").ok()?,
        "VmHWM:",
    )
}

/// Bytes of the machine, and how many of them programs can have now; `None` where the system does not say.
pub fn of_machine() -> Option<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some([parse(&text, "MemTotal:")?, parse(&text, "MemAvailable:")?])
}

fn parse(status: &str, what: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let status = "Name:\tdomex\nVmPeak:\t  99 kB\nVmHWM:\t  1234 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(parse(status, "VmHWM:"), Some(1234 * 1024));
        assert_eq!(parse("VmHWM:\t many kB\n", "VmHWM:"), None);
        assert_eq!(parse("", "VmHWM:"), None);
        if cfg!(target_os = "linux") {
            // A test program holds more than a page and less than a machine.
            assert!(peak().is_some_and(|bytes| (1 << 16..1 << 44).contains(&bytes)));
            assert!(of_machine().is_some_and(|[total, free]| free < total));
        }
    }
}
