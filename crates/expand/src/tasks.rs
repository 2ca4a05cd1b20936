//! The new domains, as people write them down.
//!
//! In TOML:
//!
//! ```toml
//! clip = ["ViT-B/32", "ViT-B/16"]     # networks by name or file; weights beside them if not 1
//!
//! [settings]                          # see `Config`
//! batch = 4
//!
//! [[tasks]]
//! source = "photo"
//! target = "pencil sketch"
//! name = "sketch"                     # else the target
//! dimension = 511                     # else the most dormant free one
//! distance = 20                       # else that of the settings
//! clip = ["ViT-B-32"]                 # else all networks
//!
//! [[tasks]]
//! name = "my style"
//! pictures = ["a.png", "b.png"]       # in place of words
//! ```
//!
//! or in the JSON of adobe-research/domain-expansion, unchanged.

mod official;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::suggest::with_suggestion;
use crate::{Config, Error, Recipe, Result};

/// What `version` says in a file of tasks that this program understands.
const VERSION: u32 = 1;

/// One new domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// What the generator makes, in words.
    #[serde(default = "photo")]
    pub source: String,
    /// What it should make, in words; empty where pictures say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// What people will call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pictures of the domain, which then count instead of the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<PathBuf>,
    /// Pictures of a texture, for the texture term.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texture: Vec<PathBuf>,
    /// The CLIP networks that look at it, by their names; none given, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clip: Vec<String>,
    /// Column of the basis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<usize>,
    /// How far along it the domain lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f64>,
}

fn photo() -> String {
    "photo".to_owned()
}

impl TaskSpec {
    /// From the source to `target`, all else left open.
    pub fn texts(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            name: None,
            pictures: Vec::new(),
            texture: Vec::new(),
            clip: Vec::new(),
            dimension: None,
            distance: None,
        }
    }

    /// As `pictures` show it, all else left open.
    pub fn pictures(name: impl Into<String>, pictures: Vec<PathBuf>) -> Self {
        Self {
            name: Some(name.into()),
            pictures,
            ..Self::texts(photo(), "")
        }
    }

    /// What the domain is called.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.target)
    }
}

/// A file of tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// Which version of such files this is: 1, or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The new domains.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// CLIP networks by name or file; none leaves the choice to the program.
    #[serde(default)]
    pub clip: Vec<String>,
    /// Their weights, all 1 when there are none.
    #[serde(default)]
    pub clip_weights: Vec<f64>,
    /// The CLIP network of the texture term, a ResNet's, by name or file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texture_clip: Option<String>,
    /// Settings.
    #[serde(default)]
    pub settings: Config,
}

