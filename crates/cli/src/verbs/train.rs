//! `domex train`: a StyleGAN2 from pictures.
//!
//! Here stand the flags and the order of things; what flags, presets and a run that is gone on with make together is in
//! [`settings`].

mod augmentation;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use domex_data::source::{self, PictureSource, Portraits};
use domex_pretrain::stylegan2::{Start, StyleGan2};
use domex_train::{Outcome, Resume, RunConfig};
use serde_json::json;

use crate::context::Context;
use crate::{models, runs};
use settings::{DataSettings, PORTRAITS, Settings};

/// Flags of `domex train`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train --data photos.zip --out runs/photos --mirror\n  domex train --data portraits --size 64 --out runs/portraits --kimg 2000\n  domex train --data cats --out runs/cats --model dogs.safetensors --freezed 10\n  domex train --resume runs/photos\n  domex train --resume runs/photos --kimg 50000\n\nCtrl-C or SIGTERM saves a snapshot and ends the run (exit code 130 or 143); --resume goes on with the\nvery same bits. In the run's folder: model.safetensors for the other verbs, network-snapshot-*.safetensors\nto choose from, fakes*.png, events.jsonl, TensorBoard events, snapshots/. Exit code 2 also where the disk is full or the losses are not finite."
)]
pub struct Train {
    /// Pictures to learn from: a folder, a zip file (stylegan2-ada layout), or the built-in renderer
    #[arg(
        long,
        value_name = "DIR|ZIP|portraits",
        required_unless_present = "resume"
    )]
    pub data: Option<String>,
    /// The run's folder, made if absent [default with --resume: where that run is]
    #[arg(
        short,
        long,
        visible_alias = "outdir",
        value_name = "DIR",
        required_unless_present = "resume"
    )]
    pub out: Option<PathBuf>,
    /// Go on with a run: its folder, or one of its snapshots. Its settings hold; only its length may change
    #[arg(long, value_name = "RUN")]
    pub resume: Option<PathBuf>,
    /// Begin with the weights of a model instead of random ones
    #[arg(short, long, value_name = "FILE|NAME", conflicts_with_all = ["resume", "channel_base", "channel_max", "map_depth", "mbstd_group"])]
    pub model: Option<String>,
    /// Check everything and say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start anew in a folder that has files; those of another run are removed
    #[arg(long)]
    pub force: bool,

    /// Settings by name [default: auto; portraits for the built-in renderer]
    #[arg(
        long,
        value_name = "auto|stylegan2|paper256|paper512|paper1024|cifar|portraits",
        help_heading = "Settings"
    )]
    pub cfg: Option<String>,
    /// Pictures in a step
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub batch: Option<usize>,
    /// Pictures in one pass; the passes of a step are added up. Less memory [default: all]
    #[arg(
        long,
        visible_alias = "batch-gpu",
        value_name = "N",
        help_heading = "Settings"
    )]
    pub micro_batch: Option<usize>,
    /// Weight of R1
    #[arg(long, value_name = "GAMMA", help_heading = "Settings")]
    pub gamma: Option<f64>,
    /// Learning rate of both networks
    #[arg(long, visible_aliases = ["lrate", "glr"], value_name = "LR", help_heading = "Settings")]
    pub lr: Option<f64>,
    /// Layers of the discriminator, from the highest resolution on, that are not trained
    #[arg(
        long,
        visible_alias = "freeze-d",
        value_name = "N",
        help_heading = "Settings"
    )]
    pub freezed: Option<usize>,
    /// A layer has min(base / resolution, max) features
    #[arg(
        long,
        visible_alias = "cbase",
        value_name = "N",
        help_heading = "Settings"
    )]
    pub channel_base: Option<usize>,
    /// Most features of a layer
    #[arg(
        long,
        visible_alias = "cmax",
        value_name = "N",
        help_heading = "Settings"
    )]
    pub channel_max: Option<usize>,
    /// Layers of the mapping network
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub map_depth: Option<usize>,
    /// Samples that the discriminator compares with each other
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub mbstd_group: Option<usize>,

    /// Augmentation of what the discriminator sees [default: ada; noaug for the built-in renderer]
    #[arg(long, value_enum, help_heading = "Augmentation")]
    pub aug: Option<Aug>,
    /// Its probability: of --aug fixed, or the one that --aug ada begins with
    #[arg(long, value_name = "P", help_heading = "Augmentation")]
    pub p: Option<f64>,
    /// What --aug ada holds: the mean sign of the discriminator's output on real pictures [default: 0.6]
    #[arg(
        long,
        value_name = "T",
        allow_negative_numbers = true,
        help_heading = "Augmentation"
    )]
    pub target: Option<f64>,
    /// What may happen to a picture [default: bgc]
    #[arg(long, value_enum, help_heading = "Augmentation")]
    pub augpipe: Option<Pipe>,

    /// Add the mirror image of every picture
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Data")]
    pub mirror: Option<bool>,
    /// Train with the labels of dataset.json
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Data")]
    pub cond: Option<bool>,
    /// Leave out pictures that cannot be used, and count them, instead of refusing the data set
    #[arg(long, help_heading = "Data")]
    pub skip_bad: bool,
    /// Pixels on a side of rendered portraits [default: 64]
    #[arg(
        long,
        visible_alias = "resolution",
        value_name = "PIXELS",
        help_heading = "Data"
    )]
    pub size: Option<u32>,
    /// Domain of rendered portraits [default: photo]
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub domain: Option<String>,

    /// Length in thousands of images, all parts of the run together [default: 25000; cifar 100000, portraits 2000]
    #[arg(long, value_name = "KIMG", help_heading = "Length")]
    pub kimg: Option<f64>,
    /// Thousands of images from one tick to the next: a line, numbers, a grid of fakes [default: 4]
    #[arg(long, value_name = "KIMG", help_heading = "Length")]
    pub tick: Option<f64>,
    /// Ticks from one snapshot to the next; 0: at the end only [default: 10]
    #[arg(long, value_name = "TICKS", help_heading = "Length")]
    pub snap: Option<u64>,
    /// Snapshots that stay: what a run goes on from [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Length")]
    pub keep: Option<u16>,
    /// Ticks from one model that stays to the next, to choose from: network-snapshot-KKKKKK.safetensors;
    /// 0: none [default: 50]
    #[arg(long, value_name = "TICKS", help_heading = "Length")]
    pub keep_models: Option<u64>,
}

