//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of the export.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The generator failed.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// The domains do not fit.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// Something that the graph cannot say.
    #[error("ONNX: {what}; {instead}")]
    Unsupported {
        /// What it is.
        what: String,
        /// What to do.
        instead: String,
    },
    /// A tensor has the wrong shape.
    #[error("ONNX: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
}

impl Error {
    pub(crate) fn unsupported(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Unsupported {
            what: what.into(),
            instead: instead.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Shape { .. } => false,
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::Unsupported { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
