//! `domex train`: a StyleGAN2 trained on pictures.
//!
//! The flags, and the order of the steps. [`settings`] combines flags, presets and the run that is resumed.

mod augmentation;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use domex_data::counted;
use domex_data::picture::Background;
use domex_data::source::{self, LabelsFrom, Opened, PictureSource, Portraits};
use domex_error::user_error;
use domex_pretrain::stylegan2::{Start, StyleGan2};
use domex_train::{Outcome, Resume, RunConfig, memory};
use serde_json::json;

use super::network_run;
use crate::context::Context;
use crate::paths::text;
use crate::{datasets, models, runs};
use settings::{DataSettings, PORTRAITS, Settings};

/// Flags of `domex train`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train --data photos.zip --out runs/photos --mirror\n  domex train --data portraits --size 64 --out runs/portraits --kimg 2000\n  domex train --data cats --out runs/cats --model dogs.safetensors --freezed 10\n  domex train --resume runs/photos\n  domex train --resume runs/photos --kimg 50000\n\nCtrl-C or SIGTERM saves a snapshot and ends the run (exit code 130 or 143); a resumed run ends with the same bits as one that was never stopped. The run's folder has model.safetensors for the other verbs, network-snapshot-*.safetensors to choose from, fakes*.png, events.jsonl, TensorBoard events and snapshots/. The exit code is 2 also when the disk is full or the losses are not finite."
)]
pub struct Train {
    /// Training pictures: a folder, a zip file (stylegan2-ada layout), or the built-in renderer
    #[arg(
        long,
        value_name = "DIR|ZIP|portraits",
        required_unless_present = "resume"
    )]
    pub data: Option<String>,
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
    /// Start from the weights of a model instead of random ones
    #[arg(short, long, value_name = "FILE|NAME", conflicts_with_all = ["resume", "channel_base", "channel_max", "map_depth", "mbstd_group"])]
    pub model: Option<String>,
    /// Check everything, print what would be done, and write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start a new run in a folder that has files; files of another run are removed
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub augmentation: AugmentationArgs,
    #[command(flatten)]
    pub pictures: PictureArgs,
    #[command(flatten)]
    pub length: LengthArgs,
}

/// Flags for networks and steps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// Preset [default: auto; portraits for the built-in renderer]
    #[arg(
        long,
        value_name = "auto|stylegan2|paper256|paper512|paper1024|cifar|portraits"
    )]
    pub cfg: Option<String>,
    /// Batch size: pictures per step
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Pictures per pass; gradients are accumulated over the passes of a step, to save memory [default: the whole batch; of several
    /// ranks, the batch divided by their number]
    #[arg(long, visible_alias = "batch-gpu", value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Start N processes on this machine that share each step, as mpirun -n N, torchrun or srun do on several; see
    /// docs/machines.md. Each computes some of its passes, so the bits are those of one process with the same --micro-batch
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ranks: Option<u16>,
    /// R1 regularization weight
    #[arg(long, value_name = "GAMMA")]
    pub gamma: Option<f64>,
    /// Learning rate of both networks
    #[arg(long, visible_aliases = ["lrate", "glr"], value_name = "LR")]
    pub lr: Option<f64>,
    /// Freeze-D: number of discriminator layers, from the highest resolution down, that are not trained
    #[arg(long, visible_alias = "freeze-d", value_name = "N")]
    pub freezed: Option<usize>,
    /// A layer has min(base / resolution, max) channels; this is the base
    #[arg(long, visible_alias = "cbase", value_name = "N")]
    pub channel_base: Option<usize>,
    /// Maximum number of channels of a layer
    #[arg(long, visible_alias = "cmax", value_name = "N")]
    pub channel_max: Option<usize>,
    /// Layers of the mapping network
    #[arg(long, value_name = "N")]
    pub map_depth: Option<usize>,
    /// Group size of the discriminator's minibatch standard deviation
    #[arg(long, value_name = "N")]
    pub mbstd_group: Option<usize>,
}