/// Augmentation of what the discriminator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Aug {
    /// None.
    Noaug,
    /// With a probability that follows the discriminator.
    Ada,
    /// With the probability --p.
    Fixed,
}

/// What may happen to a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pipe {
    /// Mirror image, quarter turns, shift by whole pixels.
    Blit,
    /// Scale, rotation, stretch, shift.
    Geom,
    /// Brightness, contrast, inverted luma, hue, saturation.
    Color,
    /// Blit and geom.
    Bg,
    /// Blit, geom and color.
    Bgc,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Train) -> anyhow::Result<ExitCode> {
    let old = args.resume.as_deref().map(settings::of_run).transpose()?;
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    if old.is_none() && !args.force {
        runs::refuse_occupied(&out)?;
    }
    let data = DataSettings::wanted(args, context, old.as_ref())?;
    let (pictures, skipped) = open(&data)?;
    let model = match &args.model {
        Some(name) => Some(models::open(&context.device, name)?),
        None => None,
    };
    let settings = match &old {
        Some(old) => old.gone_on_with(args, context, data.seen(&*pictures))?,
        None => Settings::new(args, context, data.seen(&*pictures), model.as_ref())?,
    };
    let run = run_config(context, args, &settings, &out)?;
    run.check_inputs()?;
    tell(context, &settings, &*pictures, &skipped, &out);
    if args.dry_run {
        context.result(&json!({ "out": out, "settings": settings, "left_out": skipped }));
        return Ok(ExitCode::SUCCESS);
    }
    let start = model.map_or(Start::Random, |model| Start::Model(Box::new(model)));
    let config = settings.config.clone();
    let mut job = StyleGan2::new(config, pictures, &start, settings.seed, &context.device)?;
    drop(start);
    let outcome = domex_train::run(&mut job, &run)?;
    ended(context, &outcome, &out, &skipped);
    Ok(ExitCode::from(outcome.exit_code()))
}

fn run_config(
    context: &Context,
    args: &Train,
    settings: &Settings,
    out: &Path,
) -> anyhow::Result<RunConfig> {
    let length = &settings.length;
    let pictures = Some(&settings.data.path).filter(|path| *path != PORTRAITS);
    let model = args
        .model
        .as_ref()
        .filter(|name| *name != models::TINY_RANDOM);
    let model = model.map(|name| models::resolve(name)).transpose()?;
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

/// The pictures, and those that are left out, each with its reason.
fn open(data: &DataSettings) -> anyhow::Result<(Box<dyn PictureSource>, Vec<String>)> {
    if data.path == PORTRAITS {
        let portraits = Portraits::new(data.seed, data.domain, data.resolution)?;
        return Ok(match data.mirror {
            true => (Box::new(source::Mirrored(portraits)), Vec::new()),
            false => (Box::new(portraits), Vec::new()),
        });
    }
    let options = source::Options {
        skip_bad: data.skip_bad,
        labels: data.labels,
        mirror: data.mirror,
    };
    let opened = source::open(Path::new(&data.path), options)?;
    Ok((opened.source, opened.skipped))
}

fn tell(
    context: &Context,
    settings: &Settings,
    pictures: &dyn PictureSource,
    skipped: &[String],
    out: &Path,
) {
    for line in skipped {
        tracing::warn!("left out: {line}");
    }
    context.say(&format!("pictures  {}", pictures.describe()));
    if !skipped.is_empty() {
        context.say(&format!(
            "left out  {} pictures that cannot be used",
            skipped.len()
        ));
    }
    for (what, text) in settings.lines() {
        context.say(&format!("{what:<9} {text}"));
    }
    context.say(&format!("folder    {}", out.display()));
}

fn ended(context: &Context, outcome: &Outcome, out: &Path, skipped: &[String]) {
    if outcome.signal.is_some() {
        context.say(&format!(
            "stopped after {} kimg; go on with: domex train --resume {}",
            outcome.clock.kimg(),
            out.display()
        ));
    } else {
        context.say(&format!(
            "{} after {} kimg",
            outcome.model.display(),
            outcome.clock.kimg()
        ));
    }
    context.result(&json!({
        "out": out,
        "model": outcome.model,
        "snapshot": outcome.snapshot,
        "step": outcome.clock.step,
        "images": outcome.clock.images,
        "seconds": outcome.clock.seconds,
        "signal": outcome.signal,
        "not_applied": outcome.skipped,
        "left_out": skipped,
        "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
    }));
}
