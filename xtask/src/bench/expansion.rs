//! Our side of a step of an expansion: the job that `domex expand` runs, on random weights.

use anyhow::{Result, anyhow, ensure};
use candle_core::{DType, Device};
use domex_clip::{Clip, Tokenizer};
use domex_data::source::PictureSource;
use domex_expand::{Config, Expand, Parts, TaskSpec};
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
    let judge = DiscriminatorConfig::new(resolution, 3, config.synthesis.channels.clone());
    let tensors = init::discriminator(&judge, 2, DType::F32, &Device::Cpu)?;
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &judge)?);

    // The text tower runs once, before the first step: its size does not count.
    let clip = Clip::new(&drawn(), &vit_b_32(BYTES, 96))?;
    let lpips = Lpips::new(&drawn(), &domex_lpips::Config::new(Backbone::Vgg))?;
    let pictures = (phases != Phases::Expand).then(|| Box::new(Drawn::new(resolution)) as Box<_>);
    let tasks = ["pencil sketch", "mosaic", "oil painting"].map(|to| TaskSpec::texts("photo", to));
    let mut job = Expand::new(
        Config {
            batch: n,
            ..Config::default()
        },
        Parts {
            model: &model,
            tasks: &tasks,
            guides: vec![Guide::new(
                "ViT-B/32",
                clip,
                Tokenizer::with_merges("")?.into(),
            )],
            texture: None,
            distance: Some(Box::new(Perceptual(lpips))),
            pictures,
            cache: None,
            seed: 3,
        },
    )?;
    ensure!(job.is_adversarial() == (phases != Phases::Expand));
    let clock = Clock {
        // At step 0 every lazy phase is due, at step 1 none.
        step: u64::from(phases != Phases::Regularised),
        images: 1000,
        ..Clock::default()
    };
    Ok(Box::new(move || {
        let losses = job.step(&clock).map_err(|error| anyhow!(error))?;
        // A loss that is not finite would skip its backward pass.
        ensure!(losses.not_finite.is_empty(), "{losses:?}");
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
