//! Time and memory of one step of an expansion with all phases: the figures of docs/expansion.md.
//!
//! `cargo run --release --example step_memory -p domex-expand-stylegan2 -- MODEL CLIP PERCEPTUAL BATCH whole|kept|low-memory`, with a
//! model that has a discriminator: the whole batch at once, or one sample at a time with activations kept or recomputed.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use candle_core::Device;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Config, Expand, Networks, Parts, Sets, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_latent::ImageDistance;
use domex_nada::Guide;
use domex_replay::{Perceptual, Recomputed};
use domex_stylegan2::Model;
use domex_train::{Clock, Job, memory, process};

fn main() -> Result<(), Box<dyn Error>> {
    // As the program sets itself up.
    process::prepare();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, clip, perceptual, batch, way] = &args[..] else {
        return Err("arguments: MODEL CLIP PERCEPTUAL BATCH whole|kept|low-memory".into());
    };
    let mut config = Config {
        batch: batch.parse()?,
        micro_batch: (way == "kept").then_some(1),
        low_memory: way == "low-memory",
        ..Config::default()
    };
    config.complete(&SETTINGS)?;
    if config.low_memory {
        process::give_back_large_blocks();
    }
    let device = &Device::Cpu;
    let model = Model::load(Path::new(model), device)?;
    let side = u32::try_from(model.config().synthesis.img_resolution)?;
    let pictures = Portraits::new(1, Domain::Photo, side)?;
    let trainee = StyleGan2::new(&model, &config, Some(Box::new(pictures)), 1)?;
    let network = Perceptual::load(Path::new(perceptual), device)?;
    let distance: Arc<dyn ImageDistance> = match config.low_memory {
        true => Arc::new(Recomputed(network)),
        false => Arc::new(network),
    };
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &[TaskSpec::texts("photo", "zombie")],
        networks: Networks {
            clip: vec![Guide::load(Path::new(clip), 1.0, device)?],
            texture: None,
            distance: Some(distance),
            teacher: None,
        },
        sets: Sets::new(),
        cache: None,
        seed: 1,
    };
    let mut job = Expand::new(config, parts)?;
    let gigabytes = || memory::peak().map_or(f64::NAN, |bytes| bytes as f64 / 1e9);
    let before = gigabytes();
    let start = Instant::now();
    let losses = job.step(&Clock::default())?;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{side}², batch {batch}, {way}: {:.2} GB at most, {before:.2} before the step, {seconds:.0} s; not finite: {:?}",
        gigabytes(),
        losses.not_finite
    );
    Ok(())
}
