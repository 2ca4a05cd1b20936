//! Pooling, resampling, sampling at positions.

use candle_core::{Device, Tensor};
use domex_cuda::{
    Element,
    plan::{self, GridSample, MaxPool, Resample},
};
use domex_kernels::unit_distance as cpu_distance;
use domex_ops::{Pool, max_pool2d};

use crate::{
    data::{ELEMENTS, assert_close, noise, tolerance, wide},
    runner::{alike, bytes, elements, packed, rounded, run, unpacked},
};

fn tensor(values: &[f32], dims: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), dims, &Device::Cpu).unwrap()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn max_pooling_agrees_with_the_cpu_both_ways() {
    for (h, w, pool) in [
        (7, 9, Pool::new(3, 2)),
        (8, 6, Pool::new(2, 2)),
        (
            7,
            8,
            Pool {
                kernel: 3,
                stride: 2,
                padding: 1,
                ceil_mode: true,
            },
        ),
        (
            5,
            6,
            Pool {
                kernel: 2,
                stride: 3,
                padding: 1,
                ceil_mode: false,
            },
        ),
    ] {
        // Whole numbers, so that maxima tie.
        let x: Vec<f32> = noise(6 * h * w, 1)
            .iter()
            .map(|v| (3.0 * v).round())
            .collect();
        let var = candle_core::Var::from_tensor(&tensor(&x, &[2, 3, h, w])).unwrap();
        let y = max_pool2d(&var, &pool).unwrap();
        let (_, _, out_h, out_w) = y.dims4().unwrap();
        let s = MaxPool {
            planes: 6,
            h,
            w,
            out_h,
            out_w,
            kernel: pool.kernel,
            stride: pool.stride,
            padding: pool.padding,
        };
        let len = 6 * out_h * out_w;
        for element in ELEMENTS {
            let plan = plan::max_pool(&s, element).unwrap();
            let Some(got) = alike(&plan, &[&x, &x], &[(2, len)], element) else {
                return;
            };
            assert_eq!(got[0], values(&y), "{s:?} {element:?}");
            let gy = rounded(&noise(len, 2), element);
            let loss = (&y * tensor(&gy, y.dims())).unwrap().sum_all().unwrap();
            let want = values(loss.backward().unwrap().get(&var).unwrap());
            let plan = plan::max_pool_adjoint(&s, element).unwrap();
            let Some(got) = alike(&plan, &[&x, &gy], &[(2, x.len())], element) else {
                return;
            };
            let most = tolerance(element, 1e-6);
            assert_close(&got[0], &want, most, &format!("{s:?} {element:?}"));
        }
    }
}

/// Rows of an axis: first input and weights of each output.
type Table = Vec<(usize, Vec<f32>)>;

fn table_bytes(table: &Table) -> [Vec<u8>; 3] {
    let ints = |v: Vec<usize>| v.iter().flat_map(|&i| (i as i32).to_le_bytes()).collect();
    let mut offsets = vec![0];
    table
        .iter()
        .for_each(|(_, weights)| offsets.push(offsets[offsets.len() - 1] + weights.len()));
    let weights: Vec<f32> = table.iter().flat_map(|(_, w)| w.clone()).collect();
    [
        ints(table.iter().map(|t| t.0).collect()),
        ints(offsets),
        bytes(&weights),
    ]
}

#[test]
fn resampling_by_tables_agrees_with_the_formula() {
    for element in ELEMENTS {
        resampling_agrees(element);
    }
}

fn resampling_agrees(element: Element) {
    let (planes, h, w) = (3, 7, 5);
    let rows: Table = vec![
        (0, noise(3, 5)),
        (2, noise(1, 6)),
        (1, noise(6, 7)),
        (3, vec![]),
    ];
    let cols: Table = (0..9)
        .map(|o| (o / 2, noise(if o == 8 { 1 } else { 2 }, 10 + o as u64)))
        .collect();
    let x = rounded(&noise(planes * h * w, 1), element);
    let s = Resample {
        planes,
        h,
        w,
        out_h: rows.len(),
        out_w: cols.len(),
    };
    let mut want = Vec::new();
    for plane in x.chunks(h * w) {
        for (row, row_weights) in &rows {
            for (col, col_weights) in &cols {
                let mut sum = 0.0f64;
                for (a, wa) in row_weights.iter().enumerate() {
                    for (b, wb) in col_weights.iter().enumerate() {
                        sum += f64::from(wa * wb) * f64::from(plane[(row + a) * w + col + b]);
                    }
                }
                want.push(sum);
            }
        }
    }
    let mut operands = vec![
        packed(&x, element),
        vec![0xff; element.bytes() * want.len()],
    ];
    operands.extend(table_bytes(&rows));
    operands.extend(table_bytes(&cols));
    let Some(after) = run(&plan::resample(&s, element).unwrap(), &operands) else {
        return;
    };
    let got = unpacked(&after[1], element);
    assert_close(&got, &want, tolerance(element, 1e-6), "resampling");
}

#[test]
fn sampling_at_positions_agrees_with_the_cpu_both_ways() {
    for element in ELEMENTS {
        sampling_agrees(element);
    }
}

