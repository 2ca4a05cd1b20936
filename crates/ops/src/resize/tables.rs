//! The weight table of each kind of resizing, along one axis.

use super::{Resize, separable::Table};

/// Weights of `outputs` positions over `inputs` positions, both at least 1. `single`: coordinates
/// are rounded to f32, as PyTorch does for f32 pictures; a steep picture shows the difference.
pub(super) fn table(kind: Resize, inputs: usize, outputs: usize, single: bool) -> Table {
    let coordinate = |centre: f64| {
        move |output: usize| match single {
            true => {
                let scale = inputs as f32 / outputs as f32;
                f64::from(scale * (output as f32 + centre as f32) - centre as f32)
            }
            false => scale(inputs, outputs) * (output as f64 + centre) - centre,
        }
    };
    match kind {
        Resize::Nearest => nearest(inputs, outputs),
        Resize::Area => area(inputs, outputs),
        Resize::Bilinear => bilinear(inputs, outputs, coordinate(0.5)),
        Resize::BilinearTf1 => bilinear(inputs, outputs, coordinate(0.0)),
        Resize::Bicubic { antialias: false } => bicubic(inputs, outputs, coordinate(0.5)),
        Resize::Bicubic { antialias: true } => {
            antialiased(inputs, outputs, 2.0, |t| cubic(t, -0.5))
        }
        Resize::BilinearAntialias => antialiased(inputs, outputs, 1.0, |t| 1.0 - t.abs().min(1.0)),
    }
}

/// Input positions per output position.
fn scale(inputs: usize, outputs: usize) -> f64 {
    inputs as f64 / outputs as f64
}

fn nearest(inputs: usize, outputs: usize) -> Table {
    // PyTorch multiplies in f32, so a product that is whole in exact arithmetic may land below it.
    // It does without where the factor is 2.
    let scale = inputs as f32 / outputs as f32;
    let position = |o: usize| {
        if Some(outputs) == inputs.checked_mul(2) {
            o / 2
        } else {
            (o as f32 * scale) as usize
        }
    };
    Table::new(
        inputs,
        (0..outputs).map(|o| (position(o).min(inputs - 1), vec![1.0])),
    )
}

fn area(inputs: usize, outputs: usize) -> Table {
    // In u128, because a product of two sizes may pass usize.
    let product = |o: usize| o as u128 * inputs as u128;
    Table::new(
        inputs,
        (0..outputs).map(|o| {
            let first = (product(o) / outputs as u128) as usize;
            let end = product(o + 1).div_ceil(outputs as u128) as usize;
            (first, vec![1.0 / (end - first) as f64; end - first])
        }),
    )
}

/// `coordinate` tells where the middle of an output pixel lies among the middles of the inputs.
fn bilinear(inputs: usize, outputs: usize, coordinate: impl Fn(usize) -> f64) -> Table {
    Table::from_taps(
        inputs,
        (0..outputs).map(|o| {
            let x = coordinate(o).max(0.0);
            let (i, t) = (x.floor() as isize, x.fract());
            [(i, 1.0 - t), (i + 1, t)]
        }),
    )
}

fn bicubic(inputs: usize, outputs: usize, coordinate: impl Fn(usize) -> f64) -> Table {
    Table::from_taps(
        inputs,
        (0..outputs).map(|o| {
            let x = coordinate(o);
            let (i, t) = (x.floor() as isize, x - x.floor());
            [-1, 0, 1, 2].map(|k| (i + k, cubic(t - k as f64, -0.75)))
        }),
    )
}

/// A kernel of this radius, stretched where the picture shrinks.
fn antialiased(inputs: usize, outputs: usize, radius: f64, kernel: impl Fn(f64) -> f64) -> Table {
    let scale = scale(inputs, outputs);
    let stretch = scale.max(1.0);
    let support = radius * stretch;
    Table::new(
        inputs,
        (0..outputs).map(|o| {
            let centre = (o as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs);
            let mut row: Vec<f64> = (first..end)
                .map(|i| kernel((i as f64 - centre + 0.5) / stretch))
                .collect();
            let sum: f64 = row.iter().sum();
            row.iter_mut().for_each(|weight| *weight /= sum);
            (first, row)
        }),
    )
}

/// Keys' cubic with parameter `a`.
fn cubic(t: f64, a: f64) -> f64 {
    let t = t.abs();
    if t <= 1.0 {
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0
    } else if t < 2.0 {
        a * (((t - 5.0) * t + 8.0) * t - 4.0)
    } else {
        0.0
    }
}
