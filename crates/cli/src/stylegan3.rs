//! StyleGAN3 generators, as the verbs that make pictures need them.

use candle_core::Tensor;
use domex_error::user_error;
use domex_stylegan2::Truncation;
use domex_stylegan3::Generator;

use crate::args::{Noise, Precision, SynthesisArgs};
use crate::pictures::{Paint, label, noise_of, repeated, truncation};

/// A generator with the flags that say how its latents become pictures.
pub struct Painter<'a> {
    generator: &'a Generator,
    truncation: Truncation,
    label: Option<Tensor>, // [1, c_dim]
}

impl<'a> Painter<'a> {
    /// Checks the flags against the network, before any work.
    pub fn new(generator: &'a Generator, args: &SynthesisArgs) -> domex_error::Result<Self> {
        if args.noise_mode == Noise::Random {
            return Err(user_error(
                "--noise-mode random: a StyleGAN3 has no pixel noise; leave the flag out",
            ));
        }
        if args.precision == Precision::Float16 {
            return Err(user_error(
                "--precision float16: a StyleGAN3 is run in float32 alone; leave the flag out",
            ));
        }
        Ok(Self {
            truncation: truncation(generator, args)?,
            label: label(generator, args.class)?,
            generator,
        })
    }
}

impl Paint for Painter<'_> {
    fn latents(&mut self, seeds: &[u32]) -> domex_error::Result<Tensor> {
        let z = noise_of(self.generator, seeds)?;
        let label = repeated(self.label.as_ref(), seeds.len())?;
        Ok(self
            .generator
            .latents(&z, label.as_ref(), self.truncation)?)
    }

    fn paint(&mut self, ws: &Tensor, _: usize) -> domex_error::Result<Tensor> {
        Ok(self.generator.synthesis().forward(ws)?)
    }

    fn set_draft(&mut self, _: bool) {}
}
