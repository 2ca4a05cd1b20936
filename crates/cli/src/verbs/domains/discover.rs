//! `domex domains discover`: domains that nobody named, of what random edits change most.

use std::path::{Path, PathBuf};

use clap::Args;
use domex_data::counted;
use domex_data::folder::OutputFolder;
use domex_data::picture::write_png;
use domex_discover::{Config, Discovery, Found, Progress as Stage, discover, nearest};
use domex_error::user_error;
use domex_latent::Expansion;
use domex_nada::Guide;
use domex_stylegan2::{Generator, Model as StyleGan2};
use serde_json::{Value as Json, json};

use super::file;
use crate::args::{ModelArgs, OutArgs, SynthesisArgs, overwrite};
use crate::context::Context;
use crate::domains::{BASE, Domains, Parts, slugs};
use crate::interrupt::Interrupt;
use crate::kinds::Model;
use crate::paths::{text, texts};
use crate::pictures::Painter;
use crate::progress::Progress;
use crate::seeds::List;
use crate::sheet::Sheet;
use crate::verbs::expand::inputs;
use crate::verbs::train_hyperdomain::lines;
use crate::{assets, models};

/// Words that are named for a domain.
const WORDS: usize = 3;

/// Flags of `domex domains discover`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex domains discover --out found\n  domex domains discover -n 6 --seed 1 --words words.txt --out found\n  domex domains discover -n 8 --model ffhq.pkl --clip ViT-B/32 --out found\n  domex domains add found/found-*.safetensors --model portraits --out more.safetensors\n\nRandom edits change pictures of the same latents; the principal components of how CLIP sees these changes are distinct directions, and each of the first becomes a domain on a dormant direction of its own: a file, and a row of grid.png. What they show is for you to see: no text asks for anything."
)]
pub struct Discover {
    /// How many domains
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..))]
    pub count: u16,
    /// Random edits whose components are taken: more than domains
    #[arg(long, value_name = "N", default_value_t = 96, value_parser = clap::value_parser!(u16).range(2..))]
    pub edits: u16,
    /// Optimizer steps of each domain; 0 leaves the sums of random edits as they are
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub steps: u16,
    /// CLIP models, a name or file each; may be given several times [default: the shipped ones, for the shipped generator]
    #[arg(long, value_name = "NAME|FILE")]
    pub clip: Vec<String>,
    /// A file with a word or phrase on each line: those that come nearest to each domain are named
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
    /// Seeds of the grid, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-7")]
    pub seeds: List,
    /// Check everything, say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Discover) -> domex_error::Result<()> {
    let folder = args.out.folder()?;
    let model = Model::StyleGan2(Box::new(models::stylegan2(context, &args.model)?));
    let clip = clip_models(context, args, &model)?;
    let model = model.stylegan2(models::name(&args.model))?;
    let expansion = match model.expansion() {
        Some(expansion) => expansion.clone(),
        None => file::unexpanded(&model)?,
    };
    let mut config = Config::new(
        args.count.into(),
        domex_expand_stylegan2::DISTANCE,
        context.seed,
    );
    config.candidates = args.edits.into();
    config.steps = args.steps.into();
    config.truncation = args.synthesis.trunc;
    config.check(&model.g_ema, &expansion.layout)?;
    // Flags of the grid are checked before the search, not after it.
    let shown = Model::StyleGan2(Box::new(model.clone()));
    drop(Painter::new(context, &shown, &args.synthesis)?);
    let words = args.words.as_deref().map(read_words).transpose()?;
    let mut files = Vec::new();
    let names: Vec<String> = config.names(&expansion.layout);
    for name in slugs(&names) {
        files.push(folder.file(format!("{name}.safetensors")));
    }
    if args.dry_run {
        would(context, args, &config, &files);
        return Ok(());
    }
    let load = |path: &PathBuf| Guide::load(path, 1.0, &context.device);
    let guides = clip.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    let found = search(context, &config, &model, &expansion, &guides)?;
    let words = match &words {
        Some(words) => Some(nearest(&found.domains, &guides, words, WORDS)?),
        None => None,
    };
    for (found, path) in found.domains.iter().zip(&files) {
        file::write(&found.file, &model, path, overwrite(args.out.force))?;
    }
    let grid = folder.file("grid.png");
    let model = with(model, expansion, &found.domains)?;
    let sheet = pictures(context, args, &model, &found.domains)?;
    write_png(&grid, &sheet.draw()?)?;
    if let Some(notice) = sheet.notice() {
        context.say(&notice);
    }
    tell(context, &found, words.as_deref(), &folder);
    let domains = found.domains.iter().enumerate().map(|(at, found)| {
        let words = words.as_ref().map(|words| &words[at]);
        row(found, &files[at], words)
    });
    context.result(&json!({
        "out": text(folder.path()), "grid": text(&grid), "domains": domains.collect::<Vec<Json>>(), "cosines": found.cosines,
        "likeness": found.likeness, "likeness_of_random": found.likeness_of_random,
    }));
    Ok(())
}

