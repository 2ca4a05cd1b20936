//! A teacher at work.

use candle_core::Tensor;
use domex_diffusion::{Clip, Diffusion, Spacing};
use serde::{Deserialize, Serialize};

use crate::{Config, Error, Network, Result};

/// Features of the same text by the same encoder differ by no more, at length 1: half precision and another summation.
const SAME_TEXT: f32 = 0.02;

/// How a picture is translated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Translation {
    /// The time to which a picture is turned into noise, above 0 and at most 1: the ground of a picture is decided near 1,
    /// strokes are below 0.6.
    pub time: f64,
    /// Steps there, and as many back.
    pub steps: usize,
    /// How far the prediction for the target text is carried on beyond that for no text: 1 is the target's own.
    pub guidance: f64,
}

impl Default for Translation {
    fn default() -> Self {
        Self {
            time: 1.0,
            steps: 8,
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
            return Err(Error::config("time", self.time, "above 0 and at most 1"));
        }
        if !(2..=1000).contains(&self.steps) {
            return Err(Error::config("steps", self.steps, "2 to 1000"));
        }
        if !(self.guidance.is_finite() && self.guidance >= 0.0) {
            return Err(Error::config("guidance", self.guidance, "0 or more"));
        }
        Ok(())
    }
}

/// A network that has learnt, with its process. Frozen.
#[derive(Debug, Clone)]
pub struct Teacher {
    network: Network,
    process: Diffusion,
    probe: Tensor, // [1, text_dim]
}

impl Teacher {
    /// A teacher; `probe: [1, text_dim]` are the features of [`PROBE`](crate::PROBE).
    ///
    /// # Errors
    ///
    /// A schedule that cannot be.
    pub fn new(network: Network, probe: Tensor) -> Result<Self> {
        Ok(Self {
            process: network.config().process()?,
            network,
            probe,
        })
    }

    /// What fixes the network.
    pub fn config(&self) -> &Config {
        self.network.config()
    }

    /// Whether `features: [1, d]`, those of [`PROBE`](crate::PROBE) at length 1, are of the text encoder that the teacher
    /// learnt with.
    ///
    /// # Errors
    ///
    /// Another one.
    pub fn check_text(&self, features: &Tensor) -> Result<()> {
        let expected = "the one that the teacher learnt with";
        if features.dims() != self.probe.dims() {
            let found = format!("one of {} features", features.elem_count());
            return Err(Error::config(
                "text encoder of the teacher",
                found,
                expected,
            ));
        }
        let apart = (features - &self.probe)?.sqr()?.sum_all()?.sqrt()?;
        let apart = apart.to_scalar::<f32>()?;
        match apart <= SAME_TEXT {
            true => Ok(()),
            false => {
                let found = format!("one whose features are {apart:.2} away");
                Err(Error::config(
                    "text encoder of the teacher",
                    found,
                    expected,
                ))
            }
        }
    }

    /// Pictures `[n, 3, size, size]` of `text: [n, text_dim]` from `noise` of their shape.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or steps out of range.
    pub fn sample(
        &self,
        noise: &Tensor,
        text: &Tensor,
        steps: usize,
        guidance: f64,
    ) -> Result<Tensor> {
        let process = self.process.spaced(steps, Spacing::Ddpm)?;
        process.ddim_sample(
            noise,
            Clip::Unit,
            |x, t| self.noise(&process, x, t, text, guidance),
            |_| {},
        )
    }

    /// `pictures: [n, 3, size, size]` in `[-1, 1]` that show `source`, as `target` has them; both texts `[n, text_dim]`.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or settings out of range.
    pub fn translate(
        &self,
        pictures: &Tensor,
        source: &Tensor,
        target: &Tensor,
        how: &Translation,
    ) -> Result<Tensor> {
        how.validate()?;
        let part = self.process.until(how.time)?;
        let process = part.spaced(how.steps, Spacing::Ddpm)?;
        let noisy = process.ddim_encode(
            pictures,
            Clip::None,
            |x, t| self.noise(&process, x, t, source, 1.0),
            |_| {},
        )?;
        process.ddim_sample(
            &noisy,
            Clip::Unit,
            |x, t| self.noise(&process, x, t, target, how.guidance),
            |_| {},
        )
    }

    /// `pictures: [n, 3, size, size]` as the teacher draws them anew from what `noise` leaves of them at the `time` of each (above
    /// 0, at most 1): what it takes them for, as `text: [n, text_dim]` and away from `against`, which may be no text (zeros).
    /// Without a graph.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or a time out of range.
    pub fn redraw(
        &self,
        pictures: &Tensor,
        noise: &Tensor,
        times: &[f64],
        [text, against]: [&Tensor; 2],
        guidance: f64,
    ) -> Result<Tensor> {
        let steps = times.iter().map(|&time| self.step_of(time));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        let noisy = self.process.add_noise(&pictures.detach(), &steps, noise)?;
        let t = steps.iter().map(|&s| self.process.network_timestep(s));
        let t = t.collect::<domex_diffusion::Result<Vec<_>>>()?;
        let velocity = self.guided(&noisy, &t, [text, against], guidance)?;
        let noise = self.process.noise_of_velocity(&noisy, &t, &velocity)?;
        Ok(self
            .process
            .remove_noise(&noisy, &steps, &noise)?
            .clamp(-1.0, 1.0)?)
    }

    /// The last step of the process up to a time.
    fn step_of(&self, time: f64) -> Result<usize> {
        if !(time > 0.0 && time <= 1.0) {
            return Err(Error::config("time", time, "above 0 and at most 1"));
        }
        let steps = (time * self.process.steps() as f64).round() as usize;
        Ok(steps.max(1) - 1)
    }

    /// The noise in `x`, by guidance away from no text.
    fn noise(
        &self,
        process: &Diffusion,
        x: &Tensor,
        t: &[f64],
        text: &Tensor,
        guidance: f64,
    ) -> Result<Tensor> {
        let velocity = self.guided(x, t, [text, &text.zeros_like()?], guidance)?;
        Ok(process.noise_of_velocity(x, t, &velocity)?)
    }

    /// The velocity of `against` plus `guidance` times the difference that the text makes (Ho and Salimans 2022,
    /// arXiv 2207.12598).
    fn guided(
        &self,
        x: &Tensor,
        t: &[f64],
        [text, against]: [&Tensor; 2],
        guidance: f64,
    ) -> Result<Tensor> {
        if guidance == 1.0 {
            return Ok(self.network.velocity(x, t, text)?.detach());
        }
        let n = t.len();
        let both = self.network.velocity(
            &Tensor::cat(&[x, x], 0)?,
            &t.repeat(2),
            &Tensor::cat(&[text, against], 0)?,
        )?;
        let both = both.detach();
        let (with, without) = (both.narrow(0, 0, n)?, both.narrow(0, n, n)?);
        Ok((&without + ((with - &without)? * guidance)?)?)
    }
}
