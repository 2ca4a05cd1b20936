//! Noise added and removed, and the loss that a denoiser is trained with (Ho et al. 2020, arXiv 2006.11239).

use candle_core::Tensor;

use crate::{Diffusion, Error, Result, diffusion::single};

/// How the predicted noise is compared with the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Mean squared difference.
    Mse,
    /// Mean absolute difference.
    L1,
}

/// A step of training, before its backward pass.
#[derive(Debug, Clone)]
pub struct TrainingLoss {
    /// The noisy samples.
    pub x_t: Tensor,
    /// What was predicted: the noise, or the velocity.
    pub prediction: Tensor,
    /// The loss of each sample, `[n]`: the mean over its elements.
    pub per_sample: Tensor,
    /// The mean over the samples, a scalar.
    pub loss: Tensor,
}

impl Diffusion {
    /// `x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε` for `x0, noise: [n, ..]` and a step for each sample.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when batch, noise and steps do not fit; [`Error::Setting`] for a step that there is not.
    pub fn add_noise(&self, x0: &Tensor, steps: &[usize], noise: &Tensor) -> Result<Tensor> {
        same_shape("noise", noise, x0)?;
        let s = self.schedule();
        let kept = self.gather(&s.sqrt_alphas_cumprod, steps, x0)?;
        let added = self.gather(&s.sqrt_one_minus_alphas_cumprod, steps, x0)?;
        Ok((x0.broadcast_mul(&kept)? + noise.broadcast_mul(&added)?)?)
    }

    /// `x_0` from `x_t` and its noise: the inverse of [`add_noise`](Self::add_noise).
    ///
    /// # Errors
    ///
    /// As [`add_noise`](Self::add_noise).
    pub fn remove_noise(&self, x_t: &Tensor, steps: &[usize], noise: &Tensor) -> Result<Tensor> {
        same_shape("noise", noise, x_t)?;
        let s = self.schedule();
        let scale = self.gather(&s.sqrt_recip_alphas_cumprod, steps, x_t)?;
        let share = self.gather(&s.sqrt_recipm1_alphas_cumprod, steps, x_t)?;
        Ok((x_t.broadcast_mul(&scale)? - noise.broadcast_mul(&share)?)?)
    }

    /// The noise that lies between `x0` and `x_t` at one of the network's timesteps, the same for all samples: what a
    /// denoiser that knows `x0` would predict.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when the shapes differ, [`Error::Setting`] when no step of this process has that timestep.
    pub fn noise_between(&self, x_t: &Tensor, timesteps: &[f64], x0: &Tensor) -> Result<Tensor> {
        same_shape("x0", x0, x_t)?;
        let step = self.step_at(timesteps.first().copied().unwrap_or(f64::NAN))?;
        let s = self.schedule();
        let scaled = (x_t * single(s.sqrt_recip_alphas_cumprod[step]))?;
        Ok(((scaled - x0)? / single(s.sqrt_recipm1_alphas_cumprod[step]))?)
    }

