//! Settings that were found to work on the portrait world.

use domex_clip::Tokenizer;
use domex_data::portraits::Domain;
use domex_degan::FadeIn;
use domex_diffae::{Config, LatentConfig, Prediction, Resampling};
use domex_nada::Augment;

use super::{Painter, World};
use crate::Result;
use crate::clip::{ClipConfig, HardNegativeConfig, Robust, init, texts::Sentences, vocabulary};
use crate::degan::{DeganConfig, Weights};
use crate::diffae::{AutoencoderConfig, PriorConfig};
use crate::feed::Feed;
use crate::hyperdomain::{self, HyperdomainConfig};
use crate::jitter::Jitter;
use crate::judge::JudgeConfig;
use crate::perceptual::PerceptualConfig;
use crate::scenes::Scenes;
use crate::stylegan2::{self, Imitation, Preset};
use crate::teacher::TeacherConfig;
use crate::trainer::Learning;

/// Captions that a vocabulary is made of.
const CAPTIONS: u64 = 8000;

/// Merges at most; the words of the captions are fewer.
const MERGES: usize = 1500;

/// Numbers in a code of the autoencoder.
const CODE: usize = 128;

/// Which image encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageEncoder {
    /// A modified ResNet.
    ResNet,
    /// A vision transformer on patches of 8 × 8.
    Vit,
}

/// A generator of photographs of `side` pixels, with its discriminator.
pub fn generator(side: usize) -> stylegan2::Config {
    stylegan2::Config {
        imitation: Some(Imitation {
            weight: 12.0, // 100 leaves the discriminator no say
            alone: 300_000,
            warm_up: 30_000,
            finest: 1,
            first_lr: Some(0.0025),
            limits: Painter::limits(),
        }),
        lr: 0.001,
        map_layers: 3,
        map_lr_multiplier: 1.0,
        gamma: 0.3,
        // The teacher holds the latent space in order, and double gradients are dear.
        path_length: None,
        ..stylegan2::Config::preset(Preset::Portraits, side, 0)
    }
}

/// A domain encoder that learns the built-in domains for `images` edited pictures: what should come out is known, so CLIP need not
/// guess it.
pub fn domain_encoder(network: domex_degan::Config, images: u64) -> DeganConfig {
    let published = DeganConfig::new(network, images);
    DeganConfig {
        learning: Learning {
            batch: 16,
            ..published.learning
        },
        expand: 2,
        fade_in: FadeIn {
            steps: 200,
            ..published.fade_in
        },
        weights: Weights {
            target_direction: 0.4,
            in_domain: 4.0,
            reconstruction: 0.5,
            perceptual: 3.0,
            squares: 2.0,
            norm: 0.01,
            ..published.weights
        },
        colours: 0.3,
        augment: Augment {
            shift: 0.1,
            noise: 0.2,
            ..published.augment
        },
        ..published
    }
}

/// A hypernetwork that learns the built-in domains for `images` edited pictures: as for the [encoder](domain_encoder), what should
/// come out is known.
pub fn hypernetwork(network: domex_hyperdomain::Config, images: u64) -> HyperdomainConfig {
    let published = HyperdomainConfig::new(network, images);
    HyperdomainConfig {
        learning: Learning {
            batch: 16,
            ..published.learning
        },
        weights: hyperdomain::Weights {
            direction: 0.5,
            norm: 0.01,
            reconstruction: 0.5,
            perceptual: 3.0,
            squares: 2.0,
            ..published.weights
        },
        ..published
    }
}

/// An autoencoder of photographs of `side` pixels, after `images` of them.
pub fn autoencoder(side: usize, images: u64) -> AutoencoderConfig {
    // Of the published family, what learns most in an hour on two cores: one block a level on patches of 2 × 2, no convolutions
    // between levels, and the velocity, since noise at high times says nothing of what the code has to tell.
    let mut network = Config::with_levels(side, 32, &[1, 2, 4], &[1, 2, 4, 4], CODE, 8);
    network.latent = None;
    network.prediction = Prediction::Velocity;
    (network.unet.patch, network.encoder.patch) = (2, 2);
    network.unet.num_input_res_blocks = 1;
    network.unet.num_res_blocks = 1;
    network.unet.resampling = Resampling::Plain;
    network.encoder.num_res_blocks = 1;
    network.encoder.resampling = Resampling::Plain;
    AutoencoderConfig {
        network,
        learning: Learning {
            images,
            batch: 8,
            lr: 4e-4,
            weight_decay: 0.0,
            longest_gradient: 1.0,
            ema_kimg: Some(2.0),
        },
        shift: 2.0,
        steps: 10,
        seed: 0,
    }
}

