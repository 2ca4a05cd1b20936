//! The entries of a `config.json`, each of which is used, or says what the networks here do anyway.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::{Error, Result};

/// No size of a network is larger: a bound for numbers that come from files.
const LARGEST: usize = 1 << 16;

/// A JSON object of a file, from which entries are taken.
pub(crate) struct Entries {
    path: PathBuf,
    json: Map<String, Json>,
}

impl Entries {
    /// Those of a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|error| Error::file(path, error.to_string()))?;
        match serde_json::from_str(&text) {
            Ok(Json::Object(json)) => Ok(Self {
                path: path.to_owned(),
                json,
            }),
            Ok(_) => Err(Error::file(path, "no JSON object")),
            Err(error) => Err(Error::file(path, format!("no JSON: {error}"))),
        }
    }

    /// An entry that is there and not null.
    pub fn take(&mut self, key: &str) -> Option<Json> {
        self.json.remove(key).filter(|value| !value.is_null())
    }

    /// What is wrong with an entry.
    pub fn wrong(&self, key: &str, found: &Json, expected: impl Into<String>) -> Error {
        Error::config(&self.path, key, found, expected)
    }

    fn required(&mut self, key: &str, expected: &str) -> Result<Json> {
        self.take(key)
            .ok_or_else(|| Error::config(&self.path, key, "not there", expected))
    }

    /// A size.
    pub fn size(&mut self, key: &str) -> Result<usize> {
        let value = self.required(key, "a whole number")?;
        self.as_size(key, &value)
    }

    /// One size for all levels, or a list with one for each.
    pub fn sizes(&mut self, key: &str, levels: usize) -> Result<Vec<usize>> {
        match self.required(key, "a whole number or a list of them")? {
            Json::Array(list) if list.len() == levels => {
                list.iter().map(|value| self.as_size(key, value)).collect()
            }
            Json::Array(list) => {
                let expected = format!("a number or a list of {levels}");
                Err(self.wrong(key, &Json::Array(list), expected))
            }
            value => Ok(vec![self.as_size(key, &value)?; levels]),
        }
    }

    /// A list of sizes, at least one.
    pub fn list(&mut self, key: &str) -> Result<Vec<usize>> {
        const EXPECTED: &str = "a list of 1 to 8 whole numbers";
        match self.required(key, EXPECTED)? {
            Json::Array(list) if (1..=8).contains(&list.len()) => {
                list.iter().map(|value| self.as_size(key, value)).collect()
            }
            value => Err(self.wrong(key, &value, EXPECTED)),
        }
    }

    /// A list of words, one for each level.
    pub fn words(&mut self, key: &str, levels: usize) -> Result<Vec<String>> {
        let expected = format!("a list of {levels} names of blocks");
        let value = self.required(key, &expected)?;
        let words = value.as_array().map(|list| {
            let words = list.iter().map(|word| word.as_str().map(str::to_owned));
            words.collect::<Option<Vec<_>>>()
        });
        match words.flatten() {
            Some(words) if words.len() == levels => Ok(words),
            _ => Err(self.wrong(key, &value, expected)),
        }
    }

    /// A positive number; `default` where it is not said.
    pub fn number(&mut self, key: &str, default: f64) -> Result<f64> {
        let Some(value) = self.take(key) else {
            return Ok(default);
        };
        let number = value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        number.ok_or_else(|| self.wrong(key, &value, "a number above 0"))
    }

    /// A switch that is off where it is not said.
    pub fn switch(&mut self, key: &str) -> Result<bool> {
        match self.take(key) {
            None => Ok(false),
            Some(Json::Bool(on)) => Ok(on),
            Some(value) => Err(self.wrong(key, &value, "true or false")),
        }
    }

    /// Entries that must have this value, where they are there: what the network here does.
    pub fn fixed(&mut self, expected: &Json) -> Result<()> {
        for (key, expected) in expected.as_object().into_iter().flatten() {
            match self.take(key) {
                Some(found) if !same(&found, expected) => {
                    let expected = format!("{expected}: other networks are not built here");
                    return Err(self.wrong(key, &found, expected));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Nothing may be left that switches something on, but for entries that change nothing at inference.
    pub fn finish(mut self, harmless: &[&str]) -> Result<()> {
        self.json.retain(|key, value| {
            let off = value.is_null() || *value == Json::Bool(false);
            !(off || key.starts_with('_') || harmless.contains(&key.as_str()))
        });
        match self.json.iter().next() {
            None => Ok(()),
            Some((key, found)) => Err(self.wrong(
                key,
                found,
                "no such entry: what it asks for is not built here",
            )),
        }
    }

    fn as_size(&self, key: &str, value: &Json) -> Result<usize> {
        let size = value.as_u64().and_then(|n| usize::try_from(n).ok());
        let size = size.filter(|n| (1..=LARGEST).contains(n));
        size.ok_or_else(|| self.wrong(key, value, format!("a whole number of 1 to {LARGEST}")))
    }
}

/// Whether two values are the same; `1` and `1.0` are.
fn same(a: &Json, b: &Json) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
