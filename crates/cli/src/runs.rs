//! The folder of a run: where a new one goes, the settings of one that is resumed, and the files that it began with.

use std::path::{Path, PathBuf};

use domex_data::folder::OutputFolder;
use domex_data::quoted;
use domex_error::{Context as _, user_error};
use domex_train::snapshots::{self, latest};
use serde::de::DeserializeOwned;

use crate::assets;

/// Files that a run reads, and their SHA-256 when it began.
pub type Hashes = Vec<(PathBuf, String)>;

/// The run's folder: as given, or that of the resumed run.
pub fn folder(out: Option<&Path>, resume: Option<&Path>) -> domex_error::Result<PathBuf> {
    if let Some(out) = out {
        if out.exists() && !out.is_dir() {
            return Err(user_error(format!(
                "--out {}: is a file; a run writes several into a folder: choose another path",
                out.display()
            )));
        }
        return Ok(out.to_owned());
    }
    let resume = resume.context("clap asks for --out")?;
    if resume.is_dir() {
        return Ok(resume.to_owned());
    }
    let folder = resume
        .parent()
        .filter(|folder| folder.ends_with(snapshots::FOLDER));
    folder
        .and_then(Path::parent)
        .map(Path::to_owned)
        .ok_or_else(|| {
            user_error(format!(
                "--resume {}: does not lie in a run's folder; give the run's folder as --out",
                resume.display()
            ))
        })
}

/// Refuses the folder of a new run if something is in it or nothing can be written there. Checked first: opening pictures and networks
/// takes long.
pub fn refuse_occupied(out: &Path) -> domex_error::Result<()> {
    let occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if !occupied {
        // It goes away again: a dry run writes nothing.
        OutputFolder::create(out, false).context("--out")?;
        return Ok(());
    }
    let instead = match out.join(snapshots::FOLDER).is_dir() {
        true => format!("resume it with --resume {}, ", quoted(out)),
        false => String::new(),
    };
    Err(user_error(format!(
        "--out {}: is not empty; {instead}choose another folder, or pass --force to start a new run in it",
        out.display()
    )))
}

/// The settings that `domex VERB` put into the snapshots of the run at `path`.
pub fn settings<T: DeserializeOwned>(path: &Path, verb: &str) -> domex_error::Result<T> {
    let (file, state) = latest(path).map_err(|error| {
        // Others take a model's file or name here.
        let hint = match path.is_dir() {
            true => "",
            false => "; to start from the weights of a model, give it as --model",
        };
        user_error(format!("--resume {}: {error}{hint}", path.display()))
    })?;
    let settings = state
        .document()
        .get("settings")
        .cloned()
        .unwrap_or_default();
    serde_json::from_value(settings).map_err(|error| {
        user_error(format!(
            "--resume {}: is not a snapshot of this version's `domex {verb}` ({error}); resume it with the verb and the \
             version that began it (run.json beside it has its settings), or start a new run with its model.safetensors as \
             --model",
            file.display()
        ))
    })
}

/// Of these files.
pub fn hashes(files: Vec<PathBuf>) -> domex_error::Result<Hashes> {
    let hash = |path: PathBuf| {
        let hash = domex_checkpoint::sha256_file(&path)?;
        Ok((path, hash))
    };
    files.into_iter().map(hash).collect()
}

/// Before a resumed run reads its files: shipped ones that are gone from the cache are unpacked again, and none may have changed.
pub fn reopen(hashes: &[(PathBuf, String)]) -> domex_error::Result<()> {
    for (path, before) in hashes {
        assets::restore(path)?;
        refuse_changed(path, before)?;
    }
    Ok(())
}

/// A run is resumed with the files that it began with.
pub fn refuse_changed(path: &Path, before: &str) -> domex_error::Result<()> {
    match domex_checkpoint::sha256_file(path)? == before {
        true => Ok(()),
        false => Err(user_error(format!(
            "{}: has changed since the run began with it; put the old file back, or start a new run",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_a_model_to_resume_from_is_told_where_it_goes() {
        let refused = |path: &Path| {
            let error = settings::<serde_json::Value>(path, "train").unwrap_err();
            error.message()
        };
        let folder = tempfile::tempdir().unwrap();
        let hint = "give it as --model";
        assert!(refused(Path::new("ffhq256")).contains(hint));
        assert!(!refused(folder.path()).contains(hint));
        let file = folder.path().join("ffhq.pkl");
        std::fs::write(&file, "a model").unwrap();
        assert!(refused(&file).contains(hint));
    }
}
