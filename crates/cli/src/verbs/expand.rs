//! `domex expand`: new domains in a trained generator.
//!
//! The flags, and the order of the steps: everything that can be refused is refused before the first step. [`tasks`] and
//! [`settings`] combine flags and the file of tasks, [`inputs`] finds the networks and [`dataset`] the pictures, [`beginning`], [`ending`]
//! and [`judged`] report the result.

mod beginning;
pub(super) mod dataset;
mod ending;
pub(super) mod inputs;
mod judged;
mod lines;
mod sets;
pub(super) mod settings;
mod tasks;
mod teacher;
mod verdict;
mod words;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use domex_data::picture::Background;
use domex_expand::{Expand as Job, ParametrisationKind, Parts, Recipe, Trainee};
use domex_expand_diffae::DiffAe;
use domex_expand_stylegan2::{Phase, StyleGan2};
use domex_expand_stylegan3::StyleGan3;
use domex_train::progress::Show;
use domex_train::stop::PlateauConfig;
use domex_train::{Job as _, Resume, RunConfig, memory, process};
use serde_json::json;

use crate::context::Context;
use crate::kinds::Model;
use crate::paths::text;
use crate::{assets, models, runs};
use ending::Ending;
use settings::Settings;

/// Domains whose texts take a while to read.
const MANY: usize = 20;

/// Flags of `domex expand`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex expand --domain \"pencil sketch\" --domain zombie --out runs/two\n  domex expand --domain \"photo=>watercolour painting\" --steps 2000 --out runs/one\n  domex expand --model ffhq.pkl --tasks tasks.toml --clip ViT-B/32 --perceptual lpips-vgg --out run\n  domex expand --domain \"my style=@a.png,b.png\" --out runs/style\n  domex expand --domain \"my style=@folder\" --method adversarial --out runs/folder\n  domex expand --model runs/two/model.safetensors --domain robot --out runs/three\n  domex expand --resume runs/two --steps 4000\n\nA file of tasks is TOML ([[tasks]] with target, source, name, pictures, clip, dimension, distance; clip; [settings]; all keys are in docs/expansion.md) or the JSON of adobe-research/domain-expansion, unchanged. For the shipped generator assets/portraits/expand.toml replaces the defaults above, for the shipped diffusion autoencoder (--model diffae) expand-diffae.toml. A model that has domains keeps them. Ctrl-C or SIGTERM saves a snapshot and ends the run (exit code 130 or 143); a resumed run ends with the same bits as one that was never stopped. The run's folder has model.safetensors for the other verbs, report.html, aligned*.png, events.jsonl, TensorBoard events and snapshots/."
)]
pub struct Expand {
    /// The generator to expand: a checkpoint, or the name of a fetched model [default: $DOMEX_MODEL, else portraits, the shipped
    /// generator]
    #[arg(short, long, value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// A file of tasks, .toml or .json
    #[arg(long, value_name = "FILE")]
    pub tasks: Option<PathBuf>,
    /// A new domain: as text, "source=>target" or the target alone; or as pictures, "name=@a.png,b.png",
    /// "name=@folder" or "name=@file.zip"; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub domain: Vec<String>,
    /// Text of the source domain, for domains in words that do not give one, those of --tasks too [default: photo]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
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
    #[arg(long, value_name = "RUN", conflicts_with_all = [
        "model", "tasks", "domain", "source", "method", "teacher", "teacher_clip", "clip", "perceptual", "data", "mirror", "skip_bad", "background", "resize", "batch", "micro_batch", "low_memory", "half_losses", "lr", "cooldown", "distance", "dimensions", "reserve", "parametrisation", "rank", "block", "top", "phase", "class", "gamma", "ema",
        "lambda_expand", "lambda_direction", "lambda_global", "lambda_src", "scale_src", "lambda_lpips", "lambda_l2", "plateau",
    ])]
    pub resume: Option<PathBuf>,
    /// Check everything, print what would be done, and write nothing but the cache
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Start a new run in a folder that has files; files of another run are removed
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub inputs: InputArgs,
    #[command(flatten)]
    pub length: LengthArgs,
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Flags for networks and pictures.
#[derive(Debug, Args)]
#[command(next_help_heading = "Networks and data")]
pub struct InputArgs {
    /// A CLIP model: a file, or the name of a shipped or fetched one, with ":WEIGHT" if the weight is not 1; may
    /// be given several times [default: those of the tasks' file; else, for the shipped generator and models
    /// expanded from it, the shipped ones]
    #[arg(long, value_name = "NAME|FILE[:WEIGHT]")]
    pub clip: Vec<String>,
    /// The perceptual network (LPIPS) that keeps the base subspace as it was [default: for the shipped
    /// generator, the shipped one]
    #[arg(long, value_name = "FILE")]
    pub perceptual: Option<PathBuf>,
    /// How the domains of --domain are learnt: nada, by CLIP; diffusion, words by the pictures of a diffusion model;
    /// adversarial, a folder or zip of pictures by a discriminator [default: nada; adversarial for a zip and for a folder
    /// of 40 pictures or more]
    #[arg(long, value_name = "METHOD", value_parser = ["nada", "diffusion", "adversarial"])]
    pub method: Option<String>,
    /// The diffusion model that teaches domains of method diffusion: a file of the project's own, or Stable Diffusion 1.x or 2.x as
    /// a folder of diffusers or by the name of a fetched one; see docs/teacher.md [default: for the shipped generator, the
    /// shipped one]
    #[arg(long, value_name = "FILE|DIR|NAME")]
    pub teacher: Option<PathBuf>,
    /// The CLIP model that says which translations are most in a domain, so that diffusion.keep of them are kept; of a teacher
    /// in a file, the one whose texts it learnt [default: of a file, the shipped plain one; of Stable Diffusion, those of
    /// --clip, and where no task learns by CLIP there has to be one, or diffusion.keep = 1]
    #[arg(long, value_name = "NAME|FILE")]
    pub teacher_clip: Option<String>,
    /// Pictures of the source domain, for the adversarial loss on the base subspace: a folder, a zip file, the
    /// built-in renderer, or none [default: portraits for the shipped generator, else none]
    #[arg(long, value_name = "DIR|ZIP|portraits|none")]
    pub data: Option<String>,
    /// Add the mirror image of every picture
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", value_parser = clap::builder::BoolishValueParser::new())]
    pub mirror: Option<bool>,
    /// Skip pictures that cannot be used, and report how many, instead of refusing the data set
    #[arg(long)]
    pub skip_bad: bool,
    /// What shows where a picture of --data is transparent: white, black, grey or #rrggbb [default: white]
    #[arg(long, value_name = "COLOUR")]
    pub background: Option<Background>,
    /// Take the square in the middle of every picture of --data, and of folders and zips of new domains, and resize it to the
    /// generator's size
    #[arg(long)]
    pub resize: bool,
}

