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
//! ```
//!
//! or in the JSON of adobe-research/domain-expansion, unchanged:
//! `{"tasks": [{"type": "NADA", "dimension": 511, "args": {"source_text": .., "target_text": ..}}],
//! "tasks_losses": {"NADA": {"clip_models": [..], "clip_model_weights": [..]}}}`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::suggest::{nearest, with_suggestion};
use crate::{Config, Error, Result};

/// One new domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// What the generator makes, in words.
    #[serde(default = "photo")]
    pub source: String,
    /// What it should make, in words.
    pub target: String,
    /// What people will call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pictures of the domain, which then count instead of the words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<PathBuf>,
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
            dimension: None,
            distance: None,
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
    /// The new domains.
    #[serde(default)]
    pub tasks: Vec<TaskSpec>,
    /// CLIP networks by name or file; none leaves the choice to the program.
    #[serde(default)]
    pub clip: Vec<String>,
    /// Their weights, all 1 when there are none.
    #[serde(default)]
    pub clip_weights: Vec<f64>,
    /// Settings.
    #[serde(default)]
    pub settings: Config,
}

impl TaskFile {
    /// Reads TOML, or the official JSON where the name ends in `.json`.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, an unknown key (the nearest known one is named), a task of an
    /// unknown type, or [what makes no sense](Self::validate).
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let json = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let file = match json {
            true => official(&text),
            false => toml::from_str(&text).map_err(|error| with_suggestion(&error.to_string())),
        };
        let file: Self = file.map_err(|problem| Error::file(path, problem))?;
        file.validate().map_err(|error| Error::file(path, error))?;
        Ok(file)
    }

    /// Checks what can be checked without a model.
    ///
    /// # Errors
    ///
    /// No task, an empty text, a source that is its target, a name or dimension twice, weights
    /// that do not fit the networks, or a setting out of range.
    pub fn validate(&self) -> Result<()> {
        self.settings.validate()?;
        if self.tasks.is_empty() {
            return Err(Error::setting("tasks", "none", "at least one new domain"));
        }
        if !self.clip_weights.is_empty() && self.clip_weights.len() != self.clip.len() {
            let expected = format!("{}, one for each network", self.clip.len());
            return Err(Error::setting(
                "clip_weights",
                self.clip_weights.len(),
                expected,
            ));
        }
        for (at, task) in self.tasks.iter().enumerate() {
            let name = task.name();
            for (key, text) in [("source", &task.source), ("target", &task.target)] {
                if text.trim().is_empty() {
                    let what = format!("{key} of task {}", at + 1);
                    return Err(Error::setting(what, "an empty text", "a few words"));
                }
            }
            if task.pictures.is_empty() && task.source.trim() == task.target.trim() {
                let what = format!("target of task {name:?}");
                return Err(Error::setting(
                    what,
                    &task.target,
                    "words other than the source's",
                ));
            }
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
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Official {
    tasks: Vec<OfficialTask>,
    #[serde(default)]
    tasks_losses: std::collections::BTreeMap<String, OfficialLosses>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficialTask {
    /// Looked at before the rest is.
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    #[serde(default)]
    dimension: Option<usize>,
    args: OfficialArgs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficialArgs {
    source_text: String,
    target_text: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OfficialLosses {
    clip_models: Vec<String>,
    clip_model_weights: Vec<f64>,
}

/// The only type whose losses are here.
const NADA: &str = "NADA";

fn official(text: &str) -> std::result::Result<TaskFile, String> {
    // Another type has other arguments: say so before they are looked at.
    let value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    for task in value["tasks"].as_array().into_iter().flatten() {
        let found = task["type"].as_str().unwrap_or(NADA);
        if !found.eq_ignore_ascii_case(NADA) {
            let hint = nearest(found, [NADA])
                .map_or(String::new(), |word| format!("; did you mean {word:?}?"));
            return Err(format!("task type {found:?}, expected {NADA:?}{hint}"));
        }
    }
    let file: Official =
        serde_json::from_value(value).map_err(|e| with_suggestion(&e.to_string()))?;
    let tasks = file.tasks.into_iter().map(|task| TaskSpec {
        dimension: task.dimension,
        ..TaskSpec::texts(task.args.source_text, task.args.target_text)
    });
    let (mut clip, mut clip_weights) = (Vec::new(), Vec::new());
    for (kind, losses) in file.tasks_losses {
        if kind.eq_ignore_ascii_case(NADA) {
            (clip, clip_weights) = (losses.clip_models, losses.clip_model_weights);
        }
    }
    Ok(TaskFile {
        tasks: tasks.collect(),
        clip,
        clip_weights,
        settings: Config::default(),
    })
}
