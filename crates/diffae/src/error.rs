//! What can go wrong in this crate.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
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

    /// A schedule, a sampler or a block failed.
    #[error(transparent)]
    Diffusion(#[from] domex_diffusion::Error),

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

    /// A tensor given to a network holds NaN or infinity.
    #[error("{what}: entry {index} is {value}; all entries must be finite")]
    NotFinite {
        /// Which tensor.
        what: String,
        /// The first such entry, counted in row-major order.
        index: usize,
        /// NaN or an infinity.
        value: f64,
    },

    /// A hyper-parameter is outside its allowed range.
    #[error("{what}: {found}, expected {expected}")]
    Config {
        /// Which hyper-parameter.
        what: String,
        /// The value that was given.
        found: String,
        /// What is allowed.
        expected: String,
    },

    /// The checkpoint lacks what the call needs.
    #[error("this checkpoint has no {part}: {instead}")]
    Missing {
        /// What is not there.
        part: &'static str,
        /// What works without it.
        instead: &'static str,
    },

    /// The tensors of a checkpoint are not those of the network.
    #[error("{}", names_message(.missing, .unexpected))]
    Names {
        /// Tensors of the network that the checkpoint lacks.
        missing: Vec<String>,
        /// Tensors of the checkpoint that the network does not have.
        unexpected: Vec<String>,
    },

    /// A tensor of a checkpoint has another shape than the network gives it.
    #[error("tensor {name} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The network's shape.
        expected: Vec<usize>,
        /// The checkpoint's shape.
        found: Vec<usize>,
    },

    /// The architecture cannot be told from a checkpoint's tensors.
    #[error("the architecture cannot be told from names and shapes: {problem}")]
    Deduce {
        /// What does not fit.
        problem: String,
    },

    /// A file holds no diffusion autoencoder.
    #[error("no diffusion autoencoder found: {problem}")]
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

    pub(crate) fn deduce(problem: impl Into<String>) -> Self {
        Self::Deduce {
            problem: problem.into(),
        }
    }

    /// Names the file in which the error arose, once.
    pub(crate) fn in_file(self, path: &Path) -> Self {
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

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Diffusion(error) => error.is_user_error(),
            Self::Latent(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::File { source, .. } => source.is_user_error(),
            Self::Shape { .. }
            | Self::NotFinite { .. }
            | Self::Config { .. }
            | Self::Missing { .. }
            | Self::Names { .. }
            | Self::TensorShape { .. }
            | Self::Deduce { .. }
            | Self::NotAModel { .. } => true,
        }
    }
}

/// The first few names of each list: a whole list can be hundreds of lines.
fn names_message(missing: &[String], unexpected: &[String]) -> String {
    const SHOWN: usize = 4;
    let part = |label: &str, names: &[String]| {
        let shown = names[..names.len().min(SHOWN)].join(", ");
        let tail = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = format!(
            "{} tensors {label} ({}{tail})",
            names.len(),
            shown.escape_debug()
        );
        (!names.is_empty()).then_some(text)
    };
    let parts = [part("missing", missing), part("unexpected", unexpected)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Checks a shape at the door. `None` stands for any size but 0.
pub(crate) fn expect_dims(what: &str, tensor: &Tensor, dims: &[Option<usize>]) -> Result<()> {
    let found = tensor.dims();
    let fits = found.len() == dims.len()
        && found
            .iter()
            .zip(dims)
            .all(|(found, want)| want.map_or(*found > 0, |want| want == *found));
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

/// Refuses a tensor with an entry that is not finite.
pub(crate) fn expect_finite(what: &str, tensor: &Tensor) -> Result<()> {
    let values = tensor.detach().to_dtype(candle_core::DType::F64)?;
    let values: Vec<f64> = values.flatten_all()?.to_vec1()?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(Error::NotFinite {
            what: what.to_string(),
            index,
            value: values[index],
        }),
    }
}

/// What a network on patches that halves them so often expects of a picture's sides.
pub(crate) fn multiples_of(patch: usize, halvings: usize) -> String {
    let unit = patch << halvings;
    match patch {
        1 => format!("sides that are multiples of {unit}, to be halved {halvings} times"),
        _ => format!(
            "sides that are multiples of {unit}: patches of {patch} pixels, halved {halvings} times"
        ),
    }
}
