//! The most memory that this process has held, what the machine has, and what can never fit into it.
//!
//! Linux keeps the first in `/proc/self/status` under `VmHWM`, the second in `/proc/meminfo`, in units of 1024 bytes. Elsewhere
//! they are not known.

use std::path::Path;

use candle_core::{DType, Device};

use crate::{Error, Result};

/// What is in the machine's memory at once whatever else is: so many samples, of so many bytes each. It is a lower bound, by which only what
/// certainly does not fit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Samples.
    pub samples: usize,
    /// Bytes of each.
    pub bytes_each: u64,
    /// The flags that make them fewer.
    pub flags: &'static str,
}

impl Held {
    /// Samples that each have a tensor of so many numbers at one time; nothing on a device with a memory of its own, which says itself
    /// that it has no room.
    #[must_use]
    pub fn of(
        device: &Device,
        dtype: DType,
        [samples, numbers]: [usize; 2],
        flags: &'static str,
    ) -> Option<Self> {
        device.is_cpu().then_some(Self {
            samples,
            bytes_each: numbers as u64 * dtype.size_in_bytes() as u64,
            flags,
        })
    }

    fn check_within(self, most: u64) -> Result<()> {
        match self.bytes_each.saturating_mul(self.samples as u64) <= most {
            true => Ok(()),
            false => Err(Error::Memory { held: self, most }),
        }
    }
}

/// Refuses more than programs can have here, even if no other had any.
///
/// # Errors
///
/// [`Error::Memory`].
pub fn check(held: Option<Held>) -> Result<()> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let group = of_groups(Path::new("/sys/fs/cgroup"), &groups);
    match (held, most(&machine, group)) {
        (Some(held), Some(most)) => held.check_within(most),
        _ => Ok(()),
    }
}

/// Bytes that programs can have at the most: memory, or what a control group leaves of it, and swap.
fn most(meminfo: &str, group: Option<u64>) -> Option<u64> {
    let memory = parse(meminfo, "MemTotal:")?;
    let memory = group.map_or(memory, |group| group.min(memory));
    Some(memory.saturating_add(parse(meminfo, "SwapTotal:").unwrap_or(0)))
}

/// The lowest limit of the control groups that `/proc/self/cgroup` lists, and of those around them, where they are mounted as usual; `None`
/// where there is no limit. In a container the listed path may not be there, but the limit of its root is.
fn of_groups(mounted: &Path, listed: &str) -> Option<u64> {
    let lowest = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (mounted.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = root.join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|at| at.starts_with(&root));
        let limits = around.filter_map(|at| {
            let text = std::fs::read_to_string(at.join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        });
        limits.min()
    };
    listed.lines().filter_map(lowest).min()
}

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
    fn only_what_can_never_fit_is_refused() {
        let held = |samples| Held::of(&Device::Cpu, DType::F32, [samples, 250_000], "--batch");
        let most = most("MemTotal: 2000 kB\nSwapTotal: 1000 kB\n", None);
        assert_eq!(most, Some(3000 * 1024));
        let within = |samples| held(samples).unwrap().check_within(most.unwrap());
        within(3).unwrap();
        let refused = within(4).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "4 samples at once take 4.0 MB of memory or more, at 1.0 MB each, and this machine has 3.1 MB for programs; at the most 3 could \
             fit: give a smaller --batch"
        );
        check(held(1)).unwrap();
        if cfg!(target_os = "linux") {
            assert!(check(held(usize::MAX)).is_err());
        }
    }

    #[test]
    fn control_groups_limit_what_is_in_them() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "4096\n");
        write("memory/memory.limit_in_bytes", "8192\n");
        let limit = |listed: &str| of_groups(root.path(), listed);
        assert_eq!(limit("0::/a/b\n"), Some(4096), "of the group around it");
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("7:cpu:/a\n4:hugetlb,memory:/gone\n"), Some(8192));
        assert_eq!(limit("4:memory:/x\n0::/a\n"), Some(4096), "the lower one");
        assert_eq!(limit("what is this"), None);
        assert_eq!(most("MemTotal: 5 kB\n", Some(4096)), Some(4096));
        assert_eq!(most("MemTotal: 5 kB\n", Some(1 << 60)), Some(5 * 1024));
        assert_eq!(most("", Some(4096)), None);
    }

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
