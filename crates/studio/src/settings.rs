//! What one picture is made of, as the page says it and as a picture carries it with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::engine::Info;
use crate::refusal::Refusal;
use crate::region::Region;

/// No strength, direction or truncation may be larger: beyond it pictures are nothing but noise, and numbers may overflow.
pub const LARGEST: f64 = 10.0;

/// Letters of a [`PhotoId`].
const ID_LENGTH: usize = 16;

/// All that decides one picture of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whose picture.
    pub source: Source,
    /// Truncation psi: 1 leaves latents as they are, 0 gives the mean picture.
    #[serde(default = "whole")]
    pub truncation: f64,
    /// Strengths of domains: 0 is the base, 1 the domain as it was learnt.
    #[serde(default)]
    pub domains: BTreeMap<String, f64>,
    /// How far along directions of the latent space, by their numbers in the basis, in the unit of strengths.
    #[serde(default)]
    pub directions: BTreeMap<usize, f64>,
    /// Some layers' styles from another seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixing: Option<Mixing>,
    /// Where domains and directions show; everywhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
}

/// Style mixing: layers `first` to `last` take the styles of another seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixing {
    /// Whose styles.
    pub seed: u32,
    /// The first layer that takes them, as rows of a latent are counted.
    pub first: usize,
    /// The last one.
    pub last: usize,
}

impl Mixing {
    /// Whether a model of so many layers has these.
    fn is_among(&self, layers: usize) -> bool {
        self.first <= self.last && self.last < layers
    }
}

/// Where a picture starts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A seed, as of `domex generate`.
    Seed(u32),
    /// A photo that was found.
    Photo(PhotoId),
}

/// What a photo is called: the beginning of the SHA-256 of what was found for it, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PhotoId(String);

impl PhotoId {
    /// Of what was found.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = Sha256::digest(bytes);
        let mut text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        text.truncate(ID_LENGTH);
        Self(text)
    }
}

impl TryFrom<String> for PhotoId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_id = text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_id {
            true => Ok(Self(text)),
            false => Err(format!(
                "a photo is named by {ID_LENGTH} hexadecimal digits"
            )),
        }
    }
}

impl From<PhotoId> for String {
    fn from(id: PhotoId) -> Self {
        id.0
    }
}

fn whole() -> f64 {
    1.0
}

impl Settings {
    /// Refuses what the model does not have.
    ///
    /// # Errors
    ///
    /// An unknown domain or direction, or a number that is out of range.
    pub fn check(&self, info: &Info) -> Result<(), Refusal> {
        if let Some(name) = self
            .domains
            .keys()
            .find(|name| !info.domains.contains(name))
        {
            return Err(Refusal::Settings(match info.domains.as_slice() {
                [] => format!("no domain {name:?}: the model has none"),
                known => format!("no domain {name:?}; the model has {}", known.join(", ")),
            }));
        }
        let known = |dimension: &usize| {
            info.directions
                .iter()
                .any(|one| one.dimension == *dimension)
        };
        if let Some(dimension) = self.directions.keys().find(|one| !known(one)) {
            return Err(Refusal::Settings(format!(
                "no direction {dimension} that is free: see the list of directions"
            )));
        }
        if let Some(mixing @ Mixing { first, last, .. }) = self.mixing
            && !mixing.is_among(info.styles)
        {
            return Err(Refusal::Settings(match info.styles {
                0 => "mixing: the layers of this model have no styles of their own".to_owned(),
                count => format!(
                    "mixing of layers {first} to {last}: they go from 0 to {}",
                    count - 1
                ),
            }));
        }
        if self.region.is_some() && !info.regions {
            let message = "region: this kind of generator cannot limit domains to one";
            return Err(Refusal::Settings(message.to_owned()));
        }
        self.check_numbers()
    }

    /// Refuses what no model takes.
    ///
    /// # Errors
    ///
    /// A number that is out of range.
    pub fn check_numbers(&self) -> Result<(), Refusal> {
        let strengths = self.domains.values().chain(self.directions.values());
        let mut numbers = strengths.chain([&self.truncation]);
        match numbers.find(|number| !number.is_finite() || number.abs() > LARGEST) {
            None => Ok(()),
            Some(number) => Err(Refusal::Settings(format!(
                "{number} is out of range: numbers go from -{LARGEST} to {LARGEST}"
            ))),
        }
    }

