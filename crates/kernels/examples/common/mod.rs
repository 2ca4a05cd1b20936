//! What the speed programs share: a clock that a busy machine disturbs little, medians, and numbers.

use std::time::Instant;

/// Seconds of the process's processor time, over all threads.
#[cfg(target_os = "linux")]
fn clock() -> f64 {
    #[repr(C)]
    struct Time(i64, i64);
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut Time) -> i32;
    }
    let mut time = Time(0, 0);
    // SAFETY: the C library's own signature; 2 is CLOCK_PROCESS_CPUTIME_ID, and `time` outlives the call.
    unsafe { clock_gettime(2, &raw mut time) };
    time.0 as f64 + time.1 as f64 * 1e-9
}

/// Seconds of wall clock, where no better is known.
#[cfg(not(target_os = "linux"))]
fn clock() -> f64 {
    use std::sync::OnceLock;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// Seconds of the clock for one run of `work`: the median of 3 to 15 runs, after one that warms up.
pub fn median(mut work: impl FnMut()) -> f64 {
    work();
    let mut times = Vec::new();
    let begin = Instant::now();
    while times.len() < 3 || (times.len() < 15 && begin.elapsed().as_secs_f64() < 0.35) {
        let start = clock();
        work();
        times.push(clock() - start);
    }
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Reproducible numbers in [−1, 1).
pub fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Whether the command line asks for a row: all words are parts of the name, or one is `=` and the whole name.
pub fn wanted(name: &str) -> bool {
    let mut words = std::env::args().skip(1);
    words.all(|word| {
        word.strip_prefix('=')
            .map_or(name.contains(word.as_str()), |whole| name == whole)
    })
}
