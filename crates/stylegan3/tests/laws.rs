//! What holds for any weights.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Outcome, off, peak};
use domex_latent::Generator as _;
use domex_latent::basis::{Basis, BasisKind};
use domex_ops::testing::{assert_gradients, randn};
use domex_stylegan2::Truncation;
use domex_stylegan3::{Generator, GeneratorConfig, Model, Transform, init};
use serde_json::json;

fn config(radial: bool) -> GeneratorConfig {
    GeneratorConfig::from_kwargs(&json!({
        "z_dim": 8, "w_dim": 6, "img_resolution": 16, "num_layers": 3, "channel_base": 24, "channel_max": 4,
        "num_critical": 1, "margin_size": 4,
        "conv_kernel": if radial { 1 } else { 3 }, "use_radial_filters": radial,
    }))
    .unwrap()
}

/// Weights whose affine map of the Fourier features turns and shifts.
fn network(radial: bool, dtype: DType) -> Generator {
    let config = config(radial);
    let mut tensors = init::generator(&config, 3, dtype, &Device::Cpu).unwrap();
    let turns = (randn(&[4, 6], 5).to_dtype(dtype).unwrap() * 0.3).unwrap();
    tensors.insert("synthesis.input.affine.weight".to_owned(), turns);
    Generator::from_tensors(&tensors, &config).unwrap()
}

#[test]
fn a_batch_equals_its_samples_one_by_one() -> Outcome {
    for radial in [false, true] {
        let net = network(radial, DType::F32);
        let ws = randn(&[3, 5, 6], 1).to_dtype(DType::F32)?;
        let all = net.synthesis().forward(&ws)?;
        for sample in 0..3 {
            let one = net.synthesis().forward(&ws.narrow(0, sample, 1)?)?;
            assert!(off(&one, &all.narrow(0, sample, 1)?) < 1e-5);
        }
    }
    Ok(())
}

/// Central differences in double precision.
#[test]
fn gradients_reach_every_row_of_the_latent() {
    for radial in [false, true] {
        let net = network(radial, DType::F64);
        let ws = (randn(&[1, 5, 6], 2) * 0.5).unwrap();
        let forward = |x: &[Tensor]| {
            let picture = net.synthesis().forward(&x[0]).unwrap();
            // A few pixels: every one is another sum over all places of the features.
            Ok(picture.narrow(2, 3, 2).unwrap().narrow(3, 6, 2).unwrap())
        };
        assert_gradients("synthesis", forward, &[ws]);
    }
}

/// A shift by whole pixels moves the picture by them; borders, where features enter from outside, apart.
#[test]
fn a_picture_is_shifted_with_its_fourier_features() -> Outcome {
    let model = Model::random(&GeneratorConfig::tiny(), 0, &Device::Cpu)?;
    let mut net = model.g_ema;
    let z = randn(&[1, 48], 4).to_dtype(DType::F32)?;
    let ws = net.latents(&z, None, Truncation::psi(0.5))?;
    let still = net.synthesis().forward(&ws)?;
    let (right, down) = (8, 4);
    net.set_transform(&Transform {
        translate: [right as f64 / 64.0, down as f64 / 64.0],
        rotate: 0.0,
    })?;
    let moved = net.synthesis().forward(&ws)?;
    let inner = |picture: &Tensor, y: usize, x: usize| picture.narrow(2, y, 36)?.narrow(3, x, 36);
    let (was, is) = (
        inner(&still, 14, 14)?,
        inner(&moved, 14 + down, 14 + right)?,
    );
    let away = peak(&(&was - &is)?) / peak(&was);
    let unmoved = peak(&(inner(&moved, 14, 14)? - &was)?) / peak(&was);
    assert!(away < 0.12 && unmoved > 0.5, "{away} {unmoved}");

    let nowhere = Transform {
        translate: [f64::NAN, 0.0],
        rotate: 0.0,
    };
    assert!(net.set_transform(&nowhere).is_err());
    Ok(())
}

#[test]
fn truncation_and_latents_are_those_of_the_trait() -> Outcome {
    let net = Model::random(&config(false), 7, &Device::Cpu)?.g_ema;
    let z = randn(&[2, 8], 1).to_dtype(DType::F32)?;
    let mean = net.latents(&z, None, Truncation::psi(0.0))?;
    assert!(off(&mean.get(0)?.get(2)?, &net.mean()?) < 1e-6);
    let w = net.map(&z, None)?;
    let pictures = net.synthesize(&w)?;
    let ws = net.latents(&z, None, Truncation::NONE)?;
    assert_eq!(off(&net.synthesize(&ws)?, &pictures), 0.0);
    assert_eq!((net.layers(), net.resolution(), net.channels()), (5, 16, 3));
    assert!(net.map(&z, Some(&z)).is_err(), "it has no classes");
    // Random weights of W of size 6: latents are of the order of one.
    let spread = net.spread()?;
    assert!((0.5..6.0).contains(&spread), "{spread}");
    Ok(())
}

#[test]
fn every_affine_map_acts_on_the_latent() -> Outcome {
    let net = network(false, DType::F32);
    let matrices = net.acting_matrices()?;
    assert_eq!(matrices.len(), net.layers());
    assert_eq!(matrices[0].name, "synthesis.input.affine.weight");
    let basis = Basis::of(&net, &BasisKind::DomainExpansion)?;
    assert_eq!(basis.count(), 6);
    Ok(())
}
