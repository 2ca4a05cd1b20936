//! Calls of the program in a folder of their own, each made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use domex_data::folder::write_atomic;
use domex_error::{Context, Result, user_error};
use serde::de::DeserializeOwned;

/// What `domex` ends with after a signal, its run saved.
const STOPPED: [i32; 2] = [130, 143];

/// The folder that `expand` writes to.
pub const RUN: &str = "run";

/// The folder that `eval` writes to.
pub const EVAL: &str = "eval";

/// One model and what is measured of it.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its folder in that of the study.
    pub folder: String,
    /// Files that the calls read, by name.
    pub files: Vec<(&'static str, String)>,
    /// Arguments of each call, which is made in the folder; the last is `eval`.
    pub calls: Vec<Vec<String>>,
}

impl Part {
    /// Makes the calls that were not made; `false` if a signal came.
    ///
    /// # Errors
    ///
    /// A folder in which others were made, and a call that fails.
    pub fn run(&self, domex: &Path, out: &Path) -> Result<bool> {
        let folder = out.join(&self.folder);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        for (name, text) in &self.files {
            write_atomic(&folder.join(name), text.as_bytes())?;
        }
        let mut made = self.made(&folder)?;
        while let Some(call) = self.calls.get(made.len()) {
            let args = resumed(call, &folder);
            write_atomic(&begun_file(&folder), &serde_json::to_vec_pretty(call)?)?;
            let status = Command::new(domex)
                .args(&args)
                .current_dir(&folder)
                .status()
                .with_context(|| domex.display().to_string())?;
            if !status.success() {
                let stopped = status.code().is_some_and(|code| STOPPED.contains(&code));
                return match stopped {
                    true => Ok(false),
                    false => Err(user_error(format!(
                        "{}: domex {}: {status}",
                        folder.display(),
                        args.join(" ")
                    ))),
                };
            }
            made.push(call.clone());
            write_atomic(&calls_file(&folder), &serde_json::to_vec_pretty(&made)?)?;
        }
        Ok(true)
    }

    /// Whether all calls were made.
    pub fn is_done(&self, out: &Path) -> Result<bool> {
        Ok(self.made(&out.join(&self.folder))?.len() == self.calls.len())
    }

    /// The calls that were made, in their order. One that was begun and not ended must be of this study too: a training would go on
    /// with its settings.
    fn made(&self, folder: &Path) -> Result<Vec<Vec<String>>> {
        let made: Vec<Vec<String>> = read(&calls_file(folder))?.unwrap_or_default();
        let begun: Option<Vec<String>> = read(&begun_file(folder))?;
        match self.calls.starts_with(&made) && begun.is_none_or(|begun| self.calls.contains(&begun))
        {
            true => Ok(made),
            false => Err(user_error(format!(
                "{}: of a study with other calls; give another --out, or remove the folder",
                folder.display()
            ))),
        }
    }
}

fn calls_file(folder: &Path) -> PathBuf {
    folder.join("calls.json")
}

/// The last call that was begun.
fn begun_file(folder: &Path) -> PathBuf {
    folder.join("begun.json")
}

/// A file of JSON, if it is there.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Ok(text) = fs::read(path) else {
        return Ok(None);
    };
    let json = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    Ok(Some(json))
}

/// A training goes on from its last snapshot, if it has one.
fn resumed(call: &[String], folder: &Path) -> Vec<String> {
    let is_training = call.first().is_some_and(|verb| verb == "expand");
    let snapshots = fs::read_dir(folder.join(RUN).join("snapshots"));
    let has_one = snapshots.is_ok_and(|mut files| files.next().is_some());
    match (is_training, has_one) {
        (true, true) => ["expand", "--resume", RUN].map(str::to_owned).to_vec(),
        // What is left of a call that was killed is written over.
        _ => call.iter().cloned().chain(["--force".to_owned()]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(calls: &[&[&str]]) -> Part {
        let words = |call: &&[&str]| call.iter().map(|word| (*word).to_owned()).collect();
        Part {
            folder: "one".to_owned(),
            files: vec![("tasks.toml", "batch".to_owned())],
            calls: calls.iter().map(words).collect(),
        }
    }

    #[test]
    #[cfg(unix)]
    fn calls_are_made_once_and_others_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let out = tempfile::tempdir().unwrap();
        let program = out.path().join("program");
        fs::write(
            &program,
            "#!/bin/sh\necho \"$@\" >> log\n[ \"$1\" != fail ]\n",
        )
        .unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let log = || fs::read_to_string(out.path().join("one/log")).unwrap();

        let two: &[&[&str]] = &[&["first"], &["eval"]];
        assert!(part(two).run(&program, out.path()).unwrap());
        assert_eq!(log(), "first --force\neval --force\n");
        assert!(part(two).run(&program, out.path()).unwrap());
        assert_eq!(log(), "first --force\neval --force\n", "made once");
        assert!(part(two).is_done(out.path()).unwrap());
        assert!(part(&[&["other"]]).run(&program, out.path()).is_err());

        let more: &[&[&str]] = &[&["first"], &["eval"], &["fail"]];
        assert!(part(more).run(&program, out.path()).is_err());
        assert!(
            part(two).run(&program, out.path()).is_err(),
            "what another study has begun"
        );
        assert!(
            !part(more).is_done(out.path()).unwrap(),
            "a call that failed"
        );
        assert_eq!(
            fs::read_to_string(out.path().join("one/tasks.toml")).unwrap(),
            "batch"
        );
    }

    #[test]
    fn a_training_with_a_snapshot_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let call = ["expand", "--steps", "4"].map(str::to_owned);
        assert_eq!(resumed(&call, folder.path())[3], "--force");
        let snapshots = folder.path().join("run/snapshots");
        fs::create_dir_all(&snapshots).unwrap();
        assert_eq!(resumed(&call, folder.path())[3], "--force", "none yet");
        fs::write(snapshots.join("a"), "").unwrap();
        assert_eq!(resumed(&call, folder.path()), ["expand", "--resume", "run"]);
    }
}
