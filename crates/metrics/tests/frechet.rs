//! The Fréchet distance against reference numbers: ordinary sets, equal ones, fewer rows than
//! features, constant features, features that are often zero.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, safetensors::load};
use domex_metrics::{Moments, frechet};

fn moments(features: &Tensor) -> Moments {
    let mut moments = Moments::new(features.dim(1).unwrap());
    // In parts, as they come from a network.
    let n = features.dim(0).unwrap();
    for start in (0..n).step_by(7) {
        let part = features.narrow(0, start, 7.min(n - start)).unwrap();
        moments.add(&part).unwrap();
    }
    assert_eq!(moments.count(), n);
    moments
}

fn close(found: f64, expected: f64, bound: f64, what: &str) {
    assert!(
        (found - expected).abs() <= bound,
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn the_reference_numbers_come_out() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/metrics/frechet_distance.safetensors"
    );
    let case = load(path, &Device::Cpu).unwrap();
    for set in ["full", "relu", "same", "singular", "dead"] {
        let real = moments(&case[&format!("in.{set}_features_real")]);
        let gen_ = moments(&case[&format!("in.{set}_features_gen")]);
        for (side, moments) in [("real", &real), ("gen", &gen_)] {
            let mean = case[&format!("out.{set}_mu_{side}")]
                .to_vec1::<f64>()
                .unwrap();
            for (found, expected) in moments.mean().unwrap().iter().zip(&mean) {
                close(*found, *expected, 1e-9, "mean");
            }
            let expected = case[&format!("out.{set}_sigma_{side}")]
                .to_vec2::<f64>()
                .unwrap();
            let found = moments.covariance().unwrap();
            for (i, row) in expected.iter().enumerate() {
                for (j, x) in row.iter().enumerate() {
                    close(found[(i, j)], *x, 1e-9, "covariance");
                }
            }
        }
        let expected = case[&format!("out.{set}_fid_unbiased_exact")]
            .to_vec1::<f64>()
            .unwrap()[0];
        let s = real.covariance().unwrap();
        let trace: f64 = (0..s.nrows()).map(|i| s[(i, i)]).sum();
        let bound = match set {
            "same" => 1e-6 * trace,
            "singular" | "dead" => 1e-4 * expected,
            _ => 1e-6 * expected,
        };
        close(frechet(&real, &gen_).unwrap(), expected, bound, set);
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let mut two = Moments::new(2);
    let error = two.add(&Tensor::zeros((3, 4), candle_core::DType::F32, &Device::Cpu).unwrap());
    assert!(error.unwrap_err().to_string().contains("[3, 4]"));
    assert!(two.mean().is_err());
    two.add(&Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap())
        .unwrap();
    assert!(
        two.covariance()
            .unwrap_err()
            .to_string()
            .contains("two rows")
    );
    let bad = Tensor::new(&[[f32::NAN, 2.0]], &Device::Cpu).unwrap();
    assert!(two.add(&bad).unwrap_err().to_string().contains("finite"));
    assert!(frechet(&two, &Moments::new(3)).is_err());
}
