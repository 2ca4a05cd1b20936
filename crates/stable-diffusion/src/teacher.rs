//! Stable Diffusion at work.

use std::path::Path;

use candle_core::{Device, Tensor};
use domex_diffusion::{Diffusion, End, Translation, guided};
use domex_ops::{Resize, resize};
use domex_random::Stream;

use crate::folder::{Folder, Part};
use crate::text::TextEncoder;
use crate::{Error, Prediction, Result, UNet, Vae};

/// Shrinks without patterns, and grows smoothly.
const RESIZE: Resize = Resize::Bicubic { antialias: true };

/// All networks of a folder, frozen, in float32.
#[derive(Debug, Clone)]
pub struct StableDiffusion {
    unet: UNet,
    vae: Vae,
    text: TextEncoder,
    process: Diffusion,
    /// States of the empty text, from which guidance leads away.
    nothing: Tensor, // [1, tokens, width]
    folder: Folder,
}

impl StableDiffusion {
    /// Reads a folder. Weights in half precision become single.
    ///
    /// # Errors
    ///
    /// Those of [`Folder::open`]; weights that are not those of the configuration, or NaN or infinity in them.
    pub fn load(folder: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let folder = Folder::open(folder)?;
        let network = |part: Part| folder.weights(part)?.load(device);
        let text = network(Part::Text)?;
        let text = TextEncoder::new(&text, &folder.text, folder.words.clone())?;
        Ok(Self {
            vae: Vae::new(&network(Part::Vae)?, &folder.vae)?,
            unet: UNet::new(&network(Part::UNet)?, &folder.unet)?,
            process: Diffusion::new(&folder.process.betas, folder.process.train_steps)?,
            nothing: text.states("")?,
            text,
            folder,
        })
    }

    /// What the folder says.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The network that predicts.
    pub fn unet(&self) -> &UNet {
        &self.unet
    }

    /// The autoencoder.
    pub fn vae(&self) -> &Vae {
        &self.vae
    }

    /// The process that the network was trained on.
    pub fn process(&self) -> &Diffusion {
        &self.process
    }

    /// States `[1, tokens, width]` of a text.
    ///
    /// # Errors
    ///
    /// A text that is too long.
    pub fn text(&self, text: &str) -> Result<Tensor> {
        self.text.states(text)
    }

    /// The shape of the latents of `n` pictures, in which noise is drawn.
    pub fn latents(&self, n: usize) -> [usize; 4] {
        let (unet, side) = (&self.folder.unet, self.folder.unet.sample_size);
        [n, unet.latent_channels, side, side]
    }

    /// Latents of `pictures: [n, 3, h, w]` in `[-1, 1]`, which are resized.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn encode(&self, pictures: &Tensor) -> Result<Tensor> {
        let side = self.folder.size();
        one_by_one(pictures, |picture| {
            self.vae.encode(&resize(picture, side, side, RESIZE)?)
        })
    }

    /// Pictures `[n, 3, h, w]` in `[-1, 1]` of latents.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn decode(&self, latents: &Tensor, [h, w]: [usize; 2]) -> Result<Tensor> {
        one_by_one(latents, |latents| {
            let picture = self.vae.decode(latents)?.clamp(-1.0, 1.0)?;
            Ok(resize(&picture, h, w, RESIZE)?.clamp(-1.0, 1.0)?)
        })
    }

    /// `pictures: [n, 3, h, w]` in `[-1, 1]` that show `source`, as `target` has them; both texts as [`text`](Self::text) gives
    /// them, `[n, tokens, width]`. `stream` is for [`Way::FlowEdit`](crate::Way::FlowEdit).
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
        how.validate()?;
        let (n, _, h, w) = pictures.dims4()?;
        let nothing = self.nothing.repeat((n, 1, 1))?;
        let translated = self.process.translate(
            &self.encode(pictures)?,
            how,
            End::Beginning,
            stream,
            |process, x, t| self.noise(process, x, t, [source, &nothing], 1.0),
            |process, x, t| self.noise(process, x, t, [target, &nothing], how.guidance),
        )?;
        self.decode(&translated, [h, w])
    }

    /// `pictures: [n, 3, h, w]` as the model draws them anew from what `noise`, of the shape [`latents`](Self::latents), leaves of them at
    /// the `time` of each (above 0, at most 1): what it takes them for, as `text` and away from `against`, which may be the empty text;
    /// both `[n, tokens, width]`. Without a graph.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit, or a time out of range.
    pub fn redraw(
        &self,
        pictures: &Tensor,
        noise: &Tensor,
        times: &[f64],
        texts: [&Tensor; 2],
        guidance: f64,
    ) -> Result<Tensor> {
        let (_, _, h, w) = pictures.dims4()?;
        let latents = self.encode(&pictures.detach())?;
        let redrawn = self.process.redraw(&latents, noise, times, |x, t| {
            self.noise(&self.process, x, t, texts, guidance)
        })?;
        self.decode(&redrawn, [h, w])
    }

    /// The noise in `x`, by guidance from the second text to the first.
    fn noise(
        &self,
        process: &Diffusion,
        x: &Tensor,
        t: &[f64],
        texts: [&Tensor; 2],
        guidance: f64,
    ) -> Result<Tensor> {
        let predicted = guided(x, t, texts, guidance, |x, t, text| {
            self.unet.forward(x, t, text)
        })?;
        match self.folder.process.prediction {
            Prediction::Epsilon => Ok(predicted),
            Prediction::Velocity => Ok(process.noise_of_velocity(x, t, &predicted)?),
        }
    }
}

/// A picture at a time: at 512 × 512 the autoencoder takes hundreds of megabytes for each.
fn one_by_one(x: &Tensor, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (n, ..) = x.dims4()?;
    let made = (0..n).map(|i| f(&x.narrow(0, i, 1)?));
    let made: Vec<Tensor> = made.collect::<Result<_>>()?;
    match made.is_empty() {
        true => Err(Error::Shape {
            what: "pictures",
            found: x.dims().to_vec(),
            expected: "at least one".to_owned(),
        }),
        false => Ok(Tensor::cat(&made, 0)?),
    }
}
