//! What can be wrong with a file, said in one line.
//!
//! An [`Error`] names the file; the [`Problem`] inside it names what was found and what was
//! expected. Text that comes from a file is shortened and its control characters are escaped
//! before it enters a message, so a message stays one line whatever the file holds.

use std::path::{Path, PathBuf};

use domex_error::UserError;

/// The result of every fallible function here.
pub type Result<T> = std::result::Result<T, Error>;

/// A problem, and the file it was met in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to open, read or write the file.
    #[error("{}: {source}", shown(path))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file's content is not usable.
    #[error("{}: {problem}", shown(path))]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// A value in memory is not what a function needs.
    #[error("{0}")]
    Value(#[from] Problem),
}

impl Error {
    /// The problem, where it is not the operating system's.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Io { .. } => None,
            Self::File { problem, .. } | Self::Value(problem) => Some(problem),
        }
    }

    /// The same error, said of `path` where no file was named yet.
    #[must_use]
    pub fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Value(problem) => problem.in_file(path),
            named => named,
        }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing to read.
    #[error("the file is empty")]
    Empty,
    /// A container of another version of this program.
    #[error(
        "the file has format {found}, and this program reads {known}; take the program's version that wrote it"
    )]
    Version {
        /// What the file says.
        found: String,
        /// The format of this version.
        known: &'static str,
    },
    /// A container that says what this program does not know: damaged, or of a newer one.
    #[error("{what}{programs}")]
    NotKnown {
        /// What is not known or does not fit.
        what: String,
        /// Both programs, where another one wrote the file; else empty.
        programs: String,
    },
    /// A container of something else.
    #[error("holds a {found}, expected a {expected}")]
    Kind {
        /// Its kind.
        found: String,
        /// The kind that was asked for.
        expected: String,
    },
    /// No known format begins like this.
    #[error(
        "not a checkpoint: {found}; expected a domex container, safetensors, a torch file \
         (.pt, .pth, .ckpt), NumPy arrays (.npy, .npz) or a network pickle"
    )]
    Unrecognised {
        /// What the first bytes look like.
        found: String,
    },
    /// A part goes on after the end of the file.
    #[error("{what} needs {need} bytes but only {have} are left; the file is cut short or damaged")]
    Truncated {
        /// The part.
        what: String,
        /// Its length in bytes.
        need: u64,
        /// What is left of the file, in bytes.
        have: u64,
    },
    /// A rule of the format is broken.
    #[error("{what}: {reason}")]
    Malformed {
        /// The part of the file.
        what: String,
        /// The rule, and how it is broken.
        reason: String,
    },
    /// The element type is not one this crate knows.
    #[error("{what}: dtype {found} is not supported, expected one of {expected}")]
    Dtype {
        /// The tensor or storage.
        what: String,
        /// The type's name in the file.
        found: String,
        /// The names that are known.
        expected: String,
    },
    /// Reading on would take far more memory or time than the file's size justifies.
    #[error(
        "{what} would take {need} {unit}, more than the {limit} allowed for a file of this size"
    )]
    TooMuch {
        /// What would grow.
        what: String,
        /// How far.
        need: u64,
        /// The limit it passes.
        limit: u64,
        /// Of what.
        unit: &'static str,
    },
    /// A name that must be unique is there twice.
    #[error("{what} {name:?} is there twice")]
    Duplicate {
        /// Tensor, key or record.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Something that must be there is not.
    #[error("{what} {name:?} is missing; {hint}")]
    Missing {
        /// Tensor, key or record.
        what: &'static str,
        /// Its name.
        name: String,
        /// What is there, or what to do.
        hint: String,
    },
    /// The file is not as it was written.
    #[error(
        "the file is damaged: its content has the checksum {found}, and {written} was written with it; take it from a \
         backup or make it again"
    )]
    Damaged {
        /// That of what was read.
        found: String,
        /// That in the file.
        written: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {tensor:?} holds {found} at element {index}; such weights cannot be used")]
    NotFinite {
        /// The tensor's name.
        tensor: String,
        /// Position in the flattened tensor.
        index: usize,
        /// `NaN` or `inf`.
        found: &'static str,
    },
    /// A value has another type than the reader of it needs.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What was needed.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A file of that name exists, and was not to be replaced.
    #[error("the file exists already; ask for it to be replaced, or choose another name")]
    Exists,
    /// A problem at a place inside the file.
    #[error("{at}: {problem}")]
    At {
        /// The place, as a path of keys.
        at: String,
        /// The problem.
        problem: Box<Problem>,
    },
}

impl Problem {
    /// The problem itself, without the places that led to it.
    pub fn root(&self) -> &Self {
        match self {
            Self::At { problem, .. } => problem.root(),
            other => other,
        }
    }

    pub(crate) fn in_file(self, path: &Path) -> Error {
        Error::File {
            path: path.to_owned(),
            problem: self,
        }
    }

    pub(crate) fn malformed(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed {
            what: what.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn truncated(what: impl Into<String>, need: u64, have: u64) -> Self {
        Self::Truncated {
            what: what.into(),
            need,
            have,
        }
    }

    /// Prepends a key to the path of the place. Deep paths keep only their inner end.
    pub(crate) fn within(self, key: &str) -> Self {
        const LONGEST: usize = 200;
        match self {
            Self::At { at, problem } if at.len() >= LONGEST => Self::At { at, problem },
            Self::At { at, problem } => Self::At {
                at: format!("{}.{at}", clean(key)),
                problem,
            },
            problem => Self::At {
                at: clean(key),
                problem: Box::new(problem),
            },
        }
    }
}

/// Text from a file, fit for a message: control characters escaped, at most 60 characters.
pub(crate) fn clean(text: &str) -> String {
    shortened(text, 60)
}

/// The same for a sentence with text from a file in it: at most 240 characters.
pub(crate) fn clean_reason(text: &str) -> String {
    shortened(text, 240)
}

fn shortened(text: &str, longest: usize) -> String {
    let mut out = escaped(text.chars().take(longest));
    if text.chars().nth(longest).is_some() {
        out.push('…');
    }
    out
}

fn shown(path: &Path) -> String {
    escaped(path.to_string_lossy().chars())
}

fn escaped(chars: impl Iterator<Item = char>) -> String {
    let mut out = String::new();
    for c in chars {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Io { .. } | Self::File { .. } | Self::Value(_) => true,
        }
    }
}
