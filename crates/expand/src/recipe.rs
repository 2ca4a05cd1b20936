//! A generator's own settings.

use std::path::Path;

use serde::Deserialize;
use toml::{Table, Value};

use crate::suggest::with_suggestion;
use crate::{Config, Error, Result};

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
/// The default one changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    clip: Vec<String>,
    clip_weights: Vec<f64>,
    settings: Table,
}

impl Recipe {
    /// Reads TOML.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, an unknown key (the nearest known one is named), weights that do not fit the networks,
    /// or a setting out of range.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let recipe: Self = toml::from_str(&text)
            .map_err(|error| Error::file(path, with_suggestion(&error.to_string())))?;
        if !recipe.clip_weights.is_empty() && recipe.clip_weights.len() != recipe.clip.len() {
            let problem = format!(
                "{} clip_weights, expected {}, one for each network",
                recipe.clip_weights.len(),
                recipe.clip.len()
            );
            return Err(Error::file(path, problem));
        }
        let config = recipe.config();
        let config = config.map_err(|problem| Error::file(path, problem))?;
        config
            .validate()
            .map_err(|error| Error::file(path, error))?;
        Ok(recipe)
    }

    /// CLIP networks by name and their weights; none leaves the choice to the program.
    pub fn towers(&self) -> impl Iterator<Item = (&str, f64)> {
        let weights = self.clip_weights.iter().copied();
        let names = self.clip.iter().map(String::as_str);
        names.zip(weights.chain(std::iter::repeat(1.0)))
    }

    /// The settings where nobody says otherwise.
    ///
    /// # Errors
    ///
    /// A setting of the wrong kind, in words.
    pub fn config(&self) -> std::result::Result<Config, String> {
        self.below(&Table::new())
    }

    /// The settings with those of another table before them.
    pub(crate) fn below(&self, settings: &Table) -> std::result::Result<Config, String> {
        let mut both = self.settings.clone();
        overlay(&mut both, settings);
        let config = Config::deserialize(both);
        config.map_err(|error| with_suggestion(&error.to_string()))
    }
}

/// Puts every value of `over` into `table`, deep ones into their place.
fn overlay(table: &mut Table, over: &Table) {
    for (key, value) in over {
        match (table.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(value)) => overlay(below, value),
            _ => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
}
