//! `domex invert`: from real pictures to latents.

mod inputs;
mod outputs;
mod search;

use std::collections::HashSet;
use std::path::PathBuf;

use candle_core::{DType, Tensor};
use clap::{Args, ValueEnum};
use domex_encoder::Encoder;
use domex_error::user_error;
use domex_invert::{Config, Place, Space, Subject};
use domex_lpips::Lpips;
use domex_stylegan2::Noise;
use serde_json::Value as Json;

pub(super) use self::inputs::files;
use self::search::Search;
use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::crop::given::{Given, Picture};
use crate::crop::{self, CropArgs, Cropper};
use crate::domains::{Domains, slugs};
use crate::interrupt::Interrupt;
use crate::kinds::{self, Model};
use crate::{assets, models, pictures};

/// Flags of `domex invert`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex invert --image anna.jpg --out anna\n  domex invert --image photos --space w+ --tune 350 --out tuned\n  domex invert --model run/model.safetensors --image drawing.png --domain sketch --out drawing\n  domex fetch yunet\n  domex invert --model stylegan2-ffhq-1024 --image party.jpg --crop face --out guest\n  domex invert --model stylegan2-ffhq-1024 --image party.jpg --crop face --face 2 --out other\n\nA picture of another size is resized along its shorter side and its middle is taken; --crop face finds the face and cuts it out as the pictures of FFHQ are; of several the largest, or that of --face. Of an expanded model the latent is looked for on the base subspace, or on that of --domain, and the same picture is shown in every domain. Writes latents/NAME.safetensors (w, and the pixel noise), pictures/NAME.png, beside.png, invert.json, and with --tune model.safetensors, the generator that gives the pictures at these latents with its own pixel noise."
)]
pub struct Invert {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Pictures, or a folder of them, without its sub-folders; may be given several times
    #[arg(long, value_name = "FILE|DIR", required = true)]
    pub image: Vec<PathBuf>,
    /// Where to look: w, which edits well, or w+, which comes nearer
    #[arg(long, value_enum, default_value_t = SpaceChoice::W)]
    pub space: SpaceChoice,
    /// The pictures are of this domain of an expanded model [default: of the base]
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// Where the search starts: at what an encoder of `domex train-encoder` predicts, or at the mean latent (none)
    /// [default: the shipped encoder for the shipped generator and what was expanded from it, else none]
    #[arg(long, value_name = "FILE|none")]
    pub encoder: Option<String>,
    /// Steps of the search; 0 takes what the encoder predicts [default: 50 from an encoder's latents, else 1000]
    #[arg(long, value_name = "N")]
    pub steps: Option<u32>,
    /// What of a picture is looked for.
    #[command(flatten)]
    pub crop: CropArgs,
    /// Weight of the mean square difference of pixels, beside the perceptual distance
    #[arg(
        long,
        value_name = "X",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    pub l2: f64,
    /// Leave the generator's pixel noise as it is, as a search from an encoder's latents does; otherwise it is searched for too.
    /// A StyleGAN3 has none
    #[arg(long)]
    pub keep_noise: bool,
    /// Steps of tuning the generator to the pictures afterwards (pivotal tuning), of a StyleGAN2
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub tune: u32,
    /// The perceptual network: a file, or a fetched one's name [default: the shipped one]
    #[arg(long, value_name = "FILE|NAME")]
    pub perceptual: Option<PathBuf>,
    /// Also write projected/NAME.npz with `w`, as stylegan2-ada's projector does
    #[arg(long)]
    pub npz: bool,
    /// Pictures looked for at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

/// Where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpaceChoice {
    /// One row for all layers.
    W,
    /// A row for each layer.
    #[value(name = "w+")]
    WPlus,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Invert) -> domex_error::Result<()> {
    let json = invert(context, args, 1000)?;
    let pictures = json["pictures"].as_array().map_or(&[][..], Vec::as_slice);
    for picture in pictures {
        let figures = picture.get("tuned").unwrap_or(&picture["found"]);
        context.say(&format!(
            "{}: perceptual distance {:.4}, PSNR {:.1} dB",
            picture["name"].as_str().unwrap_or_default(),
            figures["distance"].as_f64().unwrap_or(f64::NAN),
            figures["psnr"].as_f64().unwrap_or(f64::NAN)
        ));
    }
    if let Some(notice) = json["notice"].as_str() {
        context.say(notice);
    }
    let folder = json["folder"].as_str().unwrap_or_default();
    context.say(&format!("latents and beside.png in {folder}"));
    context.result(&json);
    Ok(())
}

/// Looks for the pictures and writes what is found, and its figures. Without an encoder the default is `unaided` steps.
pub fn invert(context: &Context, args: &Invert, unaided: u32) -> domex_error::Result<Json> {
    let perceptual = match &args.perceptual {
        Some(path) => models::perceptual(path)?,
        None => assets::expect(assets::PERCEPTUAL)
            .map_err(|error| user_error(format!("no --perceptual, and {error}")))?,
    };
    if !(args.l2.is_finite() && args.l2 >= 0.0) {
        return Err(user_error(format!(
            "--l2 {}: give 0 or a positive number",
            args.l2
        )));
    }
    let files = files(&args.image)?;
    let cropper = Cropper::new(args.crop)?;
    let model = model(context, args)?;
    let domains = match (model.expansion(), &args.domain) {
        (None, None) => None,
        _ => Some(Domains::of(
            model.generator(),
            model.expansion(),
            "--domain",
        )?),
    };
    let place = domains
        .as_ref()
        .map(|domains| place(domains, args.domain.as_deref()));
    let place = place.transpose()?;
    let side = model.generator().resolution() as u32;
    let given = cropper.look(&files, None, side)?;
    let encoder = encoder(context, args, &model)?;
    refuse_equal_results(&given, &names(domains.as_ref()))?;
    let config = config(args, encoder.is_some(), unaided);
    check_steps(args, encoder.is_some(), config.steps)?;
    let batch = given.len().min(args.batch.into());
    pictures::check_batch(model.generator(), model.generator().dtype(), batch)?;
    let perceptual = Lpips::load(&perceptual, DType::F32, &context.device)?;
    let folder = args.out.folder()?;
    crop::refuse_overwriting(&files, &folder.file(PICTURES))?;
    let search = Search {
        context,
        args,
        interrupt: Interrupt::watch()?,
        model: &model,
        perceptual: &perceptual,
        place: place.as_ref(),
        domains: domains.as_ref(),
        config,
        encoder,
    };
    search.run(&given, &folder)
}

