//! Output folders and atomic files: what a command writes is whole or absent, and a folder that cannot be
//! written is reported before any work is done.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// A folder that exists, may be written to, and was empty unless the user insisted. Where it was made for a command and
/// nothing is written into it, it goes away again.
///
/// ```
/// use domex_data::folder::OutputFolder;
///
/// let parent = tempfile::tempdir()?;
/// let folder = OutputFolder::create(parent.path().join("run"), false)?;
/// domex_data::folder::write_atomic(&folder.file("note.txt"), b"hello")?;
/// // A second run does not overwrite the first one unless it is forced to.
/// assert!(OutputFolder::create(folder.path(), false).is_err());
/// assert!(OutputFolder::create(folder.path(), true).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct OutputFolder {
    path: PathBuf,
    _made: Arc<Made>,
}

/// Folders that were made, the innermost first. Empty ones are removed with the last that knows of them.
#[derive(Debug)]
struct Made(Vec<PathBuf>);

impl Drop for Made {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Fails where something was written, which is the ordinary case.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

impl OutputFolder {
    /// Makes the folder and its parents when absent, and proves with a small file that it can be written.
    ///
    /// # Errors
    ///
    /// [`Error::NotFolder`] when a file stands there, [`Error::NotEmpty`] when it holds anything and `force`
    /// is not given, [`Error::Write`] when it cannot be made or written.
    pub fn create(path: impl Into<PathBuf>, force: bool) -> Result<Self> {
        let path = path.into();
        let absent = path
            .ancestors()
            .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
        let made = Arc::new(Made(absent.map(Path::to_owned).collect()));
        if path.exists() {
            if !path.is_dir() {
                return Err(Error::NotFolder { path });
            }
            let occupied = fs::read_dir(&path)
                .map_err(Error::read(&path))?
                .next()
                .is_some();
            if occupied && !force {
                return Err(Error::NotEmpty { path });
            }
        } else {
            fs::create_dir_all(&path).map_err(Error::write(&path))?;
        }
        // Permission bits do not tell the whole truth (read-only mounts, full disks): try.
        let mut probe = tempfile::tempfile_in(&path).map_err(Error::write(&path))?;
        probe.write_all(b"domex").map_err(Error::write(&path))?;
        Ok(Self { path, _made: made })
    }

    /// Where the folder is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the folder.
    #[must_use]
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether `path` is `folder` or lies in it. What is not there lies nowhere.
#[must_use]
pub fn holds(folder: &Path, path: &Path) -> bool {
    match (folder.canonicalize(), path.canonicalize()) {
        (Ok(folder), Ok(path)) => path.starts_with(folder),
        _ => false,
    }
}

/// Checks that a single output file can be written: its folder exists or can be made, and the file is absent
/// unless `force` is given. A folder that was made for it goes away again with the result, if nothing is written into it until then.
///
/// # Errors
///
/// [`Error::Exists`], [`Error::NotFolder`] or [`Error::Write`].
#[must_use = "the file's folder goes away with it"]
pub fn prepare_file(path: &Path, force: bool) -> Result<OutputFolder> {
    if path.exists() && !force {
        return Err(Error::Exists {
            path: path.to_path_buf(),
        });
    }
    OutputFolder::create(parent_of(path), true)
}

/// Writes a file in full or not at all: beside its place first, then synced and renamed.
///
/// # Errors
///
/// [`Error::Write`] with the file's path; the old file, if any, is then untouched.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(Error::write(path))?;
    persist(file, path)
}

/// Copies a file in full or not at all, as [`write_atomic`] writes one. Where the file system can, the copy shares its blocks with the
/// original until one of them changes.
///
/// # Errors
///
/// [`Error::Read`] with `from`, [`Error::Write`] with `to`; the old file, if any, is then untouched.
pub fn copy_atomic(from: &Path, to: &Path) -> Result<()> {
    let mut source = fs::File::open(from).map_err(Error::read(from))?;
    let mut file = temporary_beside(to)?;
    // Between files the kernel copies.
    std::io::copy(&mut source, file.as_file_mut()).map_err(Error::write(to))?;
    persist(file, to)
}

/// A temporary file in the folder of `path`, readable by others once it is renamed.
pub(crate) fn temporary_beside(path: &Path) -> Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".domex-").suffix(".part");
    // A private mode is right for a temporary file and wrong for the result: the umask decides instead.
    #[cfg(unix)]
    let permissions: Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    #[cfg(unix)]
    builder.permissions(permissions);
    builder
        .tempfile_in(parent_of(path))
        .map_err(Error::write(path))
}

