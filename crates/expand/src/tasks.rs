//! The new domains, as people write them down.
//!
//! In TOML:
//!
//! ```toml
//! clip = ["ViT-B/32", "ViT-B/16"]     # CLIP models by name or file; weights beside them if not 1
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
//! clip = ["ViT-B-32"]                 # else all models
//!
//! [[tasks]]
//! name = "my style"
//! pictures = ["a.png", "b.png"]       # in place of words
//!
//! [[tasks]]
//! method = "mystyle"                  # else `nada`; each method has keys of its own
//! name = "Ann"
//! pictures = ["ann"]
//! anchors = "ann/latents"
//! ```
//!
//! or in the JSON of adobe-research/domain-expansion, unchanged.

mod official;
mod spec;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use spec::TaskSpec;

use crate::recipe::check_finite;
use crate::suggest::with_suggestion;
use crate::{Config, Error, Recipe, Result};

/// What `version` says in a file of tasks that this program understands.
const VERSION: u32 = 1;

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
    /// CLIP models by name or file; none leaves the choice to the program.
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
        let text = domex_data::file::read_text(path)?;
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
            let label = match task.name().is_empty() {
                true => format!("task {}", at + 1),
                false => task.called(),
            };
            let checked = task.kind()?.check(task);
            checked.map_err(|error| error.of_task(&label))?;
            if let Some(distance) = task.distance
                && !(distance.is_finite() && distance > 0.0)
            {
                let error = Error::setting("distance", distance, "a number above 0");
                return Err(error.of_task(&label));
            }
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

    /// The CLIP models by name or file, and their weights.
    pub fn clip_models(&self) -> impl Iterator<Item = (&str, f64)> {
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
        let textured = self
            .tasks
            .iter()
            .find(|task| task.keys().contains_key("texture"));
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
    check_finite(&table)?;
    let mut file: TaskFile =
        toml::from_str(text).map_err(|error| with_suggestion(&error.to_string()))?;
    let none = toml::Table::new();
    let own = table.get("settings").and_then(toml::Value::as_table);
    file.settings = recipe.below(own.unwrap_or(&none))?;
    Ok(file)
}
