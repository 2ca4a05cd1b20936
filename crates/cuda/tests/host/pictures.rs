//! Pooling, resampling, sampling at positions.

use candle_core::{Device, Tensor};
use domex_cuda::plan::{self, GridSample, MaxPool, Resample};
use domex_ops::{Pool, max_pool2d};

use crate::{
    data::{assert_close, noise},
    runner::{bytes, floats, from_bytes, run},
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
        let Some(got) = floats(&plan::max_pool(&s).unwrap(), &[&x, &x], &[(2, len)]) else {
            return;
        };
        assert_eq!(got[0], values(&y), "{s:?}");
        let gy = noise(len, 2);
        let loss = (&y * tensor(&gy, y.dims())).unwrap().sum_all().unwrap();
        let want = values(loss.backward().unwrap().get(&var).unwrap());
        let Some(got) = floats(
            &plan::max_pool_adjoint(&s).unwrap(),
            &[&x, &gy],
            &[(2, x.len())],
        ) else {
            return;
        };
        assert_close(&got[0], &want, 1e-6, &format!("{s:?}"));
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
    let x = noise(planes * h * w, 1);
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
    let mut operands = vec![bytes(&x), vec![0xff; 4 * want.len()]];
    operands.extend(table_bytes(&rows));
    operands.extend(table_bytes(&cols));
    let Some(after) = run(&plan::resample(&s).unwrap(), &operands) else {
        return;
    };
    assert_close(&from_bytes(&after[1]), &want, 1e-6, "resampling");
}

#[test]
fn sampling_at_positions_agrees_with_the_cpu_both_ways() {
    let (n, c, h, w, out) = (2, 3, 5, 7, [4, 9]);
    let samples = out[0] * out[1];
    let x = noise(n * c * h * w, 1);
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
    let Some(got) = floats(&plan::grid_sample(&s).unwrap(), &[&x, &points], &[(2, len)]) else {
        return;
    };
    assert_close(&got[0], &values(&y), 3e-6, "sampling");
    for scale in [1.0, 1e-9, 0.0] {
        let gy: Vec<f32> = noise(len, 3).iter().map(|v| v * scale).collect();
        let loss = (&y * tensor(&gy, y.dims())).unwrap().sum_all().unwrap();
        let want = values(loss.backward().unwrap().get(&var).unwrap());
        let Some(got) = floats(
            &plan::grid_sample_adjoint(&s).unwrap(),
            &[&gy, &points],
            &[(2, x.len())],
        ) else {
            return;
        };
        assert_close(&got[0], &want, 3e-6, "the adjoint of sampling");
    }
    for wrong in [f32::NAN, f32::INFINITY] {
        let mut gy = noise(len, 3);
        gy[7] = wrong;
        let plan = plan::grid_sample_adjoint(&s).unwrap();
        let Some(got) = floats(&plan, &[&gy, &points], &[(2, x.len())]) else {
            return;
        };
        assert!(got[0].iter().all(|g| g.is_nan()), "{wrong}");
    }
}
