//! Settings from the command line, and from a run that is resumed.

use std::path::Path;

use domex_error::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use domex_error::user_error;

/// `settings` with each `a.b.c=value` put in its place. The place must be there.
pub fn changed<T: Serialize + DeserializeOwned>(settings: &T, changes: &[String]) -> Result<T> {
    let mut json = serde_json::to_value(settings)?;
    for change in changes {
        let (place, value) = change.split_once('=').ok_or_else(|| {
            user_error(format!(
                "--set {change}: expected PLACE=JSON, such as learning.lr=0.001"
            ))
        })?;
        let value: Json = serde_json::from_str(value)
            .map_err(|error| user_error(format!("--set {change}: {error}")))?;
        let pointer = format!("/{}", place.replace('.', "/"));
        let slot = json.pointer_mut(&pointer).ok_or_else(|| {
            user_error(format!(
                "--set {change}: no such setting; run.json of a run lists them below `job`"
            ))
        })?;
        *slot = value;
    }
    serde_json::from_value(json).map_err(|error| user_error(format!("--set: {error}")))
}

/// A run that is resumed.
pub struct Old<T> {
    pub images: u64,
    pub seed: u64,
    pub settings: T,
}

/// Length, seed and settings of the run in a folder.
pub fn of_run<T: DeserializeOwned>(folder: &Path) -> Result<Old<T>> {
    let path = folder.join("run.json");
    let name = || path.display().to_string();
    let text = std::fs::read(&path)
        .map_err(|error| user_error(format!("{}: {error}; nothing to resume there", name())))?;
    let json: Json = serde_json::from_slice(&text).with_context(name)?;
    let number = |key: &str| {
        json[key]
            .as_u64()
            .ok_or_else(|| user_error(format!("{}: no `{key}`", name())))
    };
    Ok(Old {
        images: number("images")?,
        seed: number("seed")?,
        settings: serde_json::from_value(json["job"].clone()).with_context(name)?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_changed_in_its_place_only() {
        let settings = json!({ "learning": { "lr": 1.0, "batch": 4 } });
        let new = changed(&settings, &["learning.lr=0.5".into()]).unwrap();
        assert_eq!(new, json!({ "learning": { "lr": 0.5, "batch": 4 } }));
        for bad in ["learning.rate=1", "learning.lr", "learning.lr=one"] {
            assert!(changed(&settings, &[bad.into()]).is_err(), "{bad}");
        }
    }
}
