//! Points between anchors.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{anchors, apart, number, numbers};
use domex_mystyle::hull::{mix, sample, transport};
use domex_mystyle::nearest::nearest;
use domex_ops::testing::randn;
use domex_random::Streams;

#[test]
fn a_drawn_point_lies_between_three_different_anchors() {
    let anchors = anchors(5, 8, 1);
    let points = sample(&anchors, 20, 3, &mut Streams::new(4).stream("hull")).unwrap();
    assert_eq!(points.dims(), [20, 8]);
    // Five anchors in eight dimensions: a point has one set of coordinates, up to the rounding of its weights.
    let found = nearest(&anchors, &points, 0.0).unwrap();
    assert!(found.objective < 1e-12, "{}", found.objective);
    for row in numbers(&found.coordinates).chunks(5) {
        assert_eq!(row.iter().filter(|a| **a > 1e-6).count(), 3, "{row:?}");
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_seed_draws_the_same_points_again() {
    let anchors = anchors(4, 3, 1);
    let draw = |seed| sample(&anchors, 6, 2, &mut Streams::new(seed).stream("hull")).unwrap();
    assert!(apart(&draw(1), &draw(1)) == 0.0);
    assert!(apart(&draw(1), &draw(2)) > 0.1);
}

#[test]
fn a_mix_is_the_weighted_mean_of_its_anchors() {
    let codes = randn(&[3, 2, 4], 5);
    let indices = Tensor::new(&[[2_u32, 0]], &Device::Cpu).unwrap();
    let weights = Tensor::new(&[[1.0_f64, 3.0]], &Device::Cpu).unwrap();
    let mixed = mix(&codes, &indices, &weights).unwrap();
    let expected =
        ((codes.get(2).unwrap() + (codes.get(0).unwrap() * 3.0).unwrap()).unwrap() / 4.0).unwrap();
    assert!(apart(&mixed, &expected.unsqueeze(0).unwrap()) < 1e-12);
}

#[test]
fn a_transport_moves_along_its_direction_alone() {
    let latents = randn(&[3, 2, 4], 6);
    let direction = Tensor::new(&[0.0_f64, 1.0, 0.0, 0.0], &Device::Cpu).unwrap();
    let moved = (transport(&latents, &direction, 20.0).unwrap() - &latents).unwrap();
    let expected = (direction.broadcast_as((3, 2, 4)).unwrap() * 20.0).unwrap();
    assert!(apart(&moved, &expected) < 1e-12);
    assert!(transport(&latents, &randn(&[5], 1), 1.0).is_err());
}

#[test]
fn mixes_that_make_no_sense_are_refused() {
    let anchors = anchors(2, 3, 1);
    let mut stream = Streams::new(0).stream("hull");
    let message = sample(&anchors, 4, 3, &mut stream).unwrap_err().to_string();
    assert!(message.contains("1 to 2"), "{message}");
    assert!(sample(&anchors, 0, 2, &mut stream).is_err());
    assert!(sample(&anchors, 1, 0, &mut stream).is_err());
    let indices = |i: u32| Tensor::new(&[[i]], &Device::Cpu).unwrap();
    let weights = |w: f64| Tensor::new(&[[w]], &Device::Cpu).unwrap();
    assert!(mix(anchors.latents(), &indices(2), &weights(1.0)).is_err());
    assert!(mix(anchors.latents(), &indices(0), &weights(0.0)).is_err());
    assert!(mix(anchors.latents(), &indices(0), &weights(f64::NAN)).is_err());
    let two = Tensor::ones((1, 2), DType::F64, &Device::Cpu).unwrap();
    assert!(mix(anchors.latents(), &indices(0), &two).is_err());
    assert!(number(&mix(anchors.latents(), &indices(1), &weights(2.0)).unwrap()).is_finite());
}
