//! Codes of pictures: which latents occur, where a checkpoint has no latent prior.

use candle_core::{DType, Tensor};
use domex_diffae::{Model, Statistics};
use domex_expand::Result;

use crate::pictures::Pictures;
use crate::trainee::own;

/// Pictures that are encoded at once.
const CHUNK: usize = 16;

/// See the top of this module.
#[derive(Debug, Clone)]
pub(crate) struct Codes {
    /// `[n, D]`.
    all: Tensor,
    pub statistics: Statistics,
}

impl Codes {
    /// Of the first pictures, `count` at most.
    pub fn of(model: &Model, pictures: &Pictures, count: usize) -> Result<Self> {
        let count = (count as u64).min(pictures.len());
        let mut parts = Vec::new();
        for start in (0..count).step_by(CHUNK) {
            let indices: Vec<u64> = (start..count.min(start + CHUNK as u64)).collect();
            let batch = pictures.get(&indices, model.device())?;
            parts.push(model.encode(&batch).map_err(own)?.detach());
        }
        let all = Tensor::cat(&parts, 0)?;
        let mean = all.mean_keepdim(0)?;
        let std = all.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
        // Above 0 also where no picture changes a number.
        let std = (std + 1e-6)?;
        Ok(Self {
            all,
            statistics: Statistics { mean, std },
        })
    }

    /// For normal noise `z: [n, D]` a code each: the first coordinate, which the normal distribution's own function makes uniform,
    /// decides which.
    pub fn pick(&self, z: &Tensor) -> candle_core::Result<Tensor> {
        let count = self.all.dim(0)?;
        let first = z.narrow(1, 0, 1)?.flatten_all()?.to_dtype(DType::F64)?;
        let pick = |z: f64| {
            let uniform = 0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2);
            ((uniform * count as f64) as usize).min(count - 1) as u32
        };
        let picked: Vec<u32> = first.to_vec1()?.into_iter().map(pick).collect();
        let picked = Tensor::from_vec(picked, z.dim(0)?, self.all.device())?;
        self.all.index_select(&picked, 0)
    }
}
