//! The reference's stand-in for LPIPS: its form on a chain of convolutions that the config lists.

use candle_core::Tensor;
use domex_latent::ImageDistance;
use domex_lpips::unit_length;
use domex_ops::conv2d;
use serde::Deserialize;

use crate::{Case, Result};

/// Channels in and out, kernel, stride, padding.
type Conv = [usize; 5];

#[derive(Deserialize)]
struct Config {
    lpips: Convs,
}

#[derive(Deserialize)]
struct Convs {
    convs: Vec<Conv>,
}

/// One convolution with its head.
#[derive(Clone)]
struct Level {
    weight: Tensor,
    bias: Tensor,
    head: Tensor,
    stride: usize,
    padding: usize,
}

/// The distance.
#[derive(Clone)]
pub(super) struct StandIn {
    shift: Tensor,
    scale: Tensor,
    levels: Vec<Level>,
}

impl StandIn {
    pub(super) fn new(case: &Case) -> Result<Self> {
        let part =
            |name: String| -> Result<Tensor> { Ok(case.param(&format!("lpips.{name}"))?.clone()) };
        let convs = case.config::<Config>()?.lpips.convs;
        let level = |(index, conv): (usize, &Conv)| -> Result<Level> {
            let slice = format!("net.slice{}.0", index + 1);
            Ok(Level {
                weight: part(format!("{slice}.weight"))?,
                bias: part(format!("{slice}.bias"))?,
                head: part(format!("lin{index}.model.1.weight"))?,
                stride: conv[3],
                padding: conv[4],
            })
        };
        Ok(Self {
            shift: part("scaling_layer.shift".into())?,
            scale: part("scaling_layer.scale".into())?,
            levels: convs.iter().enumerate().map(level).collect::<Result<_>>()?,
        })
    }

    fn features(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = x.broadcast_sub(&self.shift)?.broadcast_div(&self.scale)?;
        let mut features = Vec::new();
        for level in &self.levels {
            let bias = level.bias.reshape((1, (), 1, 1))?;
            x = conv2d(&x, &level.weight, None, level.stride, level.padding)?;
            x = x.broadcast_add(&bias)?.relu()?;
            features.push(unit_length(&x)?);
        }
        Ok(features)
    }

    fn between(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        let mut sum = Tensor::zeros(a.dim(0)?, a.dtype(), a.device())?;
        let (a, b) = (self.features(a)?, self.features(b)?);
        for (level, (a, b)) in self.levels.iter().zip(a.iter().zip(&b)) {
            let square = (a - b)?.sqr()?;
            sum = (sum + conv2d(&square, &level.head, None, 1, 0)?.mean((1, 2, 3))?)?;
        }
        Ok(sum)
    }
}

impl ImageDistance for StandIn {
    fn name(&self) -> &str {
        "stand-in for LPIPS"
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        let foreign = |error| domex_latent::Error::network("stand-in for LPIPS", error);
        self.between(a, b).map_err(foreign)
    }
}
