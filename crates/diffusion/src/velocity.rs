//! The velocity as what a network predicts: `v = √ᾱ ε − √(1 − ᾱ) x_0` (Salimans and Ho 2022, arXiv 2202.00512).
//!
//! Its scale is the same at all times, so a plain mean of squares weights them evenly.

use candle_core::Tensor;

use crate::loss::same_shape;
use crate::{Diffusion, Error, Loss, Result, TrainingLoss};

impl Diffusion {
    /// The velocity of `x0, noise: [n, ..]` at the given step of each sample.
    ///
    /// # Errors
    ///
    /// As [`add_noise`](Self::add_noise).
    pub fn velocity(&self, x0: &Tensor, steps: &[usize], noise: &Tensor) -> Result<Tensor> {
        same_shape("noise", noise, x0)?;
        let [kept, added] = self.shares(steps, x0)?;
        Ok((noise.broadcast_mul(&kept)? - x0.broadcast_mul(&added)?)?)
    }

    /// The noise in `x_t: [n, ..]` that a predicted velocity says: `√ᾱ v + √(1 − ᾱ) x_t`, at the network's timestep of each
    /// sample.
    ///
    /// # Errors
    ///
    /// As [`add_noise`](Self::add_noise); a timestep that no step of this process has.
    pub fn noise_of_velocity(
        &self,
        x_t: &Tensor,
        timesteps: &[f64],
        velocity: &Tensor,
    ) -> Result<Tensor> {
        same_shape("velocity", velocity, x_t)?;
        let steps = timesteps.iter().map(|&t| self.step_at(t));
        let [kept, added] = self.shares(&steps.collect::<Result<Vec<_>>>()?, x_t)?;
        Ok((velocity.broadcast_mul(&kept)? + x_t.broadcast_mul(&added)?)?)
    }

    /// Adds `noise` to `x0: [n, ..]` at the given step of each sample and compares the velocity with what `predict` says: its
    /// mean squared error.
    ///
    /// # Errors
    ///
    /// As [`training_loss`](Self::training_loss).
    pub fn velocity_loss<E: From<Error>>(
        &self,
        x0: &Tensor,
        steps: &[usize],
        noise: &Tensor,
        predict: impl FnOnce(&Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<TrainingLoss, E> {
        let velocity = self.velocity(x0, steps, noise)?;
        self.compared([x0, noise, &velocity], steps, Loss::Mse, predict)
    }

    /// `√ᾱ` and `√(1 − ᾱ)` at these steps, to be broadcast over `x`.
    fn shares(&self, steps: &[usize], x: &Tensor) -> Result<[Tensor; 2]> {
        let s = self.schedule();
        Ok([
            self.gather(&s.sqrt_alphas_cumprod, steps, x)?,
            self.gather(&s.sqrt_one_minus_alphas_cumprod, steps, x)?,
        ])
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_random::Streams;

    use super::*;
    use crate::{Betas, standard_normal};

    #[test]
    fn the_noise_comes_back_from_the_velocity() {
        let d = Diffusion::new(&Betas::Cosine, 100).unwrap();
        let normal = |name: &str| {
            let mut stream = Streams::new(1).stream(name);
            standard_normal(&mut stream, &[3, 2, 2, 2], DType::F64, &Device::Cpu).unwrap()
        };
        let (x0, noise, steps) = (normal("x"), normal("noise"), [0, 40, 99]);
        let x_t = d.add_noise(&x0, &steps, &noise).unwrap();
        let v = d.velocity(&x0, &steps, &noise).unwrap();
        let back = d.noise_of_velocity(&x_t, &[0.0, 40.0, 99.0], &v).unwrap();
        let apart = (back - noise).unwrap().abs().unwrap().max_all().unwrap();
        assert!(apart.to_scalar::<f64>().unwrap() < 1e-6);
        assert!(d.noise_of_velocity(&x_t, &[0.0, 40.0, 100.0], &v).is_err());
    }
}