/// The generator, which can be tuned if that is wanted.
fn model(context: &Context, args: &Invert) -> domex_error::Result<Model> {
    let name = models::name(&args.model);
    let model = models::load(context, &args.model)?.layered(name)?;
    match &model {
        Model::StyleGan2(_) => Ok(model),
        _ if args.tune == 0 => Ok(model),
        _ => Err(model.misplaced(&format!("--tune: {name}"), &[&kinds::STYLEGAN2])),
    }
}

/// What predicts latents. A picture of another domain is none that an encoder has seen.
fn encoder(
    context: &Context,
    args: &Invert,
    model: &Model,
) -> domex_error::Result<Option<Encoder>> {
    match (&args.domain, args.encoder.as_deref()) {
        (None, wanted) => models::encoder(context, wanted, model),
        (Some(_), None | Some("none")) => Ok(None),
        (Some(_), Some(_)) => Err(user_error(
            "--encoder: reads pictures of the base; leave it out, or --domain",
        )),
    }
}

/// Refuses a search of no steps where nothing predicts latents, and what would weigh in it.
fn check_steps(args: &Invert, has_encoder: bool, steps: usize) -> domex_error::Result<()> {
    if steps > 0 {
        return Ok(());
    }
    if !has_encoder {
        return Err(user_error(
            "--steps 0: takes what an encoder predicts, and there is none here; give more steps, or one as --encoder",
        ));
    }
    match args.l2 > 0.0 {
        true => Err(user_error(format!(
            "--l2 {}: weighs in the search, which --steps 0 leaves out",
            args.l2
        ))),
        false => Ok(()),
    }
}

/// The folder for pictures of what is found.
const PICTURES: &str = "pictures";

/// The names of an expanded model's domains.
fn names(domains: Option<&Domains<'_>>) -> Vec<String> {
    let domains = domains.map(|domains| domains.layout().domains());
    let domains = domains.unwrap_or_default().iter();
    domains.map(|domain| domain.name.clone()).collect()
}

/// Each picture becomes `NAME.png`, and `NAME-DOMAIN.png` in every domain.
fn refuse_equal_results(given: &Given, domains: &[String]) -> domex_error::Result<()> {
    let domains = slugs(domains);
    let mut all = HashSet::new();
    for Picture { name, .. } in given.all() {
        let in_domains = domains.iter().map(|domain| format!("{name}-{domain}"));
        for result in in_domains.chain([name.clone()]) {
            if !all.insert(result.clone()) {
                return Err(user_error(format!(
                    "--image: two results would be called {result}.png, as pictures in domains are called after both; give {name} \
                     another name, or search for it by itself"
                )));
            }
        }
    }
    Ok(())
}

/// Pictures of latents `[n, rows, D]`, of a StyleGAN2 with this pixel noise, or its own where there is none.
pub fn synthesize(
    model: &Model,
    latents: &Tensor,
    noise: &[Tensor],
) -> domex_error::Result<Tensor> {
    Ok(match model {
        Model::StyleGan2(model) => model.g_ema.synthesis().forward(latents, maps(noise))?,
        model => model.generator().synthesize(latents)?,
    })
}

/// Pixel noise as it was found, or the generator's own where none was.
pub fn maps(noise: &[Tensor]) -> Noise<'_> {
    match noise {
        [] => Noise::Const,
        maps => Noise::Maps(maps),
    }
}

/// The generator as the search takes it.
pub fn subject(model: &Model) -> Subject<'_> {
    match model {
        Model::StyleGan2(model) => Subject::StyleGan2(model.generator()),
        model => Subject::Latent(model.generator()),
    }
}

fn config(args: &Invert, with_encoder: bool, unaided: u32) -> Config {
    let (usual, steps) = match with_encoder {
        true => (Config::near(), Config::near().steps),
        false => (Config::default(), unaided as usize),
    };
    Config {
        space: match args.space {
            SpaceChoice::W => Space::W,
            SpaceChoice::WPlus => Space::WPlus,
        },
        steps: args.steps.map_or(steps, |steps| steps as usize),
        pixel_noise: usual.pixel_noise.filter(|_| !args.keep_noise),
        l2: args.l2,
        ..usual
    }
}

/// The latents `[n, D]` that an encoder predicts for pictures.
pub fn start(encoder: &Encoder, pictures: &Tensor) -> domex_error::Result<Tensor> {
    Ok(encoder.encode(&pictures.to_dtype(DType::F32)?)?)
}

/// The subspace to look on: the base, or a domain's.
pub fn place(domains: &Domains<'_>, domain: Option<&str>) -> domex_error::Result<Place> {
    let part: Vec<(&str, f64)> = domain.iter().map(|&name| (name, 1.0)).collect();
    Ok(Place {
        strengths: domains.layout().strengths(&part)?,
        subspaces: domains.subspaces().clone(),
        mean: domains.mean().clone(),
    })
}
