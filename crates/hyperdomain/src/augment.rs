//! Embeddings between and around those of the domains that a hypernetwork is trained on (section 4 of arXiv 2210.08884).
//!
//! - [`hull`]: `h_i = Σ_j a_ij v_j / ‖·‖` with the rows of `a` from a Dirichlet distribution ([`weights`]);
//! - [`resample`]: a random direction in the cone around each embedding.

use candle_core::{D, DType, Device, Tensor};
use domex_random::Stream;

use crate::{Error, Result};

/// Smallest cosine between an embedding and what [`resample`] makes of it, as published.
pub const COSINE: f64 = 0.95;

/// Mixes `[n, .., d]` of `embeddings: [n, .., d]`, of length 1, by `weights: [n, n]`.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn hull(embeddings: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let n = embeddings.dim(0)?;
    if embeddings.rank() < 2 || weights.dims() != [n, n] {
        let expected = format!("[{n}, {n}] for embeddings {:?}", embeddings.dims());
        return Err(Error::shape(
            "weights of the hull",
            weights.dims(),
            expected,
        ));
    }
    let mixed = domex_ops::matmul(weights, &embeddings.flatten_from(1)?)?;
    unit(&mixed.reshape(embeddings.dims())?)
}

/// Rows `[n, n]` of a Dirichlet distribution with all concentrations 2 / n.
///
/// # Errors
///
/// No row.
pub fn weights(n: usize, stream: &mut Stream) -> Result<Tensor> {
    if n == 0 {
        return Err(Error::config("rows of the hull", 0, "at least 1"));
    }
    let concentration = 2.0 / n as f64;
    let mut all = Vec::with_capacity(n * n);
    for _ in 0..n {
        // Logarithms: of a small concentration, most are too small for a number.
        let row: Vec<f64> = (0..n).map(|_| ln_gamma(concentration, stream)).collect();
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let row: Vec<f64> = row.iter().map(|ln| (ln - largest).exp()).collect();
        let sum: f64 = row.iter().sum();
        all.extend(row.iter().map(|share| (share / sum) as f32));
    }
    Ok(Tensor::from_vec(all, (n, n), &Device::Cpu)?)
}

/// The logarithm of a number with a gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000, *A simple method for
/// generating gamma variables*; below 1 by way of the shape plus 1).
fn ln_gamma(shape: f64, stream: &mut Stream) -> f64 {
    // In (0, 1].
    let mut uniform = || 1.0 - stream.uniform_f64();
    let boost = match shape < 1.0 {
        true => uniform().ln() / shape,
        false => 0.0,
    };
    let d = if shape < 1.0 { shape + 1.0 } else { shape } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = stream.normal_f64();
        let v = (1.0 + c * x).powi(3);
        if v <= 0.0 {
            continue;
        }
        let u = 1.0 - stream.uniform_f64();
        if u.ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
            return boost + d.ln() + v.ln();
        }
    }
}

/// Uniform numbers that [`resample`] takes.
#[derive(Debug, Clone)]
pub struct Draws {
    /// `[rows, d]` in `[0, 1)`.
    pub directions: Tensor,
    /// `[rows]` in `[0, 1)`.
    pub cosines: Tensor,
}

impl Draws {
    /// For so many rows of length `d`: all directions, then all cosines.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn new(rows: usize, d: usize, stream: &mut Stream) -> Result<Self> {
        let mut uniform = |count: usize| (0..count).map(|_| stream.uniform_f32()).collect();
        let directions: Vec<f32> = uniform(rows * d);
        let cosines: Vec<f32> = uniform(rows);
        Ok(Self {
            directions: Tensor::from_vec(directions, (rows, d), &Device::Cpu)?,
            cosines: Tensor::from_vec(cosines, rows, &Device::Cpu)?,
        })
    }
}

