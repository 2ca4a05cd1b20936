//! The source model's file in the run's folder.
//!
//! A run is resumed with the model it began with. That may be the model of another run, which each of its snapshots
//! replaces, or a file that its owner overwrites or tidies away: so a run keeps a copy. Where the file system can, the
//! copy shares its blocks with the original until one of them changes, and costs nothing;
//! a hard link would be the same file, and lost when it is written to.

use std::path::{Path, PathBuf};

use domex_data::folder::copy_atomic;

use crate::Result;

/// How the kept file is called, but for its extension.
const STEM: &str = "source";

/// What models end in; a file of another ending is kept under the first.
const ENDINGS: [&str; 6] = ["model", "safetensors", "pkl", "pt", "pth", "ckpt"];

/// Where a run in `folder` keeps the model `file`: `source` with the file's extension.
pub fn kept_source(folder: &Path, file: &Path) -> PathBuf {
    let known = |ending: &&&str| file.extension().is_some_and(|found| found == **ending);
    let ending = ENDINGS.iter().find(known).unwrap_or(&ENDINGS[0]);
    folder.join(format!("{STEM}.{ending}"))
}

/// Whether a file of this name is one that a run has kept.
pub(crate) fn is_kept(name: &str) -> bool {
    let ending = name
        .strip_prefix(STEM)
        .and_then(|rest| rest.strip_prefix('.'));
    ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Copies `file` there, in place of what is there. The old file stays until the new one is whole.
pub(crate) fn keep(file: &Path, place: &Path) -> Result<()> {
    let is_it = |at: &Path| Some(at.canonicalize().ok()? == file.canonicalize().ok()?);
    if is_it(place) == Some(true) {
        return Ok(());
    }
    Ok(copy_atomic(file, place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_stays_when_the_file_is_replaced_or_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.pkl");
        std::fs::write(&file, "first").unwrap();
        let place = kept_source(folder.path(), &file);
        assert!(place.ends_with("source.pkl"));
        assert!(is_kept("source.pkl") && !is_kept("source.png") && !is_kept("source"));
        let odd = kept_source(folder.path(), Path::new("snapshot-1.0"));
        assert!(odd.ends_with("source.model"));
        keep(&file, &place).unwrap();
        keep(&place, &place).unwrap();
        let next = folder.path().join("next");
        std::fs::write(&next, "second").unwrap();
        std::fs::rename(&next, &file).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "first");
        keep(&file, &place).unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "second");
        // In place: the same file gets other bytes.
        std::fs::write(&file, "third").unwrap();
        assert_eq!(std::fs::read_to_string(&place).unwrap(), "second");
        let error = keep(&next, &place).unwrap_err().to_string();
        assert!(error.contains("next"), "{error}");
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        let error = keep(&file, &taken).unwrap_err().to_string();
        assert!(error.contains("taken"), "{error}");
        let names = std::fs::read_dir(folder.path()).unwrap();
        assert_eq!(names.count(), 3, "nothing else is left behind");
    }
}
