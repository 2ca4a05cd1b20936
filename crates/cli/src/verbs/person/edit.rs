//! Edits that stay the person: steps along a direction in its space.

use std::path::PathBuf;

use candle_core::Tensor;
use clap::{Args, ValueEnum};
use domex_data::picture::write_png;
use domex_error::user_error;
use domex_invert::Code;
use domex_latent::subspace::choose_dimension;
use domex_mystyle::edit::{EdgePolicy, edit, span_direction, strengths};
use domex_mystyle::nearest::nearest;
use image::RgbImage;
use serde_json::json;

use super::{BATCH, BETA, Space, SpaceArgs, beta};
use crate::context::Context;
use crate::kinds::Model;
use crate::paths::text;
use crate::sheet::{self, MOST_COLUMNS, Sheet};
use crate::verbs::edit::files;
use crate::verbs::traverse::read_direction;
use crate::{basis, models};

/// Flags of `domex person edit`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex person edit --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --latents out/latents --dim 3\n\nWrites NAME-0.png, NAME-1.png, ... for each step of each latent, and grid.png. The direction is brought into the span of the anchors first; what is printed as its cosine says how much of it the person can do."
)]
pub struct Edit {
    /// Whose space.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// A latent of the person, or a folder of them, as `domex person project` writes them; each is brought to the nearest point of
    /// the space
    #[arg(long, value_name = "FILE|DIR")]
    pub latents: PathBuf,
    /// Direction of the latent basis; 0 is the strongest
    #[arg(
        long,
        value_name = "K",
        conflicts_with = "direction",
        required_unless_present = "direction"
    )]
    pub dim: Option<usize>,
    /// A safetensors file with one vector of the latent's size
    #[arg(long, value_name = "FILE")]
    pub direction: Option<PathBuf>,
    /// Largest distance along the direction, both ways, as a share of a domain's
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.25,
        allow_negative_numbers = true
    )]
    pub distance: f64,
    /// Steps, half of them each way; the middle, where both halves meet, is shown once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(4..))]
    pub steps: u16,
    /// What to do with a step that leaves the space
    #[arg(long, value_enum, default_value_t = Edge::Project)]
    pub edge: Edge,
    /// How far coordinates may fall below 0 within the space
    #[arg(long, value_name = "BETA", default_value_t = BETA, value_parser = beta, allow_negative_numbers = true)]
    pub beta: f64,
}

/// What to do at the edge of the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Edge {
    /// Leave the step out.
    Stop,
    /// Keep it as it is: less and less the person.
    Continue,
    /// Take the nearest point of the space.
    Project,
}

impl From<Edge> for EdgePolicy {
    fn from(edge: Edge) -> Self {
        match edge {
            Edge::Stop => Self::Stop,
            Edge::Continue => Self::Continue,
            Edge::Project => Self::Project,
        }
    }
}

pub(super) fn run(context: &Context, args: &Edit) -> domex_error::Result<()> {
    let all = strengths(args.distance, args.steps.into())
        .map_err(|error| user_error(format!("--distance or --steps: {error}")))?;
    let own = Model::StyleGan2(Box::new(models::stylegan2(context, &args.space.model)?));
    let unit = own.distance()?;
    let direction = direction(&own, args)?;
    let Model::StyleGan2(model) = &own else {
        return Err(domex_error::AnyError::internal("another kind of model"));
    };
    let space = Space::of(model, &args.space)?;
    let along = span_direction(&space.anchors, &direction)?;
    let files = files(&args.latents)?;
    let folder = args.space.out.folder()?;
    let steps: Vec<f64> = all.iter().map(|strength| strength * unit).collect();

    let progress = context.progress("latents", files.len());
    let shown = shown(steps.len());
    let mut sheet = Sheet::new(shown.iter().map(|&step| format!("{:+.2}", all[step])));
    let mut told = Vec::new();
    for file in &files {
        let code = Code::read(file, model.generator())?;
        let at = nearest(&space.anchors, &code.latent.squeeze(0)?, args.beta)?;
        let edits = edit(
            &space.anchors,
            &at.coordinates,
            &along.gamma,
            &steps,
            args.edge.into(),
            args.beta,
        )?;
        let name = file
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        // A step that was left out is white.
        let side = model.config().synthesis.img_resolution as u32;
        let mut cells = vec![RgbImage::from_pixel(side, side, image::Rgb([255; 3])); shown.len()];
        for (batch, edits) in edits.chunks(BATCH).enumerate() {
            let latents: Vec<Tensor> = edits.iter().map(|edit| edit.latent.clone()).collect();
            let pictures = space.pictures(&Tensor::stack(&latents, 0)?)?;
            for (offset, (edit, picture)) in edits.iter().zip(pictures).enumerate() {
                let index = batch * BATCH + offset;
                write_png(&folder.file(format!("{name}-{index}.png")), &picture)?;
                let is_here = |step: &usize| steps[*step] == edit.strength;
                if let Some(place) = shown.iter().position(is_here) {
                    cells[place] = picture;
                }
            }
        }
        let strengths = edits.iter().map(|edit| edit.strength / unit);
        told.push(json!({ "name": name, "strengths": strengths.collect::<Vec<_>>() }));
        sheet.add(name, cells);
        progress.advance(1);
    }
    drop(progress);
    let path = folder.file("grid.png");
    write_png(&path, &sheet.draw()?)?;
    let left_out = sheet::notice(&[("steps", shown.len(), steps.len())]);
    for notice in left_out.iter().chain(&sheet.notice()) {
        context.say(notice);
    }
    context.say(&format!("cosine of the direction {:.3}", along.cosine));
    context.say(&format!(
        "pictures and grid.png in {}",
        folder.path().display()
    ));
    context.result(&json!({ "latents": told, "cosine": along.cosine, "grid": text(&path) }));
    Ok(())
}

/// A direction `[D]` of unit length.
fn direction(model: &Model, args: &Edit) -> domex_error::Result<Tensor> {
    let generator = model.generator();
    let (device, dtype) = (generator.device(), generator.dtype());
    if let Some(file) = &args.direction {
        return read_direction(file, generator.latent_dim(), device, dtype);
    }
    let basis = basis::of(model, basis::Choice::DomainExpansion)?;
    let dim = choose_dimension(args.dim, &[], basis.count())?;
    Ok(basis.directions(&[dim], device, dtype)?.squeeze(0)?)
}

/// Which of so many steps the grid shows: all, or some from one end to the other.
fn shown(steps: usize) -> Vec<usize> {
    let columns = steps.min(MOST_COLUMNS);
    let last = columns.saturating_sub(1).max(1);
    let place = |column: usize| column * (steps - 1) / last;
    (0..columns).map(place).collect()
}