/// Names and files of the CLIP models. The shipped ones know portraits only.
fn clip_models(
    context: &Context,
    args: &Discover,
    model: &Model,
) -> domex_error::Result<Vec<PathBuf>> {
    if !args.clip.is_empty() {
        let given = args.clip.iter();
        return given
            .map(|name| Ok(inputs::named(name, 1.0)?.path))
            .collect();
    }
    let is_portraits = !args.model.random && {
        let path = inputs::model(args.model.model.as_deref())?;
        inputs::is_portraits(&path, model, &context.device)?
    };
    if !is_portraits {
        return Err(user_error(
            "--model: is neither the shipped generator nor expanded from it, and the shipped CLIP models know its portraits only; give one with --clip (a file, or ViT-B/32 after `domex fetch ViT-B/32`)",
        ));
    }
    let shipped: Vec<PathBuf> = assets::clip_models()?
        .into_iter()
        .map(|(_, path)| path)
        .collect();
    match shipped.is_empty() {
        true => Err(user_error(
            "no CLIP model is shipped with this program: give one as --clip FILE",
        )),
        false => Ok(shipped),
    }
}

fn read_words(path: &Path) -> domex_error::Result<Vec<String>> {
    let words = lines("--words", path)?;
    if words.len() < 2 {
        return Err(user_error(format!(
            "--words {}: {} in it, expected at least 2: each is compared with their mean",
            path.display(),
            counted(words.len(), "word")
        )));
    }
    Ok(words)
}

fn would(context: &Context, args: &Discover, config: &Config, files: &[PathBuf]) {
    context.say(&format!(
        "would look at {} on {}, fit {} in {} each, and write grid.png and {}",
        counted(config.candidates, "random edit"),
        counted(config.latents, "latent"),
        counted(config.domains, "domain"),
        counted(config.steps, "step"),
        texts(files).join(", ")
    ));
    context.result(&json!({
        "edits": config.candidates, "latents": config.latents, "domains": config.domains, "steps": config.steps,
        "files": texts(files), "seed": config.seed, "seeds": args.seeds.values(),
    }));
}

