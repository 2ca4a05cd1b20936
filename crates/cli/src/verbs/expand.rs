//! `domex expand`: new domains in a generator that is trained already.
//!
//! Here stand the flags and the order of things: everything that can be refused is refused before the first step. What
//! flags and file of tasks make together is in [`tasks`] and [`settings`], which networks they mean in [`inputs`], which
//! pictures in [`dataset`], what is told of the result in [`ending`] and [`judged`].

mod dataset;
mod ending;
mod inputs;
mod judged;
mod settings;
mod tasks;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use domex_expand::{Expand as Job, Parts, Recipe};
use domex_stylegan2::Model;
use domex_train::stop::PlateauConfig;
use domex_train::{Resume, RunConfig};
use serde_json::json;

use crate::context::Context;
use crate::{assets, models, runs};
use ending::Ending;
use settings::Settings;

/// Flags of `domex expand`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex expand --domain \"pencil sketch\" --domain zombie --out runs/two\n  domex expand --domain \"photo=>watercolour painting\" --steps 2000 --out runs/one\n  domex expand --model ffhq.pkl --tasks tasks.toml --clip ViT-B-32.pt --clip ViT-B-16.pt:0.5 --out runs/faces\n  domex expand --domain \"my style=@a.png,b.png\" --out runs/style\n  domex expand --model runs/two/model.safetensors --domain robot --out runs/three\n  domex expand --resume runs/two --steps 4000\n\nA file of tasks is TOML ([[tasks]] with target, source, name, pictures, clip, dimension, distance; clip; [settings];\nall keys are in docs/expansion.md) or the JSON of adobe-research/domain-expansion, unchanged. For the shipped generator\nassets/portraits/expand.toml comes before the defaults above. A model that has domains keeps them. Ctrl-C or\nSIGTERM saves a snapshot and ends the run (exit code 130 or 143); --resume goes on with the very same bits. In the run's\nfolder: model.safetensors for the other verbs, report.html, aligned*.png, events.jsonl, TensorBoard events, snapshots/."
)]
pub struct Expand {
    /// The generator to expand: a checkpoint or a fetched model's name [default: the shipped portraits]
    #[arg(short, long, value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// A file of tasks, .toml or .json
    #[arg(long, value_name = "FILE")]
    pub tasks: Option<PathBuf>,
    /// A new domain: in words, "source=>target" or the target alone; or in pictures, "name=@a.png,b.png" or
    /// "name=@folder"; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub domain: Vec<String>,
    /// What the generator makes, in words, for domains that do not say it [default: photo]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
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
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "model", "tasks", "domain", "source", "clip", "perceptual", "data", "mirror", "skip_bad", "batch", "lr", "cooldown", "distance", "dimensions", "gamma", "ema",
        "lambda_expand", "lambda_direction", "lambda_global", "lambda_src", "lambda_lpips", "lambda_l2", "plateau",
    ])]
    pub resume: Option<PathBuf>,
    /// Check everything and say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start anew in a folder that has files; those of another run are removed
    #[arg(long)]
    pub force: bool,

    /// A CLIP network that knows the words: a file, or a shipped or fetched one's name, with ":WEIGHT" if
    /// that is not 1; may be given several times [default: those of the tasks' file, else for the shipped
    /// generator and what grew from it the shipped ones]
    #[arg(
        long,
        value_name = "NAME|FILE[:WEIGHT]",
        help_heading = "Networks and data"
    )]
    pub clip: Vec<String>,
    /// The perceptual network that holds the base in place [default: for the shipped generator the shipped one]
    #[arg(long, value_name = "FILE", help_heading = "Networks and data")]
    pub perceptual: Option<PathBuf>,
    /// Pictures like those that the generator was trained on, for its own adversarial loss: a folder, a zip
    /// file, the built-in renderer, or none [default: portraits for the shipped generator, else none]
    #[arg(
        long,
        value_name = "DIR|ZIP|portraits|none",
        help_heading = "Networks and data"
    )]
    pub data: Option<String>,
    /// Add the mirror image of every picture
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Networks and data")]
    pub mirror: Option<bool>,
    /// Leave out pictures that cannot be used, and count them, instead of refusing the data set
    #[arg(long, help_heading = "Networks and data")]
    pub skip_bad: bool,

    /// Length in steps, all parts of the run together [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    pub steps: Option<u64>,
    /// Steps from one tick to the next: a line, numbers, a grid of all domains [default: 50]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    pub tick: Option<u64>,
    /// Ticks from one snapshot to the next; 0: at the end only [default: 4]
    #[arg(long, value_name = "TICKS", help_heading = "Length")]
    pub snap: Option<u64>,
    /// Snapshots that stay [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Length")]
    pub keep: Option<u16>,
    /// Stop when the validation loss has not fallen for so many ticks
    #[arg(long, value_name = "TICKS", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Length")]
    pub plateau: Option<u64>,

    /// Pictures in a step; each draws a domain of its own [default: 4]
    #[arg(long, value_name = "N", help_heading = "Settings")]
    pub batch: Option<usize>,
    /// Learning rate [default: 0.001]
    #[arg(
        long,
        value_name = "LR",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lr: Option<f64>,
    /// The last share of the run, over which the learning rate falls to nothing [default: 0]
    #[arg(
        long,
        value_name = "SHARE",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub cooldown: Option<f64>,
    /// How far along its direction a domain lies [default: 20]
    #[arg(
        long,
        value_name = "S",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub distance: Option<f64>,
    /// Which free direction a domain gets: the last of the basis, or the one that changes pictures least when it is
    /// tried out [default: dormant]
    #[arg(long, value_name = "HOW", value_parser = ["dormant", "probed"], help_heading = "Settings")]
    pub dimensions: Option<String>,
    /// Half-life of the generator's moving average, which is what becomes the model, in thousands of
    /// pictures; never more than a tenth of those seen so far [default: 10]
    #[arg(
        long,
        value_name = "KIMG",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub ema: Option<f64>,
    /// Weight of the new domains [default: 1]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_expand: Option<f64>,
    /// Weight, within that of the new domains, of edits going the way the texts go [default: 1]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_direction: Option<f64>,
    /// Weight, within that of the new domains, of edited pictures looking like their text [default: 0]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_global: Option<f64>,
    /// Weight of the generator's own adversarial loss on the base subspace [default: 1]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_src: Option<f64>,
    /// Weight of the perceptual distance to the generator as it was [default: 10]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_lpips: Option<f64>,
    /// Weight of the squared difference to it [default: 10]
    #[arg(
        long,
        value_name = "L",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub lambda_l2: Option<f64>,
    /// Weight of R1 [default: 10]
    #[arg(
        long,
        value_name = "GAMMA",
        allow_negative_numbers = true,
        help_heading = "Settings"
    )]
    pub gamma: Option<f64>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Expand) -> anyhow::Result<ExitCode> {
    let before = args.resume.as_deref();
    let before = before.map(|path| runs::settings::<Settings>(path, "expand"));
    let before = before.transpose()?;
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    if args.resume.is_none() && !args.force {
        runs::refuse_occupied(&out)?;
    }
    let (mut settings, model) = settings_and_model(context, args, before)?;
    run_config(context, args, &settings, &out)?.check_inputs()?;
    let (mut job, notices) = job(context, args, &mut settings, &model)?;
    tell(context, &settings, &model, &job, &notices, &out);
    if args.dry_run {
        let domains = job.layout().domains();
        context.result(
            &json!({ "out": out, "settings": settings, "domains": domains, "notices": notices }),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = domex_train::run(&mut job, &run_config(context, args, &settings, &out)?)?;
    Ending {
        context,
        settings: &settings,
        outcome: &outcome,
        out: &out,
    }
    .tell(&job, &model, &notices)
}

/// What is to be done, and the generator to do it with. `before` are the settings of a run that goes on.
fn settings_and_model(
    context: &Context,
    args: &Expand,
    before: Option<Settings>,
) -> anyhow::Result<(Settings, Model)> {
    if let Some(before) = before {
        let settings = before.gone_on_with(context, args)?;
        let kept = settings.kept(args).map(|path| path.display().to_string());
        let model = models::open(&context.device, kept.as_ref().unwrap_or(&settings.model))?;
        return Ok((settings, model));
    }
    let name = inputs::model(args.model.as_deref())?;
    let model = models::open(&context.device, &name)?;
    let portraits = inputs::is_portraits(&name, &model, &context.device)?;
    let recipe = match assets::file(assets::RECIPE).filter(|_| portraits) {
        Some(path) => Recipe::read(&path)?,
        None => Recipe::default(),
    };
    let file = tasks::tasks(args, &recipe)?;
    let settings = Settings::new(context, args, file, (name, portraits))?;
    Ok((settings, model))
}

/// The run at its beginning, and what will be left out of it.
fn job(
    context: &Context,
    args: &Expand,
    settings: &mut Settings,
    model: &Model,
) -> anyhow::Result<(Job, Vec<String>)> {
    let mut notices = Vec::new();
    let pictures = dataset::open(settings, model, &mut notices)?;
    // A dry run writes nothing.
    let cache = models::cache_folder().ok().filter(|_| !args.dry_run);
    let cache = cache.map(|folder| folder.join("texts"));
    let cache = cache.filter(|folder| match std::fs::create_dir_all(folder) {
        Ok(()) => true,
        Err(error) => {
            notices.push(format!(
                "{}: text features are not kept here: {error}",
                folder.display()
            ));
            false
        }
    });
    let texture = settings.texture.as_ref();
    let parts = Parts {
        model,
        tasks: &settings.tasks,
        guides: settings.guides(&context.device)?,
        texture: texture
            .map(|tower| tower.guide(&context.device))
            .transpose()?,
        distance: settings.perceptual(&context.device)?,
        pictures,
        cache: cache.as_deref(),
        seed: settings.seed,
    };
    let job = Job::new(settings.config.clone(), parts)?;
    let job = match settings.file() {
        Some(file) => job.keep_source(file),
        None => job,
    };
    Ok((job, notices))
}

fn run_config(
    context: &Context,
    args: &Expand,
    settings: &Settings,
    out: &Path,
) -> anyhow::Result<RunConfig> {
    let batch = settings.config.batch as u64;
    let length = &settings.length;
    let plateau = length.plateau.map(|patience| PlateauConfig {
        measure: "validation/loss".to_owned(),
        patience,
        least: 0.0,
    });
    Ok(RunConfig {
        force: args.force,
        inputs: settings
            .sha256
            .iter()
            .map(|(path, _)| path.clone())
            .collect(),
        images: length.steps.saturating_mul(batch),
        tick_images: length.tick.saturating_mul(batch),
        snap: length.snap,
        keep: length.keep,
        seed: settings.seed,
        resume: args.resume.clone().map_or(Resume::No, Resume::From),
        plateau,
        show: context.show(),
        settings: serde_json::to_value(settings)?,
        ..RunConfig::new(out)
    })
}

fn tell(
    context: &Context,
    settings: &Settings,
    model: &Model,
    job: &Job,
    notices: &[String],
    out: &Path,
) {
    let side = model.config().synthesis.img_resolution;
    let layout = job.layout();
    context.say(&format!(
        "model     {}, {side}×{side} pixels, {} directions",
        settings.model,
        layout.dimensions()
    ));
    let earlier = layout.domains().len() - settings.tasks.len();
    for (at, domain) in layout.domains().iter().enumerate() {
        let words = match at.checked_sub(earlier).map(|task| &settings.tasks[task]) {
            None => "kept as it is".to_owned(),
            Some(task) if task.pictures.is_empty() => format!("{} → {}", task.source, task.target),
            Some(task) => format!("{} pictures", task.pictures.len()),
        };
        context.say(&format!(
            "domain    {} on direction {}, distance {}: {words}",
            domain.name, domain.dimension, domain.distance
        ));
    }
    for (what, text) in settings.lines() {
        context.say(&format!("{what:<9} {text}"));
    }
    for notice in notices {
        context.say(&format!("notice    {notice}"));
    }
    context.say(&format!("folder    {}", out.display()));
}
