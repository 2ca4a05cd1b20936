//! One new domain.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::methods::{self, Kind, unknown_key};
use crate::{Error, Result};

/// Keys that every task has.
const COMMON: [&str; 4] = ["method", "name", "dimension", "distance"];

/// One new domain: what every task says, and the keys that its [method](crate::methods) reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Json>", into = "Map<String, Json>")]
pub struct TaskSpec {
    method: String,
    /// What people will call it; else what the method calls it.
    pub name: Option<String>,
    /// Column of the basis; else one is chosen.
    pub dimension: Option<usize>,
    /// How far along it the domain lies; else as the settings say.
    pub distance: Option<f64>,
    keys: Map<String, Json>,
}

impl TaskSpec {
    /// A task of this method that says nothing yet.
    #[must_use]
    pub fn of(method: &dyn Kind) -> Self {
        Self {
            method: method.name().to_owned(),
            name: None,
            dimension: None,
            distance: None,
            keys: Map::new(),
        }
    }

    /// From `source` to `target` in words, by CLIP.
    pub fn texts(source: impl Into<String>, target: impl Into<String>) -> Self {
        methods::nada::texts(source, target)
    }

    /// The name of its method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Its method.
    ///
    /// # Errors
    ///
    /// None that a task can have: its method was known when it was made.
    pub fn kind(&self) -> Result<&'static dyn Kind> {
        methods::kind(&self.method)
            .map_err(|problem| Error::setting(self.called(), problem, "a task"))
    }

    /// What the domain is called, without space at its ends, as flags name it; empty where nothing says it.
    #[must_use]
    pub fn name(&self) -> String {
        let default = || {
            self.kind()
                .map_or(String::new(), |kind| kind.default_name(self))
        };
        let name = self.name.clone().unwrap_or_else(default);
        name.trim().to_owned()
    }

    /// The method's own keys.
    #[must_use]
    pub fn keys(&self) -> &Map<String, Json> {
        &self.keys
    }

    /// Sets one of them.
    pub fn set(&mut self, key: &str, value: Json) {
        self.keys.insert(key.to_owned(), value);
    }

    /// The task with one more key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.set(key, value.into());
        self
    }

    /// What messages call it.
    pub(crate) fn called(&self) -> String {
        format!("task {:?}", self.name())
    }
}

impl TryFrom<Map<String, Json>> for TaskSpec {
    type Error = String;

    fn try_from(mut keys: Map<String, Json>) -> std::result::Result<Self, String> {
        let kind = match keys.remove("method") {
            None => methods::KINDS[0],
            Some(Json::String(name)) => methods::kind(&name)?,
            Some(other) => return Err(format!("method {other}, expected its name in quotes")),
        };
        for key in keys.keys() {
            if let Some(problem) = unknown_key(kind, key, &COMMON) {
                return Err(problem);
            }
        }
        let mut take = |key: &str| keys.remove(key).unwrap_or(Json::Null);
        let wrong = |key: &str, error: serde_json::Error| format!("{key} of a task: {error}");
        Ok(Self {
            method: kind.name().to_owned(),
            name: serde_json::from_value(take("name")).map_err(|e| wrong("name", e))?,
            dimension: serde_json::from_value(take("dimension"))
                .map_err(|e| wrong("dimension", e))?,
            distance: serde_json::from_value(take("distance")).map_err(|e| wrong("distance", e))?,
            keys,
        })
    }
}

impl From<TaskSpec> for Map<String, Json> {
    fn from(task: TaskSpec) -> Self {
        let mut keys = task.keys;
        if task.method != methods::KINDS[0].name() {
            keys.insert("method".to_owned(), task.method.into());
        }
        let mut put = |key: &str, value: Option<Json>| {
            if let Some(value) = value {
                keys.insert(key.to_owned(), value);
            }
        };
        put("name", task.name.map(Json::from));
        put("dimension", task.dimension.map(Json::from));
        put("distance", task.distance.map(Json::from));
        keys
    }
}
