//! Ctrl-C during work that writes files: what is half written goes with it.
//!
//! A process that a signal ends removes nothing, and leaves files under their temporary names. So the signal is noted, and
//! the work ends between two pictures with [`Interrupted`]; a second signal ends the process at once.

use domex_train::signals::Signals;

/// Ended by a signal. The exit code is 128 plus its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted(u8);

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

impl domex_error::UserError for Interrupted {
    fn is_user_error(&self) -> bool {
        false
    }
}

/// Asked between two pictures.
#[derive(Debug, Clone)]
pub struct Interrupt(Signals);

impl Interrupt {
    /// Notes signals from now on.
    pub fn watch() -> domex_error::Result<Self> {
        Ok(Self(Signals::install()?))
    }

    /// Ends the work if a signal came.
    pub fn check(&self) -> Result<(), Interrupted> {
        match self.0.caught() {
            Some(signal) => Err(Interrupted(signal)),
            None => Ok(()),
        }
    }
}

/// The exit code, if this is what ended the program.
pub fn exit_code(error: &domex_error::AnyError) -> Option<u8> {
    let interrupted = error.find::<Interrupted>();
    interrupted.map(|Interrupted(signal)| 128 + signal)
}
