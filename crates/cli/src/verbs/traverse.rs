//! `domex traverse`: pictures along a latent direction, as a grid and as an animation.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::Args;
use domex_data::animation::Animation;
use domex_data::folder::OutputFolder;
use domex_data::grid::Grid;
use domex_data::picture::write_png;
use domex_error::user_error;
use domex_latent::subspace::choose_dimension;
use image::RgbImage;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::kinds::Model;
use crate::paths::text;
use crate::pictures::Painter;
use crate::seeds::List;
use crate::{basis, models};

/// The subspace distance of the published models.
const DISTANCE: f64 = 20.0;

/// Flags of `domex traverse`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex traverse --model ffhq.pkl --dim 0 --distance 5\n  domex traverse --model ffhq.pkl --dim 511 --seeds 0-3\n  domex traverse --model expanded.safetensors --domain sketch\n  domex traverse --model ffhq.pkl --direction smile.safetensors --distance 3\n\nWithout a direction the most dormant free dimension is shown."
)]
pub struct Traverse {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds, one a row
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: List,
    /// Direction of the latent basis; 0 is the strongest
    #[arg(long, value_name = "K", conflicts_with_all = ["domain", "direction"])]
    pub dim: Option<usize>,
    /// Domain of an expanded model: from the base subspace to the domain's distance
    #[arg(long, value_name = "NAME", conflicts_with = "direction")]
    pub domain: Option<String>,
    /// A safetensors file with one vector of the latent's size
    #[arg(long, value_name = "FILE")]
    pub direction: Option<PathBuf>,
    /// Largest distance along the direction [default: 20, or the domain's own]
    #[arg(long, value_name = "S")]
    pub distance: Option<f64>,
    /// Columns of the grid
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..))]
    pub steps: u16,
    /// Frames of the animation
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..=600))]
    pub frames: u16,
}

/// A way through the latent space: `start + step · direction`.
struct Way {
    start: Tensor,     // [n, rows, w_dim]
    direction: Tensor, // [w_dim], of unit length
    from: f64,
    to: f64,
    name: String,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Traverse) -> domex_error::Result<()> {
    if let Some(distance) = args
        .distance
        .filter(|distance| !distance.is_finite() || *distance <= 0.0)
    {
        return Err(user_error(format!(
            "--distance {distance}: give a number above 0"
        )));
    }
    let folder = OutputFolder::create(&args.out.out, args.out.force)?;
    let model = models::load(context, &args.model)?;
    let mut painter = Painter::new(context, &model, &args.synthesis)?;
    let ws = painter.latents(args.seeds.values())?;
    let way = way(&model, args, ws)?;

    let grid_steps = steps(&way, args.steps.into());
    let frame_steps = steps(&way, args.frames.into());
    let all_steps: Vec<f64> = grid_steps.iter().chain(&frame_steps).copied().collect();
    let latents = all_steps
        .iter()
        .map(|&step| at(&way, step))
        .collect::<candle_core::Result<Vec<_>>>()?;
    let pictures = painter.paint_all(context, &Tensor::cat(&latents, 0)?)?;
    let (for_grid, for_frames) = pictures.split_at(grid_steps.len() * args.seeds.values().len());

    let grid = folder.file("grid.png");
    write_png(&grid, &draw_grid(args, &way, &grid_steps, for_grid)?)?;
    let animation = folder.file("traverse.gif");
    animate(args, &way, &frame_steps, for_frames)?.write_gif(&animation)?;
    context.say(&format!(
        "{}: {} and {}",
        way.name,
        grid.display(),
        animation.display()
    ));
    context.result(&json!({ "grid": text(&grid), "animation": text(&animation), "direction": way.name, "from": way.from, "to": way.to }));
    Ok(())
}

fn way(model: &Model, args: &Traverse, ws: Tensor) -> domex_error::Result<Way> {
    if let Some(file) = &args.direction {
        let direction = read_direction(file, ws.dim(2)?, ws.device(), ws.dtype())?;
        let distance = args.distance.unwrap_or(DISTANCE);
        return Ok(Way {
            start: ws,
            direction,
            from: -distance,
            to: distance,
            name: file.display().to_string(),
        });
    }
    if let Some(name) = &args.domain {
        return domain_way(model, name, args.distance, &ws);
    }
    let basis = basis::of(model, basis::Choice::DomainExpansion)?;
    let taken = model
        .expansion()
        .map(|expansion| expansion.layout.repurposed())
        .unwrap_or_default();
    let dim = match args.dim {
        // Any direction may be looked at, also one that a domain holds.
        Some(dim) => choose_dimension(Some(dim), &[], basis.count())?,
        None => choose_dimension(None, &taken, basis.count())?,
    };
    let direction = basis
        .directions(&[dim], ws.device(), ws.dtype())?
        .squeeze(0)?;
    let distance = args.distance.unwrap_or(DISTANCE);
    Ok(Way {
        start: ws,
        direction,
        from: -distance,
        to: distance,
        name: format!("dimension {dim}"),
    })
}

