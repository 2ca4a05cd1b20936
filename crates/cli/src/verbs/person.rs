//! `domex person`: the space that a person's pictures span (MyStyle): samples from it, pictures brought into it, edits that stay
//! in it.

mod edit;
mod project;
mod sample;

use std::path::PathBuf;

use candle_core::Tensor;
use clap::{Args, Subcommand};
use domex_data::picture;
use domex_error::{Context as _, user_error};
use domex_mystyle::Anchors;
use domex_stylegan2::{Generator, Model, Noise};
use image::RgbImage;

use crate::args::{ModelArgs, OutArgs};
use crate::context::Context;
use crate::domains::Domains;

/// How far coordinates may fall below 0, as published.
const BETA: f64 = 0.02;

/// Pictures made at once.
const BATCH: usize = 8;

/// Flags of `domex person`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex invert --image anna --out anna-latents\n  domex expand --tasks anna.toml --out run\n  domex person sample  --model run/model.safetensors --anchors anna-latents/latents --name anna\n  domex person project --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --image torn.png --mask hole.png\n  domex person edit    --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --latents out/latents --dim 3 --set zombie=1\n\nThe anchors are the latents of the person's pictures, in W. With --name they are moved onto the person's subspace of an expanded model; without it the model itself was tuned to the person, as `domex invert --tune` does."
)]
pub struct Person {
    /// What to do.
    #[command(subcommand)]
    pub what: What,
}

/// The actions.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Draw new pictures of the person, between a few of the anchors each
    Sample(sample::Sample),
    /// Find a picture of the person in its space, also one with a hole or of few pixels
    Project(project::Project),
    /// Move along a direction and stay the person
    Edit(edit::Edit),
}

/// Whose space.
#[derive(Debug, Args)]
pub struct SpaceArgs {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Latents of the person's pictures: a file with all of them, or a folder with one for each, such as `domex invert` writes
    #[arg(long, value_name = "FILE|DIR")]
    pub anchors: PathBuf,
    /// The person's domain of an expanded model
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Other domains on top, with their strengths; may be given several times
    #[arg(long, value_name = "NAME[=ALPHA],..")]
    pub set: Vec<String>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Person) -> domex_error::Result<()> {
    match &args.what {
        What::Sample(args) => sample::run(context, args),
        What::Project(args) => project::run(context, args),
        What::Edit(args) => edit::run(context, args),
    }
}

/// A person's space in a model.
struct Space<'a> {
    generator: &'a Generator,
    /// On the person's subspace.
    anchors: Anchors,
    on_top: Option<(Domains<'a>, Vec<(String, f64)>)>,
}

impl<'a> Space<'a> {
    fn of(model: &'a Model, args: &SpaceArgs) -> domex_error::Result<Self> {
        let generator = model.generator();
        let (device, dtype) = (
            generator.synthesis().device(),
            generator.synthesis().dtype(),
        );
        let anchors = Anchors::read(&args.anchors, generator.config().w_dim());
        let anchors = anchors.context("--anchors")?;
        let latents = anchors.latents().to_device(device)?.to_dtype(dtype)?;
        let asked = args.name.is_some() || !args.set.is_empty();
        if model.expansion().is_none() && !asked {
            return Ok(Self {
                anchors: Anchors::new(&latents)?,
                on_top: None,
                generator,
            });
        }
        let flag = match args.name {
            Some(_) => "--name",
            None => "--set",
        };
        let domains = Domains::of(generator, model.expansion(), flag)?;
        let parts = domains.parts("--set", &args.set)?;
        let own: Vec<(String, f64)> = args.name.iter().map(|name| (name.clone(), 1.0)).collect();
        if let Some((name, _)) = parts
            .iter()
            .find(|(name, _)| own.iter().any(|own| own.0 == *name))
        {
            return Err(user_error(format!(
                "--set {name}: is the person itself; name what goes on top"
            )));
        }
        let base = domains.base(&latents.unsqueeze(1)?)?;
        let moved = domains.moved(&base, &own)?.squeeze(1)?;
        Ok(Self {
            anchors: Anchors::new(&moved)?,
            on_top: Some((domains, parts)),
            generator,
        })
    }

    /// Rows of W+.
    fn rows(&self) -> usize {
        self.generator.config().num_ws()
    }

    /// Latents `[n, num_ws, D]` with the other domains on top.
    fn dressed(&self, latents: &Tensor) -> domex_error::Result<Tensor> {
        match &self.on_top {
            Some((domains, parts)) if !parts.is_empty() => domains.moved(latents, parts),
            _ => Ok(latents.clone()),
        }
    }

    /// Pictures of at most [`BATCH`] latents `[n, num_ws, D]`, with what goes on top.
    fn pictures(&self, latents: &Tensor) -> domex_error::Result<Vec<RgbImage>> {
        let latents = self.dressed(latents)?;
        let made = self.generator.synthesis().forward(&latents, Noise::Const)?;
        Ok(picture::to_rgb(&made)?)
    }
}

/// A dilation of the space.
fn beta(text: &str) -> Result<f64, String> {
    let beta = text.parse().ok();
    let beta = beta.filter(|beta: &f64| beta.is_finite() && *beta >= 0.0);
    beta.ok_or_else(|| "expected 0 or a positive number".to_owned())
}
