//! Printing to a stdout that may be gone.
//!
//! A reader that has left, as in `domex info --tensors | head`, is no failure: what is left to say has no listener. A full
//! disk is one, but not before the work is done: a run must not end, or never begin, for a line about it.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::OnceLock;

use domex_train::stderr;

/// Why something could not be printed, the first time.
static LOST: OnceLock<String> = OnceLock::new();

/// Prints a text as it is, where it can be written.
pub fn print(text: &str) {
    if let Err(error) = std::io::stdout().write_all(stderr::plain(text).as_bytes())
        && error.kind() != ErrorKind::BrokenPipe
    {
        LOST.get_or_init(|| error.to_string());
    }
}

/// Prints a line.
pub fn line(text: &str) {
    print(&format!("{text}\n"));
}

/// The exit code of work that ended with `code`: a failure if what it had to say could not be written.
pub fn checked(code: ExitCode) -> ExitCode {
    // What is still in the buffer is written now or never.
    let flushed = std::io::stdout()
        .flush()
        .map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe => None,
            _ => Some(error.to_string()),
        });
    let lost = LOST.get().cloned().or(flushed.err().flatten());
    match lost {
        Some(reason) if code == ExitCode::SUCCESS => {
            stderr::line(&format!(
                "domex: the work is done, but stdout could not be written: {reason}"
            ));
            ExitCode::FAILURE
        }
        _ => code,
    }
}
