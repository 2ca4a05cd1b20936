use candle_core::{DType, Device, Tensor, Var};

use super::{Pool, avg_pool2d, max_pool2d, reference};
use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

/// Kernels, strides, paddings and modes; sizes 6, 7, 8 and 9 meet them with and without overhang.
fn pools() -> Vec<Pool> {
    let mut pools = vec![];
    for (kernel, stride, padding) in [
        (1, 1, 0),
        (2, 2, 0),
        (3, 2, 0),
        (3, 2, 1),
        (3, 1, 1),
        (2, 3, 1),
        (5, 3, 2),
        (1, 2, 0),
        (4, 1, 0),
    ] {
        for ceil_mode in [false, true] {
            pools.push(Pool {
                kernel,
                stride,
                padding,
                ceil_mode,
            });
        }
    }
    pools
}

/// Whole numbers from −2 to 2: many ties.
fn ties(shape: &[usize], seed: u64) -> Tensor {
    (randn(shape, seed) * 1.2).unwrap().round().unwrap()
}

fn gradient(f: impl Fn(&Tensor) -> crate::Result<Tensor>, x: &Tensor) -> (Tensor, Tensor) {
    let var = Var::from_tensor(&x.copy().unwrap()).unwrap();
    let y = f(&var).unwrap();
    let r = randn(y.dims(), 90).to_dtype(x.dtype()).unwrap();
    let grads = (&y * r).unwrap().sum_all().unwrap().backward().unwrap();
    (y.detach(), grads.get(&var).unwrap().clone())
}

#[test]
fn equals_the_reference_with_its_gradient() {
    for (i, size) in [(6, 9), (7, 7), (8, 6)].into_iter().enumerate() {
        let x = ties(&[2, 3, size.0, size.1], i as u64);
        for pool in pools() {
            let pairs = [
                (
                    gradient(|x| max_pool2d(x, &pool), &x),
                    gradient(|x| reference::max_pool2d(x, &pool), &x),
                ),
                (
                    gradient(|x| avg_pool2d(x, &pool, true), &x),
                    gradient(|x| reference::avg_pool2d(x, &pool, true), &x),
                ),
                (
                    gradient(|x| avg_pool2d(x, &pool, false), &x),
                    gradient(|x| reference::avg_pool2d(x, &pool, false), &x),
                ),
            ];
            for ((y, g), (expected_y, expected_g)) in pairs {
                assert!(max_difference(&y, &expected_y) < 1e-14, "{pool:?}");
                assert!(max_difference(&g, &expected_g) < 1e-13, "{pool:?}");
            }
        }
    }
}

#[test]
fn sizes_and_averages_by_hand() {
    let x = Tensor::arange(0f64, 5.0, &Device::Cpu)
        .unwrap()
        .reshape((1, 1, 1, 5))
        .unwrap();
    let x = x.broadcast_as((1, 1, 5, 5)).unwrap();
    let row = |t: Tensor| {
        t.get(0)
            .unwrap()
            .get(0)
            .unwrap()
            .to_vec2::<f64>()
            .unwrap()
            .remove(0)
    };
    let pool = Pool {
        kernel: 3,
        stride: 3,
        padding: 0,
        ceil_mode: true,
    };
    assert_eq!(row(max_pool2d(&x, &pool).unwrap()), [2.0, 4.0]);
    // The overhang counts neither way.
    assert_eq!(row(avg_pool2d(&x, &pool, true).unwrap()), [1.0, 3.5]);
    let pool = Pool {
        kernel: 3,
        stride: 2,
        padding: 1,
        ceil_mode: true,
    };
    let close = |got: Vec<f64>, expected: [f64; 3]| {
        assert!(
            got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15),
            "{got:?}"
        );
    };
    // The first row of windows has two rows of the input: 2/3 of them with padding.
    close(
        row(avg_pool2d(&x, &pool, true).unwrap()),
        [2.0 / 9.0, 12.0 / 9.0, 14.0 / 9.0],
    );
    close(row(avg_pool2d(&x, &pool, false).unwrap()), [0.5, 2.0, 3.5]);
    // A window that would begin in the right padding is dropped: 2 outputs, not 3.
    let x = x.narrow(2, 0, 3).unwrap().narrow(3, 0, 3).unwrap();
    let pool = Pool {
        kernel: 2,
        stride: 2,
        padding: 1,
        ceil_mode: true,
    };
    assert_eq!(max_pool2d(&x, &pool).unwrap().dims(), [1, 1, 2, 2]);
}

