//! What a reader of a number should know before believing it.

use serde::{Deserialize, Serialize};

use crate::SPLITS;

/// A reason to take a number with care. Its text says which number and which way it is off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "warning", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// Fewer pictures in a set than a feature has numbers.
    FewerThanFeatures {
        /// Pictures of the smaller set.
        pictures: usize,
        /// Numbers of a feature.
        features: usize,
    },
    /// Fewer pictures than published figures are given for.
    FewerThanPublished {
        /// Pictures of the smaller set.
        pictures: usize,
        /// Those of published figures.
        published: usize,
    },
    /// The sets differ in size.
    UnequalSets {
        /// Samples.
        samples: usize,
        /// Real pictures.
        pictures: usize,
    },
    /// Too few samples for a line through several numbers of them.
    NotExtrapolated {
        /// Samples.
        samples: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Fewer samples in a part of the Inception score than in one of published scores.
    SmallParts {
        /// Samples of a part.
        samples: usize,
        /// Those of published scores.
        published: usize,
    },
}

impl Warning {
    /// What is to be said of an Inception score of parts of so many samples.
    #[must_use]
    pub fn of_parts(samples: usize) -> Option<Self> {
        let published = PUBLISHED / SPLITS;
        (samples < published).then_some(Self::SmallParts { samples, published })
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FewerThanFeatures { pictures, features } => write!(
                f,
                "{pictures} pictures for {features} features: the covariance has directions without spread, and the Fréchet distance \
                 is much too high, also when extrapolated. Take more than {features} pictures, or believe the kernel distance"
            ),
            Self::FewerThanPublished {
                pictures,
                published,
            } => write!(
                f,
                "{pictures} pictures, where published Fréchet distances take {published}: it falls as pictures are added, so this \
                 one is higher. Compare figures of equal numbers, or extrapolated ones"
            ),
            Self::UnequalSets { samples, pictures } => write!(
                f,
                "{samples} samples and {pictures} pictures: precision and recall are not those of equal sets, since the smaller \
                 set's neighbourhoods are larger"
            ),
            Self::NotExtrapolated { samples, needed } => write!(
                f,
                "{samples} samples: the Fréchet distance is not extrapolated, which takes {needed}"
            ),
            Self::SmallParts { samples, published } => write!(
                f,
                "parts of {samples} samples, where those of published Inception scores have {published}: the score rises as samples \
                 are added, and is {samples} at most"
            ),
        }
    }
}

/// Pictures of the figures that are published.
pub(crate) const PUBLISHED: usize = 50_000;

/// What is to be said of sets of these sizes.
pub(crate) fn of_sizes(samples: usize, pictures: usize, features: usize) -> Vec<Warning> {
    let least = samples.min(pictures);
    let mut warnings = Vec::new();
    if least <= features {
        warnings.push(Warning::FewerThanFeatures {
            pictures: least,
            features,
        });
    } else if least < PUBLISHED {
        warnings.push(Warning::FewerThanPublished {
            pictures: least,
            published: PUBLISHED,
        });
    }
    // A tenth more or less moves a share by less than drawing other pictures does.
    if samples.abs_diff(pictures) * 10 > samples.max(pictures) {
        warnings.push(Warning::UnequalSets { samples, pictures });
    }
    if samples < crate::frechet::FEWEST {
        warnings.push(Warning::NotExtrapolated {
            samples,
            needed: crate::frechet::FEWEST,
        });
    }
    warnings
}
