//! The errors of the libraries that every crate uses.

use crate::UserError;

/// A missing file, a permission, a full disk.
impl UserError for std::io::Error {
    fn is_user_error(&self) -> bool {
        true
    }
}

/// What the user gives is checked before it becomes a tensor.
impl UserError for candle_core::Error {
    fn is_user_error(&self) -> bool {
        false
    }
}

/// What the user gives is read by code that names the file.
impl UserError for serde_json::Error {
    fn is_user_error(&self) -> bool {
        false
    }
}

/// Never from what the user gives: conversions of values that are checked, and of what other programs print.
macro_rules! internal {
    ($($error:ty),+ $(,)?) => {
        $(impl UserError for $error {
            fn is_user_error(&self) -> bool {
                false
            }
        })+
    };
}

internal! {
    std::fmt::Error,
    std::num::TryFromIntError,
    std::string::FromUtf8Error,
    std::time::SystemTimeError,
}
