//! A teacher at work.

use candle_core::Tensor;
use domex_diffusion::{Clip, Diffusion, End, Spacing, Translation, guided};
use domex_random::Stream;

use crate::{Config, Error, Network, Result};

/// Features of the same text by the same encoder differ by no more, at length 1: half precision and another summation.
const SAME_TEXT: f32 = 0.02;

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

    /// `pictures: [n, 3, size, size]` in `[-1, 1]` that show `source`, as `target` has them; both texts `[n, text_dim]`. `stream` is for
    /// [`Way::FlowEdit`](crate::Way::FlowEdit).
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
        stream: &mut Stream,
    ) -> Result<Tensor> {
        self.process.translate(
            pictures,
            how,
            End::Clean(Clip::Unit),
            stream,
            |process, x, t| self.noise(process, x, t, source, 1.0),
            |process, x, t| self.noise(process, x, t, target, how.guidance),
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
        let redrawn = self
            .process
            .redraw(&pictures.detach(), noise, times, |x, t| {
                let velocity = self.guided(x, t, [text, against], guidance)?;
                Ok::<_, Error>(self.process.noise_of_velocity(x, t, &velocity)?)
            })?;
        Ok(redrawn.clamp(-1.0, 1.0)?)
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

    /// The velocity, by guidance away from `against`.
    fn guided(&self, x: &Tensor, t: &[f64], texts: [&Tensor; 2], guidance: f64) -> Result<Tensor> {
        guided(x, t, texts, guidance, |x, t, text| {
            self.network.velocity(x, t, text)
        })
    }
}
