//! Noise and timesteps from the caller's stream.

use candle_core::{DType, Device, Tensor};
use domex_random::Stream;

use crate::{Diffusion, Error, Result};

/// Standard normal numbers of the given shape.
///
/// # Errors
///
/// [`Error::Shape`] for a shape that does not fit into memory.
pub fn standard_normal(
    stream: &mut Stream,
    dims: &[usize],
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    // As much as one allocation of f32 can hold.
    const LIMIT: usize = isize::MAX as usize / size_of::<f32>();
    let count = dims
        .iter()
        .try_fold(1usize, |count, &d| count.checked_mul(d))
        .filter(|&count| count <= LIMIT)
        .ok_or_else(|| Error::shape("noise", dims, "a size that fits into memory"))?;
    let mut values = Vec::new();
    values
        .try_reserve_exact(count)
        .map_err(|_| Error::shape("noise", dims, "a size that fits into memory"))?;
    values.resize(count, 0.0);
    stream.fill_normal(&mut values);
    Ok(Tensor::from_vec(values, dims, device)?.to_dtype(dtype)?)
}

/// A step of `diffusion` for each of `n` samples, all equally likely.
///
/// # Errors
///
/// None that a process with a step could have.
pub fn uniform_timesteps(
    stream: &mut Stream,
    diffusion: &Diffusion,
    n: usize,
) -> Result<Vec<usize>> {
    (0..n)
        .map(|_| Ok(stream.index(diffusion.steps())?))
        .collect()
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;
    use crate::Betas;

    #[test]
    fn the_same_seed_draws_the_same_noise_and_steps() {
        let draw = || {
            let mut stream = Streams::new(3).stream("noise");
            let diffusion = Diffusion::new(&Betas::Linear, 50).unwrap();
            let noise = standard_normal(&mut stream, &[2, 3], DType::F32, &Device::Cpu).unwrap();
            let steps = uniform_timesteps(&mut stream, &diffusion, 1000).unwrap();
            (noise.to_vec2::<f32>().unwrap(), steps)
        };
        let (noise, steps) = draw();
        assert_eq!((noise, steps.clone()), draw());
        assert!((0..50).all(|step| steps.contains(&step)));
    }

    #[test]
    fn a_shape_beyond_memory_is_refused() {
        let mut stream = Streams::new(3).stream("noise");
        for dims in [[usize::MAX, 2], [1 << 62, 1], [1 << 50, 1]] {
            assert!(standard_normal(&mut stream, &dims, DType::F32, &Device::Cpu).is_err());
        }
    }
}
