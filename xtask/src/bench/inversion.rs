//! Our side of the rows that bring real pictures into the latent space, on random weights.

use candle_core::{Device, Tensor};
use domex_encoder::Encoder;
use domex_error::Result;
use domex_invert::{Config, Projector, TuneConfig, tune};
use domex_lpips::{Backbone, Lpips};
use domex_random::Streams;
use domex_stylegan2::{GeneratorConfig, Model};

use super::{
    networks::drawn,
    work::{Run, noise},
};

fn generator([resolution, channel_base]: [usize; 2], device: &Device) -> Result<Model> {
    let config = GeneratorConfig::with_defaults(512, 512, resolution, channel_base, 512)?;
    Ok(Model::random(&config, 1, device)?)
}

fn lpips(device: &Device) -> Result<Lpips> {
    let config = domex_lpips::Config::new(Backbone::Vgg);
    Ok(Lpips::new(&drawn(device), &config)?)
}

/// The published projector, which begins at the mean of 512 latents here.
pub fn projector(shape: [usize; 2], n: usize, steps: usize, device: &Device) -> Result<Run> {
    let (model, lpips) = (generator(shape, device)?, lpips(device)?);
    let pictures = noise(&[n, 3, shape[0], shape[0]], device)?;
    let config = Config {
        steps,
        latent_samples: 512,
        ..Config::default()
    };
    Ok(Box::new(move || {
        let projector = Projector {
            generator: model.generator().into(),
            perceptual: &lpips,
            place: None,
            config,
        };
        projector.invert(&pictures, &Streams::new(1), &mut |_, _| {})?;
        Ok(())
    }))
}

/// Pivotal tuning with its locality, around latents that are given.
pub fn tuning(shape: [usize; 2], n: usize, steps: usize, device: &Device) -> Result<Run> {
    let (model, lpips) = (generator(shape, device)?, lpips(device)?);
    let pictures = noise(&[n, 3, shape[0], shape[0]], device)?;
    let pivots = noise(&[n, model.generator().config().num_ws(), 512], device)?;
    let config = TuneConfig {
        steps,
        enough: 0.0,
        ..TuneConfig::default()
    };
    Ok(Box::new(move || {
        let mut stream = Streams::new(1).stream("around");
        let on_step = &mut |_, _| {};
        let generator = model.generator();
        tune::<domex_invert::Error>(
            generator,
            &lpips,
            &pivots,
            &mut |turn| {
                let index: Vec<u32> = turn.iter().map(|&index| index as u32).collect();
                let index = Tensor::new(index, pictures.device())?;
                Ok(pictures.index_select(&index, 0)?)
            },
            &config,
            &mut stream,
            on_step,
        )?;
        Ok(())
    }))
}

/// The shipped encoder's shape: pictures of 64², 48 directions.
pub fn encoder(n: usize, device: &Device) -> Result<Run> {
    let model = generator([64, 16384], device)?;
    let config = domex_encoder::Config::new(model.generator(), 48)?;
    let encoder = Encoder::new(&drawn(device), &config)?;
    let pictures = noise(&[n, 3, 64, 64], device)?;
    Ok(Box::new(move || {
        encoder.encode(&pictures)?;
        Ok(())
    }))
}
