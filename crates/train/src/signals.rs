//! SIGINT, SIGTERM and, where there is one, SIGHUP: the first one asks the run to save and stop, a second one ends the
//! process at once. SIGHUP comes when the terminal is closed; a process that `nohup` started ignores it, and goes on.
//!
//! The exit code is 128 plus the signal's number: 130, 143 and 129.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::{Error, Result};

/// Which signal came, 0 for none.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    number: Arc<AtomicUsize>,
}

/// Handlers belong to the process: they are put in place once.
static INSTALLED: OnceLock<Signals> = OnceLock::new();

impl Signals {
    /// Catches the signals from now on, once for the process.
    ///
    /// # Errors
    ///
    /// The system refuses.
    pub fn install() -> Result<Self> {
        if let Some(signals) = INSTALLED.get() {
            return Ok(signals.clone());
        }
        let signals = Self::default();
        let seen = Arc::new(AtomicBool::new(false));
        let failed = |source| Error::Io {
            path: "signal handler".into(),
            source,
        };
        for signal in caught() {
            // In this order: the first signal finds the flag down and raises it, a second one finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&seen))
                .map_err(failed)?;
            flag::register(signal, Arc::clone(&seen)).map_err(failed)?;
            let number = usize::try_from(signal).unwrap_or(0);
            flag::register_usize(signal, Arc::clone(&signals.number), number).map_err(failed)?;
        }
        Ok(INSTALLED.get_or_init(|| signals).clone())
    }

    /// Signals that nobody sends: for runs that are not the process's only work.
    pub fn none() -> Self {
        Self::default()
    }

    /// The signal that came, if one did.
    pub fn caught(&self) -> Option<u8> {
        match self.number.load(Ordering::SeqCst) {
            0 => None,
            number => u8::try_from(number).ok(),
        }
    }
}

#[cfg(unix)]
fn caught() -> Vec<i32> {
    use signal_hook::consts::SIGHUP;
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

#[cfg(not(unix))]
fn caught() -> Vec<i32> {
    vec![SIGINT, SIGTERM]
}

/// Whether the process was started with this signal ignored.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: a structure of plain numbers and pointers, for which zeros are a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: without a new action the call only writes the present one where it is told to.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}
