//! A generator's own settings.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::suggest::with_suggestion;
use crate::{Config, Error, Result, SourceSettings, TaskFile};

/// What suits one generator better than the published settings, in a file beside its weights.
///
/// ```toml
/// clip = ["robust"]             # networks that look at every task which names none
/// clip_weights = [1.0]          # all 1 when left out
///
/// [settings]                    # only what differs, see `Config`
/// lr = 0.012
/// ```
///
/// A file of tasks, and then flags, come before it.
///
/// It also knows which settings the generator's kind has for training on its source domain.
#[derive(Debug, Clone)]
pub struct Recipe {
    file: TaskFile,
    settings: Table,
    source: SourceSettings,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    clip: Vec<String>,
    clip_weights: Vec<f64>,
    settings: Table,
}

impl Recipe {
    /// One that changes nothing, for a generator of this kind.
    ///
    /// # Errors
    ///
    /// None: a kind's defaults are in range.
    pub fn plain(source: SourceSettings) -> Result<Self> {
        let read = Config::read(&Table::new(), &source);
        let settings = read.map_err(Error::Settings)?;
        let file = TaskFile {
            settings,
            ..TaskFile::default()
        };
        Ok(Self {
            file,
            settings: Table::new(),
            source,
        })
    }

    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, an unknown key (the nearest known one is named), weights that do not fit the networks,
    /// or a setting out of range.
    pub fn read(path: &Path, source: SourceSettings) -> Result<Self> {
        let text = domex_data::file::read_text(path)?;
        let written: Written = toml::from_str(&text)
            .map_err(|error| Error::file(path, with_suggestion(&error.to_string())))?;
        check_finite(&written.settings).map_err(|problem| Error::file(path, problem))?;
        let mut recipe = Self {
            file: TaskFile {
                clip: written.clip,
                clip_weights: written.clip_weights,
                ..TaskFile::default()
            },
            settings: written.settings,
            source,
        };
        recipe.file.settings = recipe
            .below(&Table::new())
            .map_err(|problem| Error::file(path, problem))?;
        let checked = recipe.file.check_settings();
        checked.map_err(|error| Error::file(path, error))?;
        Ok(recipe)
    }

    /// A file of tasks that says nothing itself and has no task.
    pub fn file(&self) -> &TaskFile {
        &self.file
    }

    /// Checks the settings of the source's training in a file that others have changed.
    ///
    /// # Errors
    ///
    /// A number out of range.
    pub fn complete(&self, file: &mut TaskFile) -> Result<()> {
        let checked = file.settings.complete(&self.source);
        checked.map_err(Error::Settings)
    }

    /// The settings with those of another table before them, or what is wrong with that.
    pub(crate) fn below(&self, settings: &Table) -> std::result::Result<Config, String> {
        let mut both = self.settings.clone();
        overlay(&mut both, settings);
        let config = Config::read(&both, &self.source)?;
        config.diffusion.check_given(settings)?;
        Ok(config)
    }
}

/// Refuses the numbers of TOML that JSON has not: settings and tasks are kept as JSON, where they would be no number at all.
pub(crate) fn check_finite(table: &Table) -> std::result::Result<(), String> {
    fn check(path: &str, value: &Value) -> std::result::Result<(), String> {
        match value {
            Value::Float(number) if !number.is_finite() => {
                Err(format!("{path}: {number}, expected a finite number"))
            }
            Value::Array(values) => values.iter().try_for_each(|value| check(path, value)),
            Value::Table(table) => {
                let mut values = table.iter();
                values.try_for_each(|(key, value)| check(&format!("{path}.{key}"), value))
            }
            _ => Ok(()),
        }
    }
    let mut values = table.iter();
    values.try_for_each(|(key, value)| check(key, value))
}

/// Puts every value of `over` into `table`, deep ones into their place.
pub(crate) fn overlay(table: &mut Table, over: &Table) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(value)) => overlay(below, value),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}
