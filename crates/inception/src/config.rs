//! The network's sizes, and how a file's shapes tell them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Channels of the published network's first convolution.
const FIRST: usize = 32;

/// All channel counts of the published network are multiples of this.
const MOST_NARROW: usize = 16;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// By how much every channel count of the published network is divided: 1, 2, 4, 8 or 16.
    pub narrow: usize,
    /// Rows of the classifier.
    pub classes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self::published()
    }
}

impl Config {
    /// The network of `pt_inception-2015-12-05`: 2048 features, 1008 classes.
    #[must_use]
    pub fn published() -> Self {
        Self {
            narrow: 1,
            classes: 1008,
        }
    }

    /// Size of a picture's feature vector.
    #[must_use]
    pub fn features(&self) -> usize {
        self.channels(2048)
    }

    /// `published` channels in this network.
    pub(crate) fn channels(&self, published: usize) -> usize {
        published / self.narrow
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.narrow == 0 || !MOST_NARROW.is_multiple_of(self.narrow) {
            let expected = "1, 2, 4, 8 or 16";
            return Err(Error::weights("narrow", self.narrow, expected));
        }
        if self.classes == 0 {
            return Err(Error::weights("classes", 0, "at least 1"));
        }
        Ok(())
    }

    /// The configuration of a file whose tensors have these shapes.
    ///
    /// # Errors
    ///
    /// Another network's file; torchvision's classifier, whose pooling differs, is named as such.
    pub fn deduce(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Self> {
        if shapes.keys().any(|name| name.starts_with("AuxLogits.")) {
            return Err(Error::weights(
                "weights",
                "torchvision's ImageNet classifier (AuxLogits)",
                "pytorch-fid's pt_inception-2015-12-05, on which Fréchet Inception distances are defined",
            ));
        }
        let get = |name: &str| {
            let shape = shapes.get(name).map(Vec::as_slice);
            shape.ok_or_else(|| {
                Error::weights(
                    name,
                    "missing",
                    "a tensor of that name, as in pytorch-fid's pt_inception-2015-12-05",
                )
            })
        };
        let (first, head) = (get("Conv2d_1a_3x3.conv.weight")?, get("fc.weight")?);
        let narrow = match *first {
            [channels, 3, 3, 3] if channels > 0 && FIRST.is_multiple_of(channels) => {
                FIRST / channels
            }
            _ => {
                let what = "Conv2d_1a_3x3.conv.weight";
                return Err(Error::weights(what, format!("{first:?}"), "[32, 3, 3, 3]"));
            }
        };
        let [classes, _] = *head else {
            let found = format!("{head:?}");
            return Err(Error::weights("fc.weight", found, "[classes, features]"));
        };
        let config = Self { narrow, classes };
        config.check()?;
        Ok(config)
    }
}
