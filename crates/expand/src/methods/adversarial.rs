//! Domains from a folder or zip of pictures, by a discriminator.
//!
//! ```text
//! L = Σ over samples softplus(−D(t(edited), d)) + correspondence · KL(likenesses of base ‖ likenesses of edited)
//! ```
//!
//! One discriminator serves all such domains of a run ([`DomainDiscriminator`](domex_gan::DomainDiscriminator)). It begins from that of the source domain,
//! with its first layers left as they are (freeze-D), or at random where the model has none. What it is shown is augmented as
//! strongly as each domain needs it (ADA), and R1 regularises it on each domain by itself. Cross-domain correspondence
//! ([`correspondence`](domex_replay::correspondence())) keeps people as unlike each other as the source has them.
//!
//! The samples that the method has in a step are of one domain, drawn anew for each step: minibatch statistics and
//! correspondence compare them with one another, pass by pass where a step has several. What the generator is told is then what
//! the discriminator has learnt by: both see one pass at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_data::picture;
use domex_data::source::{self, PictureSource};
use domex_gan::Widths;
use domex_gan::augment::{Ada, AdaConfig, Augment, AugmentConfig};
use domex_ops::upload;
use domex_random::Stream;
use domex_train::adam::AdamConfig;
use domex_train::lazy::Lazy;
use domex_train::{Measures, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::discriminator::{TrainedDiscriminator, pick};
use super::{Kind, ListFiles, Needs, World, file_names, keys, resolve_path};
use crate::method::{Shown, Turn};
use crate::{Config, Error, LossPart, Method, Result, Samples, TaskSpec};

/// The method's line of registration.
pub struct Adversarial;

/// The fewest pictures that a discriminator can learn a domain from.
pub const FEWEST: u64 = 40;

/// Steps between two adjustments of the augmentation.
const ADA_INTERVAL: u64 = 4;

/// Settings, by their published names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdversarialConfig {
    /// Learning rate of the discriminator; the optimizer's betas are 0 and 0.99.
    pub lr: f64,
    /// Weight of R1.
    pub gamma: f64,
    /// Steps of a domain from one R1 to the next.
    pub r1_interval: u64,
    /// Layers that stay as they are, the first ones, where the discriminator begins from the source's.
    pub freeze_d: usize,
    /// The mean sign of what it says of real pictures at which augmentation stays as strong as it is; 1 for none.
    pub ada_target: f64,
    /// Thousands of a domain's pictures over which augmentation goes from nothing to always.
    pub ada_kimg: f64,
    /// How likely each change is, as a multiplier of ADA's probability.
    pub augment: AugmentConfig,
    /// Weight of cross-domain correspondence.
    pub correspondence: f64,
    /// Features times resolution, of a discriminator that begins at random.
    pub channel_base: usize,
    /// The most features, of the same.
    pub channel_max: usize,
}

impl Default for AdversarialConfig {
    fn default() -> Self {
        let widths = Widths::default();
        Self {
            lr: 0.002,
            gamma: 1.0,
            r1_interval: 16,
            freeze_d: 4,
            ada_target: 0.6,
            ada_kimg: 20.0,
            augment: AugmentConfig::default(),
            correspondence: 20.0,
            channel_base: widths.channel_base,
            channel_max: widths.channel_max,
        }
    }
}

impl AdversarialConfig {
    /// # Errors
    ///
    /// A number out of range.
    pub fn validate(&self) -> Result<()> {
        let name = |key: &str| format!("adversarial.{key}");
        for (key, value) in [("lr", self.lr), ("ada_kimg", self.ada_kimg)] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(name(key), value, "a number above 0"));
            }
        }
        for (key, value) in [
            ("gamma", self.gamma),
            ("correspondence", self.correspondence),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(name(key), value, "0 or more"));
            }
        }
        if !(-1.0..=1.0).contains(&self.ada_target) {
            let expected = "-1 to 1";
            return Err(Error::setting(
                name("ada_target"),
                self.ada_target,
                expected,
            ));
        }
        for (key, value) in [
            ("channel_base", self.channel_base),
            ("channel_max", self.channel_max),
        ] {
            if !(1..=1 << 20).contains(&value) {
                return Err(Error::setting(name(key), value, "1 to 1048576"));
            }
        }
        Lazy::new(self.r1_interval)
            .map_err(|_| Error::setting(name("r1_interval"), 0, "1 step or more"))?;
        Augment::new(self.augment.clone())
            .map_err(|error| Error::setting(name("augment"), error, "multipliers from 0 to 10"))?;
        Ok(())
    }

    pub(super) fn adam(&self) -> Result<AdamConfig> {
        let adam = AdamConfig {
            lr: self.lr,
            beta1: 0.0,
            beta2: 0.99,
            eps: 1e-8,
            weight_decay: 0.0,
        };
        Ok(Lazy::new(self.r1_interval)?.corrected(adam))
    }

    pub(super) fn ada(&self) -> Result<Ada> {
        let config = AdaConfig {
            target: Some(self.ada_target),
            interval: ADA_INTERVAL,
            kimg: self.ada_kimg,
        };
        Ok(Ada::new(config, 0.0)?)
    }
}

/// Keys of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    /// A folder, with its sub-folders, or a zip file.
    pictures: PathBuf,
}

/// The domain of the pictures in this folder or zip file.
pub fn folder(name: impl Into<String>, pictures: &Path) -> TaskSpec {
    let mut task = TaskSpec::of(&Adversarial);
    task.name = Some(name.into());
    task.set("pictures", json!(pictures));
    task
}