/// With a bar for each of its parts.
fn search(
    context: &Context,
    config: &Config,
    model: &StyleGan2,
    expansion: &Expansion,
    guides: &[Guide],
) -> domex_error::Result<Discovery> {
    let interrupt = Interrupt::watch()?;
    let mut bar: Option<(&'static str, Progress)> = None;
    let mut watch = |stage: Stage| {
        let (what, done, all) = match stage {
            Stage::Edits(done, all) => ("random edits", done, all),
            Stage::Fit(done, all) => ("steps of the domains", done, all),
            Stage::Measure(done, all) => ("domains measured", done, all),
        };
        if bar.as_ref().is_none_or(|(before, _)| *before != what) {
            bar = Some((what, context.progress(what, all)));
        }
        if let Some((_, bar)) = &bar {
            bar.set(done);
        }
        Ok(interrupt.check()?)
    };
    Ok(discover(
        config,
        &model.g_ema,
        expansion,
        guides,
        &mut watch,
    )?)
}

/// The model with the domains.
fn with(
    mut model: StyleGan2,
    mut expansion: Expansion,
    found: &[Found],
) -> domex_error::Result<Model> {
    for found in found {
        expansion.put_in(&found.file)?;
    }
    let mut generator = Generator::from_tensors(&model.g_ema.tensors(), model.config())?;
    generator.follow_domains(&expansion)?;
    model.g_ema = generator;
    model.expansion = Some(expansion);
    Ok(Model::StyleGan2(Box::new(model)))
}

/// The seeds on the base subspace, and a row for each domain.
fn pictures(
    context: &Context,
    args: &Discover,
    model: &Model,
    found: &[Found],
) -> domex_error::Result<Sheet> {
    let domains = Domains::of(model.generator(), model.expansion(), "discover")?;
    let mut painter = Painter::new(context, model, &args.synthesis)?;
    let seeds = args.seeds.values();
    let mut sheet = Sheet::new(seeds.iter().map(|seed| format!("seed {seed}")));
    let seeds = &seeds[..sheet.columns()];
    let base = domains.base(&painter.latents(seeds)?)?;
    let parts = found.iter().map(|found| (&found.file.domain.name, 1.0));
    let parts: Parts = parts.map(|(name, alpha)| (name.clone(), alpha)).collect();
    let rows = std::iter::once(&parts[..0]).chain(parts.chunks(1));
    let progress = context.progress(
        "pictures",
        (parts.len() + 1).min(sheet.rows()) * seeds.len(),
    );
    for part in rows {
        let mut cells = Vec::new();
        if sheet.has_room() {
            painter.paint(&domains.moved(&base, part)?, |_, picture| {
                cells.push(picture);
                progress.advance(1);
                Ok(())
            })?;
        }
        sheet.add(part.first().map_or(BASE, |(name, _)| name), cells);
    }
    Ok(sheet)
}

/// For people: a line for each domain, and how distinct they are.
fn tell(
    context: &Context,
    found: &Discovery,
    words: Option<&[Vec<(String, f64)>]>,
    folder: &OutputFolder,
) {
    for (at, one) in found.domains.iter().enumerate() {
        let next = words.map(|words| {
            let words = words[at]
                .iter()
                .map(|(word, cosine)| format!("{word} {cosine:.2}"));
            words.collect::<Vec<_>>().join(", ")
        });
        context.say(&format!(
            "{:<12} {:>5.1} % of what random edits differ by, cosine {:.2}, nearest {:.2}{}",
            one.file.domain.name,
            100.0 * one.explained,
            one.reached,
            nearest_other(&found.cosines, at),
            next.map(|next| format!("; {next}")).unwrap_or_default()
        ));
    }
    context.say(&format!(
        "any two are alike by {:.2}, as many random vectors by {:.2} (mean size of the cosine of what they change for CLIP)",
        found.likeness, found.likeness_of_random
    ));
    context.say(&format!(
        "{} and grid.png in {}; `domex domains add` takes them",
        counted(found.domains.len(), "domain"),
        folder.path().display()
    ));
}

/// The cosine of the domain that is most like this one; 0 where there is no other.
fn nearest_other(cosines: &[Vec<f64>], at: usize) -> f64 {
    let others = cosines[at]
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != at);
    others.map(|(_, cosine)| *cosine).fold(0.0, f64::max)
}

fn row(found: &Found, path: &Path, words: Option<&Vec<(String, f64)>>) -> Json {
    json!({
        "name": found.file.domain.name, "file": text(path), "dimension": found.file.domain.dimension,
        "explained": found.explained, "reached": found.reached,
        "words": words.map(|words| {
            words.iter().map(|(word, cosine)| json!({ "word": word, "cosine": cosine })).collect::<Vec<Json>>()
        }),
    })
}