/// Each row of `embeddings: [.., d]` turned by an angle with a cosine uniform in `[cosine, 1]`: with `u = v / ‖v‖`, a direction `p`
/// across it from the draws, and `k` the cosine, `k u + √(1 − k²) p`.
///
/// # Errors
///
/// Draws for another number of rows, or a cosine that is none.
pub fn resample(embeddings: &Tensor, draws: &Draws, cosine: f64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&cosine) {
        return Err(Error::config("smallest cosine", cosine, "0 to 1"));
    }
    let rows = draws.cosines.elem_count();
    let d = embeddings.dim(D::Minus1)?;
    let count = embeddings.elem_count() / d.max(1);
    // One embedding may be turned many times.
    if draws.directions.dims() != [rows, d] || !(count == rows || count == 1) {
        let expected = format!("[{count}, {d}] for embeddings {:?}", embeddings.dims());
        return Err(Error::shape(
            "random directions",
            draws.directions.dims(),
            expected,
        ));
    }
    let own = |t: &Tensor| {
        t.to_device(embeddings.device())?
            .to_dtype(embeddings.dtype())
    };
    let u = unit(&embeddings.reshape((count, d))?)?;
    let r = (own(&draws.directions)? * 2.0)?.affine(1.0, -1.0)?;
    let inwards = r.broadcast_mul(&u)?.sum_keepdim(1)?;
    let p = unit(&(r - inwards.broadcast_mul(&u)?)?)?;
    let k = own(&draws.cosines)?
        .affine(1.0 - cosine, cosine)?
        .unsqueeze(1)?;
    let across = k.sqr()?.affine(-1.0, 1.0)?.sqrt()?;
    let turned = (k.broadcast_mul(&u)? + across.broadcast_mul(&p)?)?;
    Ok(match count == rows {
        true => turned.reshape(embeddings.dims())?,
        false => turned,
    })
}

fn unit(x: &Tensor) -> Result<Tensor> {
    let square = x.sqr()?.sum_keepdim(D::Minus1)?;
    Ok(x.broadcast_div(&square.to_dtype(DType::F64)?.sqrt()?.to_dtype(x.dtype())?)?)
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;

    #[test]
    fn rows_of_the_hull_sum_to_one_and_differ() {
        let mut stream = Streams::new(5).stream("hull");
        let rows = weights(6, &mut stream).unwrap().to_vec2::<f32>().unwrap();
        for row in &rows {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            assert!(row.iter().all(|w| (0.0..=1.0).contains(w)));
        }
        assert_ne!(rows[0], rows[1]);
    }

    /// Mean 1/n and variance (n − 1) / (n² (2 + 1)) of a Dirichlet distribution whose concentrations sum to 2.
    #[test]
    fn weights_have_the_moments_of_their_distribution() {
        let mut stream = Streams::new(6).stream("hull");
        let n = 8;
        let mut all = Vec::new();
        for _ in 0..400 {
            all.extend(
                weights(n, &mut stream)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap(),
            );
        }
        let count = all.len() as f64;
        let mean = all.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        let square = all.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() / count;
        let expected = (n as f64 - 1.0) / (n as f64).powi(2) / 3.0;
        assert!((mean - 1.0 / n as f64).abs() < 1e-6, "{mean}");
        assert!(((square - mean * mean) / expected - 1.0).abs() < 0.05);
    }

    #[test]
    fn what_is_resampled_stays_in_the_cone() {
        let mut stream = Streams::new(7).stream("cone");
        let v = Tensor::new(&[[0.6f32, 0.8, 0.0], [0.0, 0.0, 2.0]], &Device::Cpu).unwrap();
        let draws = Draws::new(2, 3, &mut stream).unwrap();
        let turned = resample(&v, &draws, COSINE).unwrap();
        let cosines = (unit(&v).unwrap() * &turned).unwrap().sum(1).unwrap();
        for cosine in cosines.to_vec1::<f32>().unwrap() {
            assert!((0.9499..1.0001).contains(&cosine), "{cosine}");
        }
    }
}
