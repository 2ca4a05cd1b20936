//! Directions in the anchors' span, nearest points of P_β, edits by policy, and degradations.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use candle_core::{DType, Device, Tensor, Var};
use common::{anchors, apart, number, numbers};
use domex_mystyle::edit::{EdgePolicy, edit, span_direction, strengths};
use domex_mystyle::nearest::nearest;
use domex_mystyle::{Anchors, Degradation};
use domex_ops::testing::randn;

/// What makes a point the nearest: the slope of the distance is the same along all coordinates that are free, and not
/// smaller along those at the border.
fn is_nearest(anchors: &Anchors, w: &Tensor, beta: f64) {
    let found = nearest(anchors, w, beta).unwrap();
    let away = (&found.latents - w).unwrap();
    let slopes = away.matmul(&anchors.latents().t().unwrap()).unwrap();
    let count = anchors.count();
    let rows = numbers(&found.coordinates);
    let scale = numbers(&slopes).iter().fold(1.0_f64, |s, x| s.max(x.abs()));
    for (row, slopes) in rows.chunks(count).zip(numbers(&slopes).chunks(count)) {
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{row:?}");
        assert!(row.iter().all(|a| *a >= -beta - 1e-12), "{row:?}");
        let least = slopes.iter().copied().fold(f64::INFINITY, f64::min);
        for (a, slope) in row.iter().zip(slopes) {
            assert!(
                *a < -beta + 1e-9 || slope - least < 1e-6 * scale,
                "{row:?} {slopes:?}"
            );
        }
    }
    let half: f64 = numbers(&away).iter().map(|x| x * x / 2.0).sum();
    assert!((found.objective - half).abs() < 1e-9 * half.max(1.0));
}

#[test]
fn the_nearest_point_is_that_at_any_number_of_anchors() {
    for (n, dim) in [(1, 4), (2, 3), (6, 16), (30, 40), (40, 5)] {
        for beta in [0.0, 0.03, 0.5] {
            let anchors = anchors(n, dim, n as u64);
            is_nearest(&anchors, &(randn(&[4, dim], 7) * 3.0).unwrap(), beta);
            is_nearest(&anchors, &(randn(&[4, dim], 8) * 0.1).unwrap(), beta);
        }
    }
}

#[test]
fn anchors_that_are_there_twice_do_no_harm() {
    let once = randn(&[4, 6], 1);
    let twice = Anchors::new(&Tensor::cat(&[&once, &once, &once], 0).unwrap()).unwrap();
    let w = randn(&[3, 6], 2);
    is_nearest(&twice, &w, 0.0);
    let single = nearest(&Anchors::new(&once).unwrap(), &w, 0.0).unwrap();
    let found = nearest(&twice, &w, 0.0).unwrap();
    assert!(apart(&single.latents, &found.latents) < 1e-9);
    let same = Anchors::new(&Tensor::ones((3, 6), DType::F64, &Device::Cpu).unwrap()).unwrap();
    is_nearest(&same, &w, 0.1);
}

#[test]
fn a_point_of_the_space_is_its_own_nearest() {
    let anchors = anchors(5, 8, 3);
    let inside = Tensor::new(&[[0.3_f64, -0.02, 0.4, 0.12, 0.2]], &Device::Cpu).unwrap();
    let w = inside.matmul(anchors.latents()).unwrap();
    let found = nearest(&anchors, &w, 0.03).unwrap();
    assert!(apart(&found.latents, &w) < 1e-9);
    assert!(apart(&found.coordinates, &inside) < 1e-9);
}

#[test]
fn what_is_lost_of_a_direction_is_orthogonal_to_every_anchor() {
    let anchors = anchors(4, 9, 5);
    let direction = randn(&[9], 6);
    let found = span_direction(&anchors, &direction).unwrap();
    let lost = (&direction - &found.direction)
        .unwrap()
        .unsqueeze(1)
        .unwrap();
    let along = anchors.latents().matmul(&lost).unwrap();
    assert!(numbers(&along).iter().all(|x| x.abs() < 1e-10));
    let again = span_direction(&anchors, &found.direction).unwrap();
    assert!(apart(&again.gamma, &found.gamma) < 1e-10 && (again.cosine - 1.0).abs() < 1e-10);
    assert!(found.cosine > 0.0 && found.cosine < 1.0);
}

#[test]
fn a_span_of_anchors_that_depend_on_one_another_is_still_one() {
    let once = randn(&[3, 5], 7);
    let twice = Anchors::new(&Tensor::cat(&[&once, &once], 0).unwrap()).unwrap();
    let direction = randn(&[5], 8);
    let single = span_direction(&Anchors::new(&once).unwrap(), &direction).unwrap();
    let found = span_direction(&twice, &direction).unwrap();
    assert!(apart(&found.direction, &single.direction) < 1e-9);
    let halves = numbers(&found.gamma);
    assert!(
        halves[..3]
            .iter()
            .zip(&halves[3..])
            .all(|(a, b)| (a - b).abs() < 1e-9)
    );
}

#[test]
fn directions_that_are_none_are_refused() {
    let anchors = anchors(3, 4, 1);
    let zeros = Tensor::zeros(4, DType::F64, &Device::Cpu).unwrap();
    assert!(span_direction(&anchors, &randn(&[5], 1)).is_err());
    assert!(
        span_direction(&anchors, &zeros)
            .unwrap_err()
            .to_string()
            .contains("above 0")
    );
    assert!(span_direction(&anchors, &(zeros / 0.0).unwrap()).is_err());
}

