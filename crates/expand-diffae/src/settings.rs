//! Settings of a Diffusion Autoencoder's expansion that other kinds do not have.

use domex_expand::SourceSettings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use toml::Table;

/// What [`DiffAe`](crate::DiffAe) reads from the settings of an expansion.
pub const SETTINGS: SourceSettings = SourceSettings {
    kind: domex_diffae::model::KIND,
    keys: &["src", "steps", "gradient_steps", "codes", "trains"],
    complete,
    defaults,
};

/// How pictures are made in a step, and how the generator goes on training on its source domain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// Weight of the source's loss.
    pub src: f64,
    /// Sampling steps of a picture.
    pub steps: usize,
    /// How many of the last of them carry a gradient.
    pub gradient_steps: usize,
    /// Pictures that are encoded at the beginning, where there is no latent prior: all of a smaller set, so many of a larger one.
    pub codes: usize,
    /// Which weights of the U-Net are trained.
    pub trains: Trains,
}

/// Weights of the U-Net.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trains {
    /// All of them.
    #[default]
    Unet,
    /// Those that the code meets first. They bear a rate many times as high, at which they learn to tell codes apart.
    Conditions,
}

impl Trains {
    /// Whether a weight of the U-Net is among them.
    pub(crate) fn takes(self, name: &str) -> bool {
        match self {
            Self::Unet => true,
            Self::Conditions => name.contains(".cond_emb_layers."),
        }
    }
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            src: 1.0,
            steps: 6,
            gradient_steps: 2,
            codes: 1024,
            trains: Trains::Unet,
        }
    }
}

impl SourceConfig {
    /// Reads the settings of an expansion and checks their ranges.
    ///
    /// # Errors
    ///
    /// An unknown key, a value of the wrong type, or a number out of range.
    pub fn read(settings: &Map<String, Json>) -> Result<Self, String> {
        let read = serde_json::from_value(Json::Object(settings.clone()));
        let config: Self = read.map_err(|error| error.to_string())?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        let Self {
            src,
            steps,
            gradient_steps,
            codes,
            trains: _,
        } = *self;
        if !(src.is_finite() && src >= 0.0) {
            return Err(format!("src: {src}, expected 0 or more"));
        }
        if steps == 0 {
            return Err("steps: 0, expected 1 or more".to_owned());
        }
        if !(1..=steps).contains(&gradient_steps) {
            return Err(format!(
                "gradient_steps: {gradient_steps}, expected 1 to {steps}, the steps of a picture"
            ));
        }
        if codes < 2 {
            return Err(format!(
                "codes: {codes}, expected 2 or more, to have a deviation"
            ));
        }
        Ok(())
    }
}

fn complete(settings: &Map<String, Json>) -> Result<Map<String, Json>, String> {
    let config = SourceConfig::read(settings)?;
    match serde_json::to_value(config) {
        Ok(Json::Object(settings)) => Ok(settings),
        other => Err(format!("settings of a diffusion autoencoder: {other:?}")),
    }
}

/// A U-Net bears smaller steps than a StyleGAN2, and its singular values do not tell which directions are dormant.
fn defaults() -> Table {
    let settings = [
        ("lr", toml::Value::from(LEARNING_RATE)),
        ("dimensions", toml::Value::from("probed")),
    ];
    settings
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

const LEARNING_RATE: f64 = 1e-4;

#[cfg(test)]
mod tests {
    use domex_expand::{Config, Dimensions};
    use serde_json::json;

    use super::*;

    #[test]
    fn the_named_keys_are_those_of_the_settings() {
        let complete = complete(&Map::new()).unwrap();
        let mut keys = SETTINGS.keys.to_vec();
        keys.sort_unstable();
        assert!(complete.keys().map(String::as_str).eq(keys));
    }

    #[test]
    fn what_a_file_says_comes_before_the_defaults_of_the_kind() {
        let read = |text: &str| Config::read(&toml::from_str(text).unwrap(), &SETTINGS).unwrap();
        let plain = read("");
        assert_eq!(
            (plain.lr, plain.dimensions),
            (LEARNING_RATE, Dimensions::Probed)
        );
        assert_eq!(plain.source["steps"], json!(6));
        let said = read("lr = 0.5\nsteps = 4\ngradient_steps = 4");
        assert_eq!((said.lr, said.dimensions), (0.5, Dimensions::Probed));
        assert_eq!(said.source["gradient_steps"], json!(4));
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        for (settings, words) in [
            (json!({ "src": -1 }), "src: -1, expected 0 or more"),
            (json!({ "steps": 0 }), "steps: 0"),
            (
                json!({ "gradient_steps": 7 }),
                "gradient_steps: 7, expected 1 to 6",
            ),
            (json!({ "codes": 1 }), "codes: 1"),
            (json!({ "gamma": 1 }), "gamma"),
        ] {
            let error = SourceConfig::read(settings.as_object().unwrap()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