    /// Leaves out what the model does not have, and says what that was. For settings of another model or an earlier state of it.
    #[must_use]
    pub fn fit(mut self, info: &Info) -> (Self, Vec<String>) {
        let mut notes = Vec::new();
        self.domains.retain(|name, _| {
            let known = info.domains.contains(name);
            if !known {
                notes.push(format!("left out: this model has no domain {name:?}"));
            }
            known
        });
        self.directions.retain(|dimension, _| {
            let known = info
                .directions
                .iter()
                .any(|one| one.dimension == *dimension);
            if !known {
                notes.push(format!(
                    "left out: direction {dimension} is not free in this model"
                ));
            }
            known
        });
        if self
            .mixing
            .is_some_and(|mixing| !mixing.is_among(info.styles))
        {
            notes.push(
                "left out: mixing of styles of layers that this model does not have".to_owned(),
            );
            self.mixing = None;
        }
        if self.region.is_some() && !info.regions {
            notes.push(
                "left out: this kind of generator cannot limit domains to a region".to_owned(),
            );
            self.region = None;
        }
        (self, notes)
    }

    /// The same with these strengths in place of those it had.
    #[must_use]
    pub fn with_strengths(mut self, strengths: &[(&str, f64)]) -> Self {
        for (name, strength) in strengths {
            self.domains.insert((*name).to_owned(), *strength);
        }
        self
    }

    /// The photo that it starts from, if it does.
    pub fn photo(&self) -> Option<&PhotoId> {
        match &self.source {
            Source::Photo(id) => Some(id),
            Source::Seed(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Direction;

    fn info() -> Info {
        Info {
            model: "toy".into(),
            kind: "a toy".into(),
            resolution: 8,
            domains: vec!["elf".into(), "an old, grey elf".into()],
            directions: vec![Direction {
                dimension: 2,
                reach: 1.0,
            }],
            styles: 6,
            regions: true,
            drafts: false,
            photos: None,
        }
    }

    fn read(text: &str) -> Settings {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn settings_keep_what_they_say_as_json() {
        let text = r#"{"source":{"seed":7},"truncation":0.7,"domains":{"elf":-0.5},"directions":{"2":0.1}}"#;
        let settings = read(text);
        assert_eq!(settings.directions[&2], 0.1);
        assert_eq!(serde_json::to_string(&settings).unwrap(), text);
        assert!(settings.check(&info()).is_ok());
    }

    #[test]
    fn what_the_model_does_not_have_is_refused_by_name() {
        for (text, word) in [
            (r#"{"source":{"seed":0},"domains":{"owl":1}}"#, "owl"),
            (
                r#"{"source":{"seed":0},"directions":{"9":1}}"#,
                "direction 9",
            ),
            (r#"{"source":{"seed":0},"domains":{"elf":11}}"#, "11"),
            (
                r#"{"source":{"seed":0},"truncation":-1e300}"#,
                "out of range",
            ),
            (
                r#"{"source":{"seed":0},"mixing":{"seed":1,"first":4,"last":6}}"#,
                "0 to 5",
            ),
        ] {
            let refused = read(text).check(&info()).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
    }

    #[test]
    fn settings_of_another_model_fit_after_what_is_missing_is_left_out() {
        let text = r#"{"source":{"seed":1},"domains":{"owl":1,"elf":0.5},"directions":{"9":1},"mixing":{"seed":1,"first":0,"last":9}}"#;
        let (fitted, notes) = read(text).fit(&info());
        assert!(fitted.check(&info()).is_ok());
        assert_eq!(fitted.domains.len(), 1);
        assert_eq!(notes.len(), 3);
    }

    #[test]
    fn a_photo_is_named_by_its_hash_and_by_nothing_else() {
        let id = PhotoId::of(b"latent");
        let text = serde_json::to_string(&Source::Photo(id.clone())).unwrap();
        assert_eq!(
            serde_json::from_str::<Source>(&text).unwrap(),
            Source::Photo(id)
        );
        for bad in ["../../secret1234", "abc", "0123456789abcdeG"] {
            assert!(PhotoId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Settings>(r#"{"source":{"file":"x"}}"#).is_err());
    }
}
