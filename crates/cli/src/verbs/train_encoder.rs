//! `domex train-encoder`: what finds the latents of a generator in one pass, trained on the generator's own pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::DType;
use clap::Args;
use domex_error::user_error;
use domex_lpips::Lpips;
use domex_pretrain::encoder::{EncoderConfig, EncoderJob};
use domex_train::{Resume, RunConfig};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::context::Context;
use crate::paths::text;
use crate::{assets, models, runs};

/// Length of a run of which nothing is said, in thousands of pictures.
const KIMG: f64 = 60.0;

/// Thousands of pictures from one tick to the next.
const TICK: f64 = 4.0;

/// Flags of `domex train-encoder`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train-encoder --model cats.safetensors --out runs/enc\n  domex train-encoder --resume runs/enc --kimg 200\n  domex invert --model cats.safetensors --encoder runs/enc/model.safetensors --image tom.jpg\n\nNo pictures are needed: the generator makes them. An encoder serves the generator that it was trained for and every model\nexpanded from it. Ctrl-C or SIGTERM saves a snapshot and ends the run (exit code 130 or 143). The run's folder has\nmodel.safetensors, best.safetensors, found*.png (pictures above, what is found of them below) and events.jsonl."
)]
pub struct TrainEncoder {
    /// The StyleGAN2 whose latents are to be found: a checkpoint or a fetched model's name
    /// [default: portraits, the shipped generator]
    #[arg(short, long, value_name = "FILE|NAME", env = "DOMEX_MODEL")]
    pub model: Option<String>,
    /// The run's folder, created if absent [default with --resume: the folder of that run]
    #[arg(
        short,
        long,
        visible_alias = "outdir",
        value_name = "DIR",
        required_unless_present = "resume"
    )]
    pub out: Option<PathBuf>,
    /// Resume a run: its folder, or one of its snapshots. Its settings stay; only its length may change
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Start a new run in a folder that has files; files of another run are removed
    #[arg(long)]
    pub force: bool,
    /// Length of the whole run in thousands of pictures [default: 60]
    #[arg(long, value_name = "KIMG")]
    pub kimg: Option<f64>,
    /// Thousands of pictures per tick; each tick prints a line, saves a snapshot and draws found*.png [default: 4]
    #[arg(long, value_name = "KIMG")]
    pub tick: Option<f64>,
    /// Batch size: pictures per step [default: 16]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Largest learning rate [default: 0.002]
    #[arg(long, value_name = "LR")]
    pub lr: Option<f64>,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
}

/// What `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: String,
    /// The shipped network where none was given.
    perceptual: Option<PathBuf>,
    seed: u64,
    config: EncoderConfig,
}

/// Runs the verb.
pub fn run(context: &Context, args: &TrainEncoder) -> domex_error::Result<ExitCode> {
    let old: Option<Settings> = match &args.resume {
        Some(run) => Some(runs::settings(run, "train-encoder")?),
        None => None,
    };
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    if old.is_none() && !args.force {
        runs::refuse_occupied(&out)?;
    }
    let length = thousands("--kimg", args.kimg)?;
    let tick_images = thousands("--tick", args.tick)?.unwrap_or((TICK * 1000.0) as u64);
    let name = args.model.clone();
    let name = name.or(old.as_ref().map(|old| old.model.clone()));
    let name = name.unwrap_or_else(|| models::PORTRAITS.to_owned());
    let file = models::resolve(&name)?;
    let given = args.perceptual.clone();
    let given = given.or(old.as_ref().and_then(|old| old.perceptual.clone()));
    let perceptual = match &given {
        Some(wanted) => models::perceptual(wanted)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| user_error(format!("no --perceptual, and {error}")))?,
    };
    let model = models::open(&context.device, &name)?.stylegan2(&name)?;
    let settings = match old {
        Some(old) => resumed(old, args, context)?,
        None => Settings {
            config: config(args, context, EncoderConfig::new(&model, 0)?)?,
            model: name,
            perceptual: given,
            seed: context.seed,
        },
    };
    let images = length.unwrap_or(settings.config.learning.images);
    let network = &settings.config.network;
    context.say(&format!(
        "latents   {} of {} directions, {} pixels on a side",
        network.coordinates, network.latent_dim, network.size
    ));
    context.say(&format!("folder    {}", out.display()));
    let run = RunConfig {
        force: args.force,
        inputs: vec![file, perceptual.clone()],
        images,
        tick_images: tick_images.min(images),
        snap: 1,
        seed: settings.seed,
        resume: args.resume.clone().map_or(Resume::No, Resume::From),
        show: context.show(),
        settings: serde_json::to_value(&settings)?,
        ..RunConfig::new(&out)
    };
    run.check_inputs()?;
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    let mut config = settings.config.clone();
    config.learning.images = images;
    let mut job = EncoderJob::new(config, &model, perceptual, &context.device)?;
    drop(model);
    let outcome = domex_train::run(&mut job, &run)?;
    let kimg = outcome.clock.kimg();
    context.say(&match outcome.signal {
        Some(_) => format!(
            "stopped after {kimg} kimg; resume with: domex train-encoder --resume {}",
            out.display()
        ),
        None => format!("{} after {kimg} kimg", outcome.model.display()),
    });
    context.result(&json!({
        "out": text(&out),
        "model": text(&outcome.model),
        "snapshot": text(&outcome.snapshot),
        "step": outcome.clock.step,
        "images": outcome.clock.images,
        "seconds": outcome.clock.seconds,
        "signal": outcome.signal,
        "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
    }));
    Ok(ExitCode::from(outcome.exit_code()))
}

/// The settings of a resumed run, which flags may only repeat.
fn resumed(old: Settings, args: &TrainEncoder, context: &Context) -> domex_error::Result<Settings> {
    let learning = &old.config.learning;
    let changed = [
        (
            "--batch",
            args.batch.is_some_and(|batch| batch != learning.batch),
        ),
        ("--lr", args.lr.is_some_and(|lr| lr != learning.lr)),
        (
            "--seed",
            context.given_seed.is_some_and(|seed| seed != old.seed),
        ),
    ];
    match changed.iter().find(|(_, changed)| *changed) {
        Some((flag, _)) => Err(user_error(format!(
            "{flag}: a resumed run keeps its settings; leave the flag out, or start a new run"
        ))),
        None => Ok(old),
    }
}

/// The shipped recipe, changed by flags.
fn config(
    args: &TrainEncoder,
    context: &Context,
    recipe: EncoderConfig,
) -> domex_error::Result<EncoderConfig> {
    let mut config = recipe;
    let images = thousands("--kimg", args.kimg)?;
    config.learning.images = images.unwrap_or((KIMG * 1000.0) as u64);
    config.learning.batch = args.batch.unwrap_or(config.learning.batch);
    config.learning.lr = args.lr.unwrap_or(config.learning.lr);
    config.seed = context.seed;
    if config.learning.batch == 0 {
        return Err(user_error("--batch 0: give at least 1"));
    }
    let lr = config.learning.lr;
    if !(lr.is_finite() && lr > 0.0) {
        return Err(user_error(format!("--lr {lr}: give a positive number")));
    }
    Ok(config)
}

/// A number of thousands, as pictures.
fn thousands(flag: &str, kimg: Option<f64>) -> domex_error::Result<Option<u64>> {
    let Some(kimg) = kimg else {
        return Ok(None);
    };
    let images = (kimg * 1000.0).round();
    match images.is_finite() && images >= 1.0 {
        true => Ok(Some(images as u64)),
        false => Err(user_error(format!("{flag} {kimg}: give a positive number"))),
    }
}
