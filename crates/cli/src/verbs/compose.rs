//! `domex compose`: several domains of an expanded model at once.

use std::path::PathBuf;

use candle_core::Tensor;
use clap::Args;
use domex_data::grid::{Grid, reduced};
use domex_error::user_error;
use image::RgbImage;
use serde_json::json;

use crate::args::{ModelArgs, Noise, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::domains::{BASE, Domains};
use crate::gallery::Gallery;
use crate::pictures::Painter;
use crate::seeds::List;
use crate::{models, region, sheet};

/// Columns of the grid; further seeds have their files.
const COLUMNS: usize = 8;

/// Domains that have a row by themselves.
const ALONE: usize = 22;

/// Flags of `domex compose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex compose --model run/model.safetensors --set elf=1,sketch=0.5\n  domex compose --model run/model.safetensors --set sketch --set \"an old, grey elf=0.7\" --seeds 0-15\n  domex compose --model run/model.safetensors --set zombie --region left-half.png\n\nStrength 0 is the base subspace, 1, which need not be written, the domain as it was trained; larger numbers go further in the same direction. Writes one picture per seed, and grid.png with the base, each domain alone, and all together."
)]
pub struct Compose {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Domains and their strengths; may be given several times
    #[arg(long, value_name = "NAME[=ALPHA],..", required = true)]
    pub set: Vec<String>,
    /// A square picture that is white where the domains are to show, and black or transparent where the base is; grey is between
    #[arg(long, value_name = "FILE")]
    pub region: Option<PathBuf>,
    /// Seeds, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-7")]
    pub seeds: List,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Compose) -> domex_error::Result<()> {
    let mut gallery = Gallery::new(&args.out)?;
    let model = models::load(context, &args.model)?;
    let domains = Domains::of(model.generator(), model.expansion(), "compose")?;
    let parts = domains.parts("--set", &args.set)?;
    let region = args.region.as_deref();
    let region = region.map(|file| region::read(file, &model)).transpose()?;
    if region.is_some() && args.synthesis.noise_mode == Noise::Random {
        return Err(user_error(
            "--region: both pictures need the same noise; take --noise-mode const or none",
        ));
    }
    let mut painter = Painter::new(context, &model, &args.synthesis)?;

    let seeds = args.seeds.values();
    let progress = context.progress("pictures", seeds.len());
    let mut only = None;
    for chunk in seeds.chunks(usize::from(args.synthesis.batch)) {
        let base = domains.base(&painter.latents(chunk)?)?;
        let outside = region.as_ref().map(|region| (region, &base));
        painter.paint_where(&domains.moved(&base, &parts)?, outside, |index, picture| {
            gallery.add(format!("seed{:04}.png", chunk[index]), &picture)?;
            only = (seeds.len() == 1).then_some(picture);
            progress.advance(1);
            Ok(())
        })?;
    }
    drop(progress);
    let shown = &seeds[..seeds.len().min(COLUMNS)];
    let rows = rows(&parts);
    gallery.show(only.as_ref(), || {
        grid(
            context,
            &domains,
            &rows,
            &mut painter,
            shown,
            region.as_ref(),
        )
    })?;
    if gallery.grid().is_some() {
        let alone = match parts.len() {
            1 => 0,
            all => all,
        };
        let left_out = [
            ("seeds", shown.len(), seeds.len()),
            ("domains by themselves", rows.len() - 2, alone),
        ];
        if let Some(notice) = sheet::notice(&left_out) {
            context.say(&notice);
        }
    }
    context.say(&gallery.told());
    let set: Vec<_> = parts
        .iter()
        .map(|(name, alpha)| json!({ "domain": name, "alpha": alpha }))
        .collect();
    context.result(&json!({
        "pictures": gallery.files(), "grid": gallery.grid(), "seeds": seeds, "set": set,
    }));
    Ok(())
}

/// What stands in the rows of the grid: nothing of the base, domains by themselves, and all together.
fn rows(parts: &[(String, f64)]) -> Vec<&[(String, f64)]> {
    // One by itself is all of them together.
    let alone = match parts {
        [_] => &[],
        parts => &parts[..parts.len().min(ALONE)],
    };
    let alone = alone.chunks(1);
    std::iter::once(&parts[..0])
        .chain(alone)
        .chain([parts])
        .collect()
}

/// The grid of these rows.
fn grid(
    context: &Context,
    domains: &Domains<'_>,
    rows: &[&[(String, f64)]],
    painter: &mut Painter<'_>,
    seeds: &[u32],
    region: Option<&Tensor>,
) -> domex_error::Result<RgbImage> {
    let base = domains.base(&painter.latents(seeds)?)?;
    let latents = rows.iter().map(|parts| domains.moved(&base, parts));
    let latents = latents.collect::<domex_error::Result<Vec<_>>>()?;
    let label = |(name, alpha): &(String, f64)| format!("{name} {alpha}");
    let labels = rows.iter().map(|parts| match parts {
        [] => BASE.to_owned(),
        parts => parts.iter().map(label).collect::<Vec<_>>().join(" + "),
    });
    let outside = base.repeat((rows.len(), 1, 1))?;
    let outside = region.map(|region| (region, &outside));
    let latents = Tensor::cat(&latents, 0)?;
    let progress = context.progress("pictures of the grid", latents.dim(0)?);
    let mut pictures = Vec::new();
    painter.paint_where(&latents, outside, |_, picture| {
        pictures.push(reduced(picture));
        progress.advance(1);
        Ok(())
    })?;
    Ok(Grid::new(seeds.len())
        .column_labels(seeds.iter().map(|seed| format!("seed {seed}")))
        .row_labels(labels)
        .draw(&pictures)?)
}
