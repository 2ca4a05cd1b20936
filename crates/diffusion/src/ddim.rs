//! Deterministic sampling and its reversal (Song et al. 2021, arXiv 2010.02502, with η = 0).
//!
//! From `x_i` and the predicted noise `ε`: `x_0 = √(1/ᾱ_i) x_i − √(1/ᾱ_i − 1) ε`, which may be clamped; `ε` then follows
//! from the clamped `x_0`. Sampling goes to `√ᾱ_{i−1} x_0 + √(1 − ᾱ_{i−1}) ε` with `ᾱ_{−1} = 1`, so it ends at `x_0`. The
//! reversal, which encodes a picture into noise, goes to `√ᾱ_{i+1} x_0 + √(1 − ᾱ_{i+1}) ε` with `ᾱ_T = 0`, so it ends at `ε`.

use candle_core::Tensor;
use domex_ops::{Activation, BiasAct, bias_act};

use crate::{Diffusion, Result, diffusion::single};

/// What is done to the predicted `x_0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clip {
    /// Nothing.
    None,
    /// It is clamped to `[-1, 1]`, where pictures are.
    Unit,
}

/// What one step gave.
#[derive(Debug, Clone)]
pub struct Step {
    /// The step of the process, 0 being the one with the least noise.
    pub index: usize,
    /// The next `x`.
    pub x: Tensor,
    /// The prediction of `x_0` that it was made from.
    pub x0: Tensor,
}

impl Diffusion {
    /// `x: [n, ..]` with the noise of the last step to `x_0`, by all steps of this process.
    ///
    /// `denoise` gives the noise in `x`, of `x`'s shape, for the network's timesteps, one for each sample; `on_step` is called
    /// after each step.
    ///
    /// # Errors
    ///
    /// Those of `denoise`, and of a prediction of another shape.
    pub fn ddim_sample<E: From<crate::Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        denoise: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        on_step: impl FnMut(&Step),
    ) -> Result<Tensor, E> {
        let ends = &self.schedule().alphas_cumprod_prev;
        self.walk(x, clip, (0..self.steps()).rev(), ends, denoise, on_step)
    }

    /// The reversal: `x_0: [n, ..]` to the noise that [`ddim_sample`](Self::ddim_sample) would make it from, the better the more
    /// steps there are.
    ///
    /// # Errors
    ///
    /// As [`ddim_sample`](Self::ddim_sample).
    pub fn ddim_reverse<E: From<crate::Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        denoise: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        on_step: impl FnMut(&Step),
    ) -> Result<Tensor, E> {
        let ends = &self.schedule().alphas_cumprod_next;
        self.walk(x, clip, 0..self.steps(), ends, denoise, on_step)
    }

    /// The reversal as far as the last step's own noise and no further: what [`ddim_sample`](Self::ddim_sample) begins with where
    /// the process is a [part](Self::until) of another.
    ///
    /// # Errors
    ///
    /// As [`ddim_sample`](Self::ddim_sample).
    pub fn ddim_encode<E: From<crate::Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        denoise: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        on_step: impl FnMut(&Step),
    ) -> Result<Tensor, E> {
        let ends = &self.schedule().alphas_cumprod_next;
        self.walk(x, clip, 0..self.steps() - 1, ends, denoise, on_step)
    }

    /// The way back from where [`ddim_encode`](Self::ddim_encode) ends to where it begins, at the noise of the first step.
    ///
    /// # Errors
    ///
    /// As [`ddim_sample`](Self::ddim_sample).
    pub fn ddim_decode<E: From<crate::Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        denoise: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        on_step: impl FnMut(&Step),
    ) -> Result<Tensor, E> {
        let ends = &self.schedule().alphas_cumprod_prev;
        self.walk(x, clip, (1..self.steps()).rev(), ends, denoise, on_step)
    }

    pub(crate) fn walk<E: From<crate::Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        steps: impl Iterator<Item = usize>,
        ends: &[f64],
        mut denoise: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        mut on_step: impl FnMut(&Step),
    ) -> Result<Tensor, E> {
        let n = x.dims().first().copied().unwrap_or(0);
        let mut x = x.clone();
        for index in steps {
            let timesteps = vec![self.network_timestep(index)?; n];
            let noise = denoise(&x, &timesteps)?;
            let step = self.ddim_step(index, &x, &noise, clip, ends[index])?;
            on_step(&step);
            x = step.x;
        }
        Ok(x)
    }

    /// One step from `ᾱ_index` to `ᾱ = end`.
    fn ddim_step(
        &self,
        index: usize,
        x: &Tensor,
        noise: &Tensor,
        clip: Clip,
        end: f64,
    ) -> Result<Step> {
        let (x0, noise) = self.x0_and_noise(index, x, noise, clip)?;
        let end = single(end);
        let x = ((&x0 * end.sqrt())? + (noise * (1.0 - end).sqrt())?)?;
        Ok(Step { index, x, x0 })
    }

    /// What `noise`, predicted in `x` at step `index`, says of `x_0`, and the noise that the clipped `x_0` leaves.
    pub(crate) fn x0_and_noise(
        &self,
        index: usize,
        x: &Tensor,
        noise: &Tensor,
        clip: Clip,
    ) -> Result<(Tensor, Tensor)> {
        let recip = single(self.schedule().sqrt_recip_alphas_cumprod[index]);
        let recipm1 = single(self.schedule().sqrt_recipm1_alphas_cumprod[index]);
        let scaled = (x * recip)?;
        let x0 = (&scaled - (noise * recipm1)?)?;
        match clip {
            Clip::None => Ok((x0, noise.clone())),
            Clip::Unit => {
                let x0 = clamp(&x0)?;
                let noise = ((scaled - &x0)? * recipm1.recip())?;
                Ok((x0, noise))
            }
        }
    }
}

