//! What can go wrong in a run.

use std::path::PathBuf;

use domex_error::{AnyError, UserError, device::Fault};

use crate::memory::Held;

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// What a [`Job`](crate::Job) returns: any error of the crates it uses.
pub type JobResult<T> = domex_error::Result<T>;

/// What can go wrong in a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator refused its operands, or failed.
    #[error(transparent)]
    Operator(#[from] domex_ops::Error),
    /// A container could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A folder or a picture could not be read or written.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// The ranks of a run are no longer all there, or never were.
    #[error("{0}")]
    Ranks(#[from] domex_ranks::Error),
    /// Ranks that should have the same bits do not.
    #[error(
        "rank {rank} differs from rank 0 in {what}: all ranks need the same program, files, flags, --threads and kind of processor"
    )]
    Differs {
        /// Which rank.
        rank: usize,
        /// What of it.
        what: String,
    },
    /// The job itself failed.
    #[error("{0}")]
    Job(#[source] AnyError),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A snapshot could not be written.
    #[error("the snapshot at step {step} could not be written: {source}; {kept}")]
    Snapshot {
        /// The step it would have been of.
        step: u64,
        /// Which snapshot stands instead, in words.
        kept: String,
        /// Why.
        source: Box<Error>,
    },
    /// A step failed, or what a tick measures or writes down.
    #[error("the run stopped at step {step}: {source}; {kept}")]
    Tick {
        /// The step.
        step: u64,
        /// Which snapshot is the last good one, in words.
        kept: String,
        /// Why.
        source: Box<Error>,
    },
    /// The device has no room, or failed.
    #[error("{fault}{advice}; {kept}")]
    Device {
        /// How.
        fault: Fault,
        /// What needs less, in words, after a semicolon; or nothing.
        advice: String,
        /// Which snapshot is the last good one, in words.
        kept: String,
        /// The error that said so.
        source: Box<Error>,
    },
    /// More than any program can have on this machine.
    #[error(
        "{} samples at once take {} of memory or more, at {} each, and this machine has {} for programs; at the most {} could fit: give a \
         smaller {}",
        held.samples,
        size(held.bytes_each.saturating_mul(held.samples as u64)),
        size(held.bytes_each),
        size(*most),
        most / held.bytes_each.max(1),
        held.flags
    )]
    Memory {
        /// What was asked for.
        held: Held,
        /// Bytes of memory and swap, or what a control group leaves of them.
        most: u64,
    },
    /// A saved state lacks something, or holds something else.
    #[error("{}{what}: found {found}, expected {expected}", named(path))]
    State {
        /// The snapshot, or empty for a state that never was in a file.
        path: PathBuf,
        /// Tensor or key.
        what: String,
        /// What was found.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// A setting is out of range.
    #[error("{what}: found {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// Another process writes into the folder.
    #[error(
        "{} is in use by another run: wait for it, stop it, or choose another folder",
        path.display()
    )]
    Locked {
        /// The run's folder.
        path: PathBuf,
    },
    /// A file that the run reads lies in the folder that is to be begun anew.
    #[error(
        "{} is read by the run and lies in {}, whose files --force removes: choose another folder, or move the file",
        input.display(), out.display()
    )]
    Input {
        /// The file.
        input: PathBuf,
        /// The run's folder.
        out: PathBuf,
    },
    /// Snapshots in a folder that no run of ours made.
    #[error(
        "{} holds snapshots but no run.json: they are left alone; choose another folder",
        path.display()
    )]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// A file that would stop the run at once, in a folder where no run was.
    #[error(
        "{} is there, and a file of this name stops a run, which then removes it: move it, or choose another folder",
        path.display()
    )]
    Stop {
        /// The file.
        path: PathBuf,
    },
    /// There is no snapshot to resume from.
    #[error("{} holds no snapshot to resume from", path.display())]
    NoSnapshot {
        /// What was given.
        path: PathBuf,
    },
    /// Losses or gradients were not finite too often.
    #[error(
        "{skipped} steps in a row had a loss or gradient that is not finite ({what}); the run stopped, and {kept}. A lower learning rate or a higher gamma may help"
    )]
    NotFinite {
        /// Steps in a row that were not applied.
        skipped: u64,
        /// What was not finite in the last of them.
        what: String,
        /// Which snapshot is the last good one, in words.
        kept: String,
    },
}

/// A file's name as the beginning of a message; nothing for a state that never was in a file.
fn named(path: &std::path::Path) -> String {
    if path.as_os_str().is_empty() {
        return String::new();
    }
    format!("{}: ", path.display())
}

/// Bytes, for people.
fn size(bytes: u64) -> String {
    match bytes as f64 {
        bytes if bytes < 1e9 => format!("{:.1} MB", bytes / 1e6),
        bytes => format!("{:.1} GB", bytes / 1e9),
    }
}

impl Error {
    /// Makes an [`Error::Io`]; for `map_err`.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |source| Self::Io {
            path: path.to_path_buf(),
            source,
        }
    }

    /// Makes an [`Error::Setting`].
    pub(crate) fn setting(
        what: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Operator(_) => false,
            Self::Device { fault, .. } => *fault == Fault::OutOfMemory,
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::Job(error) => error.is_user_error(),
            Self::Ranks(error) => error.is_user_error(),
            Self::Snapshot { source, .. } | Self::Tick { source, .. } => source.is_user_error(),
            Self::Io { .. }
            | Self::Differs { .. }
            | Self::Memory { .. }
            | Self::State { .. }
            | Self::Setting { .. }
            | Self::Locked { .. }
            | Self::Input { .. }
            | Self::NotOurs { .. }
            | Self::Stop { .. }
            | Self::NoSnapshot { .. }
            | Self::NotFinite { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_full() -> std::io::Error {
        std::io::ErrorKind::StorageFull.into()
    }

    fn io() -> Error {
        Error::Io {
            path: "x".into(),
            source: disk_full(),
        }
    }

    fn candle() -> Error {
        candle_core::Error::Msg("shape mismatch".into()).into()
    }

    fn snapshot(source: Error) -> Error {
        Error::Snapshot {
            step: 4,
            kept: String::new(),
            source: Box::new(source),
        }
    }

    fn tick(source: Error) -> Error {
        Error::Tick {
            step: 4,
            kept: String::new(),
            source: Box::new(source),
        }
    }

    #[test]
    fn a_full_disk_is_a_user_error_wherever_it_is_met() {
        let unwritten = domex_data::Error::Write {
            path: "x".into(),
            source: disk_full(),
        };
        for error in [
            io(),
            snapshot(io()),
            tick(io()),
            Error::Job(io().into()),
            snapshot(Error::Job(unwritten.into())),
        ] {
            assert!(error.is_user_error(), "{error:?}");
        }
    }

    #[test]
    fn a_failed_tensor_operation_is_an_internal_error_wherever_it_is_met() {
        for error in [
            candle(),
            snapshot(candle()),
            tick(candle()),
            Error::Job(candle().into()),
            snapshot(Error::Job(candle().into())),
        ] {
            assert!(!error.is_user_error(), "{error:?}");
        }
    }

    #[test]
    fn losses_that_are_not_finite_are_a_user_error() {
        let error = Error::NotFinite {
            skipped: 20,
            what: "loss".into(),
            kept: String::new(),
        };
        assert!(error.is_user_error());
    }
}
