//! The runs.

use std::{process::ExitCode, sync::Arc, time::Instant};

use candle_core::{DType, Device};
use domex_checkpoint::container::Container;
use domex_clip::Bundle;
use domex_data::{
    portraits::Domain,
    source::{PictureSource, Portraits},
};
use domex_error::{Context, Result, user_error};
use domex_pretrain::{
    clip::{ClipConfig, ClipJob},
    diffae::{AutoencoderConfig, AutoencoderJob, PriorConfig, PriorJob},
    encoder::{EncoderConfig, EncoderJob},
    judge::{JudgeConfig, JudgeJob},
    perceptual::{PerceptualConfig, PerceptualJob},
    portraits::{self, Painter, World, recipes},
    scenes::Scenes,
    stylegan2::{self, Start, StyleGan2},
    teacher::{TeacherConfig, TeacherJob, Texts},
};
use domex_stylegan2::Model;
use domex_train::{Clock, Job, Resume, RunConfig, progress::Show, run};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{Args, ImageEncoder, What, settings};
use crate::out::say;

/// Length of a run of which nothing is said, in pictures.
fn images(what: What) -> u64 {
    match what {
        What::Generator => 450_000,
        What::Diffae => 1_000_000,
        _ => 100_000,
    }
}

/// Pixels on a side of what the generator makes.
const SIDE: usize = 64;

/// Pictures of a tick, where the run is long enough.
const TICK: u64 = 8000;

/// Steps whose speed says how long a run is.
const TRIAL: u64 = 12;

impl From<ImageEncoder> for portraits::ImageEncoder {
    fn from(encoder: ImageEncoder) -> Self {
        match encoder {
            ImageEncoder::Resnet => Self::ResNet,
            ImageEncoder::Vit => Self::Vit,
        }
    }
}

/// Settings that the command line can change.
trait Recipe: Serialize + DeserializeOwned + Clone {
    fn start(&self, args: &Args, world: Arc<dyn Scenes>) -> Result<Box<dyn Job>>;
    fn set(&mut self, images: u64, seed: u64);
}

