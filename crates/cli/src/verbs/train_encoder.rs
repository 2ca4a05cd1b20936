//! `domex train-encoder`: what finds the latents of a generator in one pass, trained on the generator's own pictures.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::DType;
use clap::Args;
use domex_error::user_error;
use domex_lpips::Lpips;
use domex_pretrain::encoder::{EncoderConfig, EncoderJob};
use serde::{Deserialize, Serialize};

use super::expand::inputs;
use super::network_run::{self, NetworkRun, RunFlags, Ticks, images, kept};
use crate::context::Context;
use crate::{assets, models, runs};

/// Length of a run of which nothing is said, in thousands of pictures.
const KIMG: f64 = 60.0;

/// Flags of `domex train-encoder`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train-encoder --model cats.safetensors --out runs/enc\n  domex train-encoder --resume runs/enc --kimg 200\n  domex invert --model cats.safetensors --encoder runs/enc/model.safetensors --image tom.jpg\n\nNo pictures are needed: the generator makes them. An encoder serves the generator that it was trained for and every model expanded from it. Ctrl-C or SIGTERM saves a snapshot and ends the run (exit code 130 or 143). The run's folder has model.safetensors, best.safetensors, found*.png (pictures above, what is found of them below) and events.jsonl."
)]
pub struct TrainEncoder {
    /// The StyleGAN2 whose latents are to be found: a checkpoint or a fetched model's name
    /// [default: $DOMEX_MODEL, else portraits, the shipped generator]
    #[arg(short, long, value_name = "FILE|NAME", conflicts_with = "resume")]
    pub model: Option<String>,
    #[command(flatten)]
    run: RunFlags,
    /// Length of the whole run in thousands of pictures [default: 60]
    #[arg(long, value_name = "KIMG")]
    pub kimg: Option<f64>,
    /// Batch size: pictures per step [default: 16]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Largest learning rate [default: 0.002]
    #[arg(long, value_name = "LR")]
    pub lr: Option<f64>,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "resume")]
    pub perceptual: Option<PathBuf>,
}

/// What `run.json` and the snapshots of a run say of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: String,
    perceptual: PathBuf,
    /// What both files were when the run began.
    sha256: runs::Hashes,
    ticks: Ticks,
    config: EncoderConfig,
}

/// Runs the verb.
pub fn run(context: &Context, args: &TrainEncoder) -> domex_error::Result<ExitCode> {
    let (out, old): (_, Option<Settings>) = args.run.begin("train-encoder")?;
    let (name, given) = match &old {
        Some(old) => {
            runs::reopen(&old.sha256)?;
            (old.model.clone(), Some(old.perceptual.clone()))
        }
        None => (
            inputs::model(args.model.as_deref())?,
            args.perceptual.clone(),
        ),
    };
    let file = models::resolve("--model", &name)?;
    let perceptual = match &given {
        Some(wanted) => models::perceptual(wanted)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| user_error(format!("no --perceptual, and {error}")))?,
    };
    let perceptual = std::path::absolute(perceptual)?;
    let model = models::open(&context.device, "--model", &name)?.stylegan2(&name)?;
    let mut settings = match old {
        Some(old) => resumed(old, args)?,
        None => Settings {
            config: config(args, context, EncoderConfig::new(&model, 0)?)?,
            model: name,
            perceptual: perceptual.clone(),
            sha256: runs::hashes(vec![file.clone(), perceptual.clone()])?,
            ticks: args.run.ticks(None)?,
        },
    };
    settings.ticks = args.run.ticks(Some(settings.ticks))?;
    if let Some(kimg) = args.kimg {
        settings.config.learning.images = images("--kimg", kimg)?;
    }
    let network = &settings.config.network;
    context.say(&format!(
        "latents   {} of {} directions, {} pixels on a side",
        network.coordinates, network.latent_dim, network.size
    ));
    let run = NetworkRun {
        out: &out,
        images: settings.config.learning.images,
        seed: settings.config.seed,
        ticks: settings.ticks,
        inputs: vec![file, perceptual.clone()],
        settings: &settings,
    };
    let run = args.run.config(context, run)?;
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    if args.run.ends_dry(context, &out, &settings) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut job = EncoderJob::new(settings.config.clone(), &model, perceptual, &context.device)?;
    drop(model);
    let outcome = domex_train::run(&mut job, &run)?;
    Ok(network_run::ended(context, "train-encoder", &out, &outcome))
}

/// The settings of a resumed run, which flags may only repeat.
fn resumed(old: Settings, args: &TrainEncoder) -> domex_error::Result<Settings> {
    let learning = &old.config.learning;
    if args.batch.is_some_and(|batch| batch != learning.batch) {
        return Err(kept("--batch"));
    }
    if args.lr.is_some_and(|lr| lr != learning.lr) {
        return Err(kept("--lr"));
    }
    Ok(old)
}

/// The shipped recipe, changed by flags.
fn config(
    args: &TrainEncoder,
    context: &Context,
    recipe: EncoderConfig,
) -> domex_error::Result<EncoderConfig> {
    let mut config = recipe;
    config.learning.images = images("--kimg", args.kimg.unwrap_or(KIMG))?;
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
