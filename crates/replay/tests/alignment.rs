//! Replay alignment and diversity.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use domex_latent::{ImageDistance, PixelRms};
use domex_lpips::{Backbone, Config, Lpips};
use domex_ops::testing::randn;
use domex_replay::{AlignmentConfig, Perceptual, alignment, diversity};

fn number(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}

#[test]
fn both_terms_weigh_as_they_should() {
    let (a, b) = (randn(&[3, 3, 4, 4], 1), randn(&[3, 3, 4, 4], 2));
    let config = AlignmentConfig {
        l2: 2.0,
        lpips: 3.0,
    };
    let got = alignment(&a, &b, Some(&PixelRms), &config).unwrap();
    let l2 = number(&(&a - &b).unwrap().sqr().unwrap().mean_all().unwrap());
    let far = number(&PixelRms.distance(&a, &b).unwrap().mean_all().unwrap());
    assert!((number(&got.l2) - l2).abs() < 1e-12);
    assert!((number(&got.perceptual) - far).abs() < 1e-12);
    assert!((number(&got.loss) - 2.0 * l2 - 3.0 * far).abs() < 1e-12);
    let same = alignment(&a, &a, Some(&PixelRms), &config).unwrap();
    assert_eq!(number(&same.loss), 0.0);
}

#[test]
fn each_term_works_alone() {
    let vb = VarBuilder::zeros(DType::F32, &Device::Cpu);
    let lpips = Lpips::new(
        &vb,
        &Config {
            heads: false,
            ..Config::new(Backbone::Alex)
        },
    )
    .unwrap();
    let distance: [&dyn ImageDistance; 2] = [&PixelRms, &Perceptual(lpips)];
    let f32s = |seed| randn(&[2, 3, 32, 32], seed).to_dtype(DType::F32).unwrap();
    let (a, b) = (
        Var::from_tensor(&f32s(1)).unwrap(),
        Var::from_tensor(&f32s(2)).unwrap(),
    );
    for distance in distance {
        let only = AlignmentConfig {
            l2: 0.0,
            lpips: 1.0,
        };
        let got = alignment(&a, &b, Some(distance), &only).unwrap();
        let want = distance.distance(&a, &b).unwrap().mean_all().unwrap();
        assert_eq!(number(&got.loss), number(&want));
        let grads = got.loss.backward().unwrap();
        assert!(grads.get(&a).is_some(), "{}", distance.name());
        assert!(grads.get(&b).is_none(), "the source is constant");
    }
    let only = AlignmentConfig {
        l2: 1.0,
        lpips: 0.0,
    };
    let got = alignment(&a, &b, None, &only).unwrap();
    assert!(number(&got.loss) > 0.1);
    assert_eq!(number(&got.perceptual), 0.0);
    assert!(!only.is_off());
    assert!(
        AlignmentConfig {
            l2: 0.0,
            lpips: 0.0
        }
        .is_off()
    );
}

#[test]
fn refusals_name_the_reason() {
    let (a, b) = (randn(&[2, 3, 4, 4], 1), randn(&[1, 3, 4, 4], 2));
    let default = AlignmentConfig::default();
    let text = |r: domex_replay::Result<_>| {
        r.map(|_: domex_replay::Alignment| ())
            .unwrap_err()
            .to_string()
    };
    assert!(text(alignment(&a, &b, Some(&PixelRms), &default)).contains("[1, 3, 4, 4]"));
    assert!(text(alignment(&a, &a, None, &default)).contains("perceptual network"));
    let bad = AlignmentConfig {
        l2: -1.0,
        ..default
    };
    assert!(text(alignment(&a, &a, Some(&PixelRms), &bad)).contains("squared difference"));
}

#[test]
fn diversity_is_the_mean_over_pairs_of_one_domain() {
    let x = Var::from_tensor(&randn(&[4, 3, 4, 4], 1)).unwrap();
    let one = |i: usize| x.narrow(0, i, 1).unwrap();
    let far = |i, j| {
        number(
            &PixelRms
                .distance(&one(i), &one(j))
                .unwrap()
                .mean_all()
                .unwrap(),
        )
    };
    let got = diversity(&x, &[7, 2, 7, 7], &PixelRms).unwrap().unwrap();
    let want = (far(0, 2) + far(0, 3) + far(2, 3)) / 3.0;
    assert!((number(&got) - want).abs() < 1e-12);
    let grads = got.backward().unwrap();
    let grad = grads
        .get(&x)
        .unwrap()
        .abs()
        .unwrap()
        .sum((1, 2, 3))
        .unwrap();
    let grad: Vec<f64> = grad.to_vec1().unwrap();
    assert!(
        grad[1] == 0.0 && [0, 2, 3].iter().all(|i| grad[*i] > 0.0),
        "{grad:?}"
    );
    assert!(diversity(&x, &[0, 1, 2, 3], &PixelRms).unwrap().is_none());
    assert!(diversity(&x, &[0, 1], &PixelRms).is_err());
}
