//! An expansion of the portrait world's generator by its own recipe, as `domex expand` makes it.

use std::{path::Path, sync::Arc};

use candle_core::Device;
use domex_data::{portraits::Domain, source::Portraits};
use domex_error::{Context, Result, user_error};
use domex_expand::{Config, Expand, Networks, Parts, TaskFile, TaskSpec};
use domex_expand_stylegan2::StyleGan2;
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_stylegan2::Model;
use domex_train::{Job, Resume, RunConfig, run, snapshots};
use serde_json::Value as Json;

use crate::{out::say, portraits::last_event};

/// What every one needs.
pub struct Expansion<'a> {
    /// The networks of the portrait world.
    pub assets: &'a Path,
    /// Which CLIP models guide words.
    pub recipe: &'a TaskFile,
    pub seed: u64,
    /// Where it trains; the model must be there too.
    pub device: &'a Device,
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
                distance: Some(Arc::new(Perceptual::load(&distance, self.device)?)),
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
            Ok(Guide::load(&path, weight, self.device)?)
        };
        self.recipe.clip_models().map(guide).collect()
    }
}

/// Trains, resumes what a snapshot holds, or reads what was trained; nothing if a signal came.
///
/// # Errors
///
/// A run of other settings in the folder, and those of the run.
pub fn trained(
    folder: &Path,
    images: u64,
    seed: u64,
    settings: Json,
    job: impl Fn() -> Result<Box<dyn Job>>,
) -> Result<Option<Model>> {
    let before = of_these(folder, &settings, seed, images)?;
    let model = folder.join("model.safetensors");
    if before < images || !model.exists() {
        say!("{}: {images} pictures", folder.display());
        let config = RunConfig {
            images,
            tick_images: (images / 4).max(1),
            snap: 1,
            seed,
            resume: match snapshots::latest(folder) {
                Ok(_) => Resume::From(folder.to_owned()),
                Err(_) => Resume::No,
            },
            force: true,
            settings,
            ..RunConfig::new(folder)
        };
        let outcome =
            run(job()?.as_mut(), &config).with_context(|| folder.display().to_string())?;
        if outcome.signal.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(Model::load(model, &Device::Cpu)?))
}

/// Pictures that the run in a folder has seen; an error if it is not this one.
fn of_these(folder: &Path, settings: &Json, seed: u64, images: u64) -> Result<u64> {
    let Ok(text) = std::fs::read(folder.join("run.json")) else {
        return Ok(0);
    };
    let found: Json =
        serde_json::from_slice(&text).with_context(|| folder.display().to_string())?;
    let seen = last_event(&folder.join("events.jsonl"))
        .ok()
        .and_then(|last| last["images"].as_u64())
        .unwrap_or(0);
    if found["job"] != *settings || found["seed"] != seed || seen > images {
        return Err(user_error(format!(
            "{}: a run of other settings, networks, seed or length; give another --out, or remove it",
            folder.display()
        )));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_of_other_settings_is_not_taken_for_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let settings = json!({ "networks": { "generator": "a" } });
        let of = |settings: &Json, seed, images| of_these(folder.path(), settings, seed, images);
        assert_eq!(of(&settings, 0, 40).unwrap(), 0, "nothing there yet");
        let run = json!({ "seed": 0, "images": 40, "batch": 4, "job": settings });
        std::fs::write(folder.path().join("run.json"), run.to_string()).unwrap();
        assert_eq!(of(&settings, 0, 40).unwrap(), 0, "no step yet");
        std::fs::write(folder.path().join("events.jsonl"), "{\"images\": 20}\n").unwrap();
        assert_eq!(of(&settings, 0, 40).unwrap(), 20);
        assert!(of(&settings, 1, 40).is_err(), "another seed");
        assert!(of(&settings, 0, 10).is_err(), "longer than asked for");
        let other = json!({ "networks": { "generator": "b" } });
        assert!(of(&other, 0, 40).is_err(), "other networks");
    }
}
