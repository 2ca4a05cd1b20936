//! Our side of a step of an expansion: the job that `domex expand` runs, on random weights.

use std::sync::Arc;

use candle_core::{DType, Device};
use domex_clip::{Clip, Tokenizer};
use domex_data::source::PictureSource;
use domex_error::{AnyError, Result, bail};
use domex_expand::{Config, Expand, Networks, Parts, TaskSpec, Trainee as _};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_lpips::{Backbone, Lpips};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::{Discriminator, DiscriminatorConfig, GeneratorConfig, Model, init};
use domex_train::{Clock, Job};
use image::RgbImage;

use super::{
    networks::{drawn, vit_b_32},
    rows::Phases,
    work::Run,
};

/// Tokens of the smallest tokenizer there is, which reads bytes.
const BYTES: usize = 514;

/// A step of an expansion of a generator of `resolution`² with the published settings: three domains in words, CLIP
/// ViT-B/32, replay alignment by LPIPS on VGG16.
pub fn step(resolution: usize, channel_base: usize, n: usize, phases: Phases) -> Result<Run> {
    let config = GeneratorConfig::with_defaults(512, 512, resolution, channel_base, 512)?;
    let mut model = Model::random(&config, 1, &Device::Cpu)?;
    let adversary = DiscriminatorConfig::new(resolution, 3, config.synthesis.channels.clone());
    let tensors = init::discriminator(&adversary, 2, DType::F32, &Device::Cpu)?;
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &adversary)?);

    // The text encoder runs once, before the first step: its size does not count.
    let clip = Clip::new(&drawn(), &vit_b_32(BYTES, 96))?;
    let lpips = Lpips::new(&drawn(), &domex_lpips::Config::new(Backbone::Vgg))?;
    let pictures = (phases != Phases::Expand).then(|| Box::new(Drawn::new(resolution)) as Box<_>);
    let tasks = ["pencil sketch", "mosaic", "oil painting"].map(|to| TaskSpec::texts("photo", to));
    let mut config = Config {
        batch: n,
        ..Config::default()
    };
    config.complete(&SETTINGS).map_err(AnyError::internal)?;
    let trainee = StyleGan2::new(&model, &config, pictures, 3)?;
    if trainee.trains_source() != (phases != Phases::Expand) {
        bail!("the expansion has other phases than {phases:?}");
    }
    let mut job = Expand::new(
        config,
        Parts {
            trainee: Box::new(trainee),
            tasks: &tasks,
            networks: Networks {
                clip: vec![Guide::new(
                    "ViT-B/32",
                    clip,
                    Tokenizer::with_merges("")?.into(),
                )],
                texture: None,
                distance: Some(Arc::new(Perceptual(lpips))),
                teacher: None,
            },
            sets: domex_expand::Sets::new(),
            cache: None,
            seed: 3,
        },
    )?;
    let clock = Clock {
        // At step 0 every lazy phase is due, at step 1 none.
        step: u64::from(phases != Phases::Regularised),
        images: 1000,
        ..Clock::default()
    };
    Ok(Box::new(move || {
        let losses = job.step(&clock)?;
        // A loss that is not finite would skip its backward pass.
        if !losses.not_finite.is_empty() {
            bail!("{losses:?}");
        }
        Ok(())
    }))
}

/// Pictures of the source domain that are at hand: to read or render them is no part of the row.
struct Drawn(RgbImage);

impl Drawn {
    fn new(side: usize) -> Self {
        let side = side as u32;
        Self(RgbImage::from_fn(side, side, |x, y| {
            image::Rgb([x, y, x ^ y].map(|value| (value * 37 % 256) as u8))
        }))
    }
}

impl PictureSource for Drawn {
    fn len(&self) -> u64 {
        1
    }

    fn resolution(&self) -> u32 {
        self.0.width()
    }

    fn get(&self, _: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        Ok((self.0.clone(), Vec::new()))
    }

    fn describe(&self) -> String {
        "a drawn picture".to_owned()
    }
}
