//! SIGINT and SIGTERM: the first one asks the run to save and stop, a second one ends the process at once.
//!
//! The exit code is 128 plus the signal's number: 130 and 143.

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
    /// Catches both signals from now on, once for the process.
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
        for signal in [SIGINT, SIGTERM] {
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
