//! `domex edit`: real pictures in the domains of an expanded model.

pub mod autoencoder;

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use clap::Args;
use domex_data::counted;
use domex_data::folder::OutputFolder;
use domex_data::picture::{self, write_png};
use domex_error::{AnyError, user_error};
use domex_invert::Code;
use image::RgbImage;
use serde_json::{Value as Json, json};

use super::invert::{Invert, SpaceChoice, invert, maps, subject, synthesize};
use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::crop::{self, CropArgs};
use crate::domains::{BASE, Domains};
use crate::interrupt::Interrupt;
use crate::kinds::Model;
use crate::models;
use crate::paths::{text, texts};
use crate::region;
use crate::sheet::Sheet;

/// Extensions of files that hold a latent.
const EXTENSIONS: [&str; 5] = ["safetensors", "npz", "npy", "pt", "pth"];

/// Flags of `domex edit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex edit --model run/model.safetensors --image anna.jpg --set elf=1 --out elf\n  domex edit --model run/model.safetensors --latents anna/latents --set elf=1,sketch=0.5 --out both\n  domex edit --model run/model.safetensors --image party.jpg --crop face --set elf=1 --out guest\n\nPictures are inverted first, as `domex invert` does it, into OUT/inverted; its latents can be used again by --latents. A diffusion autoencoder encodes them instead; its --latents is what `domex encode` wrote. Strength 0 is the base subspace, 1 the domain as it was learnt. Writes a picture each, and grid.png with the base beside it."
)]
pub struct Edit {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Pictures, or a folder of them, without its sub-folders; may be given several times
    #[arg(
        long,
        value_name = "FILE|DIR",
        required_unless_present = "latents",
        conflicts_with = "latents"
    )]
    pub image: Vec<PathBuf>,
    /// A latent that was found before, or a folder of them
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["crop", "face"])]
    pub latents: Option<PathBuf>,
    /// Domains and their strengths; may be given several times
    #[arg(long, value_name = "NAME[=ALPHA],..", required = true)]
    pub set: Vec<String>,
    /// Where the search for the pictures' latents starts: at what an encoder of `domex train-encoder` predicts, or at the mean
    /// latent (none) [default: the shipped encoder for the shipped generator and what was expanded from it, else none]
    #[arg(long, value_name = "FILE|none", conflicts_with = "latents")]
    pub encoder: Option<String>,
    /// A square picture that is white where the domains are to show, and black or transparent where the base is; grey is between
    #[arg(long, value_name = "FILE")]
    pub region: Option<PathBuf>,
    /// What of a picture is shown.
    #[command(flatten)]
    pub crop: CropArgs,
    /// Steps of the search [default: 50 from an encoder's latents, else 300]; of a diffusion autoencoder, which encodes pictures
    /// without a search, those from a picture to its noise [default: 100]
    #[arg(long, value_name = "N", conflicts_with = "latents")]
    pub steps: Option<u32>,
    /// The perceptual network of that search: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "latents")]
    pub perceptual: Option<PathBuf>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Edit) -> domex_error::Result<()> {
    args.crop.check()?;
    let model = models::load(context, &args.model)?;
    let region = args.region.as_deref();
    let region = region.map(|file| region::read(file, &model)).transpose()?;
    if let Model::DiffAe(model) = &model {
        return autoencoder::run(context, args, model);
    }
    let domains = Domains::of(model.generator(), model.expansion(), "edit")?;
    let parts = domains.parts("--set", &args.set)?;
    let given = match &args.latents {
        Some(path) => files(path)?,
        None => super::invert::files(&args.image)?,
    };
    refuse_grid(&given)?;
    let folder = args.out.folder()?;
    let files = match args.latents {
        Some(_) => given,
        None => {
            crop::refuse_overwriting(&given, folder.path())?;
            let inverted = folder.file("inverted");
            invert(context, &search(args, given.clone(), &inverted), 300)?;
            // Not those that an earlier call left there.
            let latent = |file| inverted.join(format!("latents/{}.safetensors", crop::name(file)));
            given.iter().map(|file| latent(file)).collect()
        }
    };

    let interrupt = Interrupt::watch()?;
    let progress = context.progress("pictures", files.len());
    let (mut sheet, mut written) = (sheet(&parts), Vec::new());
    for file in &files {
        let code = Code::read(file, subject(&model))?;
        let base = domains.base(&code.latent)?;
        let edited = domains.moved(&base, &parts)?;
        let name = crop::name(file);
        let path = folder.file(format!("{name}.png"));
        let outside = region.as_ref().map(|region| (region, &base));
        let picture = paint(&model, &edited, &code.noise, outside)?;
        write_png(&path, &picture)?;
        let cells = match sheet.has_room() {
            true => vec![paint(&model, &base, &code.noise, None)?, picture],
            false => Vec::new(),
        };
        sheet.add(name, cells);
        written.push(path);
        progress.advance(1);
        interrupt.check()?;
    }
    drop(progress);
    let result =
        json!({ "pictures": texts(&written), "latents": texts(&files), "set": set(&parts) });
    finish(context, &folder, &sheet, result)
}

