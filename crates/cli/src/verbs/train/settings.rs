//! What a training run does: a preset changed by flags; or, of a resumed run, its settings, which flags may only repeat.
//!
//! Length, ticks and snapshots change nothing that a step computes, so a resumed run may change them. The data set may have
//! moved, as long as it holds what it held.

use std::path::Path;

use domex_data::picture::Background;
use domex_data::portraits::Domain;
use domex_data::source::PictureSource;
use domex_error::user_error;
use domex_pretrain::stylegan2::{Augmentation, Config, Preset};
use domex_stylegan2::Model;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::augmentation::{ada, augmentation};
use super::{PictureArgs, Train};
use crate::context::Context;

/// The word for the built-in renderer, in place of a path.
pub const PORTRAITS: &str = "portraits";

/// Everything that `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub data: DataSettings,
    pub cfg: Preset,
    pub seed: u64,
    /// The model that it began with.
    pub model: Option<String>,
    pub config: Config,
    pub length: Length,
}

/// The pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSettings {
    /// A folder, a zip file, or [`PORTRAITS`].
    pub path: String,
    pub domain: Domain,
    /// Of the renderer.
    pub seed: u64,
    /// Width and height: wanted from the renderer, found in files.
    pub resolution: u32,
    pub labels: bool,
    pub mirror: bool,
    pub skip_bad: bool,
    #[serde(default)]
    pub background: Background,
    /// Width and height to which files are resized.
    #[serde(default)]
    pub resize: Option<u32>,
    /// 3, or 1 where all pictures are grey; found.
    #[serde(default = "colours")]
    pub channels: usize,
    /// Number of pictures, found.
    pub pictures: u64,
    /// Size of a label, found.
    pub label_dim: usize,
}

/// What a resumed run may change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Length {
    pub images: u64,
    pub tick_images: u64,
    pub snap: u64,
    pub keep: usize,
    #[serde(default = "models")]
    pub keep_models: u64,
}

/// Sizes of a StyleGAN2's pictures, in words.
const SIZES: &str = "a power of two from 4 to 4096";

/// Whether pictures of so many pixels on a side are of [`SIZES`].
fn is_size(pixels: u32) -> bool {
    pixels.is_power_of_two() && (4..=4096).contains(&pixels)
}

/// Channels of coloured pictures.
fn colours() -> usize {
    3
}

/// Ticks between models that are kept.
fn models() -> u64 {
    50
}

impl DataSettings {
    /// What the flags ask for, and where they say nothing what the resumed run had.
    pub fn wanted(
        args: &Train,
        context: &Context,
        old: Option<&Settings>,
    ) -> domex_error::Result<Self> {
        let (given, old) = (&args.pictures, old.map(|settings| &settings.data));
        let path = args
            .data
            .clone()
            .or_else(|| old.map(|old| old.path.clone()));
        let path =
            path.ok_or_else(|| user_error("--data: give a folder, a zip file or portraits"))?;
        let labels = given.cond.or(old.map(|old| old.labels)).unwrap_or(false);
        match path == PORTRAITS {
            true => refuse_of_files(given, labels)?,
            false => refuse_of_portraits(given)?,
        }
        for (flag, pixels) in [("--size", given.size), ("--resize", given.resize)] {
            if let Some(pixels) = pixels.filter(|&pixels| !is_size(pixels)) {
                return Err(user_error(format!("{flag} {pixels}: expected {SIZES}")));
            }
        }
        let domain = given.domain.as_deref().map(str::parse::<Domain>);
        let domain = domain
            .transpose()
            .map_err(|error| user_error(format!("--domain: {error}")))?;
        Ok(Self {
            path,
            domain: domain
                .or(old.map(|old| old.domain))
                .unwrap_or(Domain::Photo),
            seed: old.map_or(context.seed, |old| old.seed),
            resolution: given.size.or(old.map(|old| old.resolution)).unwrap_or(64),
            labels,
            mirror: given.mirror.or(old.map(|old| old.mirror)).unwrap_or(false),
            skip_bad: given.skip_bad || old.is_some_and(|old| old.skip_bad),
            background: given
                .background
                .or(old.map(|old| old.background))
                .unwrap_or_default(),
            resize: given.resize.or(old.and_then(|old| old.resize)),
            channels: colours(),
            pictures: 0,
            label_dim: 0,
        })
    }

    /// The same, with what was found.
    pub fn seen(&self, pictures: &dyn PictureSource) -> Self {
        Self {
            resolution: pictures.resolution(),
            channels: pictures.channels(),
            pictures: pictures.len(),
            label_dim: pictures.label_dim(),
            ..self.clone()
        }
    }
}