impl Kind for Adversarial {
    fn name(&self) -> &'static str {
        "adversarial"
    }

    fn keys(&self) -> &'static [&'static str] {
        &["pictures"]
    }

    fn default_name(&self, task: &TaskSpec) -> String {
        let own: Result<Keys> = keys(task);
        let stem = own.ok().and_then(|own| {
            let stem = own.pictures.file_stem()?;
            Some(stem.to_string_lossy().into_owned())
        });
        stem.unwrap_or_default()
    }

    fn check(&self, task: &TaskSpec) -> Result<()> {
        if let Some(Json::Array(_)) = task.keys().get("pictures") {
            let expected = "one folder or zip file; method \"nada\" takes a list of a few";
            return Err(Error::setting("pictures", "a list", expected));
        }
        let own: Keys = keys(task)?;
        match own.pictures.as_os_str().is_empty() {
            true => Err(Error::setting(
                "pictures",
                "an empty path",
                "a folder or zip file",
            )),
            false => Ok(()),
        }
    }

    fn resolve(&self, task: &mut TaskSpec, list: &dyn ListFiles) -> Result<()> {
        resolve_path(task, "pictures", list)
    }

    /// None that are read whole: a set may be larger than memory, and is told by some of its pictures.
    fn files(&self, _: &TaskSpec) -> Vec<PathBuf> {
        Vec::new()
    }

    fn sets(&self, task: &TaskSpec) -> Vec<PathBuf> {
        keys(task).map_or(Vec::new(), |own: Keys| vec![own.pictures])
    }

    fn needs(&self, _: &Config) -> Needs {
        Needs {
            perceptual: true,
            ..Needs::default()
        }
    }

    fn describe(&self, task: &TaskSpec) -> String {
        keys(task).map_or(String::new(), |own: Keys| {
            let path = own.pictures.display();
            format!("the pictures in {path}, by a discriminator")
        })
    }

    fn record(&self, task: &TaskSpec) -> Json {
        keys(task).map_or(
            Json::Null,
            |own: Keys| json!({ "type": "adversarial", "pictures": file_names(&[own.pictures]) }),
        )
    }

    fn official(&self, _: &Json) -> std::result::Result<TaskSpec, String> {
        Err("the published programs have no method of this name".to_owned())
    }

    fn build(&self, tasks: &[&TaskSpec], world: &World<'_>) -> Result<Box<dyn Method>> {
        let names = tasks.iter().map(|task| task.name()).collect();
        let config = world.config.adversarial.clone();
        let pictures = tasks.iter().map(|task| pictures(task, world));
        Ok(Box::new(ByDiscriminator {
            pictures: pictures.collect::<Result<_>>()?,
            discriminator: TrainedDiscriminator::new(self.name(), names, config, world)?,
        }))
    }
}

/// A discriminator that is shown the pictures of each domain. See the top of this module.
pub struct ByDiscriminator {
    discriminator: TrainedDiscriminator,
    /// Of each domain.
    pictures: Vec<Arc<dyn PictureSource>>,
}

impl Method for ByDiscriminator {
    fn name(&self) -> &str {
        Adversarial.name()
    }

    fn wants_one_task(&self) -> bool {
        true
    }

    fn is_measured_by_what_it_trains(&self) -> bool {
        true
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
        let (total, per_sample) = self.discriminator.loss(samples, stream)?;
        Ok(LossPart { total, per_sample })
    }

    fn learn(&mut self, passes: &[Shown], turn: &mut Turn<'_>) -> Result<()> {
        let (sets, device) = (&self.pictures, self.discriminator.device().clone());
        let draw = |stream: &mut Stream, domain: usize, n: usize| -> Result<Tensor> {
            let pictures = &*sets[domain];
            let len = usize::try_from(pictures.len()).unwrap_or(usize::MAX);
            let numbers = pick(stream, len, n)?.into_iter();
            let numbers: Vec<u64> = numbers.map(|number| number as u64).collect();
            let (pictures, _) = source::batch(pictures, &numbers)?;
            let pictures = picture::from_rgb(&pictures, DType::F32, &Device::Cpu)?;
            Ok(upload(&pictures, &device)?)
        };
        self.discriminator.learn(passes, turn, draw)
    }

    fn measures(&self, measures: &mut Measures) {
        self.discriminator.measures(measures);
    }

    fn save(&self, state: &mut State) -> Result<()> {
        self.discriminator.save(state)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.discriminator.restore(state)
    }
}

/// The pictures of a task, if they fit.
fn pictures(task: &TaskSpec, world: &World<'_>) -> Result<Arc<dyn PictureSource>> {
    let own: Keys = keys(task)?;
    let Some(pictures) = world.sets.get(&own.pictures) else {
        let problem = "the set of pictures was not opened";
        return Err(Error::file(&own.pictures, problem));
    };
    let count = pictures.len();
    if count < FEWEST {
        let problem = format!(
            "{count} pictures, expected {FEWEST} or more for method \"adversarial\"; a few pictures are learnt by method \
             \"nada\" with a list of them, and a person by \"mystyle\""
        );
        return Err(Error::file(&own.pictures, problem));
    }
    let (side, found) = (world.resolution, pictures.resolution() as usize);
    if found != side {
        let problem =
            format!("pictures of {found} × {found}, expected {side} × {side}, as the generator's");
        return Err(Error::file(&own.pictures, problem));
    }
    Ok(pictures.clone())
}
