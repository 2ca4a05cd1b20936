//! A picture from one condition to another, by any denoiser: by what the other changes ([`Way::FlowEdit`]), or to its noise as the
//! one and back as the other ([`Way::Inversion`]). [`guided`] carries a prediction on beyond that for
//! another condition, and [`Diffusion::redraw`] is the one step that score distillation takes.

use candle_core::Tensor;
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::{Clip, Diffusion, Error, Result, Spacing};

/// How a picture comes from one condition to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// [`Diffusion::flow_edit`]: what both conditions say alike stays.
    #[default]
    FlowEdit,
    /// By DDIM steps to its noise as the one, which keeps what both leave open, and back as the other (Su et al. 2022, arXiv
    /// 2203.08382). Few steps miss the noise, and what they miss of a picture is lost.
    Inversion,
}

/// How a picture is translated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Translation {
    /// The way.
    pub way: Way,
    /// The time of the most noise, above 0 and at most 1: the ground of a picture is decided near 1, strokes are below 0.6.
    pub time: f64,
    /// Steps from there to the picture; of an inversion as many before.
    pub steps: usize,
    /// The time below which [`Way::FlowEdit`] follows the target alone, at most 1: the edit gets strokes of the target's own, and loses
    /// what is finest of the picture. 0: nowhere.
    pub target_only: f64,
    /// How far the prediction for the target text is carried on beyond that for no text: 1 is the target's own.
    pub guidance: f64,
}

impl Default for Translation {
    fn default() -> Self {
        Self {
            way: Way::FlowEdit,
            time: 0.98,
            steps: 8,
            target_only: 0.0,
            guidance: 1.5,
        }
    }
}

impl Translation {
    /// Refuses what cannot be walked.
    ///
    /// # Errors
    ///
    /// A value out of range.
    pub fn validate(&self) -> Result<()> {
        if !(self.time > 0.0 && self.time <= 1.0) {
            return Err(Error::setting("time", self.time, "above 0 and at most 1"));
        }
        if !(2..=1000).contains(&self.steps) {
            return Err(Error::setting("steps", self.steps, "2 to 1000"));
        }
        if !(0.0..=1.0).contains(&self.target_only) {
            return Err(Error::setting("target_only", self.target_only, "0 to 1"));
        }
        if !(self.guidance.is_finite() && self.guidance >= 0.0) {
            return Err(Error::setting("guidance", self.guidance, "0 or more"));
        }
        Ok(())
    }

    /// How often a network that is guided by two passes is asked for a picture, on a schedule of `trained` steps.
    ///
    /// # Errors
    ///
    /// Settings out of range.
    pub fn passes(&self, trained: usize) -> Result<usize> {
        self.validate()?;
        let target = if self.guidance == 1.0 { 1 } else { 2 };
        Ok(match self.way {
            Way::FlowEdit => {
                let source = self.steps - self.steps_alone(trained)?;
                source + self.steps * target
            }
            Way::Inversion => (self.steps - 1) * (1 + target),
        })
    }

    /// The last steps of [`Way::FlowEdit`], which lie below `target_only`, on a schedule of `trained` steps.
    fn steps_alone(&self, trained: usize) -> Result<usize> {
        let whole = (self.time * trained as f64).round() as usize;
        let steps = Spacing::Ddpm.timesteps(whole, self.steps)?.into_iter();
        let below = |&step: &usize| (step + 1) as f64 <= self.target_only * trained as f64;
        Ok(steps.take_while(below).count())
    }
}

/// Where the way back of an inversion ends, and what is clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Where no noise is left: at the prediction of `x_0`.
    Clean(Clip),
    /// At the noise of the first step, for which what came in is taken: the way there is gone back to its beginning. Of latent
    /// diffusion, whose schedule begins with more noise, 3 % of the latents' deviation.
    Beginning,
}

