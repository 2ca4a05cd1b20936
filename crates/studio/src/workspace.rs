//! The folder for what is saved: presets, each a picture with its settings in it.
//!
//! No path comes from a request: a preset has a name of letters, digits, spaces and `-_`, and is the file `NAME.png` directly in the folder.
//! An expansion is the folder `runs/NAME`. The folders are made when something is saved.

use std::path::{Path, PathBuf};

use domex_data::file;
use domex_data::folder::write_atomic;

use crate::refusal::Refusal;
use crate::{Error, Result};

/// Letters of the longest name.
const LONGEST: usize = 60;

/// How presets' files end.
const ENDING: &str = "png";

/// The folder of expansions, one folder each.
const RUNS: &str = "runs";

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Workspace(PathBuf);

/// A name that is safe as that of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks what was typed.
    ///
    /// # Errors
    ///
    /// Another sign than letters, digits, spaces, `-` and `_`; nothing, too much, or a space at an end.
    pub fn new(text: &str) -> Result<Self, Refusal> {
        let sign = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let refused =
            |reason: String| Err(Refusal::Settings(format!("the name {text:?}: {reason}")));
        if text.is_empty() || text.trim() != text {
            return refused("give it letters, and no space at the ends".into());
        }
        // File systems count bytes, and allow 255.
        if text.chars().count() > LONGEST || text.len() > 200 {
            return refused(format!("is longer than {LONGEST} letters"));
        }
        match text.chars().find(|&c| !sign(c)) {
            Some(c) => refused(format!(
                "{c:?} cannot be part of a name; letters, digits, spaces, - and _ can"
            )),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl Workspace {
    /// A folder that is there or can be made.
    ///
    /// # Errors
    ///
    /// [`Error::Workspace`] where something else stands.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        match path.exists() && !path.is_dir() {
            true => Err(Error::Workspace { path }),
            false => Ok(Self(path)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The names of all presets, sorted.
    pub fn presets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let path = entry.path();
                let is_preset =
                    path.extension().is_some_and(|ending| ending == ENDING) && path.is_file();
                let name = path.file_stem()?.to_str()?.to_owned();
                (is_preset && Name::new(&name).is_ok()).then_some(name)
            })
            .collect();
        names.sort();
        names
    }

    /// The picture of a preset.
    ///
    /// # Errors
    ///
    /// There is none of this name, or it cannot be read.
    pub fn read(&self, name: &Name) -> Result<Vec<u8>, Refusal> {
        let path = self.file(name);
        match path.is_file() {
            true => Ok(file::read(&path, file::LARGEST_PICTURE)?),
            false => Err(missing(name)),
        }
    }

    /// Saves a preset, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Refusal::Exists`] unless it may be replaced, or the folder cannot be written.
    pub fn save(&self, name: &Name, picture: &[u8], replace: bool) -> Result<(), Refusal> {
        let path = self.file(name);
        if path.exists() && !replace {
            return Err(Refusal::Exists(format!(
                "there is a preset {:?} already",
                name.0
            )));
        }
        std::fs::create_dir_all(&self.0)
            .map_err(|error| Refusal::Unusable(format!("{}: {error}", self.0.display())))?;
        Ok(write_atomic(&path, picture)?)
    }

    /// Removes a preset.
    ///
    /// # Errors
    ///
    /// There is none of this name, or it cannot be removed.
    pub fn remove(&self, name: &Name) -> Result<(), Refusal> {
        let path = self.file(name);
        if !path.is_file() {
            return Err(missing(name));
        }
        std::fs::remove_file(&path)
            .map_err(|error| Refusal::Unusable(format!("{}: {error}", path.display())))
    }

    /// The names of all expansions, sorted.
    pub fn runs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(RUNS));
        let mut names: Vec<String> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| Name::new(name).is_ok())
            .collect();
        names.sort();
        names
    }

    /// The folder of an expansion that is there.
    ///
    /// # Errors
    ///
    /// There is none of this name.
    pub fn run(&self, name: &Name) -> Result<PathBuf, Refusal> {
        let folder = self.0.join(RUNS).join(&name.0);
        match folder.is_dir() {
            true => Ok(folder),
            false => Err(Refusal::Missing(format!(
                "there is no expansion {:?}",
                name.0
            ))),
        }
    }

    /// The folder of a new expansion, in a folder that is made.
    ///
    /// # Errors
    ///
    /// There is one of this name, or the folder cannot be made.
    pub fn new_run(&self, name: &Name) -> Result<PathBuf, Refusal> {
        let runs = self.0.join(RUNS);
        let folder = runs.join(&name.0);
        if folder.exists() {
            let told = format!("there is an expansion {:?} already", name.0);
            return Err(Refusal::Exists(told));
        }
        std::fs::create_dir_all(&runs)
            .map_err(|error| Refusal::Unusable(format!("{}: {error}", runs.display())))?;
        Ok(folder)
    }

    fn file(&self, name: &Name) -> PathBuf {
        self.0.join(format!("{}.{ENDING}", name.0))
    }
}

fn missing(name: &Name) -> Refusal {
    Refusal::Missing(format!("there is no preset {:?}", name.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for good in ["Elf 2", "гравюра", "a-b_c"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        let long = "x".repeat(61);
        for bad in [
            "", ".", "..", "a/b", "a\\b", "/etc", "a.png", "c:x", "a\0", " a", "a\n", "%2e", &long,
        ] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn presets_are_saved_listed_replaced_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(root.path().join("new")).unwrap();
        assert!(workspace.presets().is_empty() && !workspace.path().exists());
        let name = Name::new("one").unwrap();
        workspace.save(&name, b"1", false).unwrap();
        assert!(matches!(
            workspace.save(&name, b"2", false),
            Err(Refusal::Exists(_))
        ));
        workspace.save(&name, b"2", true).unwrap();
        std::fs::write(workspace.path().join("no preset.txt"), "").unwrap();
        assert_eq!(workspace.presets(), ["one"]);
        assert_eq!(workspace.read(&name).unwrap(), b"2");
        workspace.remove(&name).unwrap();
        assert!(workspace.read(&name).is_err() && workspace.remove(&name).is_err());
    }

    #[test]
    fn an_expansion_has_a_folder_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let workspace = Workspace::new(root.path()).unwrap();
        let name = Name::new("elves").unwrap();
        assert!(workspace.run(&name).is_err() && workspace.runs().is_empty());
        std::fs::create_dir(workspace.new_run(&name).unwrap()).unwrap();
        assert!(workspace.run(&name).unwrap().ends_with("runs/elves"));
        assert_eq!(workspace.runs(), ["elves"]);
        assert!(matches!(workspace.new_run(&name), Err(Refusal::Exists(_))));
    }

    #[test]
    fn a_file_is_no_workspace() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Workspace::new(file.path()).is_err());
    }
}
