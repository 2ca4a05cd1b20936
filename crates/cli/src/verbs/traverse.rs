//! `domex traverse`: pictures along a latent direction, as a grid and as an animation.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::{Args, ValueEnum};
use domex_data::animation::{Animation, Format};
use domex_data::folder::{OutputFolder, prepare_file};
use domex_data::grid::{Grid, reduced};
use domex_data::picture::write_png;
use domex_error::{Context as _, user_error};
use domex_latent::subspace::choose_dimension;
use image::RgbImage;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs, SynthesisArgs, ending};
use crate::context::Context;
use crate::kinds::Model;
use crate::paths::text;
use crate::pictures::Painter;
use crate::progress::Progress;
use crate::seeds::List;
use crate::{basis, models};

/// Flags of `domex traverse`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex traverse --model ffhq.pkl --dim 0 --distance 0.25\n  domex traverse --model ffhq.pkl --dim 511 --seeds 0-3\n  domex traverse --model expanded.safetensors --domain sketch\n  domex traverse --model ffhq.pkl --direction smile.safetensors --distance 0.2\n  domex traverse --model expanded.safetensors --domain sketch --size 256 --out sketch.mp4\n\nWithout a direction the most dormant free dimension is shown. Distances are shares of a domain's distance, as in `domex compose`: 1 is the domain as it was trained, or as far as a new domain would lie. Writes grid.png and an animation; with --out x.png the grid alone, with --out x.gif, x.webp or x.mp4 the animation."
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
    /// Largest distance along the direction, as a share of a domain's
    #[arg(
        long,
        visible_alias = "strength",
        value_name = "SHARE",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub distance: f64,
    /// Columns of the grid [default: 7]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..))]
    pub steps: Option<u16>,
    /// Frames of the animation [default: 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=600))]
    pub frames: Option<u16>,
    /// Frames of the animation in a second [default: 16]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub fps: Option<f64>,
    /// Height of the animation's pictures [default: their own, small ones enlarged]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub size: Option<u32>,
    /// Form of the animation [default: as --out ends, else gif]
    #[arg(long, value_enum)]
    pub format: Option<AnimationFormat>,
}

impl Traverse {
    fn fps(&self) -> f64 {
        self.fps.unwrap_or(16.0)
    }
}

/// Forms of an animation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AnimationFormat {
    /// 256 colours, plays everywhere.
    Gif,
    /// All colours, lossless.
    Webp,
    /// A film (H.264), for editors and messengers.
    Mp4,
}

/// Where grid and animation go: both into a folder, or the one that `--out` names.
struct Places {
    /// Kept until the end: it goes away if nothing is written.
    _folder: OutputFolder,
    grid: Option<PathBuf>,
    animation: Option<(PathBuf, Format)>,
}

/// A way through the latent space: `start + share · unit · direction`.
struct Way {
    start: Tensor,     // [n, rows, w_dim]
    direction: Tensor, // [w_dim], of unit length
    unit: f64,
    from: f64,
    to: f64,
    name: String,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Traverse) -> domex_error::Result<()> {
    for (flag, number) in [("--distance", args.distance), ("--fps", args.fps())] {
        if !(number.is_finite() && number > 0.0) {
            return Err(user_error(format!(
                "{flag} {number}: give a number above 0"
            )));
        }
    }
    let places = places(args)?;
    let model = models::load(context, &args.model)?;
    let mut painter = Painter::new(context, &model, &args.synthesis)?;
    let ws = painter.latents(args.seeds.values())?;
    let way = way(&model, args, ws)?;
    let of_grid = places.grid.as_ref();
    let of_grid = of_grid.map(|file| (file, steps(&way, args.steps.unwrap_or(7).into())));
    let of_film = places.animation.as_ref();
    let of_film = of_film.map(|place| (place, steps(&way, args.frames.unwrap_or(24).into())));

    let seeds = args.seeds.values().len();
    // Before the work, not after it.
    let side = u32::try_from(model.generator().resolution())?;
    if let Some((_, steps)) = &of_grid {
        grid(args, &way, steps).check(steps.len() * seeds, (side, side))?;
    }
    if let Some((_, steps)) = &of_film {
        let size = (side.saturating_mul(u32::try_from(seeds)?), side);
        animation(args, &way, steps).check(size)?;
    }
    let grid_steps = of_grid.as_ref().map_or(0, |(_, steps)| steps.len());
    let frames = of_film.as_ref().map_or(0, |(_, steps)| steps.len());
    let mut walk = Walk {
        args,
        way: &way,
        painter,
        progress: context.progress("pictures", (grid_steps + frames) * seeds),
    };
    if let Some((file, steps)) = &of_grid {
        walk.draw(file, steps)?;
    }
    if let Some(((file, format), steps)) = &of_film {
        walk.film(file, *format, steps)?;
    }
    drop(walk);
    tell(context, &places, &way);
    Ok(())
}

