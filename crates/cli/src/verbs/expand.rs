//! `domex expand`: new domains in a generator that is trained already.
//!
//! Here stand the flags and the order of things: everything that can be refused is refused before the first step. What
//! flags and file of tasks make together is in [`settings`], which networks and pictures they mean in [`inputs`], what the
//! shipped judge says of the result in [`judged`].

mod inputs;
mod judged;
mod settings;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use domex_expand::{Expand as Job, Parts, report};
use domex_stylegan2::Model;
use domex_train::stop::PlateauConfig;
use domex_train::{Outcome, Resume, RunConfig};
use serde_json::{Value as Json, json};

use crate::context::Context;
use crate::{models, runs};
use settings::Settings;

/// Flags of `domex expand`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex expand --domain \"pencil sketch\" --domain zombie --out runs/two\n  domex expand --domain \"photo=>watercolour painting\" --steps 2000 --out runs/one\n  domex expand --model ffhq.pkl --tasks tasks.toml --clip ViT-B-32.pt --clip ViT-B-16.pt:0.5 --out runs/faces\n  domex expand --model runs/two/model.safetensors --domain robot --out runs/three\n  domex expand --resume runs/two --steps 4000\n\nA file of tasks is TOML ([[tasks]] with target, source, name, dimension, distance; clip; [settings]) or the\nJSON of adobe-research/domain-expansion, unchanged. A model that has domains keeps them. Ctrl-C or SIGTERM\nsaves a snapshot and ends the run (exit code 130 or 143); --resume goes on with the very same bits. In the\nrun's folder: model.safetensors for the other verbs, report.html, aligned*.png, events.jsonl, TensorBoard\nevents, snapshots/."
)]
pub struct Expand {
    /// The generator to expand: a checkpoint or a fetched model's name [default: the shipped portraits]
    #[arg(short, long, value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// A file of tasks, .toml or .json
    #[arg(long, value_name = "FILE")]
    pub tasks: Option<PathBuf>,
    /// A new domain in words, "source=>target" or the target alone; may be given several times
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
        "model", "tasks", "domain", "source", "clip", "perceptual", "data", "batch", "lr", "distance", "dimensions", "gamma", "ema",
        "lambda_expand", "lambda_src", "lambda_lpips", "lambda_l2", "plateau",
    ])]
    pub resume: Option<PathBuf>,
    /// Check everything and say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start anew in a folder that has files; those of another run are removed
    #[arg(long)]
    pub force: bool,

    /// A CLIP network that knows the words: a file, or a shipped or fetched one's name, with ":WEIGHT" if
    /// that is not 1; may be given several times [default: those of the tasks' file, else the shipped ones]
    #[arg(
        long,
        value_name = "NAME|FILE[:WEIGHT]",
        help_heading = "Networks and data"
    )]
    pub clip: Vec<String>,
    /// The perceptual network that holds the base in place [default: the shipped one]
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
    let settings = match &args.resume {
        Some(path) => runs::settings::<Settings>(path, "expand")?.gone_on_with(context, args)?,
        None => Settings::new(context, args)?,
    };
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    if args.resume.is_none() && !args.force {
        runs::refuse_occupied(&out)?;
    }
    let model = models::open(&context.device, &settings.model)?;
    let (mut job, notices) = job(context, &settings, &model)?;
    tell(context, &settings, &model, &job, &notices, &out);
    if args.dry_run {
        let domains = job.layout().domains();
        context.result(
            &json!({ "out": out, "settings": settings, "domains": domains, "notices": notices }),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = domex_train::run(&mut job, &run_config(context, args, &settings, &out)?)?;
    // A run that was stopped has somebody waiting.
    let report = match outcome.signal {
        Some(_) => None,
        None => {
            let expanded = job.model(&outcome.clock)?;
            let judged = judged::section(context, &settings, &expanded, &model)?;
            Some(report::write(
                &out,
                &expanded,
                Some(&model),
                settings.seed,
                judged.as_ref(),
            )?)
        }
    };
    ended(context, &outcome, report.as_ref(), &notices, &out);
    Ok(ExitCode::from(outcome.exit_code()))
}

/// The run at its beginning, and what will be left out of it.
fn job(
    context: &Context,
    settings: &Settings,
    model: &Model,
) -> anyhow::Result<(Job, Vec<String>)> {
    let mut notices = Vec::new();
    let side = model.config().synthesis.img_resolution;
    let pictures = inputs::pictures(settings, model, side, &mut notices)?;
    let cache = models::cache_folder()
        .ok()
        .map(|folder| folder.join("texts"));
    let parts = Parts {
        model,
        tasks: &settings.tasks,
        guides: settings.guides(&context.device)?,
        distance: settings.perceptual(&context.device)?,
        pictures,
        cache: cache
            .as_deref()
            .filter(|folder| std::fs::create_dir_all(folder).is_ok()),
        seed: settings.seed,
    };
    Ok((Job::new(settings.config.clone(), parts)?, notices))
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

fn ended(
    context: &Context,
    outcome: &Outcome,
    report: Option<&report::Report>,
    notices: &[String],
    out: &Path,
) {
    let steps = outcome.clock.step;
    if outcome.signal.is_some() {
        let folder = out.display();
        context.say(&format!(
            "stopped after {steps} steps; go on with: domex expand --resume {folder}"
        ));
    } else {
        let why = if outcome.plateau {
            ", on a plateau"
        } else {
            ""
        };
        context.say(&format!(
            "done after {steps} steps{why}, {:.0} s",
            outcome.clock.seconds
        ));
    }
    context.say(&format!("model     {}", outcome.model.display()));
    if let Some(report) = report {
        context.say(&format!("report    {}", report.page.display()));
    }
    context.result(&json!({
        "out": out,
        "model": outcome.model,
        "report": report.map(|report| &report.page),
        "measures": report.map_or(Json::Null, |report| report.numbers.clone()),
        "snapshot": outcome.snapshot,
        "step": steps,
        "images": outcome.clock.images,
        "seconds": outcome.clock.seconds,
        "signal": outcome.signal,
        "plateau": outcome.plateau,
        "not_applied": outcome.skipped,
        "notices": notices,
        "last": outcome.last.as_ref().map(domex_train::events::Record::to_json),
    }));
}
