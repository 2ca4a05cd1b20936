//! A diffusion autoencoder and its latent prior learn small pictures, resume exactly, and come back from their files.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use domex_data::source::PictureSource;
use domex_diffae::{Config, LatentConfig, Model};
use domex_pretrain::Learning;
use domex_pretrain::diffae::{AutoencoderConfig, AutoencoderJob, PriorConfig, PriorJob};
use domex_train::{Clock, Job, Resume, RunConfig, run};
use image::{Rgb, RgbImage};

/// A square of one of several greys, left or right.
struct Squares(u32);

impl PictureSource for Squares {
    fn len(&self) -> u64 {
        64
    }

    fn resolution(&self) -> u32 {
        self.0
    }

    fn get(&self, index: u64) -> domex_data::Result<(RgbImage, Vec<f32>)> {
        let grey = (40 + 50 * (index / 2 % 4)) as u8;
        let picture = RgbImage::from_fn(self.0, self.0, |x, _| {
            let inside = (x >= self.0 / 2) == index.is_multiple_of(2);
            Rgb([if inside { grey } else { 255 - grey }; 3])
        });
        Ok((picture, Vec::new()))
    }

    fn describe(&self) -> String {
        "squares".to_owned()
    }
}

fn learning(images: u64, batch: usize, lr: f64) -> Learning {
    Learning {
        images,
        batch,
        lr,
        weight_decay: 0.0,
        longest_gradient: 1.0,
        ema_kimg: Some(0.02),
    }
}

fn autoencoder(images: u64) -> AutoencoderConfig {
    let mut network = Config::with_levels(8, 8, &[1, 2], &[1, 2], 8, 4);
    network.latent = None;
    (
        network.unet.num_input_res_blocks,
        network.unet.num_res_blocks,
    ) = (1, 1);
    network.encoder.num_res_blocks = 1;
    AutoencoderConfig {
        network,
        learning: learning(images, 8, 4e-3),
        shift: 1.0,
        steps: 5,
        seed: 0,
    }
}

fn prior(images: u64) -> PriorConfig {
    PriorConfig {
        network: LatentConfig {
            hidden_channels: 32,
            layers: 3,
            skip_layers: vec![1, 2],
            ..LatentConfig::published(8)
        },
        learning: learning(images, 16, 4e-3),
        codes: 32,
        steps: 5,
        seed: 0,
    }
}

fn first(images: u64) -> AutoencoderJob {
    AutoencoderJob::new(autoencoder(images), Box::new(Squares(8)), &Device::Cpu).unwrap()
}

fn second(model: &Model, images: u64) -> PriorJob {
    let squares = Box::new(Squares(8));
    PriorJob::new(prior(images), model.clone(), squares, &Device::Cpu).unwrap()
}

fn settings(out: &Path, images: u64) -> RunConfig {
    RunConfig {
        images,
        tick_images: images,
        signals: false,
        ..RunConfig::new(out)
    }
}

/// The mean over the first and over the last steps.
fn losses(job: &mut dyn Job, steps: u64) -> (f64, f64) {
    let batch = job.batch() as u64;
    let mut all = Vec::new();
    for step in 0..steps {
        let at = Clock {
            step,
            images: step * batch,
            ..Clock::default()
        };
        let losses = job.step(&at).unwrap();
        assert!(losses.not_finite.is_empty());
        all.push(losses.values[0].1);
    }
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (mean(&all[..10]), mean(&all[all.len() - 10..]))
}

#[test]
fn both_stages_learn_and_their_file_makes_pictures() {
    let (before, after) = losses(&mut first(1600), 150);
    assert!(after < 0.5 * before, "{before} {after}");

    let folder = tempfile::tempdir().unwrap();
    let outcome = run(&mut first(80), &settings(&folder.path().join("first"), 80)).unwrap();
    let model = Model::load(outcome.model, &Device::Cpu).unwrap();
    assert!(model.networks.latent_net.is_none() && model.statistics.is_none());
    let squares = Box::new(Squares(8));
    let more = AutoencoderJob::from(
        model.tensors().clone(),
        autoencoder(80),
        squares,
        &Device::Cpu,
    );
    let begun = more.unwrap().model(&Clock::default()).unwrap();
    let name = "encoder.out.3.weight";
    let values = |model: &Model| {
        model.tensors()[name]
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
    };
    assert_eq!(values(&begun).unwrap(), values(&model).unwrap());

    let (before, after) = losses(&mut second(&model, 3200), 150);
    assert!(after < 0.9 * before, "{before} {after}");

    let mut job = second(&model, 160);
    let outcome = run(&mut job, &settings(&folder.path().join("second"), 160)).unwrap();
    let whole = Model::load(outcome.model, &Device::Cpu).unwrap();
    assert!(whole.limits().is_empty(), "{:?}", whole.limits());
    let (pictures, _) =
        domex_data::source::batch(&Squares(8), &(0..32).collect::<Vec<_>>()).unwrap();
    let pictures =
        domex_data::picture::from_rgb(&pictures, candle_core::DType::F32, &Device::Cpu).unwrap();
    let mean = model.encode(&pictures).unwrap().mean_keepdim(0).unwrap();
    let known = whole.statistics.unwrap().mean;
    let apart = (mean - known).unwrap().abs().unwrap().max_all().unwrap();
    assert!(apart.to_scalar::<f32>().unwrap() < 1e-4);
    for name in ["first/decoded", "second/decoded"] {
        let (folder_name, start) = name.split_once('/').unwrap();
        let files = std::fs::read_dir(folder.path().join(folder_name)).unwrap();
        let mut files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        assert!(files.any(|file| file.starts_with(start)), "{name}");
    }
}

