//! `domex eval`: how well an expanded model draws its domains, and how near any model's samples are to pictures.

mod asked;
mod features;
mod judged;
mod show;

use std::path::PathBuf;

use candle_core::{DType, Tensor};
use clap::Args;
use domex_clip::Bundle;
use domex_data::folder::write_atomic;
use domex_data::picture::Background;
use domex_data::portraits::Domain;
use domex_data::source::{LabelsFrom, Options, PictureSource, Portraits};
use domex_error::user_error;
use domex_eval::{
    Likeness, MOST_TO_CLUSTER_BY, Networks, TextScores, clusters, likeness, path_length,
    text_scores,
};
use domex_lpips::Lpips;
use domex_metrics::{ClusterDiversity, Trimmed};
use serde_json::json;

use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::kinds::Model;
use crate::paths::text;
use crate::pictures::check_class;
use crate::verbs::expand::inputs;
use crate::{assets, datasets, models};
use asked::Asked;
use features::Choice;
use judged::Judged;
use show::Found;
pub use show::{HEADS, rows};

/// Flags of `domex eval`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex eval --model run/model.safetensors --out eval\n  domex eval --model run/model.safetensors --source portraits --pictures 1000 --json\n  domex eval --model run/model.safetensors --clip ViT-L/14 --out eval\n  domex eval --model adapted.pt --source ffhq.pkl --domain \"photo=>sketch\" --clip ViT-L/14\n  domex eval --model ffhq.pkl --data photos.zip --pictures 10000 --features inception --out eval\n  domex fetch dinov2-vits14\n  domex eval --model ffhq.pkl --data photos.zip --features dinov2=dinov2-vits14 --out eval\n\nFor an expanded model, a judge (a classifier that no training loss uses) classifies the same latents in the base subspace and in every domain. `reached` is how often it names the domain, `factors kept` how often pose, hair, glasses and so on get the same class as in the base. For models expanded from the shipped generator, `truth` says how much of the way to the rendering of the same latent in the domain was gone (0: none, 1: as near as the base is to its own), `none` how often the judge finds a picture to be of no domain, and `edges` how much line there is, of how much in renderings; characters in techniques are composed, and the judge says how often it sees both. With --clip, of domains of any world: a CLIP model says how well pictures fit the domain's text, whether they changed as the texts do, how diverse they stayed, and what leaks.\n\nWith --data, of any model: Fréchet distance (FID) and its extrapolation, kernel distance (KID), precision and recall, density and coverage of samples (on the base subspace, where there is one) and pictures, on the features of --features. `inception` is the network of fid, kid and is of the stylegan2-ada family (its pr is on VGG16), shown pictures as pytorch-fid resizes them; `dinov2` is what FD-DINOv2 is measured on (ViT-L/14; dinov2=dinov2-vits14 takes the small one, with other figures), `clip` adds CLIP-MMD. With --clusters, for a model that learnt from a handful of pictures: each sample goes to the picture of --data that it is nearest to, and the samples of a picture are compared with each other; a model that copies has no diversity there. Figures of other networks or other numbers of pictures are not to be compared with these. Features of --data are kept in the cache folder. eval.json and eval.md hold all of it."
)]
pub struct Eval {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Pictures to compare samples with: a folder, a zip file, or the built-in renderer
    #[arg(long, value_name = "DIR|ZIP|portraits")]
    pub data: Option<String>,
    /// Take the square in the middle of every picture of --data, and resize it to the generator's size
    #[arg(long, requires = "data")]
    pub resize: bool,
    /// What shows where a picture of --data is transparent: white, black, grey or #rrggbb [default: white]
    #[arg(long, value_name = "COLOUR", requires = "data")]
    pub background: Option<Background>,
    /// The model before it was expanded, to measure how far the base moved; of --domain the model that was adapted
    #[arg(long, value_name = "FILE|NAME")]
    pub source: Option<String>,
    /// What a model was adapted to as a whole: "source=>target" or the target alone; pictures of the same latents by --source are its base
    #[arg(long, value_name = "TEXT", requires = "source")]
    pub domain: Option<String>,
    /// Judge [default: the shipped one]
    #[arg(long, value_name = "FILE")]
    pub judge: Option<PathBuf>,
    /// On whose features samples and pictures are compared
    #[arg(
        long,
        value_name = "perceptual|inception[=FILE|NAME]|dinov2[=FILE|NAME]|clip[=FILE|NAME]",
        default_value = "perceptual"
    )]
    pub features: Choice,
    /// A CLIP model that scores the domains by their texts; better one that did not train them
    #[arg(long, value_name = "FILE|NAME")]
    pub clip: Option<String>,
    /// Also how different samples are that are near the same picture of --data, the few (at most 100) that the model learnt from
    #[arg(long, requires = "data")]
    pub clusters: bool,
    /// Also the perceptual path length in W, at the ends of as many paths as --pictures; published figures are by --perceptual lpips-vgg
    #[arg(long)]
    pub path_length: bool,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
    /// Class of the latents of a class-conditional model's domains [default: of all, at random]
    #[arg(long, value_name = "N")]
    pub class: Option<usize>,
    /// Number of latents to judge, and of pictures of --data to compare with
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(2..))]
    pub pictures: u32,
}

