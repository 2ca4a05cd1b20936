//! `domex train-hyperdomain`: a network that makes domains of texts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candle_core::DType;
use clap::Args;
use domex_error::{Context as _, user_error};
use domex_hyperdomain::{Config, ModulationKind, modulation};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_pretrain::hyperdomain::{Augmentation, HyperdomainConfig, HyperdomainJob, Networks};
use domex_pretrain::portraits::{DomainTexts, recipes};
use domex_stylegan2::Generator;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::expand::settings::ClipModel;
use super::frozen::{self, Frozen};
use super::network_run::{self, NetworkRun, RunFlags, Ticks, images};
use crate::context::Context;
use crate::{assets, runs};

/// The text of the shipped generator's own pictures.
const SOURCE: &str = "photo";

/// Flags of `domex train-hyperdomain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train-hyperdomain --out runs/hyperdomain --kimg 24\n  domex train-hyperdomain --model ffhq.pkl --clip ViT-B/32 --texts styles.txt --out runs/hyperdomain\n  domex train-hyperdomain --resume runs/hyperdomain\n\nThe run's folder has model.safetensors, which `domex adapt --hyperdomain` takes, and domains*.png with a row for each text. For the shipped generator the texts are the words for twenty of the built-in domains, whose renderings say what should come out; the six that are held out are measured only."
)]
pub struct TrainHyperdomain {
    #[command(flatten)]
    run: RunFlags,
    /// The generator, which stays as it is: a StyleGAN2 [default: $DOMEX_MODEL, else portraits, the shipped generator]
    #[arg(short, long, value_name = "FILE|NAME", conflicts_with = "resume")]
    pub model: Option<String>,
    /// The CLIP model whose embeddings the network reads: a file, or a shipped or fetched name. With --augmentation none others may
    /// follow, which the loss asks too [default: robust for the shipped generator; with --augmentation none robust and fine]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    pub clip: Vec<String>,
    /// File with a text on each line: the domains that it learns
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub texts: Option<PathBuf>,
    /// File with texts that are measured and not learnt
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub unseen: Option<PathBuf>,
    /// The text of the generator's own pictures [default: photo]
    #[arg(long, value_name = "TEXT", conflicts_with = "resume")]
    pub source: Option<String>,
    /// What a domain does to convolutions: cin_mult (a factor for each input channel) or csep_mult (for each output channel too)
    /// [default: cin_mult]
    #[arg(long, value_name = "KIND", conflicts_with = "resume")]
    pub modulation: Option<ModulationKind>,
    /// Embeddings: none (those of the texts) or resample-and-convex (points between and around them) [default:
    /// resample-and-convex]
    #[arg(long, value_name = "NAME", value_parser = augmentation, conflicts_with = "resume")]
    pub augmentation: Option<Augmentation>,
    /// Length in thousands of edited pictures [default: 24]
    #[arg(long, value_name = "KIMG")]
    pub kimg: Option<f64>,
    /// Texts of a step, one picture each [default: 12; with renderings 16]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub batch: Option<usize>,
    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "LR", conflicts_with = "resume")]
    pub lr: Option<f64>,
}

fn augmentation(name: &str) -> Result<Augmentation, String> {
    serde_json::from_value(json!(name))
        .map_err(|_| format!("{name:?}: expected none or resample-and-convex"))
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: PathBuf,
    clip: Vec<ClipModel>,
    /// For renderings of the built-in domains, if the texts are theirs.
    perceptual: Option<PathBuf>,
    /// What the files were when the run began.
    sha256: runs::Hashes,
    ticks: Ticks,
    training: HyperdomainConfig,
}