#[test]
fn strengths_rise_evenly_on_both_sides_of_zero() {
    let eleven = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];
    assert_eq!(strengths(2.0, 11).unwrap(), eleven);
    assert_eq!(strengths(2.0, 10).unwrap(), eleven);
    assert_eq!(strengths(3.0, 4).unwrap(), [-3.0, 0.0, 3.0]);
    assert_eq!(strengths(3.0, 2).unwrap(), [-3.0, 0.0]);
    assert_eq!(strengths(0.0, 8).unwrap(), [0.0]);
    assert!(
        strengths(2.0, 1).is_err()
            && strengths(-1.0, 8).is_err()
            && strengths(f64::NAN, 8).is_err()
    );
}

#[test]
fn an_edit_that_leaves_the_space_is_left_out_kept_or_brought_back() {
    let anchors = anchors(3, 6, 9);
    let start = Tensor::new(&[[0.01_f64, 0.5, 0.49]], &Device::Cpu).unwrap();
    let gamma = Tensor::new(&[-0.3_f64, 0.2, 0.1], &Device::Cpu).unwrap();
    let with = |policy| edit(&anchors, &start, &gamma, &[0.0, 0.1, 1.0], policy, 0.03).unwrap();
    let strengths = |policy| with(policy).iter().map(|e| e.strength).collect::<Vec<_>>();
    assert_eq!(strengths(EdgePolicy::Stop), [0.0, 0.1]);
    assert_eq!(strengths(EdgePolicy::Continue), [0.0, 0.1, 1.0]);
    assert_eq!(strengths(EdgePolicy::Project), [0.0, 0.1, 1.0]);
    let kept = &with(EdgePolicy::Continue)[2].latent;
    let there = (&start + gamma.unsqueeze(0).unwrap()).unwrap();
    assert!(apart(kept, &there.matmul(anchors.latents()).unwrap()) < 1e-12);
    let back = &with(EdgePolicy::Project)[2].latent;
    assert!(apart(back, &nearest(&anchors, kept, 0.03).unwrap().latents) < 1e-12);
    assert!(apart(back, kept) > 1e-3);
}

#[test]
fn edits_of_other_anchors_are_refused() {
    let anchors = anchors(3, 6, 9);
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
    let (start, gamma) = (zeros(&[2, 3]), zeros(&[3]));
    let run = |start: &Tensor, gamma: &Tensor, beta| {
        edit(&anchors, start, gamma, &[1.0], EdgePolicy::Continue, beta)
    };
    assert!(run(&start, &gamma, 0.0).is_ok());
    assert!(run(&zeros(&[2, 4]), &gamma, 0.0).is_err());
    assert!(run(&start, &zeros(&[4]), 0.0).is_err());
    assert!(run(&start, &gamma, -0.1).is_err());
    assert!(nearest(&anchors, &zeros(&[2, 5]), 0.0).is_err());
    assert!(nearest(&anchors, &(zeros(&[2, 6]) / 0.0).unwrap(), 0.0).is_err());
}

#[test]
fn no_gradient_comes_from_the_hole() {
    let mask = Tensor::new(&[[[[1.0_f64, 0.0], [0.0, 1.0]]]], &Device::Cpu).unwrap();
    let picture = Var::from_tensor(&randn(&[2, 3, 2, 2], 1)).unwrap();
    let seen = Degradation::Hole(mask.clone()).apply(&picture).unwrap();
    let grads = seen.sum_all().unwrap().backward().unwrap();
    let expected = mask.broadcast_as((2, 3, 2, 2)).unwrap();
    assert!(apart(grads.get(&picture).unwrap(), &expected) == 0.0);
}

#[test]
fn down_scaling_takes_the_mean_of_the_pixels_under_each() {
    let picture = Tensor::arange(0.0_f64, 16.0, &Device::Cpu)
        .unwrap()
        .reshape((1, 1, 4, 4))
        .unwrap();
    let small = Degradation::Downscale(0.5).apply(&picture).unwrap();
    assert_eq!(numbers(&small), [2.5, 4.5, 10.5, 12.5]);
    let one = Degradation::Downscale(0.3).apply(&picture).unwrap();
    assert_eq!(number(&one), 7.5);
    assert!(
        apart(
            &Degradation::Downscale(1.0).apply(&picture).unwrap(),
            &picture
        ) == 0.0
    );
}

#[test]
fn degradations_that_do_not_fit_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let pictures = zeros(&[2, 3, 8, 8]);
    let message = |degradation: Degradation| degradation.apply(&pictures).unwrap_err().to_string();
    for shape in [[2, 1, 8, 4], [3, 1, 8, 8], [2, 3, 8, 8]] {
        let message = message(Degradation::Hole(zeros(&shape)));
        assert!(message.contains("the size of the pictures"), "{message}");
    }
    let bright = (zeros(&[1, 1, 8, 8]) + 255.0).unwrap();
    assert!(message(Degradation::Hole(bright)).contains("values from 0 to 1"));
    let nan = (zeros(&[1, 1, 8, 8]) / 0.0).unwrap();
    assert!(message(Degradation::Hole(nan)).contains("values from 0 to 1"));
    for factor in [0.0, -0.5, 1.5, f64::NAN, 0.1] {
        let message = message(Degradation::Downscale(factor));
        assert!(message.contains("above 0"), "{message}");
    }
    assert!(Degradation::None.apply(&zeros(&[3, 8, 8])).is_err());
}