/// The word for the built-in renderer, in place of a path.
const PORTRAITS: &str = "portraits";

/// Seed of rendered portraits: other people than those of trainings.
const PEOPLE: u64 = 0x0e7a_1075;

/// Runs the verb.
pub fn run(context: &Context, args: &Eval) -> domex_error::Result<()> {
    let perceptual = match &args.perceptual {
        Some(path) => models::perceptual(path)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| user_error(format!("no --perceptual, and {error}")))?,
    };
    let asked = Asked::new(context, args)?;
    let model = &asked.model;
    check_samples(args, model)?;
    check_class(args.class, model.generator().label_dim())?;
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    let judged = match asked.has_domains() {
        true => Judged::new(context, args, model)?,
        false => None,
    };
    let size = model.generator().resolution();
    let labels = model.generator().label_dim() > 0;
    let set = args.data.as_deref();
    let set = set.map(|data| pictures(context, args, data, size, labels));
    let set = set.transpose()?;
    check_asked(args, set.as_deref(), judged.is_some())?;
    let (features, cache) = args.features.load(context)?;
    let clip = args.clip.as_deref();
    let clip = clip.map(|name| clip_model(context, name)).transpose()?;
    let folder = args.out.folder()?;
    let path = folder.file("eval.json");

    // First, as it refuses a model whose domains have no texts.
    let texts = clip.map(|clip| by_texts(context, args, &asked, &clip));
    let texts = texts.transpose()?;
    let mut json = json!({});
    let mut found = Found::default();
    if let Some(judged) = &judged {
        let outcomes = judged.outcomes(context, args, &asked, &perceptual)?;
        json = serde_json::to_value(&outcomes)?;
        json["leakage"] = serde_json::to_value(outcomes.leakage()?)?;
        say(context, show::outcomes(&outcomes));
        if let Some(truth) = judged.truth(context, args, &asked)? {
            json["truth"] = serde_json::to_value(&truth)?;
            say(context, show::truth(&truth));
            let pairs = judged.pairs(args, &asked, &truth, context.seed)?;
            json["composed"] = serde_json::to_value(&pairs)?;
            say(context, show::pairs(&pairs));
            found.pairs = pairs;
            found.truth = Some(truth);
        }
        found.outcomes = Some(outcomes);
    }
    if let Some(texts) = texts {
        json["texts"] = serde_json::to_value(&texts)?;
        say(context, show::texts(&texts));
        found.texts = Some(texts);
    }
    if let Some(set) = &set {
        let networks = Networks {
            perceptual: &perceptual,
            features: &features,
            cache: cache.as_ref(),
        };
        let likeness = beside(context, args, model, networks, &**set)?;
        json["likeness"] = serde_json::to_value(&likeness)?;
        say(context, show::likeness(&likeness));
        found.likeness = Some(likeness);
    }
    if let Some(set) = set.as_deref().filter(|_| args.clusters) {
        let clusters = by_clusters(context, args, model, &perceptual, set)?;
        json["clusters"] = serde_json::to_value(&clusters)?;
        context.say(&show::clusters(&clusters));
        found.clusters = Some(clusters);
    }
    if args.path_length {
        let length = along_paths(context, args, model, &perceptual)?;
        json["path_length"] = serde_json::to_value(length)?;
        let by = args.perceptual.as_deref().map(text);
        let by = by.unwrap_or_else(|| "the shipped perceptual network".to_owned());
        let line = format!("path length {:.2} in W, at the ends, by {by}", length.mean);
        context.say(&format!("perceptual {line}"));
        found.path_length = Some(line);
    }
    let page = show::page(models::name(&args.model), &found);
    write_atomic(&folder.file("eval.md"), page.as_bytes())?;
    write_atomic(&path, format!("{json:#}\n").as_bytes())?;
    context.say(&format!("all figures in {}", path.display()));
    context.result(&json);
    Ok(())
}

