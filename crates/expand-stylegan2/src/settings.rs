//! Settings of the source's training. The default ones are those that were published.

use domex_expand::SourceSettings;
use domex_gan::PathLengthConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::phase::Phase;

/// What [`StyleGan2`](crate::StyleGan2) reads from the settings of an expansion.
pub const SETTINGS: SourceSettings = SourceSettings {
    kind: domex_stylegan2::model::KIND,
    keys: &[
        "phase",
        "src",
        "scale_src",
        "realism",
        "gamma",
        "r1_interval",
        "path_length",
        "path_length_interval",
        "style_mixing",
    ],
    complete,
    defaults: toml::Table::new,
};

/// How the generator goes on training on its source domain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// Which layers are trained.
    pub phase: Phase,
    /// Above 0 the source's adversarial loss and path length are part of a step; 0 for neither. Its size changes nothing, as
    /// published, but with [`scale_src`](Self::scale_src).
    pub src: f64,
    /// Whether the generator's adversarial loss and path length are multiplied by [`src`](Self::src).
    pub scale_src: bool,
    /// Weight of the discriminator's opinion of edited pictures.
    pub realism: f64,
    /// Weight of R1; with 0 nothing is computed.
    pub gamma: f64,
    /// Steps from one R1 to the next.
    pub r1_interval: u64,
    /// Path length regularization; with a weight of 0 nothing is computed.
    pub path_length: PathLengthConfig,
    /// Steps from one to the next.
    pub path_length_interval: u64,
    /// Probability of style mixing in the path length phase.
    pub style_mixing: f64,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            phase: Phase::default(),
            src: 1.0,
            scale_src: false,
            realism: 0.0,
            gamma: 10.0,
            r1_interval: 16,
            path_length: PathLengthConfig::default(),
            path_length_interval: 4,
            style_mixing: 0.9,
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

    /// What the generator's losses on its source domain are multiplied by; 0 where they are off.
    #[must_use]
    pub fn weight(&self) -> f64 {
        match self.scale_src {
            true => self.src,
            false => f64::from(u8::from(self.src > 0.0)),
        }
    }

    fn validate(&self) -> Result<(), String> {
        let not_negative = [
            ("src", self.src),
            ("realism", self.realism),
            ("gamma", self.gamma),
        ];
        for (name, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{name}: {value}, expected 0 or more"));
            }
        }
        let intervals = [
            ("r1_interval", self.r1_interval),
            ("path_length_interval", self.path_length_interval),
        ];
        for (name, value) in intervals {
            if value == 0 {
                return Err(format!("{name}: 0, expected 1 or more"));
            }
        }
        if !(0.0..=1.0).contains(&self.style_mixing) {
            return Err(format!(
                "style_mixing: {}, expected 0 to 1",
                self.style_mixing
            ));
        }
        self.path_length
            .validate()
            .map_err(|error| error.to_string())
    }
}

fn complete(settings: &Map<String, Json>) -> Result<Map<String, Json>, String> {
    let config = SourceConfig::read(settings)?;
    match serde_json::to_value(config) {
        Ok(Json::Object(settings)) => Ok(settings),
        other => Err(format!("settings of the source's training: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(settings: &Json) -> Result<SourceConfig, String> {
        SourceConfig::read(settings.as_object().unwrap())
    }

    #[test]
    fn the_named_keys_are_those_of_the_settings() {
        let complete = complete(&Map::new()).unwrap();
        let mut keys = SETTINGS.keys.to_vec();
        keys.sort_unstable();
        assert!(complete.keys().map(String::as_str).eq(keys));
    }

    #[test]
    fn what_is_not_said_is_as_published() {
        let read = read(&json!({ "gamma": 2 })).unwrap();
        let published = SourceConfig::default();
        assert_eq!(
            read,
            SourceConfig {
                gamma: 2.0,
                ..published
            }
        );
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        for (settings, words) in [
            (json!({ "src": -1 }), "src: -1, expected 0 or more"),
            (json!({ "r1_interval": 0 }), "r1_interval: 0"),
            (
                json!({ "style_mixing": 2 }),
                "style_mixing: 2, expected 0 to 1",
            ),
            (
                json!({ "path_length": { "batch_shrink": 0 } }),
                "batch shrink",
            ),
        ] {
            let error = read(&settings).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
