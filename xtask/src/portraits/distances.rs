//! Whether a Fréchet distance says what it should: it rises with blur, with noise and with kinds that are missing, and falls along a
//! training.

use std::{path::PathBuf, process::ExitCode};

use candle_core::{DType, Device, Tensor};
use domex_data::{
    folder::OutputFolder,
    picture,
    plot::{Panel, Panels},
    portraits::HairColour,
};
use domex_error::{Result, user_error};
use domex_lpips::Lpips;
use domex_metrics::{Moments, frechet};
use domex_pretrain::{portraits::World, scenes::Scenes};
use domex_random::{Stream, Streams};
use domex_stylegan2::{Model, Noise, Truncation};
use image::{RgbImage, imageops};
use rayon::prelude::*;
use serde_json::json;

use super::{Args, What};
use crate::out::{say, write_json};

/// Pictures at once.
const BATCH: usize = 64;

/// Standard deviations of a Gauss filter, in pixels of 64.
const BLURS: [f32; 5] = [0.0, 0.5, 1.0, 1.5, 2.0];

/// Standard deviations of noise on pictures in `[-1, 1]`.
const NOISES: [f64; 5] = [0.0, 0.05, 0.1, 0.2, 0.4];

/// Measures renderings that are worse and worse, and the models that were given, in their order; prints, writes and draws the
/// distances from fresh renderings.
pub fn measure(args: &Args) -> Result<ExitCode> {
    let perceptual = args.perceptual()?;
    let count = args.pictures.unwrap_or(2000);
    if count < 2 {
        return Err(user_error("--pictures: at least 2"));
    }
    let folder = OutputFolder::create(args.folder(What::Distances)?, args.force)?;
    let set = Set {
        world: World::new(),
        perceptual: &perceptual,
        count,
        streams: Streams::new(args.seed),
    };
    let real = set.renderings("real", &|_| true, &|picture| picture, 0.0)?;
    let all = |_: u64| true;
    let apart = |other: &Moments| -> Result<f64> { Ok(frechet(other, &real)?) };

    let mut panels = Vec::new();
    let mut points = Vec::new();
    for sigma in BLURS {
        let blurred = |picture: RgbImage| match sigma > 0.0 {
            true => imageops::blur(&picture, sigma),
            false => picture,
        };
        let seen = set.renderings("worse", &all, &blurred, 0.0)?;
        points.push((f64::from(sigma), apart(&seen)?));
    }
    panels.push(panel("blur, in pixels", points));
    let mut points = Vec::new();
    for sigma in NOISES {
        let seen = set.renderings("worse", &all, &|picture| picture, sigma)?;
        points.push((sigma, apart(&seen)?));
    }
    panels.push(panel("noise", points));
    let mut points = Vec::new();
    for missing in 0..HairColour::ALL.len() {
        let kept = |seed: u64| {
            let colour = World::factors_of(seed).hair_colour;
            let kind = HairColour::ALL.iter().position(|&other| other == colour);
            kind.is_some_and(|kind| kind >= missing)
        };
        let seen = set.renderings("worse", &kept, &|picture| picture, 0.0)?;
        points.push((missing as f64, apart(&seen)?));
    }
    panels.push(panel("hair colours missing", points));
    if !args.models.is_empty() {
        let mut points = Vec::new();
        for (at, file) in args.models.iter().enumerate() {
            points.push((at as f64 + 1.0, apart(&set.samples(file)?)?));
        }
        panels.push(panel("model, in the order given", points));
    }

    for panel in &panels {
        let values = panel.points.iter();
        let values = values.map(|(x, distance)| format!("{x}: {distance:.3}"));
        say!(
            "{:26} {}",
            panel.over,
            values.collect::<Vec<_>>().join("  ")
        );
    }
    let curves = panels
        .iter()
        .map(|panel| (panel.over.clone(), json!(panel.points)));
    let curves: serde_json::Map<_, _> = curves.collect();
    let models: Vec<_> = args
        .models
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let json = json!({ "pictures": count, "distances": curves, "models": models });
    write_json(&folder.file("distances.json"), &json)?;
    let plot = Panels {
        title: format!("Fréchet distance from renderings, {count} pictures each"),
        measure: "distance".into(),
        panels,
    };
    for name in ["distances.png", "distances.svg"] {
        plot.write(&folder.file(name))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn panel(over: &str, points: Vec<(f64, f64)>) -> Panel {
    Panel {
        over: over.to_owned(),
        points,
    }
}

/// Sets of pictures, as the perceptual network sees them.
struct Set<'a> {
    world: World,
    perceptual: &'a Lpips,
    count: usize,
    streams: Streams,
}

impl Set<'_> {
    /// Renderings of seeds of one stream that are `kept`, each `changed`, with noise of a standard deviation.
    fn renderings(
        &self,
        name: &str,
        kept: &dyn Fn(u64) -> bool,
        changed: &(dyn Fn(RgbImage) -> RgbImage + Sync),
        noise: f64,
    ) -> Result<Moments> {
        const SIDE: u32 = 64;
        let mut seeds = self.streams.stream(name);
        let mut grain = self.streams.stream("grain");
        self.moments(|n| {
            let seeds = std::iter::repeat_with(|| seeds.next_u64());
            let seeds: Vec<u64> = seeds.filter(|&seed| kept(seed)).take(n).collect();
            let draw = |&seed: &u64| changed(self.world.scene(0, seed, SIDE).picture);
            let made: Vec<RgbImage> = seeds.par_iter().map(draw).collect();
            let pictures = picture::from_rgb(&made, DType::F32, &Device::Cpu)?;
            grained(&pictures, noise, &mut grain)
        })
    }

    /// What a generator makes.
    fn samples(&self, file: &PathBuf) -> Result<Moments> {
        let model = Model::load_generator(file, &Device::Cpu)?;
        let generator = model.generator();
        let mut stream = self.streams.stream("samples");
        let mut noise = self.streams.stream("noise of samples");
        self.moments(|n| {
            let mut z = vec![0.0_f32; n * generator.config().z_dim()];
            stream.fill_normal(&mut z);
            let z = Tensor::from_vec(z, (n, generator.config().z_dim()), &Device::Cpu)?;
            let made = generator.forward(&z, None, Truncation::NONE, Noise::Random(&mut noise))?;
            Ok(made.detach().clamp(-1.0, 1.0)?)
        })
    }

    fn moments(&self, mut make: impl FnMut(usize) -> Result<Tensor>) -> Result<Moments> {
        let mut moments: Option<Moments> = None;
        for start in (0..self.count).step_by(BATCH) {
            let features = self
                .perceptual
                .pooled(&make(BATCH.min(self.count - start))?)?;
            let width = features.dim(1)?;
            moments
                .get_or_insert_with(|| Moments::new(width))
                .add(&features)?;
        }
        moments.ok_or_else(|| user_error("--pictures: at least 2"))
    }
}

fn grained(pictures: &Tensor, deviation: f64, stream: &mut Stream) -> Result<Tensor> {
    if deviation == 0.0 {
        return Ok(pictures.clone());
    }
    let mut values = vec![0.0_f32; pictures.elem_count()];
    stream.fill_normal(&mut values);
    let noise = Tensor::from_vec(values, pictures.dims(), pictures.device())?;
    Ok((pictures + (noise * deviation)?)?.clamp(-1.0, 1.0)?)
}
