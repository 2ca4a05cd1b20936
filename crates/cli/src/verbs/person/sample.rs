//! New pictures of a person: mixes of a few anchors.

use clap::Args;
use domex_data::grid::Grid;
use domex_error::Context as _;
use domex_mystyle::hull::{self, ANCHORS_PER_POINT};
use domex_random::Streams;
use domex_stylegan2::mapping::broadcast;
use serde_json::json;

use super::{Space, SpaceArgs};
use crate::context::Context;
use crate::gallery::Gallery;
use crate::models;

/// A grid of more pictures than this says less than the single files.
const MOST_IN_GRID: usize = 64;

/// Flags of `domex person sample`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex person sample --model run/model.safetensors --anchors anna-latents/latents --name anna\n  domex person sample --model run/model.safetensors --anchors anna-latents/latents --name anna \\\n      --set zombie --count 64 --out zombies"
)]
pub struct Sample {
    /// Whose space.
    #[command(flatten)]
    pub space: SpaceArgs,
    /// Pictures to draw
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub count: u32,
    /// Anchors in each mix, with weights drawn at random
    #[arg(long, value_name = "N", default_value_t = ANCHORS_PER_POINT)]
    pub mix: usize,
}

pub(super) fn run(context: &Context, args: &Sample) -> domex_error::Result<()> {
    let mut gallery = Gallery::new(&args.space.out)?;
    let model = models::stylegan2(context, &args.space.model)?;
    let space = Space::of(&model, &args.space)?;
    let mut stream = Streams::new(context.seed).stream("person samples");
    let points = hull::sample(&space.anchors, args.count as usize, args.mix, &mut stream);
    let points = points.with_context(|| format!("--mix {}", args.mix))?;
    let pictures = space.pictures(&broadcast(&points, space.rows())?)?;
    for (index, picture) in pictures.iter().enumerate() {
        gallery.add(format!("sample{index:04}.png"), picture)?;
    }
    let only = pictures.first().filter(|_| pictures.len() == 1);
    gallery.show(only, || {
        let shown = &pictures[..pictures.len().min(MOST_IN_GRID)];
        Ok(Grid::new(shown.len().min(8)).draw(shown)?)
    })?;
    context.say(&gallery.told());
    context.result(&json!({
        "pictures": gallery.files(), "grid": gallery.grid(),
        "anchors": space.anchors.count(), "mix": args.mix, "seed": context.seed,
    }));
    Ok(())
}
