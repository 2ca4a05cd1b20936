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
