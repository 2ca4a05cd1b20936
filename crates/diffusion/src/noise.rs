//! Noise and timesteps from the caller's stream.

use candle_core::{DType, Device, Tensor};
use domex_ops::upload;
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
    let values = Tensor::from_vec(values, dims, &Device::Cpu)?;
    Ok(upload(&values, device)?.to_dtype(dtype)?)
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

/// Those steps moved towards noise, step `t` of `T` to `s·t / (1 + (s − 1)·t/T)` (Esser et al. 2024, arXiv 2403.03206, section 5.3.2): with a `shift`
/// of 1 they stay where they are.
pub fn shift_timesteps(steps: &mut [usize], diffusion: &Diffusion, shift: f64) {
    for step in steps {
        let time = *step as f64 / diffusion.steps() as f64;
        let moved = shift * *step as f64 / (1.0 + (shift - 1.0) * time);
        *step = (moved as usize).min(diffusion.steps() - 1);
    }
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;
    use crate::Betas;

    #[test]
    fn shifted_steps_keep_their_order_and_their_ends() {
        let diffusion = Diffusion::new(&Betas::Linear, 1000).unwrap();
        let moved = |shift| {
            let mut steps = [0, 1, 500, 999];
            shift_timesteps(&mut steps, &diffusion, shift);
            steps
        };
        assert_eq!(moved(1.0), [0, 1, 500, 999]);
        assert_eq!(moved(3.0), [0, 2, 750, 999]);
    }

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
