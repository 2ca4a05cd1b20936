//! What can go wrong in this crate.

use std::path::PathBuf;

use domex_error::UserError;

/// An error of a network or its checkpoint: what was found, what was expected, what to do.
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

    /// A file could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] domex_checkpoint::Error),

    /// A tensor given to a network has the wrong shape.
    #[error("{what}: shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// The shape in words, such as `[n, 512]`.
        expected: String,
        /// The shape that was given.
        found: Vec<usize>,
    },

    /// A hyper-parameter is outside its allowed range.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which hyper-parameter or argument.
        what: String,
        /// The value that was given.
        found: String,
        /// What is allowed.
        expected: String,
    },

    /// The tensors of a checkpoint are not those of the network.
    #[error("{network}: {}", names_message(.missing, .unexpected))]
    Names {
        /// Which network.
        network: String,
        /// Tensors of the network that the checkpoint lacks.
        missing: Vec<String>,
        /// Tensors of the checkpoint that the network does not have.
        unexpected: Vec<String>,
    },

    /// A tensor of a checkpoint has another shape than the network gives it.
    #[error("{network}: tensor {name} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Which network.
        network: String,
        /// The tensor's name.
        name: String,
        /// The network's shape.
        expected: Vec<usize>,
        /// The checkpoint's shape.
        found: Vec<usize>,
    },

    /// The architecture cannot be told from a checkpoint's tensors.
    #[error("{network}: {problem}")]
    Deduce {
        /// Which network.
        network: String,
        /// What does not fit.
        problem: String,
    },

    /// A file holds no StyleGAN2 that this crate can read.
    #[error("no StyleGAN2 found: {problem}")]
    NotAModel {
        /// What was found and what was looked for.
        problem: String,
    },

    /// Something went wrong with a file.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        source: Box<Error>,
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

    pub(crate) fn deduce(network: &str, problem: impl Into<String>) -> Self {
        Self::Deduce {
            network: network.to_string(),
            problem: problem.into(),
        }
    }

    /// Names the file in which the error arose, once.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        match self {
            // The checkpoint crate names the file itself.
            Self::File { .. } | Self::Checkpoint(_) => self,
            source => Self::File {
                path: path.to_path_buf(),
                source: Box::new(source),
            },
        }
    }
}

/// The first few names of each list: a whole list can be hundreds of lines.
fn names_message(missing: &[String], unexpected: &[String]) -> String {
    const SHOWN: usize = 4;
    let part = |label: &str, names: &[String]| {
        if names.is_empty() {
            return None;
        }
        let shown = names[..names.len().min(SHOWN)].join(", ");
        let more = names.len().saturating_sub(SHOWN);
        let tail = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Some(format!("{} {label} ({shown}{tail})", names.len()))
    };
    let parts: Vec<_> = [
        part("tensors missing", missing),
        part("tensors unexpected", unexpected),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.join(", ")
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Shape { .. }
            | Self::Config { .. }
            | Self::Names { .. }
            | Self::TensorShape { .. }
            | Self::Deduce { .. }
            | Self::NotAModel { .. }
            | Self::File { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Checks a shape at the door of a forward pass. `None` stands for any size.
///
/// # Errors
///
/// [`Error::Shape`] with what was found and expected.
pub fn expect_dims(what: &str, tensor: &candle_core::Tensor, dims: &[Option<usize>]) -> Result<()> {
    let found = tensor.dims();
    let fits = found.len() == dims.len()
        && found
            .iter()
            .zip(dims)
            .all(|(found, want)| want.is_none_or(|want| want == *found));
    if fits {
        return Ok(());
    }
    let words: Vec<_> = dims
        .iter()
        .enumerate()
        .map(|(axis, dim)| match (axis, dim) {
            (_, Some(dim)) => dim.to_string(),
            (0, None) => "n".to_string(),
            (_, None) => "any".to_string(),
        })
        .collect();
    Err(Error::Shape {
        what: what.to_string(),
        expected: format!("[{}]", words.join(", ")),
        found: found.to_vec(),
    })
}
