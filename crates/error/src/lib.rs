//! User errors and internal errors, told apart by the errors themselves.
//!
//! Each error type of the workspace implements [`UserError`]: it says whether the user can correct the cause (a file, a
//! flag, a full disk) or whether the program is at fault. A variant that wraps another error asks that one. The programs
//! collect errors of every type in an [`AnyError`], which takes only types that implement the trait, so an error that
//! does not say what it is does not compile.
//!
//! ```
//! use domex_error::{AnyError, UserError};
//!
//! #[derive(Debug)]
//! struct NoSuchLayer;
//!
//! impl std::fmt::Display for NoSuchLayer {
//!     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
//!         f.write_str("--layers 99: the network has 14")
//!     }
//! }
//!
//! impl std::error::Error for NoSuchLayer {}
//!
//! impl UserError for NoSuchLayer {
//!     fn is_user_error(&self) -> bool {
//!         true
//!     }
//! }
//!
//! let error = AnyError::from(NoSuchLayer).context("model.pkl");
//! assert!(error.is_user_error());
//! assert_eq!(error.message(), "model.pkl: --layers 99: the network has 14");
//! ```

mod any;
pub mod device;
mod foreign;
pub mod suggest;

pub use any::{AnyError, Context, Result, user_error};

/// An error that knows whether it is a user error.
pub trait UserError: std::error::Error {
    /// Whether the user can correct the cause; otherwise the program is at fault.
    fn is_user_error(&self) -> bool;
}

impl<E: UserError> UserError for Box<E> {
    fn is_user_error(&self) -> bool {
        (**self).is_user_error()
    }
}