/// The grid's file without its ending.
const GRID: &str = "grid";

/// Results are called as pictures and latents are, and one name is taken.
fn refuse_grid(files: &[PathBuf]) -> domex_error::Result<()> {
    match files.iter().find(|file| crop::name(file) == GRID) {
        None => Ok(()),
        Some(file) => Err(user_error(format!(
            "{}: its result would be called {GRID}.png, as the grid of all results is; give it another name",
            file.display()
        ))),
    }
}

/// What becomes `grid.png`: a row with the base and what was made of it for each picture.
fn sheet(parts: &[(String, f64)]) -> Sheet {
    let set = parts.iter().map(|(name, alpha)| format!("{name} {alpha}"));
    let set: Vec<String> = set.collect();
    Sheet::new([BASE.to_owned(), set.join(" + ")])
}

/// Writes the grid, and tells of it and of the pictures in `result`.
fn finish(
    context: &Context,
    folder: &OutputFolder,
    sheet: &Sheet,
    mut result: Json,
) -> domex_error::Result<()> {
    let grid = folder.file(format!("{GRID}.png"));
    write_png(&grid, &sheet.draw()?)?;
    result["grid"] = json!(text(&grid));
    if let Some(notice) = sheet.notice() {
        context.say(&notice);
    }
    let written = result["pictures"].as_array().map_or(0, Vec::len);
    context.say(&format!(
        "{} and grid.png in {}",
        counted(written, "picture"),
        folder.path().display()
    ));
    context.result(&result);
    Ok(())
}

/// Domains and strengths for programs.
fn set(parts: &[(String, f64)]) -> Vec<Json> {
    let set = parts
        .iter()
        .map(|(name, alpha)| json!({ "domain": name, "alpha": alpha }));
    set.collect()
}

/// The search for the latents of `image` on the base subspace, into a folder of its own.
fn search(args: &Edit, image: Vec<PathBuf>, folder: &Path) -> Invert {
    Invert {
        model: ModelArgs {
            model: args.model.model.clone(),
            random: args.model.random,
        },
        out: OutArgs {
            out: Some(folder.to_owned()),
            force: args.out.force,
        },
        image,
        space: SpaceChoice::W,
        domain: None,
        encoder: args.encoder.clone(),
        steps: args.steps,
        crop: args.crop,
        l2: 0.0,
        keep_noise: false,
        tune: 0,
        npz: false,
        perceptual: args.perceptual.clone(),
        batch: 4,
    }
}

/// The file itself, or the latents of a folder, sorted by name; no two of one name.
pub fn files(path: &Path) -> domex_error::Result<Vec<PathBuf>> {
    let problem = |reason: String| user_error(format!("--latents {}: {reason}", path.display()));
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| problem(error.to_string()))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| {
            let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
            EXTENSIONS.iter().any(|known| extension == *known)
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(problem(format!(
            "holds no latent; expected files that end in .{}",
            EXTENSIONS.join(", .")
        )));
    }
    for (index, file) in files.iter().enumerate() {
        let name = crop::name(file);
        if files[..index].iter().any(|other| crop::name(other) == name) {
            return Err(problem(format!(
                "holds two latents that are called {name}, and results are written under that name"
            )));
        }
    }
    Ok(files)
}

/// The picture of one latent with its pixel noise, or with the generator's own; outside a region, of another latent.
fn paint(
    model: &Model,
    latent: &Tensor,
    noise: &[Tensor],
    outside: Option<(&Tensor, &Tensor)>,
) -> domex_error::Result<RgbImage> {
    let made = match (model, outside) {
        (Model::StyleGan2(model), Some((region, outside))) => {
            let (synthesis, noise) = (model.generator().synthesis(), maps(noise));
            synthesis.forward_within(latent, outside, region, noise)?
        }
        // Only a StyleGAN2 has regions: others are refused as the file is read.
        _ => synthesize(model, latent, noise)?,
    };
    let pictures = picture::to_rgb(&made)?;
    let first = pictures.into_iter().next();
    first.ok_or_else(|| AnyError::internal("the generator made no picture"))
}
