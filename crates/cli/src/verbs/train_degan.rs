//! `domex train-degan`: an encoder that makes domains of pictures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use candle_core::{DType, Device, Tensor};
use clap::Args;
use domex_checkpoint::foreign;
use domex_data::source::{Options, PictureSource};
use domex_degan::{Config, VggLoss, layout, stylespace};
use domex_error::user_error;
use domex_lpips::Lpips;
use domex_pretrain::degan::{DeganConfig, DeganJob, Networks, PictureStyles, Styles};
use domex_pretrain::portraits::{DomainStyles, Shares, recipes};
use serde::{Deserialize, Serialize};

use super::expand::dataset::Fingerprint;
use super::expand::settings::ClipModel;
use super::frozen::{self, Frozen};
use super::network_run::{self, NetworkRun, RunFlags, Ticks, images};
use crate::context::Context;
use crate::paths::text;
use crate::{assets, datasets, runs};

/// What is drawn in the portrait world.
const SHARES: Shares = Shares {
    both: 0.25,
    made_up: 0.4,
};

/// Flags of `domex train-degan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex train-degan --out runs/degan --kimg 24\n  domex train-degan --model ffhq.pkl --clip ViT-B/32 --styles art.zip --backbone vit.pth --out degan\n  domex train-degan --resume runs/degan\n\nThe run's folder has model.safetensors, which `domex adapt --degan` takes, and styles*.png: in each row a picture and the generator's own pictures in its domain. For the shipped generator the pictures are rendered, of twenty of the built-in domains; the six that are held out are measured only. With a public backbone that stays as it is and heads are trained, without one a small network is trained whole."
)]
pub struct TrainDegan {
    #[command(flatten)]
    run: RunFlags,
    /// The generator, which stays as it is: a StyleGAN2 [default: $DOMEX_MODEL, else portraits, the shipped generator]
    #[arg(short, long, value_name = "FILE|NAME", conflicts_with = "resume")]
    pub model: Option<String>,
    /// Folder or zip file of pictures to learn from, each a style of its own [default: renderings for the shipped generator]
    #[arg(long, value_name = "FOLDER|FILE.zip", conflicts_with = "resume")]
    pub styles: Option<PathBuf>,
    /// Folder or zip file of pictures that are measured and not learnt
    #[arg(
        long,
        value_name = "FOLDER|FILE.zip",
        requires = "styles",
        conflicts_with = "resume"
    )]
    pub unseen: Option<PathBuf>,
    /// CLIP models: a file, or a shipped or fetched name [default: robust and fine for the shipped generator]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "resume")]
    pub clip: Vec<String>,
    /// Public weights of a vision transformer (torchvision's, timm's or transformers' ViT-B/16, say) [default: none, a small
    /// network is trained whole]
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub backbone: Option<PathBuf>,
    /// torchvision's VGG-16, for the styles of its features as a further loss
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub vgg: Option<PathBuf>,
    /// Steps over which the offsets come in, from a tenth [default: 2000, with renderings 200]
    #[arg(long, value_name = "STEPS", conflicts_with = "resume")]
    pub fade_in: Option<usize>,
    /// Length in thousands of edited pictures [default: 24]
    #[arg(long, value_name = "KIMG")]
    pub kimg: Option<f64>,
    /// Edited pictures of a step, 4 of each style [default: 32; with renderings 16, 2 of each domain]
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    pub batch: Option<usize>,
    /// Learning rate [default: 0.001]
    #[arg(long, value_name = "LR", conflicts_with = "resume")]
    pub lr: Option<f64>,
}

/// A file of public weights, and what it was when the run began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    path: PathBuf,
    sha256: String,
}

impl Weights {
    fn new(path: &Path) -> domex_error::Result<Self> {
        Ok(Self {
            path: std::path::absolute(path)?,
            sha256: domex_checkpoint::sha256_file(path)?,
        })
    }

