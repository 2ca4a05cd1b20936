//! Time and memory of this process.

use std::time::Instant;

/// A stretch of time, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// By the wall.
    pub wall: f64,
    /// Of the processor, over all threads; what other programs do disturbs it little.
    pub cpu: f64,
}

/// Runs `work` and says how long it took.
pub fn time<E>(mut work: impl FnMut() -> Result<(), E>, runs: usize) -> Result<Span, E> {
    let (wall, cpu) = (Instant::now(), processor());
    for _ in 0..runs {
        work()?;
    }
    Ok(Span {
        wall: wall.elapsed().as_secs_f64(),
        cpu: processor() - cpu,
    })
}

/// Seconds of the process's processor time.
#[cfg(unix)]
fn processor() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// No such clock: the wall's.
#[cfg(not(unix))]
fn processor() -> f64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Bytes of memory: now, or at most so far. Known on Linux only.
pub fn memory(most: bool) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let key = if most { "VmHWM:" } else { "VmRSS:" };
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory() {
        let mut sum = 0u64;
        let work = || {
            for i in 0..2_000_000u64 {
                sum = std::hint::black_box(sum + i);
            }
            Ok::<_, ()>(())
        };
        let span = time(work, 3).unwrap();
        assert!(span.wall > 0.0 && span.cpu > 0.0 && span.cpu < 100.0 * span.wall + 1.0);
        if let (Some(now), Some(most)) = (memory(false), memory(true)) {
            assert!(now > 0 && most >= now / 2);
        }
    }
}
