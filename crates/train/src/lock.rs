//! One process per run folder.
//!
//! The lock is the system's advisory lock on `run.lock`: it goes with the process, however that ends, so a killed run
//! leaves no stale lock behind.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::{Error, Result};

const NAME: &str = "run.lock";

/// Held as long as the folder is written to.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, which must exist.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] when another process has it; [`Error::Io`] when the lock file cannot be made.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(Error::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: folder.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::Io { path, source }),
        }
    }
}

/// Whether a process has the folder.
#[must_use]
pub fn is_taken(folder: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(folder.join(NAME));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_taken(folder.path()));
        let first = Lock::take(folder.path()).unwrap();
        assert!(is_taken(folder.path()));
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(first);
        assert!(Lock::take(folder.path()).is_ok());
    }
}