impl Recipe for JudgeConfig {
    fn start(&self, _: &Args, world: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        Ok(Box::new(JudgeJob::new(self.clone(), world, &Device::Cpu)?))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

impl Recipe for PerceptualConfig {
    fn start(&self, _: &Args, world: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        Ok(Box::new(PerceptualJob::new(
            self.clone(),
            world,
            &Device::Cpu,
        )?))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

impl Recipe for stylegan2::Config {
    fn start(&self, args: &Args, _: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let side = self.resolution as u32;
        let photos = photos(args, self.resolution)?;
        let start = match &args.from {
            Some(file) => Start::Model(Box::new(Model::load(file, &Device::Cpu)?)),
            None => Start::Random,
        };
        let job = StyleGan2::new(self.clone(), photos, &start, args.seed, &Device::Cpu)?;
        Ok(Box::new(job.with_teacher(Box::new(Painter { side }))))
    }
    fn set(&mut self, _: u64, _: u64) {}
}

impl Recipe for AutoencoderConfig {
    fn start(&self, args: &Args, _: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let photos = photos(args, self.network.unet.image_size)?;
        let Some(file) = &args.from else {
            let job = AutoencoderJob::new(self.clone(), photos, &Device::Cpu)?;
            return Ok(Box::new(job));
        };
        let begun = domex_diffae::Model::load(file, &Device::Cpu)?;
        let tensors = begun.tensors().clone();
        let job = AutoencoderJob::from(tensors, self.clone(), photos, &Device::Cpu)?;
        Ok(Box::new(job))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

/// An autoencoder that begins with the encoder of one and the U-Net of a teacher; or, if that one has such a U-Net already, with all
/// of it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Refined(AutoencoderConfig);

impl Recipe for Refined {
    fn start(&self, args: &Args, _: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let file = args.from.as_ref().ok_or_else(|| {
            user_error("no autoencoder whose encoder to take: pass --from, or make it first with --only autoencoder")
        })?;
        let photos = photos(args, self.0.network.unet.image_size)?;
        let begun = domex_diffae::Model::load(file, &Device::Cpu)?;
        let mut tensors = begun.tensors().clone();
        if begun.config().unet != self.0.network.unet {
            tensors.retain(|name, _| name.starts_with("encoder."));
            let teacher = Container::open(args.network("teacher"))?;
            for name in teacher.names() {
                if let Some(own) = name.strip_prefix("unet.") {
                    let tensor = teacher.tensor(name, &Device::Cpu)?;
                    tensors.insert(own.to_owned(), tensor.to_dtype(DType::F32)?);
                }
            }
        }
        let job = AutoencoderJob::from(tensors, self.0.clone(), photos, &Device::Cpu)?;
        Ok(Box::new(job))
    }
    fn set(&mut self, images: u64, seed: u64) {
        self.0.set(images, seed);
    }
}

impl Recipe for PriorConfig {
    fn start(&self, args: &Args, _: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let file = args.from.as_ref().ok_or_else(|| {
            user_error("no autoencoder to encode pictures with: pass --from, or make it first with --only autoencoder")
        })?;
        let model = domex_diffae::Model::load(file, &Device::Cpu)?;
        let photos = photos(args, model.config().unet.image_size)?;
        let job = PriorJob::new(self.clone(), model, photos, &Device::Cpu)?;
        Ok(Box::new(job))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

impl Recipe for ClipConfig {
    fn start(&self, args: &Args, world: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let Some(file) = &args.from else {
            return Ok(Box::new(ClipJob::new(self.clone(), world, &Device::Cpu)?));
        };
        let (tensors, _) = domex_clip::load::read(file)?;
        let tensors = tensors
            .into_iter()
            .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F32)?)));
        let tensors = tensors.collect::<Result<_>>()?;
        Ok(Box::new(ClipJob::from(
            tensors,
            self.clone(),
            world,
            &Device::Cpu,
        )?))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

impl Recipe for EncoderConfig {
    fn start(&self, args: &Args, _: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let model = args.generator()?;
        let job = EncoderJob::new(self.clone(), &model, args.perceptual()?, &Device::Cpu)?;
        Ok(Box::new(job))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

impl Recipe for TeacherConfig {
    fn start(&self, args: &Args, world: Arc<dyn Scenes>) -> Result<Box<dyn Job>> {
        let clip = Bundle::load(args.text_encoder(), DType::F32, &Device::Cpu)?;
        let texts = Texts::new(&*world, &self.domains, &clip)?;
        let job = TeacherJob::new(self.clone(), world, texts, &Device::Cpu)?;
        Ok(Box::new(job))
    }
    fn set(&mut self, images: u64, seed: u64) {
        (self.learning.images, self.seed) = (images, seed);
    }
}

/// Pictures of the source domain only: the others are what an expansion is to teach.
fn photos(args: &Args, side: usize) -> Result<Box<dyn PictureSource>> {
    Ok(Box::new(Portraits::new(
        args.seed,
        Domain::Photo,
        side as u32,
    )?))
}

/// Trains what the arguments ask for.
pub fn train(args: &Args, what: What) -> Result<ExitCode> {
    let world = World::new();
    let images = images(what);
    match what {
        What::Generator => go(args, what, &recipes::generator(SIDE), world),
        What::Autoencoder => go(args, what, &recipes::autoencoder(SIDE, images), world),
        What::Refined => {
            let recipe = Refined(recipes::refined(SIDE, images));
            go(&after(args, "autoencoder"), what, &recipe, world)
        }
        What::Diffae => {
            let args = after(&after(args, "refined"), "autoencoder");
            go(&args, what, &recipes::prior(images), world)
        }
        What::Judge => go(args, what, &recipes::judge(&world, images), world),
        What::Perceptual => go(args, what, &recipes::perceptual(images), world),
        What::Plain => go(
            args,
            what,
            &recipes::plain(&world, args.encoder.into(), images)?,
            world,
        ),
        What::Robust => {
            let recipe = recipes::robust(&world, args.encoder.into(), images)?;
            go(&after(args, "plain"), what, &recipe, world)
        }
        What::Fine => {
            let recipe = recipes::fine(&world, args.encoder.into(), images)?;
            go(&after(args, "robust"), what, &recipe, world)
        }
        What::Teacher => {
            let clip = Bundle::load(args.text_encoder(), DType::F32, &Device::Cpu)?;
            let recipe = recipes::teacher(clip.clip.config().embed_dim, images);
            go(args, what, &recipe, world)
        }
        What::Encoder => {
            let recipe = EncoderConfig::new(&args.generator()?, images)?;
            go(args, what, &recipe, world)
        }
        What::Steer
        | What::Retrieval
        | What::Inversion
        | What::Reconstruction
        | What::Measure
        | What::Distances
        | What::Degan
        | What::Hyperdomain
        | What::Ship => Err(user_error("this trains nothing")),
    }
}

/// From the network of that run on, unless another is given or there is none.
fn after(args: &Args, run: &str) -> Args {
    let mut args = args.clone();
    let made = args.made(run);
    args.from = args.from.or(Some(made).filter(|file| file.is_file()));
    args
}

fn go<R: Recipe>(args: &Args, what: What, recipe: &R, world: World) -> Result<ExitCode> {
    let (folder, world) = (args.folder(what)?, Arc::new(world) as Arc<dyn Scenes>);
    let mut args = args.clone();
    let (recipe, images) = if args.resume {
        let old = settings::of_run::<R>(&folder)?;
        args.seed = old.seed;
        (old.settings, args.kimg.map_or(old.images, thousands))
    } else {
        let mut recipe = settings::changed(recipe, &args.set)?;
        let images = length(&args, what, &recipe, &world)?;
        recipe.set(images, args.seed);
        (recipe, images)
    };
    let mut job = recipe.start(&args, world)?;
    let config = RunConfig {
        images,
        tick_images: TICK.min((images / 4).max(1)),
        snap: 1,
        seed: args.seed,
        force: args.force,
        resume: if args.resume {
            Resume::From(folder.clone())
        } else {
            Resume::No
        },
        show: if args.json { Show::Json } else { Show::Text },
        settings: serde_json::to_value(&recipe)?,
        ..RunConfig::new(&folder)
    };
    let outcome = run(job.as_mut(), &config).with_context(|| folder.display().to_string())?;
    say!("{}", outcome.model.display());
    Ok(ExitCode::from(outcome.exit_code()))
}

fn thousands(kimg: f64) -> u64 {
    (kimg * 1000.0) as u64
}

/// How many pictures the run is long.
fn length<R: Recipe>(args: &Args, what: What, recipe: &R, world: &Arc<dyn Scenes>) -> Result<u64> {
    if let Some(kimg) = args.kimg {
        return Ok(thousands(kimg));
    }
    let Some(minutes) = args.minutes else {
        return Ok(images(what));
    };
    // A run of its own that is thrown away: the real one begins with fresh streams.
    let mut trial = recipe.start(args, Arc::clone(world))?;
    let mut clock = Clock::default();
    let mut start = Instant::now();
    for step in 0..=TRIAL {
        if step == 1 {
            start = Instant::now(); // the first one also warms up
        }
        // Late enough that attacks have their full strength.
        clock.images = images(what) / 2;
        clock.step = step;
        trial.step(&clock)?;
    }
    let speed = (TRIAL as f64 * trial.batch() as f64) / start.elapsed().as_secs_f64();
    let images = (speed * minutes * 60.0) as u64;
    eprintln!("{speed:.0} pictures a second: {images} in {minutes} minutes");
    Ok(images.max(trial.batch() as u64))
}