impl Diffusion {
    /// `x: [n, ..]`, which is as `source` says, as `target` says. Both give the noise in what they are given, for the network's
    /// timesteps, one for each sample; they are told the process whose steps these are. `stream` is drawn from by [`Way::FlowEdit`].
    ///
    /// # Errors
    ///
    /// Settings out of range, and those of `source` and `target`.
    pub fn translate<E: From<Error>>(
        &self,
        x: &Tensor,
        how: &Translation,
        end: End,
        stream: &mut Stream,
        mut source: impl FnMut(&Self, &Tensor, &[f64]) -> Result<Tensor, E>,
        mut target: impl FnMut(&Self, &Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        how.validate()?;
        let process = self.until(how.time)?.spaced(how.steps, Spacing::Ddpm)?;
        let source = |x: &Tensor, t: &[f64]| source(&process, x, t);
        let target = |x: &Tensor, t: &[f64]| target(&process, x, t);
        if how.way == Way::FlowEdit {
            let clip = match end {
                End::Clean(clip) => clip,
                End::Beginning => Clip::None,
            };
            let alone = how.steps_alone(self.steps())?;
            return process.flow_edit(x, clip, alone, stream, source, target);
        }
        let noisy = process.ddim_encode(x, Clip::None, source, |_| {})?;
        match end {
            End::Clean(clip) => process.ddim_sample(&noisy, clip, target, |_| {}),
            End::Beginning => process.ddim_decode(&noisy, Clip::None, target, |_| {}),
        }
    }

    /// What `denoise` takes `x: [n, ..]` for, of which `noise` of its shape leaves what is left at the `time` of each sample (above 0,
    /// at most 1). `denoise` gives the noise in what it is given.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, a time out of range, and those of `denoise`.
    pub fn redraw<E: From<Error>>(
        &self,
        x: &Tensor,
        noise: &Tensor,
        times: &[f64],
        denoise: impl FnOnce(&Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let steps = times.iter().map(|&time| self.step_of(time));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let noisy = self.add_noise(x, &steps, noise)?;
        let timesteps = steps.iter().map(|&step| self.network_timestep(step));
        let timesteps = timesteps.collect::<Result<Vec<_>>>()?;
        let noise = denoise(&noisy, &timesteps)?;
        Ok(self.remove_noise(&noisy, &steps, &noise)?)
    }

    /// The last step of the process up to a time.
    fn step_of(&self, time: f64) -> Result<usize> {
        if !(time > 0.0 && time <= 1.0) {
            return Err(Error::setting("time", time, "above 0 and at most 1"));
        }
        let steps = (time * self.steps() as f64).round() as usize;
        Ok(steps.max(1) - 1)
    }
}

/// What `predict` says of `x: [n, ..]` for `against`, plus `guidance` times the difference that `condition` makes (Ho and Salimans
/// 2022, arXiv 2207.12598); both conditions `[n, ..]`. One pass over both; at guidance 1 over `condition` alone. Without a graph.
///
/// # Errors
///
/// Conditions of different shapes, and those of `predict`.
pub fn guided<E: From<Error>>(
    x: &Tensor,
    timesteps: &[f64],
    [condition, against]: [&Tensor; 2],
    guidance: f64,
    predict: impl FnOnce(&Tensor, &[f64], &Tensor) -> Result<Tensor, E>,
) -> Result<Tensor, E> {
    if guidance == 1.0 {
        return Ok(predict(x, timesteps, condition)?.detach());
    }
    let combine = |both: &Tensor| -> Result<Tensor> {
        let n = timesteps.len();
        let (with, without) = (both.narrow(0, 0, n)?, both.narrow(0, n, n)?);
        Ok((&without + ((with - &without)? * guidance)?)?)
    };
    let twice = |a: &Tensor, b: &Tensor| -> Result<Tensor> { Ok(Tensor::cat(&[a, b], 0)?) };
    let (x, conditions) = (twice(x, x)?, twice(condition, against)?);
    let both = predict(&x, &timesteps.repeat(2), &conditions)?.detach();
    Ok(combine(&both)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_random::Streams;

    use super::*;
    use crate::Betas;

    fn numbers(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap()
    }

    #[test]
    fn passes_are_those_of_source_and_target() {
        let how = |target_only, guidance| Translation {
            time: 1.0,
            steps: 5,
            target_only,
            guidance,
            ..Translation::default()
        };
        // Steps 0, 250, 500, 749 and 999 of a thousand.
        assert_eq!(how(0.0, 1.0).passes(1000).unwrap(), 10);
        assert_eq!(how(0.0, 2.0).passes(1000).unwrap(), 15);
        assert_eq!(how(0.5, 2.0).passes(1000).unwrap(), 13);
        assert_eq!(how(1.0, 2.0).passes(1000).unwrap(), 10);
        let inversion = Translation {
            way: Way::Inversion,
            ..how(1.0, 2.0)
        };
        assert_eq!(inversion.passes(1000).unwrap(), 12);
        assert!(how(1.1, 1.0).passes(1000).is_err());
    }

    #[test]
    fn guidance_is_along_the_difference() {
        let (x, c, a) = (
            numbers(&[1.0, 2.0]),
            numbers(&[3.0, 4.0]),
            numbers(&[1.0, 1.0]),
        );
        let run = |guidance| {
            let predict = |x: &Tensor, t: &[f64], c: &Tensor| -> Result<Tensor> {
                assert_eq!(x.dims()[0], t.len());
                Ok(((x * c)? + &numbers(t))?)
            };
            let y = guided(&x, &[10.0, 20.0], [&c, &a], guidance, predict).unwrap();
            y.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        // x·c + t is 13 and 28 with the condition, 11 and 22 against it.
        assert_eq!(run(1.0), [13.0, 28.0]);
        assert_eq!(run(0.0), [11.0, 22.0]);
        assert_eq!(run(2.0), [15.0, 34.0]);
    }

    #[test]
    fn who_knows_both_pictures_translates_one_into_the_other() {
        let process = Diffusion::new(&Betas::Linear, 1000).unwrap();
        let (a, b) = (numbers(&[0.3, -0.7]), numbers(&[-0.2, 0.4]));
        let how = Translation {
            way: Way::Inversion,
            time: 1.0,
            ..Translation::default()
        };
        let mut stream = Streams::new(0).stream("noise");
        let knows = |picture: &Tensor| {
            let picture = picture.clone();
            move |process: &Diffusion, x: &Tensor, t: &[f64]| process.noise_between(x, t, &picture)
        };
        // A picture is no noise to one who knows it: there is nothing to walk, so it is moved a little.
        let start = (&a + 0.1).unwrap();
        let found: Tensor = process
            .translate(
                &start,
                &how,
                End::Clean(Clip::None),
                &mut stream,
                knows(&a),
                knows(&b),
            )
            .unwrap();
        let apart = (found - &b).unwrap().abs().unwrap().max_all().unwrap();
        assert!(apart.to_scalar::<f64>().unwrap() < 1e-6);
    }

    #[test]
    fn who_knows_the_noise_draws_the_picture_again() {
        let process = Diffusion::new(&Betas::Cosine, 1000).unwrap();
        let (x, noise) = (numbers(&[0.3, -0.7]), numbers(&[1.0, -2.0]));
        let drawn: Tensor = process
            .redraw(&x, &noise, &[0.1, 0.9], |_, t| {
                assert_eq!(t, [99.0, 899.0]);
                Ok::<_, Error>(noise.clone())
            })
            .unwrap();
        let apart = (drawn - &x).unwrap().abs().unwrap().max_all().unwrap();
        assert!(apart.to_scalar::<f64>().unwrap() < 1e-5);
    }

    #[test]
    fn what_cannot_be_walked_is_refused() {
        let process = Diffusion::new(&Betas::Linear, 100).unwrap();
        let x = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
        let keep = |x: &Tensor, _: &[f64]| Ok::<_, Error>(x.clone());
        for time in [0.0, 1.1, f64::NAN] {
            let error = process.redraw(&x, &x, &[time], keep).unwrap_err();
            assert!(error.to_string().contains("time"), "{error}");
        }
        for (time, steps, guidance, what) in [
            (0.0, 8, 1.0, "time"),
            (1.0, 1, 1.0, "steps"),
            (1.0, 8, -1.0, "guidance"),
            (1.0, 8, f64::INFINITY, "guidance"),
        ] {
            let how = Translation {
                time,
                steps,
                guidance,
                ..Translation::default()
            };
            let error = how.validate().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
