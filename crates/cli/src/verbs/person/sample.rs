//! New pictures of a person: mixes of a few anchors.

use clap::Args;
use domex_data::grid::Grid;
use domex_error::Context as _;
use domex_mystyle::hull::{ANCHORS_PER_POINT, Mixes};
use domex_random::Streams;
use domex_stylegan2::mapping::broadcast;
use serde_json::json;

use super::{BATCH, Space, SpaceArgs};
use crate::context::Context;
use crate::gallery::Gallery;
use crate::interrupt::Interrupt;
use crate::{models, sheet};

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
    let count = args.count as usize;
    let drawn = Mixes::draw(&space.anchors, count, args.mix, &mut stream);
    let mixes = drawn.with_context(|| format!("--mix {}", args.mix))?;
    let interrupt = Interrupt::watch()?;
    let progress = context.progress("pictures", count);
    let mut shown = Vec::new();
    for start in (0..count).step_by(BATCH) {
        let points = mixes.points(&space.anchors, start, BATCH.min(count - start))?;
        let pictures = space.pictures(&broadcast(&points, space.rows())?)?;
        for (offset, picture) in pictures.into_iter().enumerate() {
            gallery.add(format!("sample{:04}.png", start + offset), &picture)?;
            if shown.len() < sheet::MOST {
                shown.push(picture);
            }
            progress.advance(1);
        }
        interrupt.check()?;
    }
    drop(progress);
    let only = shown.first().filter(|_| count == 1);
    gallery.show(only, || Ok(Grid::new(shown.len().min(8)).draw(&shown)?))?;
    if let Some(notice) = sheet::notice(&[("pictures", shown.len(), count)]) {
        context.say(&notice);
    }
    context.say(&gallery.told());
    context.result(&json!({
        "pictures": gallery.files(), "grid": gallery.grid(),
        "anchors": space.anchors.count(), "mix": args.mix, "seed": context.seed,
    }));
    Ok(())
}