/// Flags for what the discriminator is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Augmentation")]
pub struct AugmentationArgs {
    /// Augmentation of the discriminator's input [default: ada; noaug for the built-in renderer]
    #[arg(long, value_enum)]
    pub aug: Option<Aug>,
    /// Augmentation probability: of --aug fixed, or the initial one of --aug ada
    #[arg(long, value_name = "P")]
    pub p: Option<f64>,
    /// Target of --aug ada: mean sign of the discriminator's output on real pictures [default: 0.6]
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub target: Option<f64>,
    /// Augmentation pipeline [default: bgc]
    #[arg(long, value_enum)]
    pub augpipe: Option<Pipe>,
}

/// Flags for the pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct PictureArgs {
    /// Add the mirror image of every picture
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub mirror: Option<bool>,
    /// Train with the labels of dataset.json
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub cond: Option<bool>,
    /// Skip pictures that cannot be used, and report how many, instead of refusing the data set
    #[arg(long)]
    pub skip_bad: bool,
    /// What shows where a picture is transparent: white, black, grey or #rrggbb [default: white]
    #[arg(long, value_name = "COLOUR")]
    pub background: Option<Background>,
    /// Take the square in the middle of every picture, and resize it to so many pixels on a side
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(4..=8192))]
    pub resize: Option<u32>,
    /// Resolution of rendered portraits in pixels [default: 64]
    #[arg(long, visible_alias = "resolution", value_name = "PIXELS")]
    pub size: Option<u32>,
    /// Domain of rendered portraits [default: photo]
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
}

/// Flags for the length of a run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Length")]
pub struct LengthArgs {
    /// Length of the whole run in thousands of images, including those before --resume
    /// [default: 25000; cifar 100000, portraits 2000]
    #[arg(long, value_name = "KIMG")]
    pub kimg: Option<f64>,
    /// Thousands of images per tick; each tick prints a line, records losses and draws a grid of fakes [default: 4]
    #[arg(long, value_name = "KIMG")]
    pub tick: Option<f64>,
    /// Ticks between snapshots; 0: only at the end [default: 10]
    #[arg(long, value_name = "TICKS")]
    pub snap: Option<u64>,
    /// Number of snapshots to keep for --resume [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: Option<u16>,
    /// Ticks between models that are kept as network-snapshot-KKKKKK.safetensors; 0: none [default: 50]
    #[arg(long, value_name = "TICKS")]
    pub keep_models: Option<u64>,
}

/// Augmentation of the discriminator's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Aug {
    /// No augmentation.
    Noaug,
    /// The probability adapts to how much the discriminator overfits.
    Ada,
    /// The probability is --p.
    Fixed,
}

