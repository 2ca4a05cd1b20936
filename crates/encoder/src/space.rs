//! The space W of a generator: which one it is, and along which directions its pictures depend on it.

use candle_core::{DType, Device, Tensor};
use domex_latent::Generator as _;
use domex_latent::basis::{Basis, BasisKind};
use domex_stylegan2::Generator;
use half::f16;
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

/// Tensors of the mapping network, but for the running mean, which training moves.
const MAPPING: &str = "mapping.";
const RUNNING_MEAN: &str = "mapping.w_avg";

/// SHA-256 of the mapping network's tensors, their names, shapes and values in half precision: a file in half precision and the
/// one that it was made of have the same space.
///
/// # Errors
///
/// candle's own.
pub fn space_hash(generator: &Generator) -> Result<String> {
    let mut hash = Sha256::new();
    let tensors = generator.tensors().into_iter();
    for (name, tensor) in tensors.filter(|(name, _)| name.starts_with(MAPPING)) {
        if name == RUNNING_MEAN {
            continue;
        }
        hash.update(format!("{name} {:?}\n", tensor.dims()));
        let values = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F16)?;
        for value in values.flatten_all()?.to_vec1::<f16>()? {
            hash.update(value.to_bits().to_le_bytes());
        }
    }
    let bytes = hash.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The mean of W and the directions that are predicted.
#[derive(Debug, Clone)]
pub struct Directions {
    /// `[D]`.
    pub mean: Tensor,
    /// Orthogonal rows `[K, D]`, each as long as the standard deviation of W along it.
    pub directions: Tensor,
}

impl Directions {
    /// Of a generator, with latents `w: [m, D]` that show how W varies: all directions of its basis (SeFA, or the `basis` of an
    /// expanded model) whose gain is more than a fiftieth of the largest.
    ///
    /// # Errors
    ///
    /// Fewer than two latents, or latents that are all the same.
    pub fn of(generator: &Generator, basis: Option<&Basis>, w: &Tensor) -> Result<Self> {
        const LEAST: f64 = 0.02;
        let kind = BasisKind::DomainExpansion;
        let computed = match basis {
            Some(_) => None,
            None => Some(Basis::of(generator, &kind)?),
        };
        let basis = basis.or(computed.as_ref());
        let basis = basis.ok_or_else(|| Error::config("basis", "none", "one"))?;
        let gains = match basis.values() {
            Some(values) => values.to_vec(),
            None => basis.gains(&kind, &generator.acting_matrices()?)?,
        };
        let largest = gains.iter().copied().fold(0.0, f64::max);

        let w = w.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let count = w.dim(0)?;
        if count < 2 {
            return Err(Error::config("latents of the space", count, "at least 2"));
        }
        let mean = w.mean(0)?;
        let vectors = basis
            .vectors()
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?;
        let along = w.broadcast_sub(&mean)?.matmul(&vectors)?; // [m, K]
        let deviations = (along.sqr()?.sum(0)? / (count - 1) as f64)?
            .sqrt()?
            .to_vec1::<f64>()?;
        let widest = deviations.iter().copied().fold(0.0, f64::max);
        let kept = |&i: &usize| gains[i] > LEAST * largest && deviations[i] > 1e-4 * widest;
        let kept: Vec<usize> = (0..gains.len().min(deviations.len()))
            .filter(kept)
            .collect();
        if kept.is_empty() {
            let expected = "some along which both vary";
            return Err(Error::config(
                "directions of latents and pictures",
                0,
                expected,
            ));
        }
        let rows = kept
            .iter()
            .map(|&i| vectors.narrow(1, i, 1)?.t()? * deviations[i]);
        let rows = rows.collect::<candle_core::Result<Vec<_>>>()?;
        Ok(Self {
            mean: mean.to_dtype(DType::F32)?,
            directions: Tensor::cat(&rows, 0)?.to_dtype(DType::F32)?.contiguous()?,
        })
    }

    /// The number of directions.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn count(&self) -> Result<usize> {
        Ok(self.directions.dim(0)?)
    }

    /// Coordinates `[n, K]` of latents `[n, D]`: the inverse of `mean + c · directions`, without what lies beside them.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn coordinates(&self, w: &Tensor) -> Result<Tensor> {
        let squares = self.directions.sqr()?.sum(1)?;
        let along = w.broadcast_sub(&self.mean)?.matmul(&self.directions.t()?)?;
        Ok(along.broadcast_div(&squares)?)
    }
}