/// Clamped to `[-1, 1]`; a value on the limit passes its gradient, one beyond does not.
pub(crate) fn clamp(x: &Tensor) -> Result<Tensor> {
    let how = BiasAct {
        clamp: Some(1.0),
        ..BiasAct::new(Activation::Linear)
    };
    Ok(bias_act(x, None, &how)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};
    use domex_random::Streams;

    use super::*;
    use crate::{Betas, Error, Spacing, standard_normal};

    fn picture() -> Tensor {
        let mut stream = Streams::new(1).stream("picture");
        let x = standard_normal(&mut stream, &[2, 3, 4, 4], DType::F64, &Device::Cpu).unwrap();
        x.tanh().unwrap()
    }

    fn apart(a: &Tensor, b: &Tensor) -> f64 {
        let d = (a - b).unwrap().abs().unwrap().max_all().unwrap();
        d.to_scalar().unwrap()
    }

    /// The exact denoiser of pictures that are all normal with deviation ½ in every pixel: the way there and back is a smooth
    /// curve, which small steps follow.
    fn gaussian(d: &Diffusion) -> impl Fn(&Tensor, &[f64]) -> Result<Tensor> {
        let schedule = d.schedule().clone();
        let map = d.timestep_map().to_vec();
        move |x: &Tensor, t: &[f64]| {
            let i = map.iter().position(|&at| at as f64 == t[0]).unwrap_or(0);
            let kept = schedule.alphas_cumprod[i];
            Ok((x * ((1.0 - kept).sqrt() / (0.25 * kept + 1.0 - kept)))?)
        }
    }

    #[test]
    fn a_picture_comes_back_from_its_noise_the_better_the_more_steps() {
        let full = Diffusion::new(&Betas::Linear, 1000).unwrap();
        let error = |steps| {
            let d = full.spaced(steps, Spacing::Ddim).unwrap();
            let x = picture();
            let noise = d
                .ddim_reverse(&x, Clip::None, gaussian(&d), |_| {})
                .unwrap();
            let back = d
                .ddim_sample(&noise, Clip::None, gaussian(&d), |_| {})
                .unwrap();
            apart(&back, &x)
        };
        let errors = [error(20), error(100), error(1000)];
        assert!(
            errors[0] > 2.0 * errors[1] && errors[1] > 2.0 * errors[2],
            "{errors:?}"
        );
        assert!(errors[2] < 0.02, "{errors:?}");
    }

    #[test]
    fn a_picture_comes_back_from_part_of_its_noise() {
        let full = Diffusion::new(&Betas::Linear, 1000).unwrap();
        let part = full.until(0.5).unwrap().spaced(250, Spacing::Ddpm).unwrap();
        let x = picture();
        let noisy = part
            .ddim_encode(&x, Clip::None, gaussian(&part), |_| {})
            .unwrap();
        let back = part
            .ddim_sample(&noisy, Clip::None, gaussian(&part), |_| {})
            .unwrap();
        assert!(apart(&noisy, &x) > 0.05);
        assert!(apart(&back, &x) < 0.02, "{}", apart(&back, &x));
    }

    #[test]
    fn a_batch_is_its_samples_and_steps_are_reported_in_order() {
        let full = Diffusion::new(&Betas::Linear, 100).unwrap();
        let d = full.spaced(5, Spacing::Ddim).unwrap();
        let x = picture();
        let mut seen = Vec::new();
        let all = d
            .ddim_sample(&x, Clip::Unit, gaussian(&d), |step| seen.push(step.index))
            .unwrap();
        assert_eq!(seen, [4, 3, 2, 1, 0]);
        for i in 0..2 {
            let one = x.narrow(0, i, 1).unwrap();
            let one = d
                .ddim_sample(&one, Clip::Unit, gaussian(&d), |_| {})
                .unwrap();
            assert_eq!(apart(&one, &all.narrow(0, i, 1).unwrap()), 0.0);
        }
    }

    #[test]
    fn gradients_pass_the_whole_chain() {
        let full = Diffusion::new(&Betas::Linear, 100).unwrap();
        let d = full.spaced(5, Spacing::Ddim).unwrap();
        let strength = Var::new(1.0f64, &Device::Cpu).unwrap();
        let sum = |strength: &Tensor| {
            let denoise = |x: &Tensor, t: &[f64]| -> Result<Tensor> {
                Ok(gaussian(&d)(x, t)?.sin()?.broadcast_mul(strength)?)
            };
            let x = d
                .ddim_sample(&picture(), Clip::Unit, denoise, |_| {})
                .unwrap();
            x.sqr().unwrap().sum_all().unwrap()
        };
        let grads = sum(&strength).backward().unwrap();
        let grad = grads.get(&strength).unwrap().to_scalar::<f64>().unwrap();
        let at = |h: f64| sum(&Tensor::new(1.0 + h, &Device::Cpu).unwrap()).to_scalar::<f64>();
        let want = (at(1e-6).unwrap() - at(-1e-6).unwrap()) / 2e-6;
        assert!((grad - want).abs() < 1e-5 * want.abs(), "{grad} {want}");
    }

    #[test]
    fn a_denoisers_error_stops_the_chain() {
        let d = Diffusion::new(&Betas::Linear, 50).unwrap();
        let mut calls = 0;
        let denoise = |x: &Tensor, _: &[f64]| {
            calls += 1;
            match calls {
                3 => Err(Error::setting("test", 3, "less")),
                _ => Ok(x.clone()),
            }
        };
        assert!(
            d.ddim_sample(&picture(), Clip::None, denoise, |_| {})
                .is_err()
        );
        assert_eq!(calls, 3);
    }
}
