//! Any error, still known as a user error or an internal one.

use std::{
    error::Error,
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use crate::UserError;

/// A result of a program, and of code that calls back into crates it does not know.
pub type Result<T, E = AnyError> = std::result::Result<T, E>;

/// An error of any type that implements [`UserError`].
///
/// It does not implement [`UserError`] itself, as that would forbid the conversion from every type that does.
pub struct AnyError {
    is_user_error: bool,
    error: Box<dyn Error + Send + Sync>,
}

/// A user error with this message.
pub fn user_error(message: impl Into<String>) -> AnyError {
    AnyError {
        is_user_error: true,
        error: message.into().into(),
    }
}

impl AnyError {
    /// An internal error with this message, or with that of an error of a library.
    #[allow(clippy::needless_pass_by_value)] // Fits `map_err`.
    pub fn internal(message: impl ToString) -> Self {
        Self {
            is_user_error: false,
            error: message.to_string().into(),
        }
    }

    /// Whether the user can correct the cause.
    pub fn is_user_error(&self) -> bool {
        self.is_user_error
    }

    /// The same error, with where or during what it happened before it.
    #[must_use]
    pub fn context(self, what: impl fmt::Display) -> Self {
        Self {
            is_user_error: self.is_user_error,
            error: Box::new(During {
                what: what.to_string(),
                error: self.error,
            }),
        }
    }

    /// The first of the error and its causes that is an `E`.
    pub fn find<E: Error + 'static>(&self) -> Option<&E> {
        let first: &(dyn Error + 'static) = &*self.error;
        std::iter::successors(Some(first), |&cause| cause.source()).find_map(|cause| {
            match cause.downcast_ref::<Self>() {
                Some(any) => any.error.downcast_ref(),
                None => cause.downcast_ref(),
            }
        })
    }

    /// The error and its causes. A cause that the message already quotes is not repeated.
    pub fn message(&self) -> String {
        let mut message = self.to_string();
        let causes = std::iter::successors(self.source(), |&cause| cause.source());
        for cause in causes.map(ToString::to_string) {
            if !message.contains(&cause) {
                message.push_str(": ");
                message.push_str(&cause);
            }
        }
        message
    }

    /// Prints the [`message`](Self::message) in one line on stderr and gives the program's exit code: 2 for a user error, 1 for an
    /// internal one. A line that cannot be written is dropped: the exit code still says what happened.
    pub fn report(&self, program: &str) -> ExitCode {
        let line = self.message().replace('\n', " ");
        // In one piece: several processes may share a terminal.
        let _ = io::stderr().write_all(format!("{program}: {line}\n").as_bytes());
        ExitCode::from(if self.is_user_error { 2 } else { 1 })
    }
}

impl<E: UserError + Send + Sync + 'static> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self {
            is_user_error: error.is_user_error(),
            error: Box::new(error),
        }
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for AnyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// An error and what was being done.
#[derive(Debug)]
struct During {
    what: String,
    error: Box<dyn Error + Send + Sync>,
}

impl fmt::Display for During {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for During {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// Adds to an error during what it happened.
pub trait Context<T> {
    /// Puts `what` before the error's message.
    ///
    /// # Errors
    ///
    /// The error, if there is one. A missing value is an internal error.
    fn context(self, what: impl fmt::Display) -> Result<T>;

    /// The same, where the text is only made if it is needed.
    ///
    /// # Errors
    ///
    /// The error, if there is one. A missing value is an internal error.
    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<AnyError>> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.with_context(|| what)
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().context(what()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.with_context(|| what)
    }

    fn with_context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.ok_or_else(|| AnyError::internal(what()))
    }
}

/// Returns an internal error with a formatted message.
#[macro_export]
macro_rules! bail {
    ($($message:tt)*) => {
        return Err($crate::AnyError::internal(format!($($message)*)))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Inner {
        #[error("no such file")]
        File,
        #[error("index out of range")]
        Index,
    }

    impl UserError for Inner {
        fn is_user_error(&self) -> bool {
            matches!(self, Self::File)
        }
    }

    #[derive(Debug, thiserror::Error)]
    enum Outer {
        #[error(transparent)]
        Transparent(#[from] Inner),
        #[error("the run stopped")]
        Run(#[source] AnyError),
    }

    impl UserError for Outer {
        fn is_user_error(&self) -> bool {
            match self {
                Self::Transparent(error) => error.is_user_error(),
                Self::Run(error) => error.is_user_error(),
            }
        }
    }

    #[test]
    fn an_error_stays_what_it_is_through_wrappers_boxes_and_context() {
        for inner in [Inner::File, Inner::Index] {
            let expected = inner.is_user_error();
            let boxed = Outer::Run(AnyError::from(Outer::from(inner)));
            let error = AnyError::from(Box::new(boxed)).context("step 4");
            assert_eq!(error.is_user_error(), expected, "{error:?}");
        }
    }

    #[test]
    fn a_cause_is_found_below_context_and_wrappers() {
        let error = AnyError::from(Outer::Run(Inner::Index.into())).context("step 4");
        assert!(matches!(error.find(), Some(Inner::Index)));
        assert!(error.find::<io::Error>().is_none());
    }

    #[test]
    fn a_message_has_every_cause_once() {
        let error = AnyError::from(Outer::Run(Inner::File.into())).context("task.toml");
        assert_eq!(error.message(), "task.toml: the run stopped: no such file");
        let error = user_error("a.png: no such file").context("a.png: no such file, twice");
        assert_eq!(error.message(), "a.png: no such file, twice");
    }

    #[test]
    fn a_missing_value_and_a_failed_check_are_internal_errors() {
        fn check() -> Result<()> {
            bail!("{} answers", 2);
        }
        let error = None::<()>.context("no answer").unwrap_err();
        assert!(!error.is_user_error());
        assert_eq!(check().unwrap_err().message(), "2 answers");
    }
}
