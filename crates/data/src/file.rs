//! The one door for files that people name: regular files of a size that such a file has.
//!
//! A device or a pipe has no end and a folder no content; a file of gigabytes where a picture or a list of tasks is
//! expected is a mistake. All are refused before anything is read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};

/// Largest file that is read as a picture: 256 MiB.
pub const LARGEST_PICTURE: u64 = 1 << 28;

/// Largest file that is read as settings or a list: 16 MiB.
pub const LARGEST_TEXT: u64 = 1 << 24;

/// The bytes of a regular file that has at most `largest`.
///
/// # Errors
///
/// [`Error::Read`] from the system, [`Error::NotRegular`] and [`Error::TooLarge`].
pub fn read(path: &Path, largest: u64) -> Result<Vec<u8>> {
    // Looked at before it is opened: opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(Error::read(path))?;
    if !metadata.is_file() {
        return Err(Error::NotRegular {
            path: path.to_path_buf(),
            found: match metadata.is_dir() {
                true => "a folder",
                false => "a device or a pipe",
            },
        });
    }
    let too_large = || Error::TooLarge {
        path: path.to_path_buf(),
        largest,
    };
    if metadata.len() > largest {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    let file = File::open(path).map_err(Error::read(path))?;
    // It may grow while it is read, and what `/proc` holds has no size.
    let read = file.take(largest + 1).read_to_end(&mut bytes);
    read.map_err(Error::read(path))?;
    match bytes.len() as u64 > largest {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

/// The text of a UTF-8 file of at most [`LARGEST_TEXT`], without the byte-order mark that some editors put first.
///
/// # Errors
///
/// Those of [`read`], and [`Error::NotText`].
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = read(path, LARGEST_TEXT)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::NotText {
        path: path.to_path_buf(),
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_right_size_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tasks.toml");
        std::fs::write(&path, "\u{feff}a = 1").unwrap();
        assert_eq!(read_text(&path).unwrap(), "a = 1");
        assert_eq!(read(&path, 8).unwrap().len(), 8);
        let error = read(&path, 7).unwrap_err();
        assert!(matches!(error, Error::TooLarge { largest: 7, .. }));
        std::fs::write(&path, b"\xff\xfea").unwrap();
        let error = read_text(&path).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }

    #[test]
    fn a_folder_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path(), 8).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_read() {
        let error = read_text(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("a device or a pipe"), "{error}");
    }
}
