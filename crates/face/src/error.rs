//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the face detector: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed, or a weight is missing.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A file could not be read.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A picture could not be resized.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// A file that holds something else.
    #[error("face detector: {file}: {problem}")]
    File {
        /// Its path.
        file: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// Weights that are not those of this network.
    #[error("face detector: {what}: {found}, expected {expected}")]
    Weights {
        /// Which of them.
        what: String,
        /// What they are.
        found: String,
        /// What they should be.
        expected: String,
    },
    /// A tensor has the wrong shape.
    #[error("face detector: pictures have shape {found:?}, expected {expected}")]
    Shape {
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: &'static str,
    },
    /// Places of eyes and mouth that fix no square.
    #[error(
        "eyes and mouth at {landmarks:?} fix no square; expected two eyes and a mouth below them"
    )]
    Landmarks {
        /// Where they are.
        landmarks: Vec<[f64; 2]>,
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
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Shape { .. } | Self::Landmarks { .. } => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::File { .. } | Self::Weights { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
