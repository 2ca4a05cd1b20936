//! The loss of pictures that are known: its parts, its slope, what it refuses.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use candle_core::{DType, Device, Tensor, Var};
use domex_latent::{ImageDistance, PixelRms};
use domex_mystyle::reconstruction;
use domex_ops::testing::randn;

#[test]
fn the_total_is_the_sum_over_pictures_taken_one_by_one() {
    let (x, y) = (randn(&[3, 2, 4, 5], 1), randn(&[3, 2, 4, 5], 2));
    let loss = reconstruction(&x, &y, &PixelRms, 0.5).unwrap();
    let mut sum = 0.0;
    for (n, part) in loss.per_sample.to_vec1::<f64>().unwrap().iter().enumerate() {
        let one = |t: &Tensor| t.narrow(0, n, 1).unwrap();
        let alone = reconstruction(&one(&x), &one(&y), &PixelRms, 0.5).unwrap();
        let alone = alone.total.to_scalar::<f64>().unwrap();
        assert!((alone - part).abs() < 1e-12);
        sum += alone;
    }
    assert!((loss.total.to_scalar::<f64>().unwrap() - sum).abs() < 1e-12);
}

#[test]
fn the_gradient_of_both_parts_reaches_the_edited_pictures() {
    let y = randn(&[2, 1, 3, 3], 3);
    let at = |x: &Tensor| reconstruction(x, &y, &PixelRms, 0.7).unwrap().total;
    let x = Var::from_tensor(&randn(&[2, 1, 3, 3], 4)).unwrap();
    let gradient = at(&x).backward().unwrap().remove(&x).unwrap();
    let direction = randn(&[2, 1, 3, 3], 5);
    let slope = (gradient * &direction).unwrap().sum_all().unwrap();
    let step = 1e-6;
    let moved = |t: f64| at(&(x.as_tensor() + (&direction * t).unwrap()).unwrap());
    let difference = (moved(step) - moved(-step))
        .unwrap()
        .to_scalar::<f64>()
        .unwrap();
    let slope = slope.to_scalar::<f64>().unwrap();
    assert!(
        (slope - difference / (2.0 * step)).abs() < 1e-7 * slope.abs(),
        "{slope}"
    );
}

/// A distance that answers once for a whole batch.
struct OneForAll;

impl ImageDistance for OneForAll {
    fn name(&self) -> &str {
        "one for all"
    }

    fn distance(&self, a: &Tensor, _: &Tensor) -> domex_latent::Result<Tensor> {
        Ok(a.mean_all()?)
    }
}

#[test]
fn pictures_that_do_not_belong_together_are_refused() {
    let picture = |shape: (usize, usize, usize, usize)| {
        Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
    };
    let x = picture((2, 3, 8, 8));
    for other in [(1, 3, 8, 8), (2, 3, 8, 4), (2, 1, 8, 8)] {
        assert!(reconstruction(&x, &picture(other), &PixelRms, 1.0).is_err());
    }
    let none = picture((0, 3, 8, 8));
    assert!(reconstruction(&none, &none, &PixelRms, 1.0).is_err());
    for l2 in [-1.0, f64::NAN] {
        let message = reconstruction(&x, &x, &PixelRms, l2)
            .unwrap_err()
            .to_string();
        assert!(message.contains("0 or a positive number"), "{message}");
    }
    let message = reconstruction(&x, &x, &OneForAll, 1.0)
        .unwrap_err()
        .to_string();
    assert!(message.contains("one for each picture"), "{message}");
}