/// Syncs and renames a [`temporary_beside`] file into place.
pub(crate) fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all().map_err(Error::write(path))?;
    file.persist(path).map_err(|e| Error::Write {
        path: path.to_path_buf(),
        source: e.error,
    })?;
    Ok(())
}

/// The folder of a file; the current one for a bare name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_folders_and_refuses_what_is_taken() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        let folder = OutputFolder::create(&deep, false).unwrap();
        // The probe leaves nothing behind, so that the empty folder may be used again.
        assert!(OutputFolder::create(&deep, false).is_ok());
        assert!(deep.is_dir());

        fs::write(folder.file("x"), "x").unwrap();
        let err = OutputFolder::create(&deep, false).unwrap_err();
        assert!(err.to_string().contains("--force"), "{err}");
        assert!(OutputFolder::create(&deep, true).is_ok());

        let err = OutputFolder::create(folder.file("x"), true).unwrap_err();
        assert!(matches!(err, Error::NotFolder { .. }), "{err}");
        let err = OutputFolder::create(folder.file("x").join("y"), true).unwrap_err();
        assert!(err.to_string().contains("x/y"), "{err}");
    }

    #[test]
    fn a_folder_that_stays_empty_goes_away_with_those_that_were_made_for_it() {
        let root = tempfile::tempdir().unwrap();
        let there = root.path().join("there");
        fs::create_dir(&there).unwrap();
        drop(OutputFolder::create(there.join("a/b"), false).unwrap());
        assert!(there.is_dir() && !there.join("a").exists());
        drop(OutputFolder::create(&there, false).unwrap());
        assert!(there.is_dir(), "it was there before");
        let folder = OutputFolder::create(there.join("c/d"), false).unwrap();
        fs::write(folder.file("x"), "x").unwrap();
        drop(folder);
        assert!(there.join("c/d/x").is_file());
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let err = write_atomic(&root.path().join("absent/x.bin"), b"1").unwrap_err();
        assert!(err.to_string().contains("absent/x.bin"), "{err}");
        let file = root.path().join("x.bin");
        write_atomic(&file, b"1").unwrap();
        write_atomic(&file, b"22").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"22");
        let absent = root.path().join("absent.bin");
        let err = copy_atomic(&absent, &file).unwrap_err();
        assert!(err.to_string().contains("absent.bin"), "{err}");
        assert_eq!(fs::read(&file).unwrap(), b"22");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert!(matches!(
            prepare_file(&file, false),
            Err(Error::Exists { .. })
        ));
        assert!(prepare_file(&file, true).is_ok());
    }

    #[test]
    fn a_folder_that_was_made_for_a_file_is_there_until_it_could_be_written() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("a/b/x.bin");
        let folder = prepare_file(&file, false).unwrap();
        write_atomic(&file, b"1").unwrap();
        drop(folder);
        assert!(file.is_file());
        let folder = prepare_file(&root.path().join("c/d/x.bin"), false).unwrap();
        assert!(root.path().join("c/d").is_dir());
        drop(folder);
        assert!(!root.path().join("c").exists());
    }

    #[cfg(unix)]
    #[test]
    fn results_are_readable_by_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("x.bin");
        write_atomic(&file, b"1").unwrap();
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o400, 0o400);
        fs::write(root.path().join("y"), b"1").unwrap();
        let plain = fs::metadata(root.path().join("y"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode, plain, "the same mode as an ordinary file");
    }
}
