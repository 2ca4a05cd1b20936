//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the perceptual distance: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed, or a weight is missing.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A file that holds something else.
    #[error("lpips: {file}: {problem}")]
    File {
        /// Its path.
        file: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A tensor has the wrong shape.
    #[error("lpips: {what} have shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A key that no known layout has.
    #[error("lpips: unknown tensor {name:?}; expected {expected}")]
    Key {
        /// The tensor's name.
        name: String,
        /// The names that are known.
        expected: &'static str,
    },
}

impl Error {
    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

    pub(crate) fn file(file: impl Into<String>, problem: impl std::fmt::Display) -> Self {
        Self::File {
            file: file.into(),
            problem: problem.to_string(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::File { .. } | Self::Shape { .. } | Self::Key { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