/// From the base subspace along the domain's direction.
fn domain_way(
    model: &Model,
    name: &str,
    distance: Option<f64>,
    ws: &Tensor,
) -> domex_error::Result<Way> {
    let expansion = model.expansion().ok_or_else(|| {
        user_error(format!(
            "--domain {name}: the model has no domains; use --dim, or give an expanded model"
        ))
    })?;
    let domain = expansion.layout.domain(name)?;
    let subspaces = expansion
        .layout
        .subspaces(&expansion.basis, ws.device(), ws.dtype())?;
    let mean = expansion
        .mean
        .to_device(ws.device())?
        .to_dtype(ws.dtype())?;
    Ok(Way {
        start: subspaces.project(ws, Some(&mean))?,
        direction: expansion
            .basis
            .directions(&[domain.dimension], ws.device(), ws.dtype())?
            .squeeze(0)?,
        from: 0.0,
        to: distance.unwrap_or(domain.distance),
        name: format!("domain {name}"),
    })
}

fn read_direction(
    file: &Path,
    w_dim: usize,
    device: &Device,
    dtype: DType,
) -> domex_error::Result<Tensor> {
    let foreign = domex_checkpoint::foreign::read(file)?;
    let tensors = domex_checkpoint::foreign::state_dict(&foreign.value)?;
    let fitting: Vec<_> = tensors
        .iter()
        .filter(|(_, tensor)| tensor.elements() == w_dim)
        .collect();
    let [(_, data)] = fitting[..] else {
        return Err(user_error(format!(
            "--direction {}: {} tensors of {w_dim} numbers, expected exactly one",
            file.display(),
            fitting.len()
        )));
    };
    let vector = data
        .to_tensor(device)?
        .to_dtype(DType::F64)?
        .flatten_all()?;
    let length = vector.sqr()?.sum_all()?.sqrt()?.to_scalar::<f64>()?;
    if !(length.is_finite() && length > 0.0) {
        return Err(user_error(format!(
            "--direction {}: the vector's length is {length}",
            file.display()
        )));
    }
    Ok((vector / length)?.to_dtype(dtype)?)
}

fn at(way: &Way, step: f64) -> candle_core::Result<Tensor> {
    way.start.broadcast_add(&(&way.direction * step)?)
}

/// `count` steps, evenly from one end to the other.
fn steps(way: &Way, count: usize) -> Vec<f64> {
    let last = (count - 1) as f64;
    (0..count)
        .map(|index| way.from + (way.to - way.from) * index as f64 / last)
        .collect()
}

/// Rows are seeds, columns are steps; `pictures` come step by step.
fn draw_grid(
    args: &Traverse,
    way: &Way,
    steps: &[f64],
    pictures: &[RgbImage],
) -> domex_error::Result<RgbImage> {
    let seeds = args.seeds.values();
    let cells: Vec<RgbImage> = (0..seeds.len())
        .flat_map(|row| (0..steps.len()).map(move |column| column * seeds.len() + row))
        .map(|index| pictures[index].clone())
        .collect();
    Ok(Grid::new(steps.len())
        .title(format!("Along {}", way.name))
        .column_labels(steps.iter().map(|step| format!("{step:+.1}")))
        .row_labels(seeds.iter().map(|seed| format!("seed {seed}")))
        .draw(&cells)?)
}

fn animate(
    args: &Traverse,
    way: &Way,
    steps: &[f64],
    pictures: &[RgbImage],
) -> domex_error::Result<Animation> {
    let count = args.seeds.values().len();
    let frames = pictures.chunks(count).map(side_by_side).collect();
    Ok(Animation::new(frames)
        .ping_pong(true)
        .slider(way.name.clone(), steps))
}

fn side_by_side(pictures: &[RgbImage]) -> RgbImage {
    let (width, height) = pictures[0].dimensions();
    let mut joined = RgbImage::new(width * pictures.len() as u32, height);
    for (index, picture) in pictures.iter().enumerate() {
        image::imageops::replace(&mut joined, picture, i64::from(width) * index as i64, 0);
    }
    joined
}