fn tell(context: &Context, places: &Places, way: &Way) {
    let animation = places.animation.as_ref().map(|(file, _)| file);
    let files = [places.grid.as_ref(), animation].into_iter().flatten();
    let files: Vec<String> = files.map(|file| file.display().to_string()).collect();
    context.say(&format!("{}: {}", way.name, files.join(" and ")));
    context.result(&json!({
        "grid": places.grid.as_ref().map(text), "animation": animation.map(text), "direction": way.name,
        "from": way.from, "to": way.to, "unit": way.unit,
    }));
}

/// The pictures along a way, of a few steps at a time.
struct Walk<'a> {
    args: &'a Traverse,
    way: &'a Way,
    painter: Painter<'a>,
    progress: Progress,
}

impl Walk<'_> {
    fn seeds(&self) -> usize {
        self.args.seeds.values().len()
    }

    /// How many steps go through the network at once.
    fn at_once(&self) -> usize {
        usize::from(self.args.synthesis.batch).div_ceil(self.seeds())
    }

    /// The pictures of some steps, one for each step and seed.
    fn paint(&mut self, steps: &[f64]) -> domex_error::Result<Vec<RgbImage>> {
        let latents = steps.iter().map(|&step| at(self.way, step));
        let latents = latents.collect::<candle_core::Result<Vec<_>>>()?;
        let mut pictures = Vec::with_capacity(steps.len() * self.seeds());
        self.painter
            .paint(&Tensor::cat(&latents, 0)?, |_, picture| {
                pictures.push(picture);
                self.progress.advance(1);
                Ok(())
            })?;
        Ok(pictures)
    }

    fn draw(&mut self, file: &Path, steps: &[f64]) -> domex_error::Result<()> {
        let mut pictures = Vec::with_capacity(steps.len() * self.seeds());
        for some in steps.chunks(self.at_once()) {
            pictures.extend(self.paint(some)?.into_iter().map(reduced));
        }
        let cells = by_seed(&pictures, steps.len(), self.seeds());
        Ok(write_png(
            file,
            &grid(self.args, self.way, steps).draw(&cells)?,
        )?)
    }

    fn film(&mut self, file: &Path, format: Format, steps: &[f64]) -> domex_error::Result<()> {
        let mut animation = animation(self.args, self.way, steps).fps(self.args.fps());
        for some in steps.chunks(self.at_once()) {
            let pictures = self.paint(some)?;
            let frames = pictures.chunks(self.seeds()).map(side_by_side);
            frames.for_each(|frame| animation.push(frame));
        }
        Ok(animation.write(file, format)?)
    }
}

