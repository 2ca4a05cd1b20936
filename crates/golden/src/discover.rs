//! Which files of a folder are cases.
//!
//! A `.safetensors` file is a case. So is a checkpoint (`.pkl`, `.pt`, `.pth`, `.ckpt`): what it
//! must contain stands in the `.safetensors` file beside it that has the same stem, or else in
//! the one with the longest stem that the checkpoint's stem starts with (`rosinality_tiny` for
//! `rosinality_tiny_legacy.pt`).

use std::path::{Path, PathBuf};

use domex_error::{Context as _, user_error};

use crate::Result;

/// Folders are followed this deep, so that a loop of links ends.
const DEPTH: usize = 12;

/// A file to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// For a checkpoint: the file that holds its expected contents, where there is one.
    pub expected: Option<PathBuf>,
}

/// All cases under `dir`, sorted by path. `dir` may be one file.
///
/// # Errors
///
/// A folder that cannot be read, or that holds no case.
pub fn discover(dir: &Path) -> Result<Vec<Found>> {
    let mut files = Vec::new();
    let about = std::fs::metadata(dir).with_context(|| dir.display())?;
    if about.is_dir() {
        walk(dir, DEPTH, &mut files)?;
    } else {
        files.push(dir.to_owned());
    }
    let mut found: Vec<_> = files
        .into_iter()
        .filter_map(|path| {
            if has_extension(&path, &["safetensors"]) {
                Some(Found {
                    path,
                    expected: None,
                })
            } else if is_checkpoint(&path) {
                let expected = expected_of(&path);
                Some(Found { path, expected })
            } else {
                None
            }
        })
        .collect();
    found.sort();
    if found.is_empty() {
        Err(user_error(format!(
            "{}: no reference case found; expected .safetensors files with `in.`, `out.` or `grad.` tensors, or checkpoints \
             beside them",
            dir.display()
        )))
    } else {
        Ok(found)
    }
}

/// Whether the file is a checkpoint by its extension.
fn is_checkpoint(path: &Path) -> bool {
    has_extension(path, &["pkl", "pt", "pth", "ckpt"])
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .is_some_and(|found| extensions.iter().any(|e| found.eq_ignore_ascii_case(e)))
}

fn walk(dir: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display())? {
        let path = entry.with_context(|| dir.display())?.path();
        // A broken link is no case and no reason to stop.
        let Ok(metadata) = std::fs::metadata(&path) else {
            continue;
        };
        if metadata.is_file() {
            files.push(path);
        } else if depth > 0 {
            walk(&path, depth - 1, files)?;
        }
    }
    Ok(())
}

fn expected_of(checkpoint: &Path) -> Option<PathBuf> {
    let stem = checkpoint.file_stem()?.to_str()?;
    let folder = checkpoint.parent().filter(|p| !p.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| has_extension(path, &["safetensors"]) && path.is_file())
        .filter_map(|path| {
            let other = path.file_stem()?.to_str()?;
            let other = other.strip_suffix("_expected").unwrap_or(other).to_owned();
            stem.starts_with(&other).then_some((other.len(), path))
        })
        .max()
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::discover;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }

    #[test]
    fn checkpoints_find_their_expected_contents() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "a/tiny.safetensors",
            "a/tiny.pt",
            "a/tiny_legacy.pt",
            "a/README.md",
            "b/lonely.pkl",
            "b/ti.safetensors",
        ] {
            touch(&dir.path().join(name));
        }
        let found = discover(dir.path()).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|f| {
                let name = |p: &Path| p.file_name().unwrap().to_string_lossy().into_owned();
                (name(&f.path), f.expected.as_deref().map(name))
            })
            .collect();
        let tiny = Some("tiny.safetensors".to_owned());
        assert_eq!(
            names,
            [
                ("tiny.pt".to_owned(), tiny.clone()),
                ("tiny.safetensors".to_owned(), None),
                ("tiny_legacy.pt".to_owned(), tiny),
                ("lonely.pkl".to_owned(), None),
                ("ti.safetensors".to_owned(), None),
            ]
        );
    }

    #[test]
    fn a_folder_without_a_case_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        touch(&dir.path().join("README.md"));
        let refused = |dir: &Path| discover(dir).unwrap_err().message();
        assert!(refused(dir.path()).contains("no reference case"));
        assert!(refused(&dir.path().join("absent")).contains("absent: "));
    }
}
