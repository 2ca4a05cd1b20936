//! The JSON of adobe-research/domain-expansion:
//! `{"tasks": [{"type": "NADA", "dimension": 511, "args": {"source_text": .., "target_text": ..}}],
//! "tasks_losses": {"NADA": {"clip_models": [..], "clip_model_weights": [..]}, "MyStyle": {"l2_weight": 1}}}`.
//!
//! Losses of a type that no task has are passed over: the published files list all types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{TaskFile, TaskSpec};
use crate::Recipe;
use crate::methods::{self, Kind};
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
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    dimension: Option<usize>,
    args: Json,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct NadaLosses {
    clip_models: Vec<String>,
    clip_model_weights: Vec<f64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct MyStyleLosses {
    l2_weight: Option<f64>,
}

/// The types of tasks, and the methods that learn them.
const TYPES: [(&str, &dyn Kind); 2] = [
    ("NADA", &methods::nada::Nada),
    ("MyStyle", &methods::mystyle::MyStyle),
];

/// The file's text as a file of tasks, or what is wrong with it.
pub(super) fn read(text: &str, recipe: &Recipe) -> Result<TaskFile, String> {
    let wrong = |error: serde_json::Error| with_suggestion(&error.to_string());
    let file: Official = serde_json::from_str(text).map_err(wrong)?;
    let tasks = file.tasks.iter().map(task);
    let mut tasks = tasks.collect::<Result<Vec<_>, _>>()?;
    number_names(&mut tasks);
    let nada: NadaLosses = losses(&file.tasks_losses, "NADA", &tasks)?;
    let mystyle: MyStyleLosses = losses(&file.tasks_losses, "MyStyle", &tasks)?;
    let mut read = TaskFile {
        tasks,
        clip: nada.clip_models,
        clip_weights: nada.clip_model_weights,
        ..recipe.file().clone()
    };
    if let Some(l2) = mystyle.l2_weight {
        read.settings.mystyle.l2 = l2;
    }
    Ok(read)
}

fn task(task: &OfficialTask) -> Result<TaskSpec, String> {
    let same = |name: &&str| name.eq_ignore_ascii_case(&task.kind);
    let found = TYPES.iter().find(|(name, _)| same(name));
    let Some((_, kind)) = found else {
        let known = TYPES.map(|(name, _)| name);
        let hint = nearest(&task.kind, known)
            .map_or(String::new(), |word| format!("; did you mean {word:?}?"));
        let known = known.join(" or ");
        return Err(format!("task type {:?}, expected {known}{hint}", task.kind));
    };
    let mut spec = kind.official(&task.args)?;
    spec.dimension = task.dimension;
    Ok(spec)
}

/// The published program lets two tasks have one target; here a domain has a name of its own.
fn number_names(tasks: &mut [TaskSpec]) {
    for at in 1..tasks.len() {
        let taken = |name: &str, tasks: &[TaskSpec]| tasks[..at].iter().any(|t| t.name() == name);
        let name = tasks[at].name();
        if taken(&name, tasks) {
            let mut numbered = (2..).map(|number| format!("{name} {number}"));
            tasks[at].name = numbered.find(|name| !taken(name, tasks));
        }
    }
}

/// The losses of a type, which are not looked at where no task has it.
fn losses<T: DeserializeOwned + Default>(
    losses: &BTreeMap<String, Json>,
    name: &str,
    tasks: &[TaskSpec],
) -> Result<T, String> {
    let method = TYPES.iter().find(|(known, _)| *known == name);
    let used = method.is_some_and(|(_, kind)| tasks.iter().any(|t| t.method() == kind.name()));
    let found = losses
        .iter()
        .find(|(kind, _)| kind.eq_ignore_ascii_case(name));
    match found.filter(|_| used || tasks.is_empty()) {
        None => Ok(T::default()),
        Some((_, losses)) => serde_json::from_value(losses.clone())
            .map_err(|error| with_suggestion(&error.to_string())),
    }
}
