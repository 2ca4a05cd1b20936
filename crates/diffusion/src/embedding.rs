//! The sinusoidal embedding of timesteps (Vaswani et al. 2017, arXiv 1706.03762, as diffusion networks have it).

use candle_core::{DType, Device, Tensor};
use domex_ops::upload;

use crate::{Error, Result};

/// The slowest wave takes this many steps, over 2π.
const MAX_PERIOD: f32 = 10_000.0;

/// `[cos(t f_0), .., cos(t f_{h−1}), sin(t f_0), .., sin(t f_{h−1})]` for each of the timesteps `t: n`, with `h = ⌊dim/2⌋` and
/// `f_i = 10000^(−i/h)`; an odd `dim` has a zero behind. Gives `[n, dim]`.
///
/// Angles are rounded to float32, as in the published code: networks were trained with them.
///
/// # Errors
///
/// [`Error::Setting`] for no timesteps, a `dim` below 2, or a timestep that is not finite.
pub fn timestep_embedding(
    timesteps: &[f64],
    dim: usize,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    if timesteps.is_empty() {
        return Err(Error::setting("timesteps", "none", "at least one"));
    }
    if dim < 2 {
        return Err(Error::setting(
            "size of the timestep embedding",
            dim,
            "at least 2",
        ));
    }
    if let Some(t) = timesteps.iter().find(|t| !t.is_finite()) {
        return Err(Error::setting("timestep", t, "a finite number"));
    }
    let half = dim / 2;
    let frequency = |i: usize| {
        let exponent = -MAX_PERIOD.ln() * i as f32 / half as f32;
        f64::from(exponent).exp() as f32
    };
    let frequencies: Vec<f32> = (0..half).map(frequency).collect();
    let mut values = Vec::with_capacity(timesteps.len() * dim);
    for &t in timesteps {
        let angles = frequencies.iter().map(|f| f64::from(t as f32 * f));
        values.extend(angles.clone().map(f64::cos));
        values.extend(angles.map(f64::sin));
        values.resize(values.len() + dim % 2, 0.0);
    }
    let embedding = Tensor::from_vec(values, (timesteps.len(), dim), &Device::Cpu)?;
    Ok(upload(&embedding, device)?.to_dtype(dtype)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_is_cosines_then_sines() {
        let e = timestep_embedding(&[0.0, 3.0], 5, DType::F64, &Device::Cpu).unwrap();
        let e = e.to_vec2::<f64>().unwrap();
        assert_eq!(e[0], [1.0, 1.0, 0.0, 0.0, 0.0]);
        for (got, want) in
            e[1].iter()
                .zip([3f64.cos(), 0.03f64.cos(), 3f64.sin(), 0.03f64.sin(), 0.0])
        {
            assert!((got - want).abs() < 1e-7);
        }
    }

    #[test]
    fn what_cannot_be_embedded_is_refused() {
        let run = |t: &[f64], dim| timestep_embedding(t, dim, DType::F32, &Device::Cpu);
        assert!(run(&[], 4).is_err());
        assert!(run(&[f64::NAN], 4).is_err());
        assert!(run(&[1.0], 1).is_err());
    }
}
