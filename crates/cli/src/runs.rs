//! The folder of a run: where a new one goes, and what one that is gone on with says of itself.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use domex_train::snapshots::{self, latest};
use serde::de::DeserializeOwned;

use crate::exit::mendable;

/// The run's folder: as given, or where the run is that is gone on with.
pub fn folder(out: Option<&Path>, resume: Option<&Path>) -> anyhow::Result<PathBuf> {
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
            mendable(format!(
                "--resume {}: does not lie in a run's folder; say with --out where the run goes on",
                resume.display()
            ))
        })
}

/// A long look at pictures and networks is in vain if the folder is taken.
pub fn refuse_occupied(out: &Path) -> anyhow::Result<()> {
    let occupied = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if !occupied {
        return Ok(());
    }
    let instead = match out.join(snapshots::FOLDER).is_dir() {
        true => format!("go on with it by --resume {}, ", out.display()),
        false => String::new(),
    };
    Err(mendable(format!(
        "--out {}: is not empty; {instead}choose another folder, or pass --force to start anew in it",
        out.display()
    )))
}

/// The settings that `domex VERB` put into the snapshots of the run at `path`.
pub fn settings<T: DeserializeOwned>(path: &Path, verb: &str) -> anyhow::Result<T> {
    let (file, state) = latest(path).map_err(|error| {
        let hint = match path.is_file() {
            true => "; to begin with the weights of a model, give it as --model",
            false => "",
        };
        mendable(format!("--resume {}: {error}{hint}", path.display()))
    })?;
    let settings = state
        .document()
        .get("settings")
        .cloned()
        .unwrap_or_default();
    serde_json::from_value(settings).map_err(|error| {
        mendable(format!(
            "--resume {}: is not a snapshot of this version's `domex {verb}` ({error}); go on with it by the verb and the \
             version that began it (run.json beside it has its settings), or start a new run with its model.safetensors as \
             --model",
            file.display()
        ))
    })
}