impl TaskFile {
    /// Reads TOML, or the official JSON where the name ends in `.json`. What the file does not set is as `recipe` has it.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is of another version, an unknown key (the nearest known one is
    /// named), a task of an unknown type, or [what makes no sense](Self::validate).
    pub fn read(path: &Path, recipe: &Recipe) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let json = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let file = match json {
            true => official::read(&text, recipe),
            false => read_toml(&text, recipe),
        };
        let mut file: Self = file.map_err(|problem| Error::file(path, problem))?;
        if file.clip.is_empty() && file.clip_weights.is_empty() {
            file.clip.clone_from(&recipe.file().clip);
            file.clip_weights.clone_from(&recipe.file().clip_weights);
        }
        file.validate().map_err(|error| Error::file(path, error))?;
        Ok(file)
    }

    /// Checks what can be checked without a model.
    ///
    /// # Errors
    ///
    /// No task, an empty text, neither a target nor pictures, a source that is its target, a name or
    /// dimension twice, textures without the term or its network, weights that do not fit the networks, or a
    /// setting out of range.
    pub fn validate(&self) -> Result<()> {
        self.check_settings()?;
        if self.tasks.is_empty() {
            return Err(Error::setting("tasks", "none", "at least one new domain"));
        }
        self.check_textures()?;
        for (at, task) in self.tasks.iter().enumerate() {
            check_words(at, task)?;
            let name = task.name();
            let earlier = &self.tasks[..at];
            if earlier.iter().any(|other| other.name() == name) {
                let what = format!("name of task {}", at + 1);
                return Err(Error::setting(what, name, "a name that no other task has"));
            }
            let same =
                |other: &&TaskSpec| task.dimension.is_some() && other.dimension == task.dimension;
            if let Some(other) = earlier.iter().find(same) {
                let what = format!("dimension of task {name:?}");
                let expected = format!("one of its own: task {:?} has this one", other.name());
                return Err(Error::setting(what, task.dimension.unwrap_or(0), expected));
            }
        }
        Ok(())
    }

    /// The CLIP networks by name or file, and their weights.
    pub fn towers(&self) -> impl Iterator<Item = (&str, f64)> {
        let weights = self.clip_weights.iter().copied();
        let names = self.clip.iter().map(String::as_str);
        names.zip(weights.chain(std::iter::repeat(1.0)))
    }

    /// What can be checked without tasks.
    pub(crate) fn check_settings(&self) -> Result<()> {
        self.settings.validate()?;
        if !self.clip_weights.is_empty() && self.clip_weights.len() != self.clip.len() {
            let expected = format!("{}, one for each network", self.clip.len());
            return Err(Error::setting(
                "clip_weights",
                self.clip_weights.len(),
                expected,
            ));
        }
        Ok(())
    }

    /// Pictures of a texture, the term's weight and its network go together.
    fn check_textures(&self) -> Result<()> {
        let weight = self.settings.nada.weights.texture;
        let textured = self.tasks.iter().find(|task| !task.texture.is_empty());
        let network = self.texture_clip.as_deref();
        match (weight > 0.0, textured, network) {
            (false, Some(task), _) => Err(Error::setting(
                format!("texture of task {:?}", task.name()),
                "pictures",
                "none, or settings.nada.weights.texture above 0",
            )),
            (false, None, Some(network)) => Err(Error::setting(
                "texture_clip",
                network,
                "none, or settings.nada.weights.texture above 0",
            )),
            (true, None, _) => Err(Error::setting(
                "settings.nada.weights.texture",
                weight,
                "0, or a task with `texture`, a list of pictures",
            )),
            (true, Some(_), None) => Err(Error::setting(
                "settings.nada.weights.texture",
                weight,
                "0, or `texture_clip`, a CLIP network of the ResNet kind such as RN50",
            )),
            _ => Ok(()),
        }
    }
}

/// What a task says of its domain.
fn check_words(at: usize, task: &TaskSpec) -> Result<()> {
    let empty = |key: &str, expected: &str| {
        let what = format!("{key} of task {}", at + 1);
        Err(Error::setting(what, "an empty text", expected))
    };
    let no_words = task.target.trim().is_empty();
    if task.source.trim().is_empty() {
        return empty("source", "a few words");
    }
    if task.pictures.is_empty() && no_words {
        return empty("target", "a few words, or pictures of the domain");
    }
    if task.name().trim().is_empty() {
        return empty("name", "what to call the domain, as it has no words");
    }
    if task.pictures.is_empty() && task.source.trim() == task.target.trim() {
        let what = format!("target of task {:?}", task.name());
        let expected = "words other than the source's";
        return Err(Error::setting(what, &task.target, expected));
    }
    Ok(())
}

fn read_toml(text: &str, recipe: &Recipe) -> std::result::Result<TaskFile, String> {
    // A newer file has keys that this program does not know: its version is looked at before them.
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    if let Some(found) = table.get("version")
        && found.as_integer() != Some(VERSION.into())
    {
        return Err(format!(
            "version {found}, expected {VERSION}: it is for another version of this program; use that one, or write \
             version = {VERSION} and mend what is then refused"
        ));
    }
    let mut file: TaskFile =
        toml::from_str(text).map_err(|error| with_suggestion(&error.to_string()))?;
    let none = toml::Table::new();
    let own = table.get("settings").and_then(toml::Value::as_table);
    file.settings = recipe.below(own.unwrap_or(&none))?;
    Ok(file)
}