/// Flags for the length of a run, which alone a resumed one may be given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Length")]
pub struct LengthArgs {
    /// Length of the whole run in steps, including those before --resume [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,
    /// Steps per tick; each tick prints a line, records losses and draws a grid of all domains [default: 50]
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub tick: Option<u64>,
    /// Ticks between snapshots; 0: only at the end [default: 4]
    #[arg(long, value_name = "TICKS")]
    pub snap: Option<u64>,
    /// Number of snapshots to keep for --resume [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub keep: Option<u16>,
    /// Stop when the validation loss has not fallen for this many ticks
    #[arg(long, value_name = "TICKS", value_parser = clap::value_parser!(u64).range(1..))]
    pub plateau: Option<u64>,
}

/// Flags for what a step does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// Batch size; each sample draws its domain at random [default: 4]
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Samples that are in memory at once; the gradients of a step are accumulated over its passes, to save memory
    /// [default: the whole batch; of several ranks, the batch divided by their number]
    #[arg(long, visible_alias = "batch-gpu", value_name = "N")]
    pub micro_batch: Option<usize>,
    /// Compute the activations of the generator, the discriminator and the perceptual network again on the way back instead
    /// of keeping them, and one sample at a time unless --micro-batch says how many: a fraction of the memory, for more time.
    /// What is learnt is the same as with --micro-batch 1, but for rounding in R1 and path length
    #[arg(long)]
    pub low_memory: bool,
    /// Hold the CLIP models and the perceptual network in float16: half their memory and, on a card with tensor cores, less time. Losses
    /// are added up in float32; docs/expansion.md says how far they are off. For --device cuda
    #[arg(long)]
    pub half_losses: bool,
    /// Start N processes on this machine that share each step, as mpirun -n N, torchrun or srun do on several; see
    /// docs/machines.md. Each computes some of its passes, so the bits are those of one process with the same --micro-batch
    /// [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ranks: Option<u16>,
    /// Learning rate [default: 0.001; of a diffusion autoencoder 0.0001]
    #[arg(long, value_name = "LR", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Fraction of the run, at its end, over which the learning rate falls to 0 [default: 0]
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    pub cooldown: Option<f64>,
    /// Distance between the base subspace and a domain's, along its direction [default: 20; of another kind than
    /// StyleGAN2 the root mean square distance of its latents from their mean]
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub distance: Option<f64>,
    /// Which free direction a domain gets: dormant, the last of the basis; probed, the one that changes pictures
    /// least when they are moved along it [default: dormant; of a diffusion autoencoder probed]
    #[arg(long, value_name = "HOW", value_parser = ["dormant", "probed"])]
    pub dimensions: Option<String>,
    /// How many of the free directions are held as the model has them, so that further domains find them dormant; takes
    /// about a sixth longer a step [default: 0]
    #[arg(long, value_name = "N")]
    pub reserve: Option<usize>,
    /// What is trained: full, all weights; stylespace, offsets to the styles of each layer, in proportion to how far a
    /// latent has gone into a domain; cin-mult, factors of channels only, as HyperDomainNet has them; gated, offsets and factors
    /// of channels; affine, changes of the maps from latents to styles; affine-light, the same of low rank; dorm, affine after a
    /// mapping of the latent, as Domain Re-Modulation has them; gan-memory, the deviation and the mean of each kernel, and biases, as
    /// GAN Memory has them. All but full leave the base and earlier domains as they are; all but full and stylespace come in behind a
    /// gate along the domain's direction, so to the bit [default: full]
    #[arg(long, value_name = "WHAT", value_parser = parametrisations())]
    pub parametrisation: Option<String>,
    /// Of --parametrisation affine-light: the rank of each change [default: 5]
    #[arg(long, value_name = "K")]
    pub rank: Option<usize>,
    /// Of --parametrisation affine and affine-light: train offsets of the weights of the block of this resolution too, as Affine+ and
    /// AffineLight+ do at 64 [default: none]
    #[arg(long, value_name = "RESOLUTION")]
    pub block: Option<usize>,
    /// Of --parametrisation stylespace: share of a domain's offsets, the largest, that the model's file keeps [default: 1]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub top: Option<f64>,
    /// Which layers are trained: all; no_torgb, all but ToRGB; or those that StyleGAN-NADA trains in its phase of that
    /// name [default: all]
    #[arg(long, value_name = "PHASE", value_parser = phases())]
    pub phase: Option<String>,
    /// The class that domains are learnt for, of a class-conditional generator; --data then needs labels, and only its
    /// pictures of that class count [default: all classes, drawn at random]
    #[arg(long, value_name = "N")]
    pub class: Option<usize>,
    /// Half-life of the generator's moving average, which is what becomes the model, in thousands of
    /// pictures; never more than a tenth of those seen so far [default: 10]
    #[arg(long, value_name = "KIMG", allow_negative_numbers = true)]
    pub ema: Option<f64>,
    /// Weight of the losses of the new domains [default: 1]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_expand: Option<f64>,
    /// Weight of CLIP's directional loss among the losses of a domain [default: 1]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_direction: Option<f64>,
    /// Weight of CLIP's global loss among the losses of a domain [default: 0]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_global: Option<f64>,
    /// Whether training goes on with the source domain on the base subspace, any number above 0, or not, 0: by the adversarial
    /// loss, whose size changes nothing but with --scale-src; of a diffusion autoencoder by the noise prediction, with this
    /// weight [default: 1]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_src: Option<f64>,
    /// Multiply the generator's adversarial loss and path length by --lambda-src
    #[arg(long)]
    pub scale_src: bool,
    /// Weight of the perceptual distance to the source generator on the base subspace [default: 10]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_lpips: Option<f64>,
    /// Weight of the squared difference to the source generator on the base subspace [default: 10]
    #[arg(long, value_name = "L", allow_negative_numbers = true)]
    pub lambda_l2: Option<f64>,
    /// R1 regularization weight [default: 10]
    #[arg(long, value_name = "GAMMA", allow_negative_numbers = true)]
    pub gamma: Option<f64>,
}

