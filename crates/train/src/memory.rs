//! The most memory that this process has held.
//!
//! Linux keeps it in `/proc/self/status` under `VmHWM`, in units of 1024 bytes. Elsewhere it is not known.

/// Bytes held at most since the process began, or `None` where the system does not say.
pub fn peak() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        let status = "Name:\tdomex\nVmPeak:\t  99 kB\nVmHWM:\t  1234 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(parse(status), Some(1234 * 1024));
        assert_eq!(parse("VmHWM:\t many kB\n"), None);
        assert_eq!(parse(""), None);
        if cfg!(target_os = "linux") {
            // A test program holds more than a page and less than a machine.
            assert!(peak().is_some_and(|bytes| (1 << 16..1 << 44).contains(&bytes)));
        }
    }
}