/// Augmentation pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pipe {
    /// Mirror image, quarter turns, shift by whole pixels.
    Blit,
    /// Scale, rotation, stretch, shift.
    Geom,
    /// Brightness, contrast, inverted luma, hue, saturation.
    Color,
    /// Bands of frequencies, amplified or damped.
    Filter,
    /// Normal noise.
    Noise,
    /// A rectangle cut out.
    Cutout,
    /// Blit and geom.
    Bg,
    /// Blit, geom and color.
    Bgc,
    /// Blit, geom, color and filter.
    Bgcf,
    /// Blit, geom, color, filter and noise.
    Bgcfn,
    /// All of them.
    Bgcfnc,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Train) -> domex_error::Result<ExitCode> {
    let old = args.resume.as_deref().map(settings::of_run).transpose()?;
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    // Only rank 0 writes, and another one may look when it has begun to.
    if old.is_none() && !args.force && context.team.is_first() {
        runs::refuse_occupied(&out)?;
    }
    let data = DataSettings::wanted(args, context, old.as_ref())?;
    let Opened {
        source: pictures,
        skipped,
        mut notices,
        ..
    } = open(context, &data)?;
    let model = match &args.model {
        Some(name) => Some(models::open(&context.device, "--model", name)?.stylegan2(name)?),
        None => None,
    };
    if model
        .as_ref()
        .is_some_and(|model| model.discriminator.is_none())
    {
        if args.settings.freezed.is_some_and(|layers| layers > 0) {
            return Err(user_error(
                "--freezed: the model has no discriminator whose layers could stay as they are; leave the flag out, or give a file that has one",
            ));
        }
        notices.push(
            "the model has no discriminator: a new one begins at random, and the first thousands of pictures teach it"
                .to_owned(),
        );
    }
    let settings = match &old {
        Some(old) => old.resumed(args, context, data.seen(&*pictures))?,
        None => Settings::new(args, context, data.seen(&*pictures), model.as_ref())?,
    };
    settings.config.check_ranks(context.team.size())?;
    memory::check(settings.config.held(&context.device))?;
    let small = [
        args.length.kimg.is_some(),
        args.settings.channel_base.is_some(),
        old.is_some(),
    ];
    if context.device.is_cpu() && settings.is_for_gpus() && !small.contains(&true) {
        notices.push(
            "these settings are made for GPUs and take weeks on a CPU; --cfg portraits --kimg 2000 fits one".to_owned(),
        );
    }
    let run = run_config(context, args, &settings, &out)?;
    run.check_inputs()?;
    tell(context, &settings, &*pictures, (&skipped, &notices), &out);
    if args.dry_run {
        context.result(
            &json!({ "out": text(&out), "settings": settings, "left_out": skipped, "notices": notices }),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let start = model.map_or(Start::Random, |model| Start::Model(Box::new(model)));
    let config = settings.config.clone();
    let job = StyleGan2::new(config, pictures, &start, settings.seed, &context.device)?;
    let mut job = job.shared(context.team.clone())?;
    drop(start);
    let outcome = domex_train::run(&mut job, &run)?;
    if context.team.is_first() {
        ended(context, &outcome, &out, &skipped);
    }
    Ok(ExitCode::from(outcome.exit_code()))
}

fn run_config(
    context: &Context,
    args: &Train,
    settings: &Settings,
    out: &Path,
) -> domex_error::Result<RunConfig> {
    let length = &settings.length;
    let pictures = Some(&settings.data.path).filter(|path| *path != PORTRAITS);
    let model = args.model.as_deref();
    let model = model.map(|name| models::resolve("--model", name));
    let model = model.transpose()?;
    Ok(RunConfig {
        force: args.force,
        inputs: pictures
            .map(PathBuf::from)
            .into_iter()
            .chain(model)
            .collect(),
        images: length.images,
        tick_images: length.tick_images,
        snap: length.snap,
        keep: length.keep,
        keep_models: length.keep_models,
        seed: settings.seed,
        resume: args.resume.clone().map_or(Resume::No, Resume::From),
        show: context.show(),
        settings: serde_json::to_value(settings)?,
        ..RunConfig::new(out)
    })
}

/// The pictures, those that are left out, and what is to be told of them.
fn open(context: &Context, data: &DataSettings) -> domex_error::Result<Opened> {
    if data.path == PORTRAITS {
        let portraits = Portraits::new(data.seed, data.domain, data.resolution)?;
        return Ok(Opened::rendered(match data.mirror {
            true => Box::new(source::Mirrored(portraits)),
            false => Box::new(portraits),
        }));
    }
    let options = source::Options {
        skip_bad: data.skip_bad,
        labels: match data.labels {
            true => LabelsFrom::Json,
            false => LabelsFrom::Nowhere,
        },
        mirror: data.mirror,
        background: data.background,
        resize: data.resize,
    };
    datasets::open(context, &data.path, options)
}

fn tell(
    context: &Context,
    settings: &Settings,
    pictures: &dyn PictureSource,
    (skipped, notices): (&[String], &[String]),
    out: &Path,
) {
    for line in skipped {
        tracing::warn!("left out: {line}");
    }
    context.say(&format!("pictures  {}", pictures.describe()));
    if !skipped.is_empty() {
        context.say(&format!(
            "left out  {} that cannot be used",
            counted(skipped.len(), "picture")
        ));
    }
    for notice in notices {
        context.say(&format!("notice    {notice}"));
    }
    for (what, text) in settings.lines() {
        context.say(&format!("{what:<9} {text}"));
    }
    context.say(&format!("folder    {}", out.display()));
}

fn ended(context: &Context, outcome: &Outcome, out: &Path, skipped: &[String]) {
    network_run::tell_end(context, "train", out, outcome);
    context.result(&json!({
        "out": text(out),
        "model": text(&outcome.model),
        "snapshot": text(&outcome.snapshot),
        "step": outcome.clock.step,
        "images": outcome.clock.images,
        "seconds": outcome.clock.seconds,
        "signal": outcome.signal,
        "not_applied": outcome.skipped,
        "left_out": skipped,
        "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
    }));
}
