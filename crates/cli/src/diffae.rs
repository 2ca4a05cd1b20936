//! Diffusion autoencoders, as the verbs that take them need them.

use std::path::Path;

use candle_core::Tensor;
use domex_data::{picture, pil_resize};
use domex_diffae::Model;
use domex_error::user_error;
use domex_random::RandomState;
use image::RgbImage;

use crate::args::{ModelArgs, Noise};
use crate::context::Context;
use crate::verbs::generate::Generate;
use crate::{kinds, models};

/// The model that the flags name, `None` when it is of another kind.
pub fn open(context: &Context, args: &ModelArgs) -> domex_error::Result<Option<Model>> {
    let name = models::name(args);
    if name == models::TINY_RANDOM {
        return Ok(None);
    }
    let path = models::resolve(name)?;
    match kinds::is_diffae(&path)? {
        true => load(context, &path).map(Some),
        false => Ok(None),
    }
}

/// The model that the flags name, which no other kind can replace.
pub fn expect(context: &Context, args: &ModelArgs) -> domex_error::Result<Model> {
    let name = models::name(args);
    if name == models::TINY_RANDOM {
        return Err(user_error(
            "--model: give a diffusion autoencoder, ours or a published .ckpt",
        ));
    }
    let path = models::resolve(name)?;
    kinds::expect_diffae(&path)?;
    load(context, &path)
}

fn load(context: &Context, path: &Path) -> domex_error::Result<Model> {
    tracing::info!(path = %path.display(), "loading");
    Ok(Model::load(path, &context.device)?)
}

/// A picture of the model's size: the middle square of the file's.
pub fn read_picture(model: &Model, path: &Path) -> domex_error::Result<RgbImage> {
    let side = model.config().unet.image_size as u32;
    let picture = picture::read(path)?;
    if picture.dimensions() == (side, side) {
        return Ok(picture);
    }
    let picture = pil_resize::resize_shorter_side(&picture, side)?;
    Ok(pil_resize::centre_crop(&picture, side)?)
}

/// A model with the flags that say how its latents become pictures.
pub struct Painter<'a> {
    model: &'a Model,
    steps: usize,
    trunc: f64,
}

impl<'a> Painter<'a> {
    /// Checks the flags against the model, before any work.
    pub fn new(model: &'a Model, args: &Generate) -> domex_error::Result<Self> {
        let synthesis = &args.synthesis;
        for (flag, given) in [
            ("--domains", args.domains.is_some()),
            ("--trunc-cutoff", synthesis.trunc_cutoff.is_some()),
            ("--class", synthesis.class.is_some()),
            ("--noise-mode", synthesis.noise_mode != Noise::Const),
        ] {
            if given {
                return Err(user_error(format!(
                    "{flag}: a diffusion autoencoder has nothing that it could change; leave the flag out"
                )));
            }
        }
        if !synthesis.trunc.is_finite() {
            return Err(user_error(format!(
                "--trunc {}: give a finite number, usually 0.5 to 1",
                synthesis.trunc
            )));
        }
        Ok(Self {
            model,
            steps: args.steps.unwrap_or(model.steps),
            trunc: synthesis.trunc,
        })
    }

    /// One picture a seed: `RandomState(seed)` draws the noise of the code, then that of the picture.
    pub fn pictures(&self, seeds: &[u32]) -> domex_error::Result<Vec<RgbImage>> {
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
        let x_t = tensor(x_t, &[seeds.len(), unet.in_channels, side, side])?;
        let z = self.model.sample_codes(&z, self.model.latent_steps)?;
        let mean = &self.model.statistics()?.mean;
        let z = (z.broadcast_sub(mean)? * self.trunc)?.broadcast_add(mean)?;
        Ok(picture::to_rgb(&self.model.decode(&z, &x_t, self.steps)?)?)
    }
}
