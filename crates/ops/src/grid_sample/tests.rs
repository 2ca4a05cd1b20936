use candle_core::{DType, Device, Tensor, Var};

use super::{grid_sample, reference};
use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

/// Positions in the picture, across its edges and far outside.
fn grid(n: usize, rows: usize, columns: usize) -> Tensor {
    (randn(&[n, rows, columns, 2], 5) * 0.8).unwrap()
}

/// The positions of the pixels themselves.
fn identity(n: usize, h: usize, w: usize) -> Tensor {
    let at = |i: usize, size: usize| (2 * i + 1) as f64 / size as f64 - 1.0;
    let pixels = (0..n * h * w).flat_map(|k| [at(k % w, w), at(k / w % h, h)]);
    Tensor::from_vec(pixels.collect(), (n, h, w, 2), &Device::Cpu).unwrap()
}

#[test]
fn gradients_of_first_and_second_order() {
    let (x, grid) = (randn(&[2, 3, 5, 4], 1), grid(2, 4, 3));
    let sample = |xs: &[Tensor]| grid_sample(&xs[0], &grid);
    assert_gradients("grid_sample", sample, std::slice::from_ref(&x));
    // Linear in x: the square makes a second derivative that is not 0.
    let square = |xs: &[Tensor]| Ok(grid_sample(&xs[0], &grid)?.sqr()?);
    assert_second_order("grid_sample", square, &[x]);
}

#[test]
fn the_composed_form_agrees() {
    let (x, grid) = (randn(&[2, 3, 6, 5], 2), grid(2, 7, 4));
    let (a, b) = (grid_sample(&x, &grid), reference(&x, &grid));
    assert!(max_difference(&a.unwrap(), &b.unwrap()) < 1e-14);
    let composed = |xs: &[Tensor]| Ok(reference(&xs[0], &grid)?.sqr()?);
    assert_gradients("reference", composed, std::slice::from_ref(&x));
    assert_second_order("reference", composed, &[x]);
}

#[test]
fn pixels_come_back_bit_for_bit_on_their_own_positions() {
    // Sizes that are powers of two make the positions exact.
    let x = randn(&[2, 3, 8, 4], 3).to_dtype(DType::F32).unwrap();
    let grid = identity(2, 8, 4).to_dtype(DType::F32).unwrap();
    let y = grid_sample(&x, &grid).unwrap();
    assert_eq!(max_difference(&y, &x), 0.0);
}

#[test]
fn values_by_hand() {
    let x = Tensor::new(&[[[[1f64, 2.0], [3.0, 4.0]]]], &Device::Cpu).unwrap();
    let nan = f64::NAN;
    let points = [
        [0.0, 0.0],   // the middle of all four
        [-1.0, -1.0], // the outer corner: a quarter of the first pixel
        [0.5, -0.75], // a quarter pixel above the second
        [-2.0, 0.0],  // half a pixel further outside than bilinear reaches
        [nan, 0.0],
        [1e300, f64::INFINITY],
    ];
    let grid = Tensor::new(&[[points]], &Device::Cpu).unwrap();
    for y in [grid_sample(&x, &grid), reference(&x, &grid)] {
        let y: Vec<f64> = y.unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(y, [2.5, 0.25, 1.5, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn a_batch_is_its_samples() {
    let (x, grid) = (randn(&[3, 2, 4, 4], 6), grid(3, 5, 5));
    let together = grid_sample(&x, &grid).unwrap();
    for i in 0..3 {
        let one = |t: &Tensor| t.narrow(0, i, 1).unwrap();
        let alone = grid_sample(&one(&x), &one(&grid)).unwrap();
        assert_eq!(max_difference(&one(&together), &alone), 0.0);
    }
}

#[test]
fn refusals_name_the_reason() {
    let x = randn(&[2, 3, 4, 4], 7);
    let text = |grid: &Tensor| grid_sample(&x, grid).unwrap_err().to_string();
    assert!(text(&randn(&[1, 3, 3, 2], 8)).contains("expected [2, i, j, 2]"));
    assert!(text(&randn(&[2, 3, 3, 3], 8)).contains("expected [2, i, j, 2]"));
    assert!(text(&randn(&[2, 3, 3], 8)).contains("rank 4"));
    assert!(text(&randn(&[2, 3, 3, 2], 8).to_dtype(DType::F32).unwrap()).contains("F64"));
    let tracking = Var::from_tensor(&randn(&[2, 3, 3, 2], 8)).unwrap();
    assert!(text(&tracking).contains("tracks gradients"));
}
