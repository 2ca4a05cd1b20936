//! What can go wrong in this crate.

/// An error of a training: what was found and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor operation failed, or a weight is missing.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// A contrastive model refused.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// What guides towards a text refused.
    #[error(transparent)]
    Nada(#[from] domex_nada::Error),
    /// A perceptual network refused.
    #[error(transparent)]
    Lpips(#[from] domex_lpips::Error),
    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// Pictures could not be brought to tensors or files.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// The engine of a run refused.
    #[error(transparent)]
    Train(#[from] domex_train::Error),
    /// A random stream refused.
    #[error(transparent)]
    Random(#[from] domex_random::Error),
    /// Latents or their subspaces do not fit.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// A StyleGAN2 refused.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// An adversarial phase failed.
    #[error(transparent)]
    Replay(Box<domex_replay::Error>),
    /// A measure refused.
    #[error(transparent)]
    Metrics(#[from] domex_metrics::Error),
    /// A document does not fit.
    #[error("{what}: {source}")]
    Json {
        /// Which document.
        what: String,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A setting is outside its range.
    #[error("{what} is {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// No vocabulary could be made of the captions.
    #[error("vocabulary: {0}")]
    Vocabulary(String),
}

/// Boxed: it is the largest by far, and every result would have its size.
impl From<domex_replay::Error> for Error {
    fn from(error: domex_replay::Error) -> Self {
        Self::Replay(Box::new(error))
    }
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

    pub(crate) fn json(what: impl Into<String>) -> impl FnOnce(serde_json::Error) -> Self {
        move |source| Self::Json {
            what: what.into(),
            source,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