fn places(args: &Traverse) -> domex_error::Result<Places> {
    let wanted = args.format.map(|format| match format {
        AnimationFormat::Gif => Format::Gif,
        AnimationFormat::Webp => Format::WebP,
        AnimationFormat::Mp4 => Format::Mp4,
    });
    let named = args.out.out.as_deref().filter(|out| !out.is_dir());
    if let Some((file, format)) = named.and_then(|out| Some((out, Format::of(out)?))) {
        if wanted.is_some_and(|wanted| wanted != format) {
            return Err(user_error(format!(
                "--format: --out {} ends in another one; leave --format out",
                file.display()
            )));
        }
        refuse_unused(file, "animation", &[("--steps", args.steps.is_some())])?;
        return Ok(Places {
            _folder: prepare_file(file, args.out.force)?,
            grid: None,
            animation: Some((file.to_owned(), format)),
        });
    }
    if let Some(file) = named.filter(|out| ending(out).is_some()) {
        let of_animation = [
            ("--format", args.format.is_some()),
            ("--fps", args.fps.is_some()),
            ("--frames", args.frames.is_some()),
            ("--size", args.size.is_some()),
        ];
        refuse_unused(file, "grid", &of_animation)?;
    }
    if let Some((file, folder)) = args.out.picture()? {
        return Ok(Places {
            _folder: folder,
            grid: Some(file),
            animation: None,
        });
    }
    let folder = args.out.folder()?;
    let format = wanted.unwrap_or(Format::Gif);
    let name = format!("traverse.{}", format.extension());
    Ok(Places {
        grid: Some(folder.file("grid.png")),
        animation: Some((folder.file(name), format)),
        _folder: folder,
    })
}

/// Refuses flags of what is not written.
fn refuse_unused(out: &Path, what: &str, flags: &[(&str, bool)]) -> domex_error::Result<()> {
    match flags.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(user_error(format!(
            "{flag}: changes nothing, as --out {} takes the {what} alone; leave it out, or give a folder",
            out.display()
        ))),
    }
}

fn way(model: &Model, args: &Traverse, ws: Tensor) -> domex_error::Result<Way> {
    if let Some(file) = &args.direction {
        let direction = read_direction(file, ws.dim(2)?, ws.device(), ws.dtype())?;
        return Ok(Way {
            start: ws,
            direction,
            unit: model.distance()?,
            from: -args.distance,
            to: args.distance,
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
    Ok(Way {
        start: ws,
        direction,
        unit: model.distance()?,
        from: -args.distance,
        to: args.distance,
        name: format!("dimension {dim}"),
    })
}

/// From the base subspace along the domain's direction.
fn domain_way(model: &Model, name: &str, distance: f64, ws: &Tensor) -> domex_error::Result<Way> {
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
        unit: domain.distance,
        from: 0.0,
        to: distance,
        name: format!("domain {name}"),
    })
}

/// The one vector of the latent's size in a file, at unit length.
pub fn read_direction(
    file: &Path,
    w_dim: usize,
    device: &Device,
    dtype: DType,
) -> domex_error::Result<Tensor> {
    let foreign = domex_checkpoint::foreign::read(file).context("--direction")?;
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
    way.start
        .broadcast_add(&(&way.direction * (step * way.unit))?)
}

/// `count` steps, evenly from one end to the other.
fn steps(way: &Way, count: usize) -> Vec<f64> {
    let last = (count - 1) as f64;
    (0..count)
        .map(|index| way.from + (way.to - way.from) * index as f64 / last)
        .collect()
}

/// Rows are seeds, columns are steps.
fn grid(args: &Traverse, way: &Way, steps: &[f64]) -> Grid {
    let seeds = args.seeds.values();
    Grid::new(steps.len())
        .title(format!("Along {}", way.name))
        .column_labels(steps.iter().map(|step| format!("{step:+.2}")))
        .row_labels(seeds.iter().map(|seed| format!("seed {seed}")))
}

/// Pictures that come step by step, seed by seed.
fn by_seed(pictures: &[RgbImage], steps: usize, seeds: usize) -> Vec<RgbImage> {
    (0..seeds)
        .flat_map(|row| (0..steps).map(move |column| column * seeds + row))
        .map(|index| pictures[index].clone())
        .collect()
}

/// The animation, of no frame yet.
fn animation(args: &Traverse, way: &Way, steps: &[f64]) -> Animation {
    let animation = Animation::new(Vec::new())
        .ping_pong(true)
        .slider(way.name.clone(), steps);
    match args.size {
        Some(height) => animation.height(height),
        None => animation,
    }
}

fn side_by_side(pictures: &[RgbImage]) -> RgbImage {
    let (width, height) = pictures[0].dimensions();
    let mut joined = RgbImage::new(width * pictures.len() as u32, height);
    for (index, picture) in pictures.iter().enumerate() {
        image::imageops::replace(&mut joined, picture, i64::from(width) * index as i64, 0);
    }
    joined
}
