//! An expansion of the portrait world's generator by its own recipe, as `domex expand` makes it.

use std::{path::Path, sync::Arc};

use candle_core::Device;
use domex_data::{portraits::Domain, source::Portraits};
use domex_error::Result;
use domex_expand::{Config, Expand, Networks, Parts, TaskFile, TaskSpec};
use domex_expand_stylegan2::StyleGan2;
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_train::Job;

/// What every one needs.
pub struct Expansion<'a> {
    /// The networks of the portrait world.
    pub assets: &'a Path,
    /// Which CLIP models guide words.
    pub recipe: &'a TaskFile,
    pub seed: u64,
}

impl Expansion<'_> {
    /// One of `model`, ready to run.
    pub fn job(&self, model: &Model, config: &Config, tasks: &[TaskSpec]) -> Result<Box<dyn Job>> {
        let side = model.config().synthesis.img_resolution as u32;
        let pictures = Portraits::new(self.seed, Domain::Photo, side)?;
        let trainee = StyleGan2::new(model, config, Some(Box::new(pictures)), self.seed)?;
        let distance = self.assets.join("perceptual.safetensors");
        let parts = Parts {
            trainee: Box::new(trainee),
            tasks,
            networks: Networks {
                clip: self.guides()?,
                texture: None,
                distance: Some(Arc::new(Perceptual::load(&distance, &Device::Cpu)?)),
                teacher: None,
            },
            sets: domex_expand::Sets::new(),
            cache: None,
            seed: self.seed,
        };
        Ok(Box::new(Expand::new(config.clone(), parts)?))
    }

    fn guides(&self) -> Result<Vec<Guide>> {
        let guide = |(name, weight): (&str, f64)| {
            let path = self.assets.join(format!("clip-{name}.safetensors"));
            Ok(Guide::load(&path, weight, &Device::Cpu)?)
        };
        self.recipe.clip_models().map(guide).collect()
    }
}
