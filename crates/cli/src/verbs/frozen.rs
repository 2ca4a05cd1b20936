//! What `domex train-hyperdomain` and `domex train-degan` have in common: a generator that stays as it is, and CLIP models.

use std::path::{Path, PathBuf};

use candle_core::DType;
use domex_error::user_error;
use domex_nada::Guide;
use domex_stylegan2::Generator;

use super::domains::file::fingerprint;
use super::expand::inputs::{self, named};
use super::expand::settings::ClipModel;
use crate::context::Context;
use crate::paths::text;
use crate::{assets, models};

/// What the shipped generator is guided by, first what networks read.
const SHIPPED: [&str; 2] = ["robust", "fine"];

/// A generator that stays as it is.
pub struct Frozen {
    /// Its file.
    pub path: PathBuf,
    /// Without what its domains add: a network is for the generator itself.
    pub generator: Generator,
    /// Hash of its names and numbers.
    pub hash: String,
}

impl Frozen {
    /// By what was typed; or that of a run that is resumed.
    pub fn open(
        context: &Context,
        wanted: Option<&str>,
        old: Option<&Path>,
    ) -> domex_error::Result<Self> {
        let path = match old {
            Some(old) => old.to_owned(),
            None => inputs::model(wanted)?.into(),
        };
        let shown = text(&path);
        let model = models::open(&context.device, "--model", &shown)?.stylegan2(&shown)?;
        Ok(Self {
            generator: Generator::from_tensors(&model.g_ema.tensors(), model.config())?,
            hash: fingerprint(&model)?,
            path,
        })
    }

    /// Whether it is the shipped one.
    pub fn is_shipped(&self) -> bool {
        assets::is_generator(&self.path)
    }

    /// The CLIP models of the flags, else those that know the shipped generator's pictures.
    pub fn clip_models(&self, wanted: &[String]) -> domex_error::Result<Vec<ClipModel>> {
        let names: Vec<&str> = match wanted.is_empty() {
            false => wanted.iter().map(String::as_str).collect(),
            true if self.is_shipped() => SHIPPED.to_vec(),
            true => {
                return Err(user_error(
                    "--clip: the shipped CLIP models know the shipped generator's pictures only; give one for this generator, such as ViT-B/32 after `domex fetch ViT-B/32`",
                ));
            }
        };
        names.into_iter().map(|name| named(name, 1.0)).collect()
    }
}

/// CLIP models and the hashes of their files.
pub fn guides(
    context: &Context,
    models: &[ClipModel],
) -> domex_error::Result<(Vec<Guide>, Vec<String>)> {
    let guide = |model: &ClipModel| -> domex_error::Result<_> {
        let hash = domex_checkpoint::sha256_file(&model.path)?;
        Ok((model.guide(DType::F32, &context.device)?, hash))
    };
    models.iter().map(guide).collect()
}

/// Tells which generator and which CLIP models a run has.
pub fn tell(context: &Context, model: &Path, clip: &[ClipModel]) {
    context.say(&format!("generator {}", assets::shown(model)));
    let clip: Vec<&str> = clip.iter().map(|clip| clip.name.as_str()).collect();
    context.say(&format!("CLIP      {}", clip.join(", ")));
}

/// The files of these networks.
pub fn files(clip: &[ClipModel], perceptual: Option<&Path>, generator: &Path) -> Vec<PathBuf> {
    let clip = clip.iter().map(|clip| clip.path.clone());
    let others = perceptual.into_iter().chain([generator]);
    clip.chain(others.map(Path::to_owned)).collect()
}
