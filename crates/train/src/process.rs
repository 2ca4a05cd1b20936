//! How a process should be set up that computes for long on a CPU.
//!
//! Two defaults cost a training more than a third of its time:
//!
//! - candle's threads for element-wise operations wait for work in a busy loop. One thread there is
//!   enough: what matters runs on rayon's.
//! - glibc gives large blocks back to the system when they are freed, so each tensor's pages are
//!   mapped and cleared anew. They stay with the process instead, in one heap for all threads: what
//!   one thread has freed serves the others.

use std::ffi::OsStr;

/// Number of candle's own threads.
const CANDLE_THREADS: &str = "CANDLE_NUM_THREADS";

/// Whether errors of libraries carry where in the program they arose, which belongs in no message. `RUST_BACKTRACE` alone
/// still shows where a panic did.
const BACKTRACES: &str = "RUST_LIB_BACKTRACE";

/// Sets the process up; to be called first in `main`, before any thread is started. What the user
/// has set in the environment stays.
pub fn prepare() {
    for (name, value) in [(CANDLE_THREADS, "1"), (BACKTRACES, "0")] {
        if std::env::var_os(name).is_none() {
            // SAFETY: the caller has started no thread yet that could read the environment meanwhile; the one that `ops`
            // starts before `main` waits for work.
            unsafe { std::env::set_var(name, OsStr::new(value)) };
        }
    }
    allocator::keep_memory();
}

/// What the stack of a thread of the pool may grow to: a whole run is on one ([`on_pool`]), and candle walks graphs by recursion.
/// Only the pages that are touched take memory.
const STACK_BYTES: usize = 64 << 20;

/// Makes rayon's global pool, of `threads` threads or as many as there are processors. To be called once.
///
/// # Errors
///
/// The pool was there before, or the system starts no threads.
pub fn start_pool(threads: Option<usize>) -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .stack_size(STACK_BYTES)
        .build_global()
}

/// Does `work` on a thread of rayon's pool.
///
/// An operator that is called from outside of the pool wakes its threads and sleeps until they are done, thousands of times in
/// a training step. A thread of the pool begins at once, and does its share. While `work` waits for anything else the pool has
/// a thread less, so it must not wait for other threads that compute.
pub fn on_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| work())
}

/// For work that would rather be slower than larger: blocks as large as the activations of large pictures go back to the system
/// when they are freed, and leave no holes in the one heap. What the user has set in the environment stays.
pub fn give_back_large_blocks() {
    allocator::give_back_large_blocks();
}

/// glibc's.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod allocator {
    const MIB: libc::c_int = 1 << 20;

    pub fn keep_memory() {
        set(&[
            (libc::M_MMAP_MAX, 0),
            (libc::M_ARENA_MAX, 1),
            (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
            (libc::M_TOP_PAD, 64 * MIB),
        ]);
    }

    pub fn give_back_large_blocks() {
        set(&[
            (libc::M_MMAP_MAX, 1 << 16),
            (libc::M_MMAP_THRESHOLD, 8 * MIB),
        ]);
    }

    fn set(parameters: &[(libc::c_int, libc::c_int)]) {
        if std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(b"MALLOC_")) {
            return;
        }
        for &(parameter, value) in parameters {
            // SAFETY: `mallopt` takes two plain numbers, and refuses those it does not like.
            unsafe { libc::mallopt(parameter, value) };
        }
    }
}

/// Others have no such settings.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod allocator {
    pub fn keep_memory() {}

    pub fn give_back_large_blocks() {}
}
