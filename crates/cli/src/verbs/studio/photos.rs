//! Photos: where they lie in the latent space of each kind of generator.

use std::ops::ControlFlow;
use std::path::PathBuf;

use candle_core::DType;
use domex_data::picture;
use domex_encoder::Encoder;
use domex_error::user_error;
use domex_invert::{Config, Place, Projector};
use domex_lpips::Lpips;
use domex_random::Streams;
use domex_studio::{Found, PhotoSupport, Stop};
use image::RgbImage;

use super::Studio;
use super::start::pack;
use crate::context::Context;
use crate::domains::Domains;
use crate::kinds::Model;
use crate::verbs::edit::autoencoder;
use crate::verbs::invert;
use crate::{assets, diffae, models};

/// Steps of a search from the mean latent, as `domex edit` takes them.
const UNAIDED: u32 = 300;

/// Finds photos.
pub enum Finder<'a> {
    /// By a search among the pictures of a StyleGAN2 or a StyleGAN3.
    Search(Box<Search<'a>>),
    /// By the encoder of a diffusion autoencoder.
    Encode(&'a domex_diffae::Model),
    /// Not at all, as there is no perceptual network.
    Nothing,
}

/// A search, from what an encoder predicts or from the mean.
pub struct Search<'a> {
    model: &'a Model,
    encoder: Option<Encoder>,
    place: Option<Place>,
    perceptual: PathBuf,
    /// The network of that file, once it was needed.
    network: Option<Lpips>,
    seed: u64,
}

impl<'a> Finder<'a> {
    /// Checks the flags.
    pub fn new(
        context: &Context,
        model: &'a Model,
        domains: Option<&Domains<'_>>,
        args: &Studio,
    ) -> domex_error::Result<Self> {
        if let Model::DiffAe(model) = model {
            let of_search = [
                ("--encoder", args.encoder.is_some()),
                ("--perceptual", args.perceptual.is_some()),
            ];
            return match of_search.iter().find(|(_, given)| *given) {
                None => Ok(Self::Encode(model)),
                Some((flag, _)) => Err(user_error(format!(
                    "{flag}: a diffusion autoencoder encodes photos without a search; leave it out"
                ))),
            };
        }
        let encoder = models::encoder(context, args.encoder.as_deref(), model)?;
        let perceptual = match &args.perceptual {
            Some(wanted) => Some(models::perceptual(wanted)?),
            None => assets::file(assets::PERCEPTUAL)?,
        };
        let Some(perceptual) = perceptual else {
            return Ok(Self::Nothing);
        };
        let place = domains.map(|domains| invert::place(domains, None));
        Ok(Self::Search(Box::new(Search {
            model,
            encoder,
            place: place.transpose()?,
            perceptual,
            network: None,
            seed: context.seed,
        })))
    }

    /// What the page says of it.
    pub fn support(&self) -> Option<PhotoSupport> {
        let (steps, least, how) = match self {
            Self::Search(search) if search.encoder.is_some() => {
                let steps = Config::near().steps as u32;
                (
                    steps,
                    0,
                    "an encoder predicts it, and a search refines that",
                )
            }
            Self::Search(_) => {
                let how = "a search from the mean, which takes a while: the model has no encoder";
                (UNAIDED, 1, how)
            }
            Self::Encode(_) => {
                let how = "the model's encoder, and steps back to the noise";
                (autoencoder::STEPS, 1, how)
            }
            Self::Nothing => return None,
        };
        Some(PhotoSupport {
            steps,
            least,
            how: how.to_owned(),
        })
    }

    /// Where a photo lies.
    pub fn find(
        &mut self,
        photo: &RgbImage,
        steps: u32,
        stop: &Stop,
    ) -> domex_error::Result<Found> {
        match self {
            Self::Search(search) => search.find(photo, steps, stop),
            Self::Encode(model) => {
                let (code, noise) = diffae::encoded(model, photo.clone(), steps as usize)?;
                Ok(Found {
                    bytes: pack(&[&code, &noise])?,
                    likeness: "encoded".to_owned(),
                })
            }
            Self::Nothing => Err(user_error(
                "photos need a perceptual network: give --perceptual",
            )),
        }
    }
}

impl Search<'_> {
    fn find(&mut self, photo: &RgbImage, steps: u32, stop: &Stop) -> domex_error::Result<Found> {
        let generator = self.model.generator();
        let device = generator.device();
        let perceptual = match &mut self.network {
            Some(network) => network,
            unread => unread.insert(Lpips::load(&self.perceptual, DType::F32, device)?),
        };
        let usual = match self.encoder {
            Some(_) => Config::near(),
            None => Config::default(),
        };
        let projector = Projector {
            generator: invert::subject(self.model),
            perceptual,
            place: self.place.as_ref(),
            config: Config {
                steps: steps as usize,
                // A picture takes what was found with it: the latent, not the noise of every layer.
                pixel_noise: None,
                ..usual
            },
        };
        let photo = std::slice::from_ref(photo);
        let wanted = picture::from_rgb(photo, generator.dtype(), device)?;
        let encoder = self.encoder.as_ref();
        let start = encoder.map(|encoder| invert::start(encoder, &wanted));
        let mut on_step = |_, _| match stop.is_set() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let found = projector.search(
            &wanted,
            start.transpose()?.as_ref(),
            &Streams::new(self.seed),
            &mut on_step,
        )?;
        let (psnr, distance) = (&found.likeness.psnr, &found.likeness.distance);
        Ok(Found {
            // Of W all rows are the same.
            bytes: pack(&[&found.latents.narrow(1, 0, 1)?])?,
            likeness: format!("{:.1} dB, perceptual distance {:.2}", psnr[0], distance[0]),
        })
    }
}
