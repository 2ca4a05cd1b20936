//! What can go wrong with a reference case, apart from a wrong number.

use std::path::PathBuf;

use domex_error::UserError;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a folder or a case could not be run. A number out of tolerance is not an error: it is a
/// [`Status::Failed`](crate::Status::Failed) in the report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder holds no reference case.
    #[error(
        "{path}: no reference case found; expected .safetensors files with `in.`, `out.` or \
         `grad.` tensors, or checkpoints beside them"
    )]
    NoCase {
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not a safetensors file, or a damaged one.
    #[error("{path}: not a readable safetensors file: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader found.
        reason: String,
    },
    /// A case whose metadata or tensors do not make sense.
    #[error("{path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A tensor that the case needs is not in its file.
    #[error("{path}: tensor `{name}` is missing")]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// Its full name, with the prefix.
        name: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// An operator failed.
    #[error(transparent)]
    Ops(#[from] domex_ops::Error),
    /// The latent maths failed.
    #[error(transparent)]
    Latent(#[from] domex_latent::Error),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),
    /// A network could not be built or run.
    #[error(transparent)]
    StyleGan2(#[from] domex_stylegan2::Error),
    /// A StyleGAN3 could not be built or run.
    #[error(transparent)]
    StyleGan3(#[from] domex_stylegan3::Error),
    /// The perceptual distance could not be built or run.
    #[error(transparent)]
    Lpips(#[from] domex_lpips::Error),
    /// CLIP could not be built or run.
    #[error(transparent)]
    Clip(#[from] domex_clip::Error),
    /// A diffusion process or one of its blocks could not be built or run.
    #[error(transparent)]
    Diffusion(#[from] domex_diffusion::Error),
    /// A diffusion autoencoder could not be built or run.
    #[error(transparent)]
    Diffae(#[from] domex_diffae::Error),
    /// An adversarial loss or a regularizer could not be computed.
    #[error(transparent)]
    Gan(Box<domex_gan::Error>),
    /// A loss by CLIP could not be computed.
    #[error(transparent)]
    Nada(#[from] domex_nada::Error),
    /// A domain modulation or a hypernetwork could not be built or run.
    #[error(transparent)]
    Hyperdomain(#[from] domex_hyperdomain::Error),
    /// A domain encoder or what it changes could not be built or run.
    #[error(transparent)]
    Degan(#[from] domex_degan::Error),
    /// A person's latents or losses could not be computed.
    #[error(transparent)]
    Mystyle(#[from] domex_mystyle::Error),
    /// A step of an expansion could not be computed.
    #[error(transparent)]
    Expand(Box<domex_expand::Error>),
    /// An optimizer could not be run.
    #[error(transparent)]
    Train(#[from] domex_train::Error),
    /// The Inception network could not be built or run.
    #[error(transparent)]
    Inception(#[from] domex_inception::Error),
    /// A measure could not be taken.
    #[error(transparent)]
    Metrics(#[from] domex_metrics::Error),
    /// A picture could not be read or resized.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
}

// Boxed, because a result is as large as its largest error.
impl From<domex_gan::Error> for Error {
    fn from(error: domex_gan::Error) -> Self {
        Self::Gan(Box::new(error))
    }
}

impl From<domex_expand::Error> for Error {
    fn from(error: domex_expand::Error) -> Self {
        Self::Expand(Box::new(error))
    }
}

/// A case that cannot be run is the fault of its file.
impl UserError for Error {
    fn is_user_error(&self) -> bool {
        true
    }
}
