//! `domex compose`: several domains of an expanded model at once.

use candle_core::Tensor;
use clap::Args;
use domex_data::folder::OutputFolder;
use domex_data::grid::Grid;
use domex_data::picture::write_png;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::domains::{Domains, parts};
use crate::models;
use crate::paths::{text, texts};
use crate::pictures::Painter;
use crate::seeds::List;

/// Columns of the grid; further seeds have their files.
const COLUMNS: usize = 8;

/// Flags of `domex compose`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex compose --model run/model.safetensors --set elf=1,sketch=0.5\n  domex compose --model run/model.safetensors --set sketch=1 --set \"an old, grey elf=0.7\" --seeds 0-15\n\nStrength 0 is the base subspace, 1 the domain as it was trained; larger numbers go further in the same direction. Writes one picture per seed, and grid.png with the base, each domain alone, and all together."
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
    #[arg(long, value_name = "NAME=ALPHA,..", required = true)]
    pub set: Vec<String>,
    /// Seeds, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-7")]
    pub seeds: List,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Compose) -> domex_error::Result<()> {
    let parts = parts(&args.set)?;
    let folder = OutputFolder::create(&args.out.out, args.out.force)?;
    let model = models::load(context, &args.model)?;
    let domains = Domains::of(model.generator(), model.expansion(), "compose")?;
    let names: Vec<(&str, f64)> = parts
        .iter()
        .map(|(name, alpha)| (name.as_str(), *alpha))
        .collect();
    domains.layout().strengths(&names)?;
    let mut painter = Painter::new(context, &model, &args.synthesis)?;

    let seeds = args.seeds.values();
    let progress = context.progress("pictures", seeds.len());
    let mut files = Vec::new();
    for chunk in seeds.chunks(usize::from(args.synthesis.batch)) {
        let base = domains.base(&painter.latents(chunk)?)?;
        painter.paint(&domains.moved(&base, &parts)?, |index, picture| {
            let path = folder.file(format!("seed{:04}.png", chunk[index]));
            write_png(&path, &picture)?;
            files.push(path);
            progress.advance(1);
            Ok(())
        })?;
    }
    drop(progress);

    let shown = &seeds[..seeds.len().min(COLUMNS)];
    let base = domains.base(&painter.latents(shown)?)?;
    let mut rows = vec![base.clone()];
    let mut labels = vec!["base".to_owned()];
    let label = |(name, alpha): &(String, f64)| format!("{name} {alpha}");
    if parts.len() > 1 {
        for part in &parts {
            rows.push(domains.moved(&base, std::slice::from_ref(part))?);
            labels.push(label(part));
        }
    }
    rows.push(domains.moved(&base, &parts)?);
    labels.push(parts.iter().map(label).collect::<Vec<_>>().join(" + "));
    let pictures = painter.paint_all(context, &Tensor::cat(&rows, 0)?)?;
    let grid = folder.file("grid.png");
    let drawing = Grid::new(shown.len())
        .column_labels(shown.iter().map(|seed| format!("seed {seed}")))
        .row_labels(labels)
        .draw(&pictures)?;
    write_png(&grid, &drawing)?;
    context.say(&format!(
        "{} pictures and grid.png in {}",
        files.len(),
        folder.path().display()
    ));
    let set: Vec<_> = parts
        .iter()
        .map(|(name, alpha)| json!({ "domain": name, "alpha": alpha }))
        .collect();
    context.result(
        &json!({ "pictures": texts(&files), "grid": text(&grid), "seeds": seeds, "set": set }),
    );
    Ok(())
}
