//! Our side of a step of an expansion: the job that `domex expand` runs, on random weights.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device};
use domex_clip::{Bundle, Clip, Tokenizer};
use domex_data::source::PictureSource;
use domex_distil::Translator;
use domex_error::{AnyError, Result, bail};
use domex_expand::methods::{adversarial, diffusion};
use domex_expand::{Config, Expand, Networks, Parts, Sets, SourceSettings, TaskSpec, Trainee};
use domex_expand_diffae::DiffAe;
use domex_expand_stylegan2::StyleGan2;
use domex_lpips::{Backbone, Lpips};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::{Discriminator, DiscriminatorConfig, GeneratorConfig, Model, init};
use domex_teacher::{Network, PROBE};
use domex_train::{Clock, Job};
use image::RgbImage;
use serde_json::json;

use super::diffusion::published;
use super::networks::{drawn, vit_b_32};
use super::rows::{Phases, Teacher};
use super::work::Run;

/// Tokens of the smallest tokenizer there is, which reads bytes.
const BYTES: usize = 514;

/// Three new domains.
const DOMAINS: [&str; 3] = ["pencil sketch", "mosaic", "oil painting"];

/// A step of an expansion of a generator of `resolution`² with the published settings: three domains that a teacher shows, CLIP
/// ViT-B/32 where that is one, replay alignment by LPIPS on VGG16.
pub fn step(
    [resolution, channel_base]: [usize; 2],
    n: usize,
    teacher: Teacher,
    phases: Phases,
    device: &Device,
) -> Result<Run> {
    let shape = GeneratorConfig::with_defaults(512, 512, resolution, channel_base, 512)?;
    let mut model = Model::random(&shape, 1, device)?;
    let adversary = DiscriminatorConfig::new(resolution, 3, shape.synthesis.channels.clone());
    let tensors = init::discriminator(&adversary, 2, DType::F32, device)?;
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &adversary)?);

    let pictures = (phases != Phases::Expand).then(|| Box::new(Drawn::new(resolution)) as Box<_>);
    let mut config = Config {
        batch: n,
        ..Config::default()
    };
    // R1 of a discriminator of domains is due in one of sixteen steps.
    config.adversarial.gamma = 0.0;
    complete(&mut config, &domex_expand_stylegan2::SETTINGS)?;
    let trainee = StyleGan2::new(&model, &config, pictures, 3)?;
    if trainee.trains_source() != (phases != Phases::Expand) {
        bail!("the expansion has other phases than {phases:?}");
    }
    let (mut networks, mut sets) = (networks(teacher == Teacher::Clip, device)?, Sets::new());
    let tasks = match teacher {
        Teacher::Clip => DOMAINS.map(|to| TaskSpec::texts("photo", to)),
        Teacher::Diffusion => {
            networks.teacher = Some(Arc::new(translator(resolution, device)?));
            // Targets are at hand: to translate pictures is no part of the row.
            config.diffusion.targets = 8;
            config.diffusion.translation.steps = 2;
            DOMAINS.map(|to| diffusion::texts("photo", to))
        }
        Teacher::Pictures => {
            sets = BTreeMap::from(DOMAINS.map(|domain| {
                let set: Arc<dyn PictureSource> = Arc::new(Drawn::new(resolution));
                (PathBuf::from(domain), set)
            }));
            DOMAINS.map(|domain| adversarial::folder(domain, Path::new(domain)))
        }
    };
    let first = match phases {
        // At step 0 every lazy phase is due, at step 1 none.
        Phases::Regularised => 0,
        _ => 1,
    };
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &tasks,
        networks,
        sets,
        cache: None,
        seed: 3,
    };
    run(config, parts, first)
}

/// A step of an expansion of a Diffusion Autoencoder of 64²: three domains in words, by CLIP ViT-B/32, and replay alignment by
/// LPIPS on VGG16. Codes are those of pictures, which the encoder has seen before.
pub fn of_an_autoencoder(n: usize, device: &Device) -> Result<Run> {
    let model = domex_diffae::Model::random(&published(64)?, 1, device)?;
    let mut config = Config {
        batch: n,
        ..Config::default()
    };
    config.source = [("src", json!(0.0)), ("codes", json!(8))]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
    complete(&mut config, &domex_expand_diffae::SETTINGS)?;
    let pictures = Box::new(Drawn::new(64)) as Box<_>;
    let trainee = DiffAe::new(&model, &config, Some(pictures), 3)?;
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &DOMAINS.map(|to| TaskSpec::texts("photo", to)),
        networks: networks(true, device)?,
        sets: Sets::new(),
        cache: None,
        seed: 3,
    };
    run(config, parts, 1)
}

fn complete(config: &mut Config, settings: &SourceSettings) -> Result<()> {
    config.complete(settings).map_err(AnyError::internal)
}

/// Steps of a job, each the one of that number.
fn run(config: Config, parts: Parts<'_>, step: u64) -> Result<Run> {
    let mut job = Expand::new(config, parts)?;
    job.prepare().map_err(AnyError::internal)?;
    let clock = Clock {
        step,
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

/// The perceptual distance, and a CLIP model where it teaches.
fn networks(with_clip: bool, device: &Device) -> Result<Networks> {
    let lpips = Lpips::new(&drawn(device), &domex_lpips::Config::new(Backbone::Vgg))?;
    let guide = || -> Result<Guide> {
        let Bundle { clip, tokenizer } = bundle(device)?;
        Ok(Guide::new("ViT-B/32", clip, tokenizer.into()))
    };
    Ok(Networks {
        clip: with_clip.then(guide).transpose()?.into_iter().collect(),
        texture: None,
        distance: Some(Arc::new(Perceptual(lpips))),
        teacher: None,
    })
}

/// ViT-B/32. The text encoder runs once, before the first step: its size does not count.
fn bundle(device: &Device) -> Result<Bundle> {
    Ok(Bundle {
        clip: Clip::new(&drawn(device), &vit_b_32(BYTES, 96))?,
        tokenizer: Tokenizer::with_merges("")?,
    })
}

/// A small diffusion model, which runs before the first step.
fn translator(resolution: usize, device: &Device) -> Result<Translator> {
    let clip = bundle(device)?;
    let probe = clip.encode_text(&[PROBE])?;
    let config = domex_teacher::Config::new(resolution, probe.dim(1)?, &[32, 32]);
    let network = Network::new(&drawn(device), &config)?;
    let teacher = domex_teacher::Teacher::new(network, probe)?;
    Ok(Translator::new(teacher, clip)?)
}

/// Pictures that are at hand: to read or render them is no part of the row.
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
        adversarial::FEWEST
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
