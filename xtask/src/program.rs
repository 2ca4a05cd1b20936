//! The program that is measured, or that trains by itself.

use std::path::{Path, PathBuf};

use domex_error::{Result, user_error};

/// Its path from anywhere.
///
/// # Errors
///
/// There is no such file.
pub fn find(path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path)?;
    match path.is_file() {
        true => Ok(path),
        false => Err(user_error(format!(
            "{}: no such program; build it by `cargo build --release`, or name it by --domex",
            path.display()
        ))),
    }
}
