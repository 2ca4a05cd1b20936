//! Batch normalisation of rows, as a hypernetwork needs it: by the batch while it is trained, by running statistics afterwards.
//!
//! `y = (x − m) / √(v + ε) γ + β` with mean and variance of each column (Ioffe & Szegedy 2015, arXiv 1502.03167). In training
//! the variance that divides is the batch's own (over n), the one that is remembered is unbiased (over n − 1):
//! `running ← 0.9 running + 0.1 new`.

use std::collections::BTreeMap;

use candle_core::Tensor;
use candle_nn::{Init, VarBuilder};

use crate::{Error, Result};

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// Running means and variances after a pass in training, by name.
pub type Statistics = BTreeMap<String, Tensor>;

#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    path: String,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
}

impl BatchNorm {
    pub fn new(vb: &VarBuilder<'_>, width: usize) -> Result<Self> {
        Ok(Self {
            path: vb.prefix(),
            weight: vb.get_with_hints(width, "weight", Init::Const(1.0))?,
            bias: vb.get_with_hints(width, "bias", Init::Const(0.0))?,
            mean: vb.get_with_hints(width, MEAN, Init::Const(0.0))?.detach(),
            variance: vb
                .get_with_hints(width, VARIANCE, Init::Const(1.0))?
                .detach(),
        })
    }

    /// Rows `[n, width]`; by their own statistics where `statistics` takes what is remembered.
    pub fn forward(&self, x: &Tensor, statistics: &mut Option<Statistics>) -> Result<Tensor> {
        let (mean, variance) = match statistics {
            None => (self.mean.clone(), self.variance.clone()),
            Some(statistics) => {
                let n = x.dim(0)?;
                if n < 2 {
                    let expected = "at least 2 while the network is trained: batch normalisation has no variance of one";
                    return Err(Error::config("rows of a batch", n, expected));
                }
                let mean = x.mean(0)?;
                let variance = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
                let unbiased = (variance.detach() * (n as f64 / (n as f64 - 1.0)))?;
                for (name, running, new) in [
                    (MEAN, &self.mean, mean.detach()),
                    (VARIANCE, &self.variance, unbiased),
                ] {
                    let moved = ((running * (1.0 - MOMENTUM))? + (new * MOMENTUM)?)?;
                    statistics.insert(format!("{}.{name}", self.path), moved.detach());
                }
                (mean, variance)
            }
        };
        let x = x.broadcast_sub(&mean)?;
        let x = x.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        Ok(x.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

const MEAN: &str = "running_mean";
const VARIANCE: &str = "running_var";

/// Whether a tensor of this name is a running statistic, which no optimizer moves.
#[must_use]
pub fn is_statistic(name: &str) -> bool {
    name.ends_with(MEAN) || name.ends_with(VARIANCE)
}
