//! Settings of the source's training: those of a StyleGAN2 that a StyleGAN3 has too.

use domex_expand::SourceSettings;
use domex_expand_stylegan2::SourceConfig;
use serde_json::{Map, Value as Json};

/// What [`StyleGan3`](crate::StyleGan3) reads from the settings of an expansion.
pub const SETTINGS: SourceSettings = SourceSettings {
    kind: domex_stylegan3::model::KIND,
    keys: &["src", "scale_src", "realism", "gamma", "r1_interval"],
    complete,
    defaults: toml::Table::new,
};

/// Reads the settings of an expansion and checks their ranges.
pub(crate) fn read(settings: &Map<String, Json>) -> Result<SourceConfig, String> {
    match settings
        .keys()
        .find(|key| !SETTINGS.keys.contains(&key.as_str()))
    {
        Some(key) => Err(format!(
            "{key}: is no setting of a StyleGAN3, expected {}",
            SETTINGS.keys.join(", ")
        )),
        None => SourceConfig::read(settings),
    }
}

fn complete(settings: &Map<String, Json>) -> Result<Map<String, Json>, String> {
    let config = read(settings)?;
    match serde_json::to_value(config) {
        Ok(Json::Object(mut settings)) => {
            settings.retain(|key, _| SETTINGS.keys.contains(&key.as_str()));
            Ok(settings)
        }
        other => Err(format!("settings of the source's training: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_named_keys_are_those_of_the_settings() {
        let complete = complete(&Map::new()).unwrap();
        let mut keys = SETTINGS.keys.to_vec();
        keys.sort_unstable();
        assert!(complete.keys().map(String::as_str).eq(keys));
        assert_eq!(
            complete["gamma"],
            json!(10.0),
            "as published for expansions"
        );
    }

    #[test]
    fn what_only_a_stylegan2_has_is_refused() {
        for key in ["path_length_interval", "style_mixing", "phase"] {
            let settings = json!({ key: 1 });
            let error = read(settings.as_object().unwrap()).unwrap_err();
            assert!(error.contains(key) && error.contains("gamma"), "{error}");
        }
    }
}