/// Runs the verb.
pub fn run(context: &Context, args: &TrainHyperdomain) -> domex_error::Result<ExitCode> {
    let (out, old): (_, Option<Settings>) = args.run.begin("train-hyperdomain")?;
    if let Some(old) = &old {
        runs::reopen(&old.sha256)?;
    }
    let old_model = old.as_ref().map(|old| old.model.as_path());
    let frozen = Frozen::open(context, args.model.as_deref(), old_model)?;
    let clip = clip(args, &frozen, old.as_ref())?;
    let (guides, hashes) = frozen::guides(context, &clip)?;
    let first = guides.first().zip(hashes.first());
    let (first, clip_hash) = first.context("no CLIP model")?;
    let mut settings = match old {
        Some(old) => Settings { clip, ..old },
        None => settings(context, args, &frozen, clip, first.clip.config().embed_dim)?,
    };
    settings.ticks = args.run.ticks(Some(settings.ticks))?;
    if let Some(kimg) = args.kimg {
        settings.training.learning.images = images("--kimg", kimg)?;
    }
    let hashes = [frozen.hash, clip_hash.clone()];
    let training = settings.training.clone();
    let run = NetworkRun {
        out: &out,
        images: training.learning.images,
        seed: training.seed,
        ticks: settings.ticks,
        inputs: settings.files(),
        settings: &settings,
    };
    let run = args.run.config(context, run)?;
    let networks = networks(context, &settings, &frozen.generator, guides)?;
    let mut job = HyperdomainJob::new(
        training,
        frozen.generator,
        networks,
        hashes,
        &context.device,
    )?;
    tell(context, &settings);
    if args.run.ends_dry(context, &out, &settings) {
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = domex_train::run(&mut job, &run)?;
    Ok(network_run::ended(
        context,
        "train-hyperdomain",
        &out,
        &outcome,
    ))
}

impl Settings {
    /// The files that a run reads.
    fn files(&self) -> Vec<PathBuf> {
        frozen::files(&self.clip, self.perceptual.as_deref(), &self.model)
    }
}

/// The CLIP models of the flags, of the resumed run, or those that know the shipped generator's pictures. Points between the
/// embeddings of texts are points of one model's, the first one's: others would look at nothing.
fn clip(
    args: &TrainHyperdomain,
    frozen: &Frozen,
    old: Option<&Settings>,
) -> domex_error::Result<Vec<ClipModel>> {
    let (mut clip, augmentation) = match old {
        Some(old) => (old.clip.clone(), old.training.augmentation),
        None => (
            frozen.clip_models(&args.clip)?,
            args.augmentation.unwrap_or_default(),
        ),
    };
    if augmentation != Augmentation::None {
        if args.clip.len() > 1 {
            return Err(user_error(
                "--clip: embeddings between those of the texts are of one CLIP model, the first; leave the others out, or give --augmentation none",
            ));
        }
        clip.truncate(1);
    }
    Ok(clip)
}

fn settings(
    context: &Context,
    args: &TrainHyperdomain,
    frozen: &Frozen,
    clip: Vec<ClipModel>,
    width: usize,
) -> domex_error::Result<Settings> {
    let kind = args.modulation.unwrap_or(ModulationKind::CinMult);
    let network = Config::new(kind, width, &modulation::convolutions(&frozen.generator));
    let length = images("--kimg", args.kimg.unwrap_or(24.0))?;
    let is_rendered = args.texts.is_none();
    if is_rendered && !frozen.is_shipped() {
        return Err(user_error("--texts: give a file with a text on each line"));
    }
    let mut training = match is_rendered {
        true => recipes::hypernetwork(network, length),
        false => HyperdomainConfig::new(network, length),
    };
    let (texts, unseen) = match &args.texts {
        Some(file) => (lines("--texts", file)?, Vec::new()),
        None => (DomainTexts::learnt(), DomainTexts::held_out()),
    };
    training.texts = texts;
    training.unseen = match &args.unseen {
        Some(file) => lines("--unseen", file)?,
        None => unseen,
    };
    training.source = args.source.clone().unwrap_or_else(|| SOURCE.to_owned());
    training.augmentation = args.augmentation.unwrap_or_default();
    training.learning.batch = args.batch.unwrap_or(training.learning.batch);
    training.learning.lr = args.lr.unwrap_or(training.learning.lr);
    training.seed = context.seed;
    training.validate()?;
    let mut settings = Settings {
        model: frozen.path.clone(),
        clip,
        perceptual: match is_rendered {
            true => Some(assets::expect(assets::PERCEPTUAL)?),
            false => None,
        },
        sha256: Vec::new(),
        ticks: args.run.ticks(None)?,
        training,
    };
    settings.sha256 = runs::hashes(settings.files())?;
    Ok(settings)
}

/// What a run learns from: with the texts of built-in domains their renderings too, and what these are compared by.
fn networks(
    context: &Context,
    settings: &Settings,
    generator: &Generator,
    guides: Vec<Guide>,
) -> domex_error::Result<Networks> {
    let mut networks = Networks {
        guides,
        pictures: None,
        perceptual: None,
    };
    if let Some(path) = &settings.perceptual {
        let config = generator.config();
        let side = config.synthesis.img_resolution as u32;
        let texts = &settings.training.texts;
        networks.pictures = Some(Box::new(DomainTexts::new(side, config.z_dim(), texts)?));
        networks.perceptual = Some(Lpips::load(path, DType::F32, &context.device)?);
    }
    Ok(networks)
}

/// The lines of a file that are not blank.
pub fn lines(flag: &str, path: &Path) -> domex_error::Result<Vec<String>> {
    let shown = path.display();
    let content = std::fs::read_to_string(path)
        .map_err(|error| user_error(format!("{flag} {shown}: {error}")))?;
    let lines = content
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    match lines.is_empty() {
        false => Ok(lines),
        true => Err(user_error(format!(
            "{flag} {shown}: has no text, expected one on each line"
        ))),
    }
}

fn tell(context: &Context, settings: &Settings) {
    let training = &settings.training;
    frozen::tell(context, &settings.model, &settings.clip);
    context.say(&format!("learnt    {}", training.texts.join(", ")));
    if !training.unseen.is_empty() {
        context.say(&format!("measured  {}", training.unseen.join(", ")));
    }
    context.say(&format!(
        "network   {} parameters; a domain has {} numbers",
        training.network.parameters(),
        training
            .network
            .modulation
            .numbers(&training.network.convolutions)
    ));
}
