//! What can go wrong in this crate.

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
    /// The latent maths failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// A network failed.
    #[error(transparent)]
    StyleGan2(Box<domex_stylegan2::Error>),
    /// The perceptual distance failed.
    #[error(transparent)]
    Lpips(#[from] domex_lpips::Error),
    /// The caller's own change to the pictures failed.
    #[error("change of the pictures before the discriminator: {0}")]
    Transform(Box<dyn std::error::Error + Send + Sync>),
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
        what: &'static str,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
}

/// Boxed: it is the largest, and every result would have its size.
impl From<domex_stylegan2::Error> for Error {
    fn from(error: domex_stylegan2::Error) -> Self {
        Self::StyleGan2(Box::new(error))
    }
}

impl Error {
    /// Wraps an error of a [`PictureTransform`](crate::PictureTransform).
    pub fn transform(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
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
        what: &'static str,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Setting {
            what,
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// As an error of a network, where a callback has to give one.
    pub(crate) fn into_network(self) -> domex_stylegan2::Error {
        match self {
            Self::StyleGan2(error) => *error,
            Self::Candle(error) => error.into(),
            Self::Ops(error) => error.into(),
            error => candle_core::Error::wrap(error).into(),
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
