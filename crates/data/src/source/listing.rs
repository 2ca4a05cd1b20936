//! The pictures of one folder, by path.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::picture::is_picture;

/// The picture files that lie in `folder` itself, sorted by name. Hidden files are none.
///
/// # Errors
///
/// A folder that cannot be read.
pub fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::read(folder))? {
        let path = entry.map_err(Error::read(folder))?.path();
        if is_picture(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
