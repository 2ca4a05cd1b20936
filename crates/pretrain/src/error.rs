//! What can go wrong in this crate.

use domex_error::UserError;

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
    /// A domain encoder or its losses refused.
    #[error(transparent)]
    Degan(#[from] domex_degan::Error),
    /// A hypernetwork refused.
    #[error(transparent)]
    Hyperdomain(#[from] domex_hyperdomain::Error),
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
    /// A diffusion autoencoder refused.
    #[error(transparent)]
    DiffAe(#[from] domex_diffae::Error),
    /// An adversarial phase failed.
    #[error(transparent)]
    Gan(Box<domex_gan::Error>),
    /// An encoder refused.
    #[error(transparent)]
    Encoder(#[from] domex_encoder::Error),
    /// A judge refused.
    #[error(transparent)]
    Judge(#[from] domex_judge::Error),
    /// A diffusion process refused.
    #[error(transparent)]
    Diffusion(#[from] domex_diffusion::Error),
    /// A teacher refused.
    #[error(transparent)]
    Teacher(Box<domex_teacher::Error>),
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
impl From<domex_gan::Error> for Error {
    fn from(error: domex_gan::Error) -> Self {
        Self::Gan(Box::new(error))
    }
}

impl From<domex_teacher::Error> for Error {
    fn from(error: domex_teacher::Error) -> Self {
        Self::Teacher(Box::new(error))
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

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) | Self::Random(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Clip(error) => error.is_user_error(),
            Self::Nada(error) => error.is_user_error(),
            Self::Degan(error) => error.is_user_error(),
            Self::Hyperdomain(error) => error.is_user_error(),
            Self::Lpips(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::Train(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::StyleGan2(error) => error.is_user_error(),
            Self::DiffAe(error) => error.is_user_error(),
            Self::Gan(error) => error.is_user_error(),
            Self::Encoder(error) => error.is_user_error(),
            Self::Judge(error) => error.is_user_error(),
            Self::Diffusion(error) => error.is_user_error(),
            Self::Teacher(error) => error.is_user_error(),
            Self::Json { .. } | Self::Config { .. } | Self::Vocabulary(_) => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_wrong_kind_is_a_user_error_through_every_crate_that_passes_it_on() {
        let perceptual = domex_lpips::Error::File {
            file: "x".into(),
            problem: "kind".into(),
        };
        let clip = domex_clip::Error::NotClip {
            problem: "no text encoder".into(),
        };
        let json = Error::json("x")(serde_json::from_str::<u8>("{").unwrap_err());
        for error in [perceptual.into(), clip.into(), json] {
            let error: Error = error;
            assert!(error.is_user_error(), "{error:?}");
        }
    }

    #[test]
    fn a_failed_tensor_operation_is_an_internal_error_through_every_crate_that_passes_it_on() {
        let candle = || candle_core::Error::Msg("shape mismatch".into());
        for error in [
            candle().into(),
            domex_lpips::Error::from(candle()).into(),
            domex_clip::Error::from(candle()).into(),
            domex_stylegan2::Error::from(candle()).into(),
            domex_gan::Error::from(domex_stylegan2::Error::from(candle())).into(),
        ] {
            let error: Error = error;
            assert!(!error.is_user_error(), "{error:?}");
        }
    }
}
