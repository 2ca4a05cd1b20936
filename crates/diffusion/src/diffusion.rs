//! A diffusion: a schedule and the training steps that its steps stand for.

use candle_core::{Device, Tensor};
use domex_ops::upload;

use crate::{Betas, Error, Result, Schedule, Spacing};

/// A diffusion process, as trained or re-spaced for sampling.
///
/// Step `i` of a re-spaced process stands for the training step [`timestep_map()`](Self::timestep_map)`[i]`, and its `β` are
/// such that `ᾱ_i` is that of the training step.
#[derive(Debug, Clone, PartialEq)]
pub struct Diffusion {
    schedule: Schedule,
    timestep_map: Vec<usize>,
    train_steps: usize,
    rescale_timesteps: bool,
}

impl Diffusion {
    /// The process that a model is trained with.
    ///
    /// # Errors
    ///
    /// Those of [`Betas::values`].
    pub fn new(betas: &Betas, train_steps: usize) -> Result<Self> {
        Ok(Self {
            schedule: Schedule::new(betas.values(train_steps)?)?,
            timestep_map: (0..train_steps).collect(),
            train_steps,
            rescale_timesteps: false,
        })
    }

    /// The process with the network's timesteps scaled to 0 .. 1000, whatever the number of training steps.
    #[must_use]
    pub fn with_rescaled_timesteps(mut self, rescale: bool) -> Self {
        self.rescale_timesteps = rescale;
        self
    }

    /// The process of `steps` of this one's steps.
    ///
    /// # Errors
    ///
    /// Those of [`Spacing::timesteps`].
    pub fn spaced(&self, steps: usize, spacing: Spacing) -> Result<Self> {
        let kept = spacing.timesteps(self.steps(), steps)?;
        let mut last = 1.0;
        let betas = kept
            .iter()
            .map(|&t| {
                let now = self.schedule.alphas_cumprod[t];
                let beta = 1.0 - now / last;
                last = now;
                beta
            })
            .collect();
        Ok(Self {
            schedule: Schedule::new(betas)?,
            timestep_map: kept.iter().map(|&t| self.timestep_map[t]).collect(),
            ..self.clone()
        })
    }

    /// The part of this process up to the share `time` of its steps, so that its last step has the noise of that time.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a time that is not above 0 and at most 1, or before the second step.
    pub fn until(&self, time: f64) -> Result<Self> {
        let steps = (time * self.steps() as f64).round() as usize;
        if !(time > 0.0 && time <= 1.0) || steps < 2 {
            let expected = format!("{:.4} to 1", 2.0 / self.steps() as f64);
            return Err(Error::setting("time", time, expected));
        }
        Ok(Self {
            schedule: Schedule::new(self.schedule.betas[..steps].to_vec())?,
            timestep_map: self.timestep_map[..steps].to_vec(),
            ..self.clone()
        })
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.schedule.steps()
    }

    /// Number of steps of the process as trained.
    pub fn train_steps(&self) -> usize {
        self.train_steps
    }

    /// The schedule of this process's own steps.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The training step that each step stands for.
    pub fn timestep_map(&self) -> &[usize] {
        &self.timestep_map
    }

    /// What the network is given as the time of step `step`.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] for a step that there is not.
    pub fn network_timestep(&self, step: usize) -> Result<f64> {
        self.check_step(step)?;
        let t = self.timestep_map[step] as f64;
        Ok(if self.rescale_timesteps {
            t * (1000.0 / self.train_steps as f64)
        } else {
            t
        })
    }

    /// The step whose network timestep this is.
    pub(crate) fn step_at(&self, timestep: f64) -> Result<usize> {
        (0..self.steps())
            .find(|&i| self.network_timestep(i).is_ok_and(|t| t == timestep))
            .ok_or_else(|| Error::setting("timestep", timestep, "one of the process's"))
    }

    pub(crate) fn check_step(&self, step: usize) -> Result<()> {
        if step < self.steps() {
            return Ok(());
        }
        let expected = format!("0 to {}", self.steps() - 1);
        Err(Error::setting("diffusion step", step, expected))
    }

    /// `values` at the steps of a batch, to be broadcast over `x: [n, ..]`.
    pub(crate) fn gather(&self, values: &[f64], steps: &[usize], x: &Tensor) -> Result<Tensor> {
        let n = x.dims().first().copied().unwrap_or(0);
        if n != steps.len() || n == 0 {
            let expected = format!("[{}, ..], one for each timestep", steps.len());
            return Err(Error::shape("x", x.dims(), expected));
        }
        steps.iter().try_for_each(|&step| self.check_step(step))?;
        let picked: Vec<f64> = steps.iter().map(|&step| single(values[step])).collect();
        let mut dims = vec![1; x.rank()];
        dims[0] = n;
        let picked = Tensor::from_vec(picked, dims, &Device::Cpu)?;
        Ok(upload(&picked, x.device())?.to_dtype(x.dtype())?)
    }
}

/// A coefficient rounded to float32, as the published code looks it up: near `ᾱ = 1` the difference shows.
pub(crate) fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diffusion() -> Diffusion {
        Diffusion::new(&Betas::Linear, 1000).unwrap()
    }

    #[test]
    fn all_steps_are_the_full_process() {
        let full = diffusion();
        let spaced = full.spaced(1000, Spacing::Ddim).unwrap();
        assert_eq!(spaced.timestep_map(), full.timestep_map());
        let pairs = spaced.schedule().betas.iter().zip(&full.schedule().betas);
        for (a, b) in pairs {
            assert!((a - b).abs() < 1e-14);
        }
    }

    #[test]
    fn a_spaced_process_keeps_the_noise_of_its_training_steps() {
        let full = diffusion();
        // Spaced twice: the map still leads to the training steps.
        let spaced = full.spaced(100, Spacing::Ddim).unwrap();
        let spaced = spaced.spaced(20, Spacing::Ddim).unwrap();
        assert_eq!(spaced.timestep_map()[..3], [0, 50, 100]);
        for (i, &t) in spaced.timestep_map().iter().enumerate() {
            let (a, b) = (
                &spaced.schedule().alphas_cumprod,
                &full.schedule().alphas_cumprod,
            );
            assert!((a[i] - b[t]).abs() < 1e-14);
        }
        assert_eq!(spaced.train_steps(), 1000);
        assert!(spaced.spaced(21, Spacing::Ddim).is_err());
    }

    #[test]
    fn a_part_of_a_process_ends_at_its_time_and_is_spaced_within() {
        let full = diffusion();
        let part = full
            .until(0.8)
            .and_then(|part| part.spaced(12, Spacing::Ddpm))
            .unwrap();
        assert_eq!((part.timestep_map()[0], part.timestep_map()[11]), (0, 799));
        let last = part.schedule().alphas_cumprod[11];
        assert!((last - full.schedule().alphas_cumprod[799]).abs() < 1e-12);
        assert_eq!(full.until(1.0).unwrap(), full);
        for time in [0.0, -0.1, 1.01, f64::NAN, 0.001] {
            assert!(full.until(time).is_err(), "{time}");
        }
    }

    #[test]
    fn the_network_may_see_time_in_thousandths() {
        let spaced = Diffusion::new(&Betas::Linear, 500)
            .and_then(|d| d.with_rescaled_timesteps(true).spaced(20, Spacing::Ddim))
            .unwrap();
        assert_eq!(spaced.network_timestep(1).unwrap(), 50.0);
        assert!(spaced.network_timestep(20).is_err());
    }
}
