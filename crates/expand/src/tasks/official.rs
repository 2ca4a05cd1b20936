//! The JSON of adobe-research/domain-expansion:
//! `{"tasks": [{"type": "NADA", "dimension": 511, "args": {"source_text": .., "target_text": ..}}],
//! "tasks_losses": {"NADA": {"clip_models": [..], "clip_model_weights": [..]}}}`.
//!
//! Losses of a type that no task has are passed over: the published files list all types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

use super::{TaskFile, TaskSpec};
use crate::Recipe;
use crate::suggest::{nearest, with_suggestion};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Official {
    tasks: Vec<OfficialTask>,
    #[serde(default)]
    tasks_losses: BTreeMap<String, Json>,
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

/// The file's text as a file of tasks, or what is wrong with it.
pub(super) fn read(text: &str, recipe: &Recipe) -> Result<TaskFile, String> {
    let wrong = |error: serde_json::Error| with_suggestion(&error.to_string());
    // Another type has other arguments: say so before they are looked at.
    let value: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
    for task in value["tasks"].as_array().into_iter().flatten() {
        let found = task["type"].as_str().unwrap_or(NADA);
        if !found.eq_ignore_ascii_case(NADA) {
            let hint = nearest(found, [NADA])
                .map_or(String::new(), |word| format!("; did you mean {word:?}?"));
            return Err(format!(
                "task type {found:?}, expected {NADA:?}, the only kind that is supported{hint}"
            ));
        }
    }
    let file: Official = serde_json::from_value(value).map_err(wrong)?;
    let tasks = file.tasks.into_iter().map(|task| TaskSpec {
        dimension: task.dimension,
        ..TaskSpec::texts(task.args.source_text, task.args.target_text)
    });
    let mut losses = file.tasks_losses.into_iter();
    let losses = losses.find(|(kind, _)| kind.eq_ignore_ascii_case(NADA));
    let losses: OfficialLosses = match losses {
        Some((_, losses)) => serde_json::from_value(losses).map_err(wrong)?,
        None => OfficialLosses::default(),
    };
    Ok(TaskFile {
        tasks: tasks.collect(),
        clip: losses.clip_models,
        clip_weights: losses.clip_model_weights,
        ..recipe.file().clone()
    })
}