fn sampling_agrees(element: Element) {
    let (n, c, h, w, out) = (2, 3, 5, 7, [4, 9]);
    let samples = out[0] * out[1];
    let x = rounded(&noise(n * c * h * w, 1), element);
    // Inside, on and beyond the edges, and not a number.
    let mut grid: Vec<f32> = noise(2 * n * samples, 2).iter().map(|v| 1.4 * v).collect();
    grid[4] = f32::NAN;
    let var = candle_core::Var::from_tensor(&tensor(&x, &[n, c, h, w])).unwrap();
    let y = domex_ops::grid_sample(&var, &tensor(&grid, &[n, out[0], out[1], 2])).unwrap();
    let at = |g: f32, size: usize| ((f64::from(g) + 1.0) * size as f64 - 1.0) / 2.0;
    let points: Vec<f32> = grid
        .chunks(2)
        .flat_map(|g| [at(g[0], w) as f32, at(g[1], h) as f32])
        .collect();
    let s = GridSample {
        n,
        c,
        h,
        w,
        samples,
    };
    let len = n * c * samples;
    let sampled = |plan: &domex_cuda::Plan, from: &[f32], len| {
        let operands = [(from, element), (&points[..], Element::F32)];
        elements(plan, &operands, (2, len, element))
    };
    let Some(got) = sampled(&plan::grid_sample(&s, element).unwrap(), &x, len) else {
        return;
    };
    assert_close(&got, &values(&y), tolerance(element, 3e-6), "sampling");
    for scale in [1.0, 1e-9, 0.0] {
        let gy: Vec<f32> = noise(len, 3).iter().map(|v| v * scale).collect();
        let gy = rounded(&gy, element);
        let loss = (&y * tensor(&gy, y.dims())).unwrap().sum_all().unwrap();
        let want = values(loss.backward().unwrap().get(&var).unwrap());
        let plan = plan::grid_sample_adjoint(&s, element).unwrap();
        let Some(got) = sampled(&plan, &gy, x.len()) else {
            return;
        };
        let most = tolerance(element, 3e-6);
        assert_close(&got, &want, most, "the adjoint of sampling");
    }
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut gy = noise(len, 3);
        gy[7] = wrong;
        let plan = plan::grid_sample_adjoint(&s, element).unwrap();
        let Some(got) = sampled(&plan, &gy, x.len()) else {
            return;
        };
        assert!(got.iter().all(|g| g.is_nan()), "{wrong}");
    }
}

#[test]
fn the_distance_of_unit_vectors_agrees_with_the_cpu_both_ways() {
    // Pixels that are no multiple of a block's, more channels than shares and fewer, a floor that holds at some pixels.
    for (n, channels, pixels, floor) in [(2, 19, 35, 0.0), (1, 3, 70, 1.0)] {
        for (element, weighted) in ELEMENTS.into_iter().flat_map(|e| [(e, true), (e, false)]) {
            let s = cpu_distance::UnitDistance {
                n,
                channels,
                pixels,
                eps: 1e-10,
                floor,
            };
            distance_agrees(&s, weighted, element);
        }
    }
}

fn distance_agrees(s: &cpu_distance::UnitDistance, weighted: bool, element: Element) {
    let (len, count) = (s.n * s.channels * s.pixels, s.n * s.pixels);
    let [a, b, weight, gy] =
        [len, len, s.channels, count].map(|len| rounded(&noise(len, len as u64), element));
    // Apart, where their lengths are alike.
    let b: Vec<f32> = b.iter().rev().copied().collect();
    let [a64, b64, weight64, gy64] = [&a, &b, &weight, &gy].map(|t| wide(t));
    let weight64 = weighted.then_some(&weight64[..]);
    let what = format!("{s:?} {element:?} {weighted}");
    let mut want = vec![0.0; count];
    cpu_distance::forward(s, &a64, &b64, weight64, &mut want).unwrap();
    let with = |operands: &[&[f32]], outputs: &[(usize, usize)], plan: &domex_cuda::Plan| {
        let weight = weighted.then_some(&weight[..]);
        let operands: Vec<&[f32]> = operands.iter().copied().chain(weight).collect();
        alike(plan, &operands, outputs, element)
    };
    let plan = plan::unit_distance(s, weighted, element).unwrap();
    let Some(got) = with(&[&a, &b], &[(2, count)], &plan) else {
        return;
    };
    assert_close(&got[0], &want, tolerance(element, 1e-5), &what);
    let [mut ga, mut gb] = [(); 2].map(|()| vec![0.0; len]);
    let grads = [Some(&mut ga[..]), Some(&mut gb[..])];
    cpu_distance::backward(s, [&a64, &b64], weight64, &gy64, grads).unwrap();
    for (wanted, wants) in [
        ([true, true], vec![&ga, &gb]),
        ([true, false], vec![&ga]),
        ([false, true], vec![&gb]),
    ] {
        let plan = plan::unit_distance_backward(s, weighted, wanted, element).unwrap();
        let outputs: Vec<_> = (3..3 + wants.len()).map(|at| (at, len)).collect();
        let Some(got) = with(&[&a, &b, &gy], &outputs, &plan) else {
            return;
        };
        for (got, want) in got.iter().zip(wants) {
            assert_close(got, want, tolerance(element, 2e-5), &what);
        }
    }
}
