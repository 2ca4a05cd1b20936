//! The network's sizes, and how a file's shapes tell them.

use std::collections::BTreeMap;

use crate::{Error, Result};

/// What fixes the network's shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Channels after the first convolution, then after each of the six stages; the last three are equal.
    pub widths: [usize; 7],
    /// Whether each level has a unit of its own before the predictions.
    pub shared: bool,
}

impl Config {
    /// YuNet-n, the published network of 75 856 parameters.
    #[must_use]
    pub fn n() -> Self {
        Self {
            widths: [16, 16, 64, 64, 64, 64, 64],
            shared: true,
        }
    }

    /// YuNet-s, the smaller one.
    #[must_use]
    pub fn s() -> Self {
        Self {
            widths: [16, 16, 32, 64, 64, 64, 64],
            shared: false,
        }
    }

    /// Channels of the three levels that faces are looked for on.
    pub(crate) fn level(&self) -> usize {
        self.widths[6]
    }

    pub(crate) fn check(&self) -> Result<()> {
        const LARGEST: usize = 1 << 12;
        let [.., a, b, c] = self.widths;
        if self.widths.iter().any(|&w| w == 0 || w > LARGEST) || a != b || b != c {
            return Err(Error::weights(
                "channels",
                format!("{:?}", self.widths),
                format!("1 to {LARGEST}, and the last three equal"),
            ));
        }
        Ok(())
    }

    /// The configuration of a file whose tensors have these shapes.
    ///
    /// # Errors
    ///
    /// Another network's file.
    pub fn deduce(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Self> {
        let outputs = |name: &str| match shapes.get(name).map(Vec::as_slice) {
            Some(&[outputs, ..]) => Ok(outputs),
            _ => Err(Error::weights(
                name,
                "missing",
                "a tensor of that name, as in yunet_n.pth of libfacedetection.train",
            )),
        };
        let mut widths = [0; 7];
        widths[0] = outputs("backbone.model0.conv1.weight")?;
        widths[1] = outputs("backbone.model0.conv2.conv1.weight")?;
        for stage in 1..6 {
            widths[stage + 1] = outputs(&format!("backbone.model{stage}.conv2.conv1.weight"))?;
        }
        let config = Self {
            widths,
            shared: shapes.contains_key("bbox_head.multi_level_share_convs.0.0.conv1.weight"),
        };
        config.check()?;
        Ok(config)
    }
}
