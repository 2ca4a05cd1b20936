//! Coordinates in the personal space, and projection into it.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use std::ops::ControlFlow;

use candle_core::{D, DType, Device, Tensor, Var};
use common::{anchors, apart, number, numbers};
use domex_latent::PixelRms;
use domex_mystyle::Degradation;
use domex_mystyle::alpha::{AlphaSpace, Codes, Regularization};
use domex_mystyle::project::{Projected, ProjectionConfig, Projector};
use domex_ops::testing::randn;

const ROWS: usize = 3;

#[test]
fn a_projection_starts_at_the_mean_of_the_anchors() {
    let anchors = anchors(5, 4, 1);
    let space = AlphaSpace::new(&anchors, ROWS, Some(0.02)).unwrap();
    let codes = space.start(2).unwrap();
    let latents = space.latents(&space.constrained(&codes).unwrap()).unwrap();
    let mean = anchors.latents().mean(0).unwrap();
    let mean = mean.broadcast_as((2, ROWS, 4)).unwrap();
    assert!(apart(&latents, &mean) < 1e-12);
    assert!(number(&Regularization::default().penalty(&codes).unwrap()) < 1e-12);
}

#[test]
fn the_barrier_holds_each_coordinate_above_minus_beta_before_the_division() {
    let space = AlphaSpace::new(&anchors(4, 4, 1), 1, Some(0.05)).unwrap();
    let codes = Codes {
        alpha: Tensor::new(&[[-7.0_f64, 0.5, 0.6, -0.04]], &Device::Cpu).unwrap(),
        deltas: Tensor::zeros((1, 1, 4), DType::F64, &Device::Cpu).unwrap(),
    };
    let row = numbers(&space.constrained(&codes).unwrap());
    assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    // What lies far above the barrier is left alone, so it tells what the row was divided by.
    let sum = 0.5 / row[1];
    assert!((row[0] * sum + 0.05).abs() < 1e-9, "{row:?}");
    assert!((row[2] * sum - 0.6).abs() < 1e-9, "{row:?}");
    assert!(row[3] * sum > -0.04, "{row:?}");
}

#[test]
fn gradients_of_latents_and_penalty_agree_with_differences() {
    let space = AlphaSpace::new(&anchors(4, 3, 2), ROWS, Some(0.03)).unwrap();
    let weight = randn(&[2, ROWS, 3], 3);
    let regularization = Regularization {
        layers: 2,
        ..Regularization::default()
    };
    let value = |alpha: &Tensor, deltas: &Tensor| {
        let codes = Codes {
            alpha: alpha.clone(),
            deltas: deltas.clone(),
        };
        let latents = space.latents(&space.constrained(&codes).unwrap()).unwrap();
        let sum = (latents * &weight).unwrap().sum_all().unwrap();
        (sum + regularization.penalty(&codes).unwrap()).unwrap()
    };
    let alpha =
        Var::from_tensor(&(randn(&[2, 4], 4) * 0.2).unwrap().affine(1.0, 0.3).unwrap()).unwrap();
    let deltas = Var::from_tensor(&(randn(&[2, ROWS, 4], 5) * 0.05).unwrap()).unwrap();
    let grads = value(&alpha, &deltas).backward().unwrap();
    let (along_alpha, along_deltas) = (randn(&[2, 4], 6), randn(&[2, ROWS, 4], 7));
    let dot = |var: &Var, along: &Tensor| {
        number(
            &(grads.get(var).unwrap() * along)
                .unwrap()
                .sum_all()
                .unwrap(),
        )
    };
    let slope = dot(&alpha, &along_alpha) + dot(&deltas, &along_deltas);
    let step = 1e-6;
    let moved = |t: f64| {
        let alpha = (alpha.as_tensor() + (&along_alpha * t).unwrap()).unwrap();
        let deltas = (deltas.as_tensor() + (&along_deltas * t).unwrap()).unwrap();
        number(&value(&alpha, &deltas))
    };
    let difference = (moved(step) - moved(-step)) / (2.0 * step);
    assert!(
        (slope - difference).abs() < 1e-6 * slope.abs().max(1.0),
        "{slope} {difference}"
    );
}

/// Latents `[n, ROWS, 4]` to pictures `[n, 1, 4, 4]`.
fn synthesize(w: &Tensor) -> domex_latent::Result<Tensor> {
    let weight = randn(&[ROWS * 4, 16], 9);
    let flat = w.flatten_from(1)?.matmul(&weight)?;
    Ok((flat * 0.2)?.tanh()?.reshape(((), 1, 4, 4))?)
}

fn project(pictures: &Tensor, degradation: &Degradation, config: ProjectionConfig) -> Projected {
    let space = AlphaSpace::new(&anchors(5, 4, 8), ROWS, Some(0.02)).unwrap();
    let projector = Projector {
        space: &space,
        synthesize: &synthesize,
        distance: &PixelRms,
        degradation,
        config,
    };
    projector
        .project(pictures, &mut |_, _| ControlFlow::Continue(()))
        .unwrap()
}

