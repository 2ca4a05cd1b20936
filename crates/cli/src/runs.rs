//! The folder of a run: where a new one goes, and the settings of one that is resumed.

use std::path::{Path, PathBuf};

use domex_error::Context as _;
use domex_train::snapshots::{self, latest};
use serde::de::DeserializeOwned;

use domex_error::user_error;

/// The run's folder: as given, or that of the resumed run.
pub fn folder(out: Option<&Path>, resume: Option<&Path>) -> domex_error::Result<PathBuf> {
    if let Some(out) = out {
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

/// Checked first: opening pictures and networks takes long.
pub fn refuse_occupied(out: &Path) -> domex_error::Result<()> {
    let occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if !occupied {
        return Ok(());
    }
    let instead = match out.join(snapshots::FOLDER).is_dir() {
        true => format!("resume it with --resume {}, ", out.display()),
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
        let hint = match path.is_file() {
            true => "; to start from the weights of a model, give it as --model",
            false => "",
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
