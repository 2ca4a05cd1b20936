//! Damping: directions of the latent space that no latent uses, made dormant.
//!
//! Synthesis reads `w` through affine maps `A w + b`. They begin random and answer to every direction, also to those along
//! which latents hardly vary, of which training teaches them nothing; only very long training lets these fade. With the latents'
//! mean `w̄` and the projection `P` onto the `used` directions of most variance,
//!
//! `M = P + ρ (1 − P)`, `A ← A M`, `b ← b + A (1 − M) w̄`
//!
//! keeps what a latent's picture owes to the used directions and leaves `ρ` of what it owes to the others. An expansion can then
//! give these away, and moves little else when it walks along them.

use candle_core::{DType, Device, Tensor};
use domex_latent::ActingMatrix;
use domex_latent::basis::{Basis, BasisKind, BasisKinds};
use domex_random::Streams;
use domex_stylegan2::{Generator, Model, Tensors};

use super::phases::normal;
use crate::{Error, Result};

/// How much is damped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Damping {
    /// Directions that stay as they are.
    pub used: usize,
    /// ρ: what is left of the others. Not nothing: an expansion needs to see where a direction leads.
    pub rest: f64,
    /// Latents whose variance is looked at.
    pub latents: usize,
}

impl Default for Damping {
    fn default() -> Self {
        Self {
            used: 48,
            rest: 0.1,
            latents: 16_384,
        }
    }
}

/// The parameters of `model`'s averaged generator with its unused directions damped.
///
/// # Errors
///
/// Fewer directions than `used`, fewer than two latents, or a generator that takes labels.
pub fn damp_unused_directions(model: &Model, how: &Damping, seed: u64) -> Result<Tensors> {
    let generator = model.generator();
    let dim = generator.config().w_dim();
    if !(1..=dim).contains(&how.used) {
        let expected = format!("1 to the {dim} of w");
        return Err(Error::config("directions to keep", how.used, expected));
    }
    if how.latents < 2 {
        return Err(Error::config(
            "latents to look at",
            how.latents,
            "2 or more",
        ));
    }
    let (mean, covariance) = statistics(generator, how.latents, seed)?;
    let (rest, used) = (how.rest, principal(&covariance)?.narrow(1, 0, how.used)?);
    let one = Tensor::eye(dim, DType::F64, &Device::Cpu)?;
    let kept = ((used.matmul(&used.t()?)? * (1.0 - rest))? + (&one * rest)?)?;
    let lost = (one - &kept)?.matmul(&mean.unsqueeze(1)?)?;
    let mut tensors = generator.tensors();
    let weights: Vec<String> = tensors
        .keys()
        .filter(|name| name.ends_with("affine.weight"))
        .cloned()
        .collect();
    for name in weights {
        let bias = name.replace("affine.weight", "affine.bias");
        let (a, b) = (&tensors[&name], &tensors[&bias]);
        let (dtype, wide) = (a.dtype(), a.to_dtype(DType::F64)?);
        // The equalised learning rate's gain stands between a stored weight and its effect, not between a bias and its.
        let shift = (wide.matmul(&lost)?.squeeze(1)? / (dim as f64).sqrt())?;
        let (a, b) = (
            wide.matmul(&kept)?.to_dtype(dtype)?,
            (b.to_dtype(DType::F64)? + shift)?.to_dtype(dtype)?,
        );
        tensors.insert(name, a);
        tensors.insert(bias, b);
    }
    Ok(tensors)
}

/// Mean `[D]` and covariance `[D, D]` of latents.
fn statistics(generator: &Generator, n: usize, seed: u64) -> Result<(Tensor, Tensor)> {
    let mut stream = Streams::new(seed).stream("latents to keep");
    let z = normal(&mut stream, &[n, generator.config().z_dim()], &Device::Cpu)?;
    let w = generator
        .mapping()
        .forward(Some(&z), None)?
        .to_dtype(DType::F64)?;
    let mean = w.mean(0)?;
    let apart = w.broadcast_sub(&mean)?;
    let covariance = (apart.t()?.matmul(&apart)? / (n - 1) as f64)?;
    Ok((mean, covariance))
}

/// Its eigenvectors in columns, the largest first: a symmetric matrix's right singular vectors.
fn principal(covariance: &Tensor) -> Result<Tensor> {
    let matrix = ActingMatrix {
        name: "covariance of w".to_owned(),
        kinds: BasisKinds::ALL,
        weight: covariance.clone(),
    };
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &[matrix])?;
    Ok(basis.vectors().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domex_stylegan2::{Noise, Truncation};

    /// A generator whose latents stay on a plane, and a tilt of it.
    fn flat() -> Model {
        let config = super::super::tests::tiny().generator().unwrap();
        let model = Model::random(&config, 3, &Device::Cpu).unwrap();
        let mut tensors = model.generator().tensors();
        let last = tensors
            .keys()
            .filter(|name| name.starts_with("mapping.fc"))
            .max()
            .cloned()
            .unwrap();
        let name = last.replace("bias", "weight");
        let weight = &tensors[&name];
        let rows = weight.dim(0).unwrap();
        // All outputs but two are constant.
        let keep: Vec<f32> = (0..rows)
            .map(|row| if row < 2 { 1.0 } else { 0.0 })
            .collect();
        let keep = Tensor::from_vec(keep, (rows, 1), &Device::Cpu).unwrap();
        let weight = weight.broadcast_mul(&keep).unwrap();
        tensors.insert(name, weight);
        Model::new(Generator::from_tensors(&tensors, &config).unwrap())
    }

    #[test]
    fn pictures_stay_and_unused_directions_fade() {
        let model = flat();
        let how = Damping {
            used: 2,
            rest: 0.1,
            latents: 256,
        };
        let tensors = damp_unused_directions(&model, &how, 0).unwrap();
        let damped = Generator::from_tensors(&tensors, model.generator().config()).unwrap();
        let damped = Model::new(damped);
        let mut stream = Streams::new(1).stream("latents");
        let z = normal(&mut stream, &[4, model.config().z_dim()], &Device::Cpu).unwrap();
        let draw = |model: &Model| {
            let ws = model
                .generator()
                .latents(&z, None, Truncation::NONE)
                .unwrap();
            let synthesis = model.generator().synthesis();
            synthesis.forward(&ws, Noise::Const).unwrap()
        };
        let gap = (draw(&model) - draw(&damped))
            .unwrap()
            .abs()
            .unwrap()
            .max_all()
            .unwrap();
        assert!(gap.to_scalar::<f32>().unwrap() < 0.02); // two of 255 levels
        let name = "synthesis.b4.conv1.affine.weight";
        let column = |tensors: &Tensors, i: usize| {
            let column = tensors[name].narrow(1, i, 1).unwrap();
            column
                .sqr()
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
                .sqrt()
        };
        let before = model.generator().tensors();
        assert!((column(&tensors, 0) / column(&before, 0) - 1.0).abs() < 1e-3);
        assert!((column(&tensors, 5) / column(&before, 5) - 0.1).abs() < 1e-3);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let model = flat();
        for how in [
            Damping {
                used: 0,
                ..Damping::default()
            },
            Damping {
                used: 4096,
                ..Damping::default()
            },
            Damping {
                used: 1,
                latents: 1,
                ..Damping::default()
            },
        ] {
            assert!(damp_unused_directions(&model, &how, 0).is_err(), "{how:?}");
        }
    }
}
