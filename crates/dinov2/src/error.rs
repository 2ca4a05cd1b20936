//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the DINOv2 network: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed, or a weight is missing.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// The blocks cannot be built or fail.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// A picture could not be resized.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// A file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A file that holds something else.
    #[error("dinov2: {file}: {problem}")]
    File {
        /// Its path.
        file: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// Weights that are not those of this network.
    #[error("dinov2: {what}: {found}, expected {expected}")]
    Weights {
        /// Which of them.
        what: String,
        /// What they are.
        found: String,
        /// What they should be.
        expected: String,
    },
    /// A tensor has the wrong shape.
    #[error("dinov2: {what} have shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
}

impl Error {
    pub(crate) fn weights(
        what: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl std::fmt::Display,
    ) -> Self {
        Self::Weights {
            what: what.into(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Shape { .. } => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::File { .. } | Self::Weights { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
