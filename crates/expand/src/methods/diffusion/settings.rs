//! Settings of the method.

use domex_distil::{Translation, Way};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffusionConfig {
    /// Latents whose pictures are translated for each domain.
    pub targets: usize,
    /// Steps after which an eighth of them is translated anew, of other latents, in the place of the oldest; 0 keeps what was made
    /// before the first step.
    pub renew: u32,
    /// The share of translations that is kept: those that a CLIP model finds most in the domain.
    pub keep: f64,
    /// How pictures are translated, where a task does not say it.
    pub translation: Translation,
    /// Weight of the distance to the translation, perceptual and squared; 0 leaves only what else is weighted.
    pub paired: f64,
    /// Weight of the squared difference beside the perceptual distance.
    pub l2: f64,
    /// How the teacher draws edited pictures anew.
    pub score: ScoreConfig,
    /// Weight of a discriminator to which the translations are true pictures; 0 leaves it out. Its own settings are those of
    /// `adversarial`, but that pairs need no correspondence to keep people apart.
    pub adversarial: f64,
    /// Weight of the loss of `nada` for the same texts, with its settings; 0 needs no CLIP model.
    pub clip: f64,
}

/// Score distillation: the edited picture is held to what the teacher makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoreConfig {
    /// Weight of the squared difference; 0 leaves it out.
    pub weight: f64,
    /// The times of the noise, from which each sample draws one: above 0 and at most 1, strokes are below 0.6.
    pub times: [f64; 2],
    /// Guidance away from the source text.
    pub guidance: f64,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self {
            weight: 0.0,
            times: [0.1, 0.6],
            guidance: 1.5,
        }
    }
}

impl ScoreConfig {
    fn validate(&self) -> Result<()> {
        let [from, to] = self.times;
        if !(from > 0.0 && from <= to && to <= 1.0) {
            let (found, expected) = (format!("{from} to {to}"), "above 0 and at most 1, rising");
            return Err(Error::setting("diffusion.score.times", found, expected));
        }
        for (what, value) in [
            ("diffusion.score.weight", self.weight),
            ("diffusion.score.guidance", self.guidance),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(what, value, "0 or more"));
            }
        }
        Ok(())
    }
}

/// What was found to draw: a discriminator gives strokes, the paired distance has them be those of the same person; alone it
/// gives the mean of all that a translation leaves open.
impl Default for DiffusionConfig {
    fn default() -> Self {
        Self {
            targets: 96,
            renew: 0,
            keep: 0.8,
            translation: Translation::default(),
            paired: 1.0,
            l2: 10.0,
            score: ScoreConfig::default(),
            adversarial: 1.0,
            clip: 0.0,
        }
    }
}

impl DiffusionConfig {
    /// Refuses a `target_only` that this table itself gives where pictures are translated by inversion, which has no such time. That of a
    /// recipe below it is for FlowEdit, and may stay.
    pub(crate) fn check_given(&self, settings: &toml::Table) -> std::result::Result<(), String> {
        let translation = settings
            .get("diffusion")
            .and_then(|own| own.get("translation"));
        let given = translation.and_then(|own| own.get("target_only"));
        match (given, self.translation.way) {
            (Some(time), Way::Inversion) => Err(format!(
                "diffusion.translation.target_only: found {time}, expected no such key where way is \"inversion\""
            )),
            _ => Ok(()),
        }
    }

    /// # Errors
    ///
    /// A number out of range.
    pub fn validate(&self) -> Result<()> {
        if !(1..=1 << 16).contains(&self.targets) {
            let expected = "1 to 65536";
            return Err(Error::setting("diffusion.targets", self.targets, expected));
        }
        if !(self.keep > 0.0 && self.keep <= 1.0) {
            let expected = "above 0 and at most 1";
            return Err(Error::setting("diffusion.keep", self.keep, expected));
        }
        for (what, value) in [
            ("diffusion.paired", self.paired),
            ("diffusion.l2", self.l2),
            ("diffusion.adversarial", self.adversarial),
            ("diffusion.clip", self.clip),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(what, value, "0 or more"));
            }
        }
        if self.paired + self.score.weight + self.adversarial == 0.0 {
            let expected = "above 0, or a weight for diffusion.score or diffusion.adversarial";
            return Err(Error::setting("diffusion.paired", 0, expected));
        }
        self.score.validate()?;
        let translation = self.translation.validate();
        translation.map_err(|error| Error::setting("diffusion.translation", error, "a translation"))
    }
}
