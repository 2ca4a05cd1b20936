//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of a measurement: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// The judge refused.
    #[error(transparent)]
    Judge(#[from] domex_judge::Error),
    /// A perceptual network refused.
    #[error(transparent)]
    Lpips(#[from] domex_lpips::Error),
    /// The Inception network refused.
    #[error(transparent)]
    Inception(#[from] domex_inception::Error),
    /// The DINOv2 network refused.
    #[error(transparent)]
    Dinov2(#[from] domex_dinov2::Error),
    /// A CLIP model refused.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// Features could not be kept.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// Pictures could not be read or brought to tensors.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// Latents or their subspaces do not fit.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// A generator refused.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// A measure refused.
    #[error(transparent)]
    Metrics(#[from] domex_metrics::Error),
    /// A setting, a model or a set is not what it has to be.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
}

impl Error {
    pub(crate) fn config(
        what: impl Into<String>,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        Self::Config {
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Judge(error) => error.is_user_error(),
            Self::Lpips(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::StyleGan2(error) => error.is_user_error(),
            Self::Metrics(error) => error.is_user_error(),
            Self::Inception(error) => error.is_user_error(),
            Self::Dinov2(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Config { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
