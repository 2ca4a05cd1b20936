//! The pictures of a folder, by path.

use std::path::{Path, PathBuf};

use super::files::Files as _;
use super::folder::Folder;
use super::others::Others;
use crate::error::{Error, Result};
use crate::picture::is_picture;
use crate::words::counted;

/// Pictures, and what of the folder they are not.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sorted by name. Hidden files are none.
    pub pictures: Vec<PathBuf>,
    /// What was passed over, in words.
    pub notices: Vec<String>,
}

/// The picture files that lie in `folder` itself. Pictures in its sub-folders are passed over.
///
/// # Errors
///
/// A folder that cannot be read.
pub fn pictures_in(folder: &Path) -> Result<Listing> {
    let (mut pictures, mut below, mut others) = (Vec::new(), Vec::new(), Others::default());
    for entry in std::fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            below.push((name.into_owned(), path));
        } else if is_picture(&path) {
            pictures.push(path);
        } else {
            others.add(&name);
        }
    }
    pictures.sort();
    below.retain(|(name, _)| !name.starts_with('.'));
    below.sort();
    let mut notices = Vec::new();
    // One that cannot be read has no picture to lose.
    let counts = below
        .iter()
        .map(|(_, path)| super::count(path).unwrap_or(0));
    let counts: Vec<usize> = counts.collect();
    let total: usize = counts.iter().sum();
    if total > 0 {
        let names = below.iter().zip(&counts).filter(|(_, count)| **count > 0);
        let names: Vec<&str> = names.map(|((name, _), _)| name.as_str()).collect();
        notices.push(format!(
            "{} in sub-folders passed over ({}); name these folders too",
            counted(total, "picture"),
            names.join(", ")
        ));
    }
    notices.extend(others.notice());
    Ok(Listing { pictures, notices })
}

/// The picture files of `folder` and its sub-folders, as [`open`](super::open) finds them.
///
/// # Errors
///
/// A folder that cannot be read; a name that is not UTF-8.
pub fn pictures_below(folder: &Path) -> Result<Listing> {
    let found = Folder::open(folder)?;
    if let Some(problem) = found.unusable().first() {
        return Err(Error::DataSet {
            path: folder.to_path_buf(),
            problem: problem.clone(),
        });
    }
    let names = found.names().iter();
    Ok(Listing {
        pictures: names.map(|name| folder.join(name)).collect(),
        notices: found.others().notice().into_iter().collect(),
    })
}
