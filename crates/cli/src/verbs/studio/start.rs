//! Where a picture starts in the latent space, and the bytes that say so for a photo.
//!
//! The bytes are float32 numbers, little end first: the latent's D, then for a generator whose latents leave something out those of the noise. How
//! many there must be the model says.

use candle_core::{DType, Tensor};
use domex_error::user_error;

use crate::kinds::Model;

/// Where a picture starts: latent `[1, rows, D]`, and what it leaves out `[1, c, h, w]`.
#[derive(Debug, Clone)]
pub struct Start {
    /// The latent.
    pub w: Tensor,
    /// The noise of a diffusion chain.
    pub noise: Option<Tensor>,
}

impl Start {
    /// What a photo's bytes say to a model.
    pub fn read(model: &Model, bytes: &[u8]) -> domex_error::Result<Self> {
        let generator = model.generator();
        let (dim, rows, side) = (
            generator.latent_dim(),
            generator.layers(),
            generator.resolution(),
        );
        let noise = match model {
            Model::StyleGan2(_) | Model::StyleGan3(_) => 0,
            Model::DiffAe(_) => generator.channels() * side * side,
        };
        let numbers = unpack(bytes, dim + noise)?;
        let (w, noises) = numbers.split_at(dim);
        let tensor = |numbers: &[f32], dims: &[usize]| {
            Tensor::from_slice(numbers, dims, generator.device())?.to_dtype(generator.dtype())
        };
        let noise = match noise {
            0 => None,
            _ => Some(tensor(noises, &[1, generator.channels(), side, side])?),
        };
        Ok(Self {
            w: tensor(w, &[1, 1, dim])?
                .broadcast_as((1, rows, dim))?
                .contiguous()?,
            noise,
        })
    }

    /// Part of the way to another: straight for latents, and on the sphere on which noise lies for noise.
    pub fn towards(&self, other: &Self, at: f64) -> domex_error::Result<Self> {
        let noise = match (&self.noise, &other.noise) {
            (Some(from), Some(to)) => Some(on_sphere(from, to, at)?),
            _ => None,
        };
        Ok(Self {
            w: ((&self.w * (1.0 - at))? + (&other.w * at)?)?,
            noise,
        })
    }
}

/// Spherical interpolation: keeps the length, which an average of noises would lose.
fn on_sphere(from: &Tensor, to: &Tensor, at: f64) -> domex_error::Result<Tensor> {
    let sum = |tensor: Tensor| tensor.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>();
    let product = sum((from * to)?)?;
    let lengths = (sum(from.sqr()?)? * sum(to.sqr()?)?).sqrt();
    let angle = (product / lengths.max(f64::MIN_POSITIVE))
        .clamp(-1.0, 1.0)
        .acos();
    let (a, b) = match angle.sin() {
        // The same noise, or its opposite.
        sine if sine < 1e-6 => (1.0 - at, at),
        sine => (((1.0 - at) * angle).sin() / sine, (at * angle).sin() / sine),
    };
    Ok(((from * a)? + (to * b)?)?)
}

/// As bytes.
pub fn pack(tensors: &[&Tensor]) -> domex_error::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for tensor in tensors {
        let numbers: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    Ok(bytes)
}

fn unpack(bytes: &[u8], count: usize) -> domex_error::Result<Vec<f32>> {
    let numbers = bytes
        .chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let numbers: Vec<f32> = numbers.collect();
    match bytes.len() == 4 * count && numbers.iter().all(|number| number.is_finite()) {
        true => Ok(numbers),
        false => Err(user_error(
            "the photo in this picture belongs to another model, or is damaged; drop the photo itself",
        )),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn numbers_of_another_count_and_such_that_are_none_are_refused() {
        let tensor = Tensor::new(&[1.5f32, -2.0], &Device::Cpu).unwrap();
        let bytes = pack(&[&tensor]).unwrap();
        assert_eq!(unpack(&bytes, 2).unwrap(), [1.5, -2.0]);
        assert!(unpack(&bytes, 3).is_err() && unpack(&bytes[..7], 2).is_err());
        assert!(unpack(&f32::NAN.to_le_bytes(), 1).is_err());
    }

    #[test]
    fn noise_on_the_way_to_other_noise_keeps_its_length() {
        let device = Device::Cpu;
        let from = Tensor::new(&[3.0f32, 0.0], &device).unwrap();
        let to = Tensor::new(&[0.0f32, 3.0], &device).unwrap();
        let half = on_sphere(&from, &to, 0.5)
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!((half[0].hypot(half[1]) - 3.0).abs() < 1e-5, "{half:?}");
        assert_eq!(
            on_sphere(&from, &from, 0.3)
                .unwrap()
                .to_vec1::<f32>()
                .unwrap(),
            [3.0, 0.0]
        );
    }
}
