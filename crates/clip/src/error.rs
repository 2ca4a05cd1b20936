//! What can go wrong in this crate.

use domex_error::UserError;

/// An error of CLIP: what was given and what was expected.
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
    /// A picture could not be used.
    #[error(transparent)]
    Data(#[from] domex_data::Error),
    /// A tensor given to an encoder has the wrong shape.
    #[error("clip: {what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that fits.
        expected: String,
    },
    /// Token ids that the text encoder cannot take.
    #[error("clip: text {row}: {problem}")]
    Tokens {
        /// Which of the texts, counted from 0.
        row: usize,
        /// What was found and what was expected.
        problem: String,
    },
    /// A hyper-parameter is outside its range.
    #[error("clip: {what} is {found}, expected {expected}")]
    Config {
        /// Which one.
        what: String,
        /// Its value.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// The tensors are not those of a CLIP network.
    #[error("clip: not a CLIP checkpoint: {problem}")]
    NotClip {
        /// What was found and what was looked for.
        problem: String,
    },
    /// The checkpoint has tensors that the network does not.
    #[error("clip: {} unexpected tensors: {}", .names.len(), shown(.names))]
    Unexpected {
        /// Their names.
        names: Vec<String>,
    },
    /// A text has more tokens than the context.
    #[error(
        "clip: text {row} ({start:?}...) has {tokens} tokens, expected at most {context}; shorten it or allow truncation"
    )]
    TooLong {
        /// Which of the texts, counted from 0.
        row: usize,
        /// How it begins.
        start: String,
        /// Its tokens with start and end.
        tokens: usize,
        /// How many fit.
        context: usize,
    },
    /// Two texts, or two sets of pictures, are the same to the network.
    #[error(
        "clip: source and target are the same to the network ({distance:.1e} apart), expected two that differ; describe them in other words"
    )]
    NoDirection {
        /// Between their means.
        distance: f64,
    },
    /// The folder of cached text means cannot be used.
    #[error("{}: cannot keep text features here: {source}; choose another folder", .path.display())]
    Cache {
        /// The folder.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A list of merges, or the tokenizer's built-in data, is damaged.
    #[error("clip: the vocabulary is damaged: {problem}")]
    Vocabulary {
        /// What is wrong.
        problem: String,
    },
}

impl Error {
    pub(crate) fn shape(what: &'static str, found: &[usize], expected: impl Into<String>) -> Self {
        Self::Shape {
            what,
            found: found.to_vec(),
            expected: expected.into(),
        }
    }

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

    /// The same error as one of text `number`, where it is about a text.
    pub(crate) fn of_row(mut self, number: usize) -> Self {
        if let Self::TooLong { row, .. } = &mut self {
            *row = number;
        }
        self
    }

    pub(crate) fn not_clip(problem: impl Into<String>) -> Self {
        Self::NotClip {
            problem: problem.into(),
        }
    }
}

/// The first few names: a whole list can be hundreds of lines.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let list = names
        .iter()
        .take(SHOWN)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Candle(_) => false,
            Self::Ops(error) => error.is_user_error(),
            Self::Checkpoint(error) => error.is_user_error(),
            Self::Data(error) => error.is_user_error(),
            Self::Shape { .. }
            | Self::Tokens { .. }
            | Self::Config { .. }
            | Self::NotClip { .. }
            | Self::Unexpected { .. }
            | Self::TooLong { .. }
            | Self::NoDirection { .. }
            | Self::Cache { .. }
            | Self::Vocabulary { .. } => true,
        }
    }
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