/// The same with the U-Net of the [`teacher`], which draws finer lines, after `images` of them: it begins with the teacher's
/// weights and with the trained encoder.
pub fn refined(side: usize, images: u64) -> AutoencoderConfig {
    let mut config = autoencoder(side, images);
    let drawn = TeacherConfig::new(Vec::new(), CODE, images).network;
    config.network.unet = drawn.unet;
    config.network.diffusion.betas = drawn.betas;
    config.learning.batch = 16;
    config.shift = 1.0;
    config
}

/// The latent prior of that autoencoder, after `images` codes.
pub fn prior(images: u64) -> PriorConfig {
    PriorConfig {
        network: LatentConfig {
            hidden_channels: 4 * CODE,
            layers: 6,
            skip_layers: (1..6).collect(),
            ..LatentConfig::published(CODE)
        },
        learning: Learning {
            images,
            batch: 128,
            lr: 1e-3,
            weight_decay: 0.0,
            longest_gradient: 1.0,
            ema_kimg: Some(30.0),
        },
        codes: 8192,
        steps: 10,
        seed: 0,
    }
}

/// A judge, after `images` scenes.
pub fn judge(world: &World, images: u64) -> JudgeConfig {
    JudgeConfig::new(world, images)
}

/// A perceptual network, after `images` scenes.
pub fn perceptual(images: u64) -> PerceptualConfig {
    PerceptualConfig::new(images)
}

/// A contrastive model that is not attacked, after `images` scenes.
///
/// # Errors
///
/// A world without words.
pub fn plain(world: &World, encoder: ImageEncoder, images: u64) -> Result<ClipConfig> {
    let mut config = contrastive(world, encoder, images)?;
    // Glasses and beards are a few pixels, and asked about in photographs only.
    (config.feed.jitter.blur, config.feed.jitter.noise) = (0.6, 0.06);
    config.feed.source_share = 0.6;
    config.questions = 2.0;
    Ok(config)
}

/// A robust one, after `images` scenes from a plain one on: attacked, and shown hard negatives.
///
/// # Errors
///
/// A world without words.
pub fn robust(world: &World, encoder: ImageEncoder, images: u64) -> Result<ClipConfig> {
    let mut config = contrastive(world, encoder, images)?;
    (config.learning.batch, config.learning.lr) = (32, 4e-4);
    config.robust = Robust {
        radius: 6.0,
        growth: 0.05,
        steps: 2,
    };
    config.hard_negatives = HardNegativeConfig {
        pictures: 24,
        after: 0.4,
        ..HardNegativeConfig::NONE
    };
    // Noise comes with the views, on hard negatives too: it must not tell these apart.
    (config.feed.jitter.blur, config.feed.jitter.noise) = (1.0, 0.0);
    (config.views.shift, config.views.noise) = (0.1, 0.2);
    Ok(config)
}

/// One that sees finer things, after `images` scenes from a robust one on: attacked half as far.
///
/// # Errors
///
/// A world without words.
pub fn fine(world: &World, encoder: ImageEncoder, images: u64) -> Result<ClipConfig> {
    let mut config = robust(world, encoder, images)?;
    (config.robust.radius, config.robust.growth) = (3.0, 0.0);
    config.feed.jitter.blur = 0.8;
    Ok(config)
}

/// A teacher, after `images` scenes of all domains but those that are held out.
pub fn teacher(text_dim: usize, images: u64) -> TeacherConfig {
    let shown = Domain::ALL.iter().filter(|domain| !domain.is_held_out());
    let names = shown.map(|domain| domain.name().to_owned());
    TeacherConfig::new(names.collect(), text_dim, images)
}

/// What they have in common.
fn contrastive(world: &World, encoder: ImageEncoder, images: u64) -> Result<ClipConfig> {
    let merges = merges(world)?;
    let ids = Tokenizer::with_merges(&merges)?.len();
    Ok(ClipConfig {
        network: match encoder {
            ImageEncoder::ResNet => init::resnet(ids, 24, [1, 1, 1, 1]),
            ImageEncoder::Vit => init::vit(ids, 128, 4),
        },
        merges,
        learning: Learning {
            images,
            batch: 48,
            lr: 5e-4, // twice that collapses both encoders to a constant
            weight_decay: 1e-2,
            longest_gradient: 2.0,
            ema_kimg: Some(5.0),
        },
        feed: Feed {
            size: 64,
            source_share: 0.12,
            jitter: Jitter::STRONG,
        },
        robust: Robust::NONE,
        hard_negatives: HardNegativeConfig::NONE,
        views: Augment::default(),
        captions: 0.3,
        questions: 0.2,
        measured: 8,
        seed: 0,
    })
}

/// Byte-pair merges of the world's captions.
///
/// # Errors
///
/// A world without words.
pub fn merges(world: &World) -> Result<String> {
    let domains = world.domains() as u64;
    let captions = (0..CAPTIONS).map(|i| world.caption((i % domains) as usize, i, i));
    let sentences = Sentences::of(world);
    vocabulary::train(captions.chain(sentences.all()), MERGES)
}
