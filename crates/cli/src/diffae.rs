//! Diffusion autoencoders, as the verbs that take them need them.

use candle_core::Tensor;
use domex_data::picture;
use domex_diffae::Model;
use domex_error::{Context as _, user_error};
use domex_random::RandomState;
use image::RgbImage;

use crate::args::{Noise, Precision, SynthesisArgs};
use crate::pictures::Paint;

/// Sampling steps of a draft.
const DRAFT_STEPS: usize = 5;

/// Code `[1, D]` and noise `[1, c, h, w]` of a picture of the model's size, the noise found in so many steps.
pub fn encoded(
    model: &Model,
    picture: RgbImage,
    steps: usize,
) -> domex_error::Result<(Tensor, Tensor)> {
    let picture = picture::from_rgb(&[picture], model.dtype(), model.device())?;
    let code = model.encode(&picture)?;
    let noise = model.encode_noise(&picture, &code, steps)?;
    Ok((code, noise))
}

/// A model with the flags that say how its latents become pictures.
pub struct Painter<'a> {
    model: &'a Model,
    steps: usize,
    trunc: f64,
    /// Of the seeds that were last asked for, `[n, c, h, w]`.
    noises: Option<Tensor>,
    draft: bool,
}

impl<'a> Painter<'a> {
    /// Checks the flags against the model, before any work.
    pub fn new(model: &'a Model, args: &SynthesisArgs) -> domex_error::Result<Self> {
        for (flag, given) in [
            ("--trunc-cutoff", args.trunc_cutoff.is_some()),
            ("--class", args.class.is_some()),
            ("--noise-mode", args.noise_mode != Noise::Const),
            ("--precision", args.precision != Precision::Auto),
        ] {
            if given {
                return Err(user_error(format!(
                    "{flag}: a diffusion autoencoder has nothing that it could change; leave the flag out"
                )));
            }
        }
        if let Some(steps) = args.sampling_steps {
            model.check_steps(steps).context("--sampling-steps")?;
        }
        Ok(Self {
            model,
            steps: args.sampling_steps.unwrap_or(model.steps),
            trunc: args.trunc,
            noises: None,
            draft: false,
        })
    }
}

impl Paint for Painter<'_> {
    /// `RandomState(seed)` draws the noise of the code, then that of the picture.
    fn latents(&mut self, seeds: &[u32]) -> domex_error::Result<Tensor> {
        let unet = &self.model.config().unet;
        let (codes, side) = (unet.cond_channels, unet.image_size);
        let pixels = unet.in_channels * side * side;
        let (mut z, mut x_t) = (Vec::new(), Vec::new());
        for &seed in seeds {
            let drawn = RandomState::new(seed).randn(codes + pixels);
            z.extend(drawn[..codes].iter().map(|&v| v as f32));
            x_t.extend(drawn[codes..].iter().map(|&v| v as f32));
        }
        let tensor = |values: Vec<f32>, dims: &[usize]| {
            Tensor::from_vec(values, dims, self.model.device())?.to_dtype(self.model.dtype())
        };
        let z = tensor(z, &[seeds.len(), codes])?;
        self.noises = Some(tensor(x_t, &[seeds.len(), unet.in_channels, side, side])?);
        let z = self.model.sample_codes(&z, self.model.latent_steps)?;
        let mean = &self.model.statistics()?.mean;
        let z = (z.broadcast_sub(mean)? * self.trunc)?.broadcast_add(mean)?;
        Ok(z.unsqueeze(1)?)
    }

    fn paint(&mut self, ws: &Tensor, first: usize) -> domex_error::Result<Tensor> {
        let z = ws.squeeze(1)?;
        let noise = match &self.noises {
            Some(noises) => {
                let seeds = noises.dim(0)?;
                let row = |index| (index % seeds) as u32;
                let rows: Vec<u32> = (first..first + z.dim(0)?).map(row).collect();
                let rows = Tensor::new(rows, noises.device())?;
                noises.index_select(&rows, 0)?
            }
            None => self.model.fixed_noise()?,
        };
        let steps = match self.draft {
            true => self.steps.min(DRAFT_STEPS),
            false => self.steps,
        };
        Ok(self.model.decode(&z, &noise, steps)?)
    }

    fn noises(&self) -> Option<Tensor> {
        self.noises.clone()
    }

    fn set_noises(&mut self, noises: Option<Tensor>) {
        self.noises = noises;
    }

    fn set_draft(&mut self, draft: bool) {
        self.draft = draft;
    }
}