/// Refuses what changes nothing, and more pictures than samples can be clustered by.
fn check_asked(
    args: &Eval,
    set: Option<&dyn PictureSource>,
    is_judged: bool,
) -> domex_error::Result<()> {
    if set.is_none() && args.features != Choice::Perceptual {
        return Err(user_error(
            "--features: says on what samples are compared with pictures; give the pictures, as --data",
        ));
    }
    if args.class.is_some() && !is_judged && args.clip.is_none() {
        return Err(user_error(
            "--class: is the class in which domains are judged, or scored by --clip; neither is done here, and samples are compared with pictures of all classes",
        ));
    }
    if let Some(set) = set.filter(|_| args.clusters) {
        check_few(set.len())?;
    }
    Ok(())
}

fn say(context: &Context, lines: Vec<String>) {
    for line in lines {
        context.say(&line);
    }
}

/// Samples beside pictures.
fn beside(
    context: &Context,
    args: &Eval,
    model: &Model,
    networks: Networks<'_>,
    set: &dyn PictureSource,
) -> domex_error::Result<Likeness> {
    let count = args.pictures as usize;
    let progress = context.progress("pictures", 3 * count);
    let found = likeness(
        model.subject(None),
        networks,
        set,
        count,
        context.seed,
        |n| {
            progress.advance(n);
        },
    )?;
    Ok(found)
}

/// How different samples are that are near the same picture.
fn by_clusters(
    context: &Context,
    args: &Eval,
    model: &Model,
    perceptual: &Lpips,
    set: &dyn PictureSource,
) -> domex_error::Result<ClusterDiversity> {
    let count = args.pictures as usize;
    let progress = context.progress("samples", count);
    let (subject, seed) = (model.subject(None), context.seed);
    let done = |n| progress.advance(n);
    Ok(clusters(subject, perceptual, set, count, seed, done)?)
}

/// The perceptual path length.
fn along_paths(
    context: &Context,
    args: &Eval,
    model: &Model,
    perceptual: &Lpips,
) -> domex_error::Result<Trimmed> {
    let count = args.pictures as usize;
    let progress = context.progress("paths", count);
    let (subject, seed) = (model.subject(None), context.seed);
    let done = |n| progress.advance(n);
    Ok(path_length(subject, perceptual, count, seed, done)?)
}

/// Whether a set is of the few pictures that a model learnt from.
fn check_few(pictures: u64) -> domex_error::Result<()> {
    match pictures {
        0..=MOST_TO_CLUSTER_BY => Ok(()),
        _ => Err(user_error(format!(
            "--clusters: --data has more pictures than it can be asked of, at most {MOST_TO_CLUSTER_BY}: those that the model learnt from"
        ))),
    }
}

/// A CLIP model by file or name.
fn clip_model(context: &Context, name: &str) -> domex_error::Result<Bundle> {
    let path = inputs::named(name, 1.0)?.path;
    Ok(Bundle::load(path, DType::F32, &context.device)?)
}

/// The domains by their texts.
fn by_texts(
    context: &Context,
    args: &Eval,
    asked: &Asked,
    clip: &Bundle,
) -> domex_error::Result<TextScores> {
    let count = args.pictures as usize;
    let progress = context.progress("latents", count);
    let found = text_scores(asked.subject(args.class), clip, count, context.seed, |n| {
        progress.advance(n);
    })?;
    found.ok_or_else(|| {
        user_error("--clip: no domain of the model has a text to compare its pictures with")
    })
}

/// Whether a model can be sampled from, where that is asked for: one latent is drawn before any work.
fn check_samples(args: &Eval, model: &Model) -> domex_error::Result<()> {
    let generator = model.generator();
    if (args.data.is_some() || args.path_length) && generator.label_dim() == 0 {
        let z = Tensor::zeros(
            (1, generator.noise_dim()),
            generator.dtype(),
            generator.device(),
        )?;
        generator.map(&z, None)?;
    }
    Ok(())
}

/// The pictures to compare with, with labels for a model that takes them. Their size is checked where they are looked at.
fn pictures(
    context: &Context,
    args: &Eval,
    data: &str,
    size: usize,
    labels: bool,
) -> domex_error::Result<Box<dyn PictureSource>> {
    if data == PORTRAITS {
        if args.resize || args.background.is_some() {
            return Err(user_error(
                "--resize and --background: are for pictures in files; rendered portraits need neither",
            ));
        }
        return Ok(Box::new(Portraits::new(
            PEOPLE,
            Domain::Photo,
            size as u32,
        )?));
    }
    let options = Options {
        labels: match labels {
            true => LabelsFrom::Json,
            false => LabelsFrom::Nowhere,
        },
        background: args.background.unwrap_or_default(),
        resize: args.resize.then_some(u32::try_from(size)?),
        ..Options::default()
    };
    let opened = datasets::open(context, data, options)?;
    for notice in &opened.notices {
        context.say(notice);
    }
    Ok(opened.source)
}
