//! The files of the pictures that `domex invert` is given.

use std::path::PathBuf;

use domex_error::user_error;

use crate::crop::name;

/// The pictures' files, those of folders sorted by name; no two of one name.
pub fn files(given: &[PathBuf]) -> domex_error::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let found = domex_data::source::pictures_in(path)?;
            if found.is_empty() {
                return Err(user_error(format!(
                    "--image {}: holds no picture",
                    path.display()
                )));
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|other| name(other) == name(file)) {
            return Err(user_error(format!(
                "--image {}: another picture is called {} too, and results are written under that name",
                file.display(),
                name(file)
            )));
        }
    }
    Ok(files)
}
