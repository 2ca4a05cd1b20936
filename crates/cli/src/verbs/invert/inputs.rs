//! The files of the pictures that `domex invert` is given.

use std::path::{Path, PathBuf};

use domex_error::user_error;

use crate::crop::name;

/// The pictures' files, those that lie in folders sorted by name; no two of one name. What else is in the folders is warned of: results of
/// earlier calls may lie below.
pub fn files(given: &[PathBuf]) -> domex_error::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in given {
        if path.is_dir() {
            let mut found = domex_data::source::pictures_in(path)?;
            if found.pictures.len() > 1 && found.pictures.iter().any(|file| is_grid(file)) {
                found.pictures.retain(|file| !is_grid(file));
                let notice = "grid.png passed over, as grids of many pictures are called; name the file to take it";
                found.notices.push(notice.to_owned());
            }
            let passed_over = found.notices.join("; ");
            let path = path.display();
            match (found.pictures.is_empty(), passed_over.as_str()) {
                (true, "") => return Err(user_error(format!("--image {path}: holds no picture"))),
                (true, _) => {
                    return Err(user_error(format!(
                        "--image {path}: holds no picture; {passed_over}"
                    )));
                }
                (false, "") => {}
                (false, _) => tracing::warn!("--image {path}: {passed_over}"),
            }
            files.extend(found.pictures);
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

/// Whether it is the grid of a folder that this program made.
fn is_grid(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "grid.png")
}