/// The bytes of the model of a whole run, and of one that was stopped half-way.
fn both(folder: &Path, mut job: impl FnMut() -> Box<dyn Job>, images: u64) -> [Vec<u8>; 2] {
    let (whole, parts) = (folder.join("whole"), folder.join("parts"));
    let whole = run(&mut *job(), &settings(&whole, images)).unwrap();
    run(&mut *job(), &settings(&parts, images / 2)).unwrap();
    let resumed = RunConfig {
        resume: Resume::From(parts.clone()),
        ..settings(&parts, images)
    };
    let parts = run(&mut *job(), &resumed).unwrap();
    // Seconds stand in the provenance.
    [whole.model, parts.model].map(|path| {
        let file = domex_checkpoint::container::Container::open(path).unwrap();
        let tensors = file.tensors().values();
        tensors.flat_map(|data| data.bytes().to_vec()).collect()
    })
}

#[test]
fn a_stopped_run_comes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = both(&folder.path().join("first"), || Box::new(first(64)), 64);
    assert!(whole == parts);
    let model = Model::random(&autoencoder(64).network, 1, &Device::Cpu).unwrap();
    let new = || -> Box<dyn Job> { Box::new(second(&model, 128)) };
    let [whole, parts] = both(&folder.path().join("second"), new, 128);
    assert!(whole == parts);
}

#[test]
fn a_prior_leaves_the_noise_and_the_origin_of_its_autoencoder_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("published.safetensors");
    let model = Model::random(&autoencoder(8).network, 1, &Device::Cpu).unwrap();
    let named = model.tensors().iter();
    let mut named: HashMap<_, _> = named
        .map(|(name, tensor)| (format!("ema_model.{name}"), tensor.clone()))
        .collect();
    let noise = Tensor::full(0.5f32, (1, 3, 8, 8), &Device::Cpu).unwrap();
    named.insert("x_T".to_owned(), noise);
    candle_core::safetensors::save(&named, &path).unwrap();
    let model = Model::load(&path, &Device::Cpu).unwrap();

    let mut job = second(&model, 16);
    job.step(&Clock::default()).unwrap();
    let made = job.model(&Clock::default()).unwrap();
    let noise = made.fixed_noise().unwrap().flatten_all().unwrap();
    assert_eq!(noise.to_vec1::<f32>().unwrap(), [0.5; 3 * 64]);
    assert_eq!(made.provenance["source"], model.provenance["source"]);
    assert!(made.networks.latent_net.is_some() && made.statistics.is_some());
}

#[test]
fn settings_that_do_not_fit_are_named() {
    let refused = |config: AutoencoderConfig, side: u32, words: &str| {
        let job = AutoencoderJob::new(config, Box::new(Squares(side)), &Device::Cpu);
        let error = job.err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(
        autoencoder(8),
        16,
        "size of the pictures is 16 × 16, expected 8 × 8",
    );
    let mut with_prior = autoencoder(8);
    with_prior.network.latent = Some(LatentConfig::published(8));
    refused(with_prior, 8, "latent prior is given, expected none");
    let mut odd = autoencoder(8);
    odd.network.unet.image_size = 9;
    odd.network.encoder.image_size = 9;
    refused(odd, 9, "to be halved");

    let uneven = AutoencoderConfig {
        steps: 600,
        ..autoencoder(8)
    };
    refused(uneven, 8, "500 or 1000");

    let model = Model::random(&autoencoder(8).network, 1, &Device::Cpu).unwrap();
    let mut other = prior(8);
    other.network.channels = 16;
    let squares = Box::new(Squares(8));
    let error = PriorJob::new(other, model, squares, &Device::Cpu)
        .err()
        .unwrap();
    assert!(
        error
            .to_string()
            .contains("latent.channels: 16, expected 8"),
        "{error}"
    );
}