/// The names of parametrisations.
fn parametrisations() -> clap::builder::PossibleValuesParser {
    ParametrisationKind::ALL
        .map(ParametrisationKind::name)
        .into()
}

/// The names of phases.
fn phases() -> clap::builder::PossibleValuesParser {
    Phase::ALL.map(|(name, _)| name).into()
}

/// Runs the verb.
pub fn run(context: &Context, args: &Expand) -> domex_error::Result<ExitCode> {
    let before = args.resume.as_deref();
    let before = before.map(|path| runs::settings::<Settings>(path, "expand"));
    let before = before.transpose()?;
    let out = runs::folder(args.out.as_deref(), args.resume.as_deref())?;
    // Only rank 0 writes, and another one may look when it has begun to.
    if args.resume.is_none() && !args.force && context.team.is_first() {
        runs::refuse_occupied(&out)?;
    }
    let (mut settings, mut model, notices) = settings_and_model(context, args, before)?;
    settings.type_of_losses(&context.device)?;
    if let Model::StyleGan2(model) = &mut model {
        // The averaged one is expanded.
        model.g = None;
    }
    if settings.config.low_memory {
        process::give_back_large_blocks();
    }
    run_config(context, args, &settings, &out)?.check_inputs()?;
    beginning::tell_model(context, &settings, &model);
    let (tasks, clip) = (settings.tasks.len(), settings.clip.len());
    if tasks >= MANY && clip > 0 {
        context.say(&format!("reading   {tasks} domains by {clip} CLIP models"));
    }
    let (mut job, notices) = job(context, &mut settings, &model, notices)?;
    memory::check(job.held())?;
    beginning::tell(context, &settings, &job, &notices, &out)?;
    if args.dry_run {
        let domains = job.layout().domains();
        context.result(
            &json!({ "out": text(&out), "settings": settings, "domains": domains, "notices": notices }),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = domex_train::run(&mut job, &run_config(context, args, &settings, &out)?)?;
    if !context.team.is_first() {
        return Ok(ExitCode::from(outcome.exit_code()));
    }
    Ending {
        context,
        settings: &settings,
        outcome: &outcome,
        out: &out,
    }
    .tell(&model, &notices)
}

/// The settings and the generator. `before` are the settings of a run that is resumed.
fn settings_and_model(
    context: &Context,
    args: &Expand,
    before: Option<Settings>,
) -> domex_error::Result<(Settings, Model, Vec<String>)> {
    if let Some(before) = before {
        let settings = before.resumed(context, args)?;
        let kept = settings.kept(args).map(|path| path.display().to_string());
        let name = kept.as_ref().unwrap_or(&settings.model);
        let model = models::open(&context.device, "--model", name)?;
        return Ok((settings, model, Vec::new()));
    }
    let name = inputs::model(args.model.as_deref())?;
    let model = models::open(&context.device, "--model", &name)?;
    let portraits = inputs::is_portraits(&name, &model, &context.device)?;
    let recipe = match model {
        Model::StyleGan2(_) | Model::StyleGan3(_) => assets::RECIPE,
        Model::DiffAe(_) => assets::DIFFAE_RECIPE,
    };
    let recipe = match assets::file(recipe)?.filter(|_| portraits) {
        Some(path) => Recipe::read(&path, model.source_settings())?,
        None => Recipe::plain(model.source_settings())?,
    };
    let (file, notices) = tasks::tasks(args, &recipe)?;
    let settings = Settings::new(context, args, file, (name, portraits))?;
    Ok((settings, model, notices))
}

/// The run at its beginning, and after what there is to say already, what will be left out of it.
fn job(
    context: &Context,
    settings: &mut Settings,
    model: &Model,
    mut notices: Vec<String>,
) -> domex_error::Result<(Job, Vec<String>)> {
    if let Some(given) = settings.given_source_weight()
        && settings.source_weight() != given
    {
        notices.push(format!(
            "--lambda-src {given}: as published, any number above 0 counts as 1; --scale-src multiplies by it"
        ));
    }
    let pictures = dataset::open(context, settings, model, &mut notices)?;
    let side = model.generator().resolution();
    let sets = sets::open(context, settings, side, &mut notices)?;
    // By a dry run too: for hundreds of domains they take a while.
    let cache = models::cache_folder().ok();
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
    let (config, seed) = (&settings.config, settings.seed);
    let trainee: Box<dyn Trainee> = match model {
        Model::StyleGan2(model) => Box::new(StyleGan2::new(model, config, pictures, seed)?),
        Model::DiffAe(model) => Box::new(DiffAe::new(model, config, pictures, seed)?),
        Model::StyleGan3(model) => Box::new(StyleGan3::new(model, config, pictures, seed)?),
    };
    if !sets.is_empty() && trainee.discriminator().is_none() {
        notices.push(
            "the model has no discriminator: that of the new domains begins at random, and all its layers are trained"
                .to_owned(),
        );
    }
    let has_domains = model
        .expansion()
        .is_some_and(|e| !e.layout.domains().is_empty());
    if has_domains
        && matches!(model, Model::StyleGan2(_))
        && settings.config.parametrisation == ParametrisationKind::Full
    {
        notices.push(
            "the model has domains, and all its weights are trained: --parametrisation gated leaves them and the base as they are, to the bit"
                .to_owned(),
        );
    }
    let shows = context.show() == Show::Text;
    let networks = settings.networks(&context.device, move |pace| {
        if shows {
            beginning::tell_pace(pace);
        }
    })?;
    notices.extend(words::notices(&settings.tasks, &networks)?);
    let parts = Parts {
        trainee,
        tasks: &settings.tasks,
        networks,
        sets,
        cache: cache.as_deref(),
        seed: settings.seed,
    };
    let job = Job::new(settings.config.clone(), parts)?.shared(context.team.clone())?;
    Ok((job.keep_source(settings.file()), notices))
}

fn run_config(
    context: &Context,
    args: &Expand,
    settings: &Settings,
    out: &Path,
) -> domex_error::Result<RunConfig> {
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
