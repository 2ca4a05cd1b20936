//! Pictures in a folder and its sub-folders.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::{Files, LARGEST, is_picture};
use crate::error::{Error, Result};

/// Folders within folders beyond which something is wrong.
const DEEPEST: usize = 32;

pub(super) struct Folder {
    path: PathBuf,
    names: Vec<String>,
}

impl Folder {
    /// Finds the pictures. Links to folders are not followed, so no file comes twice.
    pub fn open(path: &Path) -> Result<Self> {
        let mut names = Vec::new();
        walk(path, "", 0, &mut names)?;
        names.sort();
        Ok(Self {
            path: path.to_path_buf(),
            names,
        })
    }
}

fn walk(path: &Path, prefix: &str, depth: usize, names: &mut Vec<String>) -> Result<()> {
    if depth > DEEPEST {
        return Err(Error::DataSet {
            path: path.to_path_buf(),
            problem: format!("lies more than {DEEPEST} folders deep"),
        });
    }
    for entry in fs::read_dir(path).map_err(Error::read(path))? {
        let entry = entry.map_err(Error::read(path))?;
        let Ok(name) = entry.file_name().into_string() else {
            return Err(Error::DataSet {
                path: entry.path(),
                problem: "has a name that is not UTF-8: rename it".into(),
            });
        };
        let full = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(Error::read(&entry.path()))?;
        if kind.is_dir() {
            if !name.starts_with('.') {
                walk(&entry.path(), &format!("{full}/"), depth + 1, names)?;
            }
        } else if is_picture(&name) {
            names.push(full);
        }
    }
    Ok(())
}

impl Files for Folder {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.path.join(name);
        let size = fs::metadata(&path).map_err(Error::read(&path))?.len();
        if size > LARGEST {
            return Err(Error::DataSet {
                path,
                problem: format!("{size} bytes, more than a picture has ({LARGEST})"),
            });
        }
        fs::read(&path).map_err(Error::read(&path))
    }

    fn has(&self, name: &str) -> bool {
        self.path.join(name).is_file()
    }
}