#[test]
fn the_first_maximum_takes_the_gradient() {
    let x = Tensor::zeros((1, 1, 3, 3), DType::F32, &Device::Cpu).unwrap();
    let (_, g) = gradient(|x| max_pool2d(x, &Pool::new(2, 1)), &x);
    let flat: Vec<f32> = g.flatten_all().unwrap().to_vec1().unwrap();
    let places: Vec<usize> = (0..9).filter(|&i| flat[i] != 0.0).collect();
    assert_eq!(places, [0, 1, 3, 4], "each window's upper left corner");
}

#[test]
fn a_nan_is_a_maximum() {
    let x = Tensor::new(&[[[[1f32, f32::NAN], [f32::INFINITY, 2.0]]]], &Device::Cpu).unwrap();
    let y: Vec<f32> = max_pool2d(&x, &Pool::new(2, 2))
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    assert!(y[0].is_nan());
}

#[test]
fn derivatives() {
    let x = randn(&[2, 2, 5, 6], 5);
    let inputs = std::slice::from_ref(&x);
    for pool in [
        Pool::new(2, 2),
        Pool {
            kernel: 3,
            stride: 2,
            padding: 1,
            ceil_mode: true,
        },
    ] {
        let max = |xs: &[Tensor]| max_pool2d(&xs[0], &pool);
        assert_gradients("max_pool2d", max, inputs);
        // The square makes the second derivative other than zero.
        let square = |xs: &[Tensor]| Ok(max_pool2d(&xs[0].sqr()?, &pool)?.sqr()?);
        assert_second_order("max_pool2d", square, inputs);
        for with_padding in [true, false] {
            let avg = |xs: &[Tensor]| avg_pool2d(&xs[0], &pool, with_padding);
            assert_gradients("avg_pool2d", avg, inputs);
            let square = |xs: &[Tensor]| Ok(avg_pool2d(&xs[0].sqr()?, &pool, with_padding)?.sqr()?);
            assert_second_order("avg_pool2d", square, inputs);
        }
    }
}

#[test]
fn refusals() {
    let x = randn(&[1, 1, 4, 5], 6);
    let text = |x: &Tensor, pool: Pool| {
        let text = max_pool2d(x, &pool).unwrap_err().to_string();
        assert!(text.starts_with("max_pool2d: "), "{text}");
        let average = avg_pool2d(x, &pool, true).unwrap_err().to_string();
        assert_eq!(average.replace("avg_pool2d", "max_pool2d"), text);
        text
    };
    assert!(text(&x, Pool::new(0, 1)).contains("kernel is 0"));
    assert!(text(&x, Pool::new(1, 0)).contains("stride is 0"));
    assert!(
        text(
            &x,
            Pool {
                padding: 2,
                ..Pool::new(3, 1)
            }
        )
        .contains("padding is 2")
    );
    assert!(text(&x, Pool::new(5, 1)).contains("[1, 1, 4, 5]"));
    assert!(text(&x, Pool::new(usize::MAX, usize::MAX)).contains("[1, 1, 4, 5]"));
    assert!(text(&x.get(0).unwrap(), Pool::new(2, 2)).contains("rank 4"));
    assert!(text(&x.to_dtype(DType::I64).unwrap(), Pool::new(2, 2)).contains("floating point"));
    // The largest numbers that are allowed.
    let huge = Pool {
        kernel: usize::MAX,
        stride: usize::MAX,
        padding: usize::MAX / 2,
        ceil_mode: true,
    };
    assert_eq!(max_pool2d(&x, &huge).unwrap().dims(), [1, 1, 1, 1]);
}
