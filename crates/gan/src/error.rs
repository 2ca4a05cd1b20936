//! What can go wrong in this crate.

use domex_error::{AnyError, UserError};

/// An error of a loss: what was given and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A network failed.
    #[error(transparent)]
    StyleGan2(Box<domex_stylegan2::Error>),
    /// The caller's own change to the pictures failed.
    #[error("change of the pictures before the discriminator: {0}")]
    Transform(AnyError),
    /// A tensor has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// A setting is outside its range.
    #[error("{what}: {found}, expected {expected}")]
    Setting {
        /// Which setting.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The pictures do not depend on the latents, so no path has a length.
    #[error("pictures: constant, expected a function of the latents")]
    Constant,
}

/// Boxed: it is the largest, and every result would have its size.
impl From<domex_stylegan2::Error> for Error {
    fn from(error: domex_stylegan2::Error) -> Self {
        Self::StyleGan2(Box::new(error))
    }
}

impl Error {
    /// Wraps an error of a [`PictureTransform`](crate::PictureTransform).
    pub fn transform(error: impl Into<AnyError>) -> Self {
        Self::Transform(error.into())
    }

    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

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
            Self::Candle(_) | Self::Shape { .. } | Self::Constant => false,
            Self::Ops(error) => error.is_user_error(),
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Transform(error) => error.is_user_error(),
            Self::Setting { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
