//! Position embeddings of pictures of other sizes than they are stored for.
//!
//! As the published program does it, and with it FD-DINOv2: bicubic (Keys' cubic with a = −0.75), without antialiasing, along each axis
//! by the factor `s = (n + 0.1) / g` from `g` stored places to `n`. The 0.1 kept the program from rounding `n` down; as PyTorch
//! takes places by the factor that it is given, output `o` lies at `x = (o + ½) / s − ½`, which is not quite where `n` places over the same
//! picture would lie. Four taps, those outside moved to the edge. Where `n = g` on both axes nothing changes. (Newer versions of
//! transformers say the size in place of the factor, and give other numbers.)

use candle_core::Tensor;

use crate::Result;

/// What the published program adds to the number of places.
const OFFSET: f64 = 0.1;

/// Positions `[rows, columns, w]` of stored ones, `[g, g, w]`.
///
/// # Errors
///
/// A failed tensor operation.
pub fn at(stored: &Tensor, rows: usize, columns: usize) -> Result<Tensor> {
    let (g, _, w) = stored.dims3()?;
    if (rows, columns) == (g, g) {
        return Ok(stored.clone());
    }
    let along = |x: &Tensor, count: usize| -> Result<Tensor> {
        let table = Tensor::from_vec(table(g, count), (count, g), x.device())?;
        let rest = x.elem_count() / g;
        Ok(table.to_dtype(x.dtype())?.matmul(&x.reshape((g, rest))?)?)
    };
    let x = along(stored, rows)?.reshape((rows, g, w))?;
    let x = x.transpose(0, 1)?.contiguous()?;
    let x = along(&x, columns)?.reshape((columns, rows, w))?;
    Ok(x.transpose(0, 1)?.contiguous()?)
}

/// Weights `[count, g]`, row by row.
fn table(g: usize, count: usize) -> Vec<f64> {
    let step = g as f64 / (count as f64 + OFFSET);
    let mut weights = vec![0.0; count * g];
    for (o, row) in weights.chunks_exact_mut(g).enumerate() {
        let x = (o as f64 + 0.5) * step - 0.5;
        for tap in -1..=2 {
            let at = x.floor() + f64::from(tap);
            let inside = at.clamp(0.0, (g - 1) as f64) as usize;
            row[inside] += cubic((x - at).abs());
        }
    }
    weights
}

/// Keys' cubic at a distance below 2.
fn cubic(t: f64) -> f64 {
    const A: f64 = -0.75;
    match t <= 1.0 {
        true => ((A + 2.0) * t - (A + 3.0)) * t * t + 1.0,
        false => ((t - 5.0) * t + 8.0) * t * A - 4.0 * A,
    }
}