/// Refuses flags of rendered portraits, for pictures in files.
fn refuse_of_portraits(given: &PictureArgs) -> domex_error::Result<()> {
    for (flag, given) in [
        ("--size", given.size.is_some()),
        ("--domain", given.domain.is_some()),
    ] {
        if given {
            return Err(user_error(format!(
                "{flag}: is for --data portraits; these pictures have their own (--resize makes them smaller)"
            )));
        }
    }
    Ok(())
}

/// Refuses flags of pictures in files, for rendered portraits.
fn refuse_of_files(given: &PictureArgs, labels: bool) -> domex_error::Result<()> {
    if given.resize.is_some() {
        return Err(user_error(
            "--resize: is for pictures in files; rendered portraits have the size that --size says",
        ));
    }
    for (flag, given) in [
        ("--skip-bad", given.skip_bad),
        ("--background", given.background.is_some()),
    ] {
        if given {
            return Err(user_error(format!(
                "{flag}: is for pictures in files; rendered portraits need it not"
            )));
        }
    }
    match labels {
        true => Err(user_error(
            "--cond: rendered portraits have no labels; `domex data portraits` writes a set that has",
        )),
        false => Ok(()),
    }
}

/// The settings of the run in a folder or of a snapshot.
pub fn of_run(path: &Path) -> domex_error::Result<Settings> {
    crate::runs::settings(path, "train")
}

impl Settings {
    /// Of a new run.
    pub fn new(
        args: &Train,
        context: &Context,
        data: DataSettings,
        model: Option<&Model>,
    ) -> domex_error::Result<Self> {
        if !is_size(data.resolution) {
            return Err(user_error(format!(
                "--data {}: its pictures have {} pixels on a side, and a StyleGAN2 makes {SIZES}; --resize N brings them to such a size",
                data.path, data.resolution
            )));
        }
        let rendered = data.path == PORTRAITS;
        let cfg = match &args.settings.cfg {
            Some(name) => preset(name)?,
            None if rendered => Preset::Portraits,
            None => Preset::Auto,
        };
        let mut config = Config::preset(cfg, data.resolution as usize, data.label_dim);
        config.channels = data.channels;
        if !rendered {
            config.augment = ada();
        }
        if let Some(model) = model {
            config.batch = args.settings.batch.unwrap_or(config.batch);
            config.micro_batch = config.batch;
            config = config.with_networks_of(model)?;
            // A trained generator has no early, poor weights to forget; its discriminator needs less time.
            config.ema.ramp_up = None;
            if let Augmentation::Ada { ada, .. } = &mut config.augment {
                ada.kimg = 100.0;
            }
        }
        let kimg = match cfg {
            Preset::Cifar => 100_000,
            Preset::Portraits => 2000,
            _ => 25_000,
        };
        let settings = Self {
            data,
            cfg,
            seed: context.seed,
            model: args.model.clone(),
            config,
            length: Length {
                images: 1000 * kimg,
                tick_images: 4000,
                snap: 10,
                keep: 2,
                keep_models: models(),
            },
        };
        let mut settings = settings.changed(args)?;
        if args.settings.micro_batch.is_none() && !context.team.is_alone() {
            settings.config.micro_batch = settings.config.micro_batch_of(context.team.size());
        }
        Ok(settings)
    }

    /// Of a resumed run: its own, but for the length. Flags that say otherwise are refused.
    pub fn resumed(
        &self,
        args: &Train,
        context: &Context,
        data: DataSettings,
    ) -> domex_error::Result<Self> {
        let mut wanted = Self {
            data,
            ..self.clone()
        };
        wanted.seed = context.given_seed.unwrap_or(self.seed);
        if let Some(name) = &args.settings.cfg {
            wanted.cfg = preset(name)?;
        }
        let wanted = wanted.changed(args)?;
        let differences = self.differences(&wanted)?;
        if !differences.is_empty() {
            return Err(user_error(format!(
                "--resume: the run was made with other settings: {}; leave them out, or start a new run (with --model to begin with this one's weights)",
                differences.join(", ")
            )));
        }
        Ok(Self {
            data: DataSettings {
                path: wanted.data.path,
                skip_bad: wanted.data.skip_bad,
                ..self.data.clone()
            },
            length: wanted.length,
            ..self.clone()
        })
    }

