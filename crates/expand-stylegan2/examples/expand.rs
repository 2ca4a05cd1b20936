//! The shipped generator, expanded by two domains of words in a few steps:
//! `cargo run --release -p domex-expand-stylegan2 --example expand -- FOLDER [STEPS]`.

use std::sync::Arc;

use candle_core::Device;
use domex_data::portraits::Domain;
use domex_data::source::Portraits;
use domex_expand::{Expand, Networks, Parts, Recipe, Sets, TaskSpec};
use domex_expand_stylegan2::{SETTINGS, StyleGan2};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_train::{RunConfig, run};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut given = std::env::args().skip(1);
    let folder = given.next().ok_or("expected FOLDER [STEPS]")?;
    let steps: u64 = given.next().map_or(Ok(40), |steps| steps.parse())?;
    let file = |name: &str| format!("{ASSETS}/{name}");
    let recipe = Recipe::read(file("expand.toml").as_ref(), SETTINGS)?;
    let config = recipe.file().settings.clone();
    let clip = recipe.file().clip_models().map(|(name, weight)| {
        let path = file(&format!("clip-{name}.safetensors"));
        Guide::load(path.as_ref(), weight, &Device::Cpu)
    });
    let model = Model::load(file("generator.safetensors"), &Device::Cpu)?;
    let side = model.config().synthesis.img_resolution as u32;
    let photographs = Portraits::new(0, Domain::Photo, side)?;
    let trainee = StyleGan2::new(&model, &config, Some(Box::new(photographs)), 0)?;
    let distance = Perceptual::load(file("perceptual.safetensors").as_ref(), &Device::Cpu)?;
    let tasks = ["zombie", "pencil sketch"].map(|target| TaskSpec::texts("photo", target));
    let parts = Parts {
        trainee: Box::new(trainee),
        tasks: &tasks,
        networks: Networks {
            clip: clip.collect::<Result<_, _>>()?,
            texture: None,
            distance: Some(Arc::new(distance)),
            teacher: None,
        },
        sets: Sets::new(),
        cache: None,
        seed: 0,
    };
    let mut expansion = Expand::new(config.clone(), parts)?;
    let images = steps * config.batch as u64;
    let settings = RunConfig {
        images,
        tick_images: images.div_ceil(4),
        ..RunConfig::new(folder)
    };
    let outcome = run(&mut expansion, &settings)?;
    println!("{}", outcome.model.display());
    Ok(())
}