    /// Adds `noise` to `x0: [n, ..]` at the given step of each sample and compares it with what `denoise` predicts.
    ///
    /// # Errors
    ///
    /// Those of [`add_noise`](Self::add_noise) and of `denoise`, and a prediction of another shape.
    pub fn training_loss<E: From<Error>>(
        &self,
        x0: &Tensor,
        steps: &[usize],
        noise: &Tensor,
        loss: Loss,
        denoise: impl FnOnce(&Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<TrainingLoss, E> {
        self.compared([x0, noise, noise], steps, loss, denoise)
    }

    /// Adds `noise` to `x0` and compares what `predict` says of the result with `truth`.
    pub(crate) fn compared<E: From<Error>>(
        &self,
        [x0, noise, truth]: [&Tensor; 3],
        steps: &[usize],
        loss: Loss,
        predict: impl FnOnce(&Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<TrainingLoss, E> {
        let x_t = self.add_noise(x0, steps, noise)?;
        let timesteps = steps
            .iter()
            .map(|&step| self.network_timestep(step))
            .collect::<Result<Vec<f64>>>()?;
        let prediction = predict(&x_t, &timesteps)?;
        same_shape("prediction", &prediction, truth)?;
        let per_sample = per_sample(loss, &prediction, truth)?;
        Ok(TrainingLoss {
            loss: per_sample.mean_all().map_err(Error::from)?,
            x_t,
            prediction,
            per_sample,
        })
    }
}

fn per_sample(loss: Loss, prediction: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let difference = (truth - prediction)?;
    let errors = match loss {
        Loss::Mse => difference.sqr()?,
        Loss::L1 => difference.abs()?,
    };
    Ok(errors.flatten_from(1)?.mean(1)?)
}

pub(crate) fn same_shape(what: &'static str, t: &Tensor, like: &Tensor) -> Result<()> {
    if t.dims() == like.dims() && t.rank() > 1 {
        return Ok(());
    }
    let expected = format!("{:?}, a batch of at least two dimensions", like.dims());
    Err(Error::shape(what, t.dims(), expected))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_random::Streams;

    use super::*;
    use crate::{Betas, standard_normal};

    fn normal(name: &str) -> Tensor {
        let mut stream = Streams::new(1).stream(name);
        standard_normal(&mut stream, &[3, 2, 2, 2], DType::F64, &Device::Cpu).unwrap()
    }

    #[test]
    fn noise_that_is_added_can_be_removed() {
        let d = Diffusion::new(&Betas::Linear, 100).unwrap();
        let (x0, noise, steps) = (normal("x"), normal("noise"), [0, 40, 99]);
        let x_t = d.add_noise(&x0, &steps, &noise).unwrap();
        let back = d.remove_noise(&x_t, &steps, &noise).unwrap();
        let apart = (back - x0).unwrap().abs().unwrap().max_all().unwrap();
        // Coefficients are rounded to float32.
        assert!(apart.to_scalar::<f64>().unwrap() < 1e-4);
    }

    #[test]
    fn the_loss_is_the_mean_of_its_samples_and_zero_for_the_truth() {
        let d = Diffusion::new(&Betas::Linear, 100).unwrap();
        let (x0, noise, steps) = (normal("x"), normal("noise"), [7, 40, 99]);
        for kind in [Loss::Mse, Loss::L1] {
            let run = |prediction: Tensor| {
                let denoise = |_: &Tensor, t: &[f64]| -> Result<Tensor> {
                    assert_eq!(t, [7.0, 40.0, 99.0]);
                    Ok(prediction)
                };
                d.training_loss(&x0, &steps, &noise, kind, denoise).unwrap()
            };
            let none = run(noise.zeros_like().unwrap());
            let samples = none.per_sample.to_vec1::<f64>().unwrap();
            let mean = samples.iter().sum::<f64>() / 3.0;
            assert!((none.loss.to_scalar::<f64>().unwrap() - mean).abs() < 1e-15);
            assert!(mean > 0.1);
            assert_eq!(run(noise.clone()).loss.to_scalar::<f64>().unwrap(), 0.0);
        }
    }

    #[test]
    fn batches_that_do_not_fit_are_refused() {
        let d = Diffusion::new(&Betas::Linear, 100).unwrap();
        let (x0, noise) = (normal("x"), normal("noise"));
        assert!(d.add_noise(&x0, &[1, 2], &noise).is_err());
        assert!(d.add_noise(&x0, &[1, 2, 100], &noise).is_err());
        let small = noise.narrow(1, 0, 1).unwrap();
        assert!(d.add_noise(&x0, &[1, 2, 3], &small).is_err());
        let wrong = |_: &Tensor, _: &[f64]| -> Result<Tensor> { Ok(small.clone()) };
        assert!(
            d.training_loss(&x0, &[1, 2, 3], &noise, Loss::Mse, wrong)
                .is_err()
        );
    }
}