    /// With the flags that were given.
    fn changed(mut self, args: &Train) -> domex_error::Result<Self> {
        let (config, given) = (&mut self.config, &args.settings);
        set(&mut config.gamma, given.gamma);
        set(&mut config.lr, given.lr);
        set(&mut config.freeze_d, given.freezed);
        set(&mut config.channel_base, given.channel_base);
        set(&mut config.channel_max, given.channel_max);
        set(&mut config.map_layers, given.map_depth);
        set(&mut config.mbstd_group, given.mbstd_group);
        if let Some(batch) = given.batch.filter(|batch| *batch != config.batch) {
            config.batch = batch;
            config.micro_batch = batch;
        }
        set(&mut config.micro_batch, given.micro_batch);
        config.augment = augmentation(&config.augment, &args.augmentation)?;
        config.validate()?;
        let (length, given) = (&mut self.length, &args.length);
        set(
            &mut length.images,
            given.kimg.map(|kimg| images("--kimg", kimg)).transpose()?,
        );
        set(
            &mut length.tick_images,
            given.tick.map(|kimg| images("--tick", kimg)).transpose()?,
        );
        set(&mut length.snap, given.snap);
        set(&mut length.keep, given.keep.map(usize::from));
        set(&mut length.keep_models, given.keep_models);
        Ok(self)
    }

    /// What `other` has otherwise, in words.
    fn differences(&self, other: &Self) -> domex_error::Result<Vec<String>> {
        let mut found = Vec::new();
        compare(
            "",
            &serde_json::to_value(self)?,
            &serde_json::to_value(other)?,
            &mut found,
        );
        Ok(found)
    }

    /// Whether the published settings are trained by, for the published length.
    pub fn is_for_gpus(&self) -> bool {
        self.cfg != Preset::Portraits
    }

    /// What a person wants to know before a long run.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let c = &self.config;
        let augment = match &c.augment {
            Augmentation::NoAug => "none".to_string(),
            Augmentation::Fixed { p, .. } => format!("with probability {p}"),
            Augmentation::Ada { p, ada, .. } => {
                let target = ada.target.unwrap_or_default();
                format!("adaptive from {p}, target {target}")
            }
        };
        let length = &self.length;
        let channels = match (self.data.channels, c.channels) {
            (1, 1) => Some("1: the pictures are grey"),
            (1, _) => Some("3, as the model has; the pictures are grey, three equal channels"),
            _ => None,
        };
        let channels = channels.map(|text| ("channels", text.to_owned()));
        let rest = [
            (
                "learning",
                format!(
                    "batch {} in passes of {}, learning rate {}, gamma {}, seed {}",
                    c.batch, c.micro_batch, c.lr, c.gamma, self.seed
                ),
            ),
            ("augment", augment),
            (
                "length",
                format!(
                    "{} kimg, a tick every {} kimg, a snapshot every {} ticks",
                    length.images as f64 / 1000.0,
                    length.tick_images as f64 / 1000.0,
                    length.snap
                ),
            ),
        ];
        channels.into_iter().chain(rest).collect()
    }
}

fn set<T>(slot: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *slot = value;
    }
}

fn preset(name: &str) -> domex_error::Result<Preset> {
    name.parse()
        .map_err(|error| user_error(format!("--cfg: {error}")))
}

fn images(flag: &str, kimg: f64) -> domex_error::Result<u64> {
    let images = (kimg * 1000.0).round();
    // Beyond that a count of images is no longer exact, and no run is as long.
    if !(1.0..=1e15).contains(&images) {
        return Err(user_error(format!(
            "{flag} {kimg}: expected thousands of images, at least 0.001"
        )));
    }
    Ok(images as u64)
}

/// Names of settings that a resumed run may change.
const FREE: [&str; 3] = ["length", "data.path", "data.skip_bad"];

fn compare(name: &str, old: &Json, new: &Json, found: &mut Vec<String>) {
    if FREE.contains(&name) {
        return;
    }
    if let (Json::Object(old), Json::Object(new)) = (old, new) {
        let names = old
            .keys()
            .chain(new.keys().filter(|key| !old.contains_key(*key)));
        for key in names {
            let full = match name {
                "" => key.clone(),
                _ => format!("{name}.{key}"),
            };
            let of =
                |map: &serde_json::Map<String, Json>| map.get(key).cloned().unwrap_or_default();
            compare(&full, &of(old), &of(new), found);
        }
        return;
    }
    // A number that was typed as it was printed is meant to be the same.
    let same = match (old.as_f64(), new.as_f64()) {
        (Some(old), Some(new)) if old.fract() != 0.0 => (old - new).abs() <= 1e-6 * old.abs(),
        _ => old == new,
    };
    if !same {
        let name = name.strip_prefix("config.").unwrap_or(name);
        found.push(format!("{name} (the run has {old}, asked for {new})"));
    }
}

#[cfg(test)]
mod tests;