    fn read(&self) -> domex_error::Result<BTreeMap<String, Tensor>> {
        runs::refuse_changed(&self.path, &self.sha256)?;
        let file = foreign::read(&self.path)?;
        let tensors = file.weights(&file.value)?.into_iter();
        let tensor = |(name, data): (String, domex_checkpoint::TensorData)| {
            Ok((name, data.to_tensor(&Device::Cpu)?.to_dtype(DType::F32)?))
        };
        tensors.map(tensor).collect()
    }
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    model: PathBuf,
    clip: Vec<ClipModel>,
    /// Absent: renderings of the built-in domains.
    styles: Option<PathBuf>,
    unseen: Option<PathBuf>,
    /// For pictures of which it is known what they should be.
    perceptual: Option<PathBuf>,
    backbone: Option<Weights>,
    vgg: Option<Weights>,
    /// What the pictures were when the run began, by the paths of `styles` and `unseen`.
    sets: BTreeMap<PathBuf, Fingerprint>,
    /// What the other files were.
    sha256: runs::Hashes,
    ticks: Ticks,
    training: DeganConfig,
}

/// Runs the verb.
pub fn run(context: &Context, args: &TrainDegan) -> domex_error::Result<ExitCode> {
    let (out, old): (_, Option<Settings>) = args.run.begin("train-degan")?;
    if let Some(old) = &old {
        runs::reopen(&old.sha256)?;
    }
    let old_model = old.as_ref().map(|old| old.model.as_path());
    let frozen = Frozen::open(context, args.model.as_deref(), old_model)?;
    let mut settings = match old {
        Some(old) => old,
        None => settings(context, args, &frozen)?,
    };
    settings.ticks = args.run.ticks(Some(settings.ticks))?;
    if let Some(kimg) = args.kimg {
        settings.training.learning.images = images("--kimg", kimg)?;
    }
    let styles = styles(context, &mut settings, &frozen)?;
    let run = NetworkRun {
        out: &out,
        images: settings.training.learning.images,
        seed: settings.training.seed,
        ticks: settings.ticks,
        inputs: settings.inputs(),
        settings: &settings,
    };
    let run = args.run.config(context, run)?;
    let mut job = job(context, &settings, frozen, styles)?;
    tell(context, &settings);
    if args.run.ends_dry(context, &out, &settings) {
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = domex_train::run(&mut job, &run)?;
    Ok(network_run::ended(context, "train-degan", &out, &outcome))
}

impl Settings {
    /// The files of the networks that come with the program or as a model does.
    fn files(&self) -> Vec<PathBuf> {
        frozen::files(&self.clip, self.perceptual.as_deref(), &self.model)
    }

    /// All that a run reads.
    fn inputs(&self) -> Vec<PathBuf> {
        let weights = [&self.backbone, &self.vgg].into_iter().flatten();
        let sets = [&self.styles, &self.unseen].into_iter().flatten();
        let mut inputs = self.files();
        inputs.extend(weights.map(|weights| weights.path.clone()));
        inputs.extend(sets.cloned());
        inputs
    }
}

fn settings(
    context: &Context,
    args: &TrainDegan,
    frozen: &Frozen,
) -> domex_error::Result<Settings> {
    let is_rendered = args.styles.is_none();
    if is_rendered && !frozen.is_shipped() {
        return Err(user_error(
            "--styles: give a folder or a zip file of pictures, each a style of its own",
        ));
    }
    let absolute = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
    let weights = |path: &Option<PathBuf>| path.as_deref().map(Weights::new).transpose();
    let backbone = weights(&args.backbone)?;
    let dims = stylespace::dims(frozen.generator.synthesis());
    let network = match &backbone {
        Some(backbone) => layout::config(&layout::backbone(&backbone.read()?)?, dims)?,
        None => Config::small(dims),
    };
    let length = images("--kimg", args.kimg.unwrap_or(24.0))?;
    let mut training = match is_rendered {
        true => recipes::domain_encoder(network, length),
        false => DeganConfig::new(network, length),
    };
    training.learning.batch = args.batch.unwrap_or(training.learning.batch);
    training.learning.lr = args.lr.unwrap_or(training.learning.lr);
    training.fade_in.steps = args.fade_in.unwrap_or(training.fade_in.steps);
    training.seed = context.seed;
    training.validate()?;
    let mut settings = Settings {
        model: frozen.path.clone(),
        clip: frozen.clip_models(&args.clip)?,
        styles: absolute(&args.styles)?,
        unseen: absolute(&args.unseen)?,
        perceptual: match is_rendered {
            true => Some(assets::expect(assets::PERCEPTUAL)?),
            false => None,
        },
        backbone,
        vgg: weights(&args.vgg)?,
        sets: BTreeMap::new(),
        sha256: Vec::new(),
        ticks: args.run.ticks(None)?,
        training,
    };
    settings.sha256 = runs::hashes(settings.files())?;
    Ok(settings)
}

/// What is learnt from. A new run's settings remember the pictures; those of a resumed run must match them.
fn styles(
    context: &Context,
    settings: &mut Settings,
    frozen: &Frozen,
) -> domex_error::Result<Box<dyn Styles>> {
    let config = frozen.generator.config();
    let side = config.synthesis.img_resolution as u32;
    let sets = &mut settings.sets;
    let mut open = |path: &Path| pictures(context, path, side, sets);
    Ok(match &settings.styles {
        Some(path) => {
            let trained = open(path)?;
            let unseen = settings.unseen.as_deref().map(open).transpose()?;
            Box::new(PictureStyles::new(trained, unseen)?)
        }
        None => Box::new(DomainStyles::new(side, config.z_dim(), SHARES)),
    })
}

fn job(
    context: &Context,
    settings: &Settings,
    frozen: Frozen,
    styles: Box<dyn Styles>,
) -> domex_error::Result<DeganJob> {
    let device = &context.device;
    let (guides, hashes) = frozen::guides(context, &settings.clip)?;
    let perceptual = settings.perceptual.as_deref();
    let vgg = |weights: &Weights| -> domex_error::Result<VggLoss> {
        Ok(VggLoss::styles(weights.read()?, device)?)
    };
    let networks = Networks {
        guides,
        perceptual: perceptual
            .map(|path| Lpips::load(path, DType::F32, device))
            .transpose()?,
        vgg: settings.vgg.as_ref().map(vgg).transpose()?,
    };
    let backbone = match &settings.backbone {
        Some(weights) => Some(layout::backbone(&weights.read()?)?),
        None => None,
    };
    let hashes = (frozen.hash, hashes);
    Ok(DeganJob::new(
        settings.training.clone(),
        frozen.generator,
        styles,
        networks,
        backbone,
        hashes,
        device,
    )?)
}

/// The squares in the middle of the pictures of a set, as large as the generator's.
fn pictures(
    context: &Context,
    path: &Path,
    side: u32,
    sets: &mut BTreeMap<PathBuf, Fingerprint>,
) -> domex_error::Result<Box<dyn PictureSource>> {
    let options = Options {
        resize: Some(side),
        ..Options::default()
    };
    let opened = datasets::open(context, &text(path), options)?;
    for notice in &opened.notices {
        context.say(&format!("{}: {notice}", path.display()));
    }
    let found = Fingerprint::of(&*opened.source)?;
    if let Some(before) = sets.get(path) {
        found.check(&text(path), before)?;
    }
    sets.insert(path.to_owned(), found);
    Ok(opened.source)
}

fn tell(context: &Context, settings: &Settings) {
    frozen::tell(context, &settings.model, &settings.clip);
    context.say(&match &settings.styles {
        Some(path) => format!("styles    {}", path.display()),
        None => "styles    renderings of the built-in domains but those held out".to_owned(),
    });
    let network = &settings.training.network;
    let trained = match &settings.backbone {
        Some(_) => format!("{} of them in heads, trained", network.head_parameters()),
        None => "all trained".to_owned(),
    };
    let styles = network.domain_dims_per_resolution.iter().flatten();
    context.say(&format!(
        "network   {} parameters, {trained}; a domain has {} numbers",
        network.parameters(),
        styles.sum::<usize>()
    ));
}