fn short() -> ProjectionConfig {
    ProjectionConfig {
        steps: 40,
        lr: 0.02,
        ..ProjectionConfig::default()
    }
}

fn pictures() -> Tensor {
    // Of latents in the space: the mean and a little of the first anchors.
    let anchors = anchors(5, 4, 8);
    let mixed = Tensor::new(
        &[[0.6_f64, 0.1, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.2, 0.5]],
        &Device::Cpu,
    )
    .unwrap();
    let w = mixed
        .matmul(anchors.latents())
        .unwrap()
        .unsqueeze(1)
        .unwrap();
    synthesize(&w.repeat((1, ROWS, 1)).unwrap()).unwrap()
}

#[test]
fn a_projection_comes_nearer_and_a_batch_equals_its_pictures() {
    let pictures = pictures();
    let both = project(&pictures, &Degradation::None, short());
    assert!(both.losses[39] < 0.5 * both.losses[0], "{:?}", both.losses);
    for n in 0..2 {
        let alone = project(
            &pictures.narrow(0, n, 1).unwrap(),
            &Degradation::None,
            short(),
        );
        assert!(apart(&alone.latents, &both.latents.narrow(0, n, 1).unwrap()) < 1e-6);
    }
}

#[test]
fn without_deltas_the_rows_of_a_projection_are_equal() {
    let config = ProjectionConfig {
        w_plus: false,
        ..short()
    };
    let latents = project(&pictures(), &Degradation::None, config).latents;
    let first = latents
        .narrow(1, 0, 1)
        .unwrap()
        .broadcast_as(latents.shape())
        .unwrap();
    assert!(apart(&latents, &first) == 0.0);
    let free = project(&pictures(), &Degradation::None, short()).latents;
    let first = free
        .narrow(1, 0, 1)
        .unwrap()
        .broadcast_as(free.shape())
        .unwrap();
    assert!(apart(&free, &first) > 1e-3);
}

#[test]
fn what_lies_in_the_hole_does_not_matter() {
    let mask = Tensor::new(&[[1.0_f64, 1.0, 0.0, 0.0]], &Device::Cpu).unwrap();
    let mask = mask.repeat((4, 1)).unwrap().reshape((1, 1, 4, 4)).unwrap();
    let pictures = pictures();
    let spoilt = pictures.broadcast_mul(&mask).unwrap();
    let spoilt = spoilt
        .broadcast_add(&mask.affine(-0.9, 0.9).unwrap())
        .unwrap();
    let hole = Degradation::Hole(mask);
    let (whole, holed) = (
        project(&pictures, &hole, short()),
        project(&spoilt, &hole, short()),
    );
    assert!(apart(&whole.latents, &holed.latents) < 1e-12);
    assert!(holed.losses[39] < holed.losses[0]);
}

#[test]
fn a_small_picture_is_compared_with_down_scaled_ones() {
    let degradation = Degradation::Downscale(0.5);
    let small = degradation.apply(&pictures()).unwrap();
    assert_eq!(small.dims(), [2, 1, 2, 2]);
    let config = ProjectionConfig {
        steps: 100,
        lr: 0.005,
        w_plus: false,
        ..short()
    };
    let losses = project(&small, &degradation, config).losses;
    assert!(losses[99] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn projections_that_cannot_be_are_refused() {
    let space = AlphaSpace::new(&anchors(5, 4, 8), ROWS, Some(0.02)).unwrap();
    let run = |pictures: &Tensor, degradation: &Degradation, lr: f64| {
        let projector = Projector {
            space: &space,
            synthesize: &synthesize,
            distance: &PixelRms,
            degradation,
            config: ProjectionConfig { lr, ..short() },
        };
        let result = projector.project(pictures, &mut |_, _| ControlFlow::Continue(()));
        result.unwrap_err().to_string()
    };
    let zeros = |h: usize| Tensor::zeros((1, 1, h, 4), DType::F64, &Device::Cpu).unwrap();
    assert!(run(&zeros(8), &Degradation::None, 0.1).contains("[1, 1, 4, 4]"));
    assert!(run(&zeros(4), &Degradation::Downscale(0.5), 0.1).contains("[1, 1, 2, 2]"));
    assert!(run(&zeros(4), &Degradation::Hole(zeros(8)), 0.1).contains("mask"));
    assert!(run(&zeros(4), &Degradation::None, f64::NAN).contains("learning rate"));
    let nan = (zeros(4) / 0.0).unwrap();
    assert!(run(&nan, &Degradation::None, 0.1).contains("loss of step 1"));
    assert!(AlphaSpace::new(&anchors(2, 2, 1), 0, None).is_err());
    assert!(AlphaSpace::new(&anchors(2, 2, 1), 1, Some(-0.1)).is_err());
    let other = Tensor::zeros((1, 2, 5), DType::F64, &Device::Cpu).unwrap();
    let codes = Codes {
        alpha: other.sum(D::Minus2).unwrap(),
        deltas: other,
    };
    assert!(
        space
            .constrained(&codes)
            .unwrap_err()
            .to_string()
            .contains("[n, 3, 5]")
    );
}
