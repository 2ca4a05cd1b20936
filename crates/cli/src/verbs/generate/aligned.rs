//! `domex generate --domains`: the same seeds in every domain.

use candle_core::Tensor;
use domex_data::counted;
use domex_data::grid::{Grid, reduced};
use image::RgbImage;
use serde_json::json;

use super::Generate;
use crate::context::Context;
use crate::domains::{BASE, Domains};
use crate::gallery::Gallery;
use crate::kinds::Model;
use crate::pictures::Painter;

/// Pictures of the grid: more would not fit on a screen.
const COLUMNS: usize = 8;
const ROWS: usize = 24;

/// Writes `DOMAIN/seed0000.png` for the base subspace and each domain, and a grid of them.
pub fn run(
    context: &Context,
    args: &Generate,
    wanted: &str,
    model: &Model,
    mut gallery: Gallery,
) -> domex_error::Result<()> {
    let domains = Domains::of(model.generator(), model.expansion(), "--domains")?;
    let (parts, notice) = domains.chosen(wanted)?;
    if let Some(notice) = notice {
        context.say(&notice);
    }
    let rows: Vec<String> = std::iter::once(BASE.to_owned())
        .chain(parts.iter().map(label))
        .collect();
    let mut painter = Painter::new(context, model, &args.synthesis)?;
    let folders = gallery.folders(&rows)?;
    let seeds = args.seeds.values();
    let progress = context.progress("pictures", seeds.len() * rows.len());
    let mut files: Vec<Vec<String>> = vec![Vec::new(); rows.len()];
    let mut shown: Vec<Vec<RgbImage>> = vec![Vec::new(); rows.len()];
    for chunk in seeds.chunks(usize::from(args.synthesis.batch)) {
        let base = domains.base(&painter.latents(chunk)?)?;
        for row in 0..rows.len() {
            let latents: Tensor = match row {
                0 => base.clone(),
                _ => domains.moved(&base, &parts[row - 1..row])?,
            };
            painter.paint(&latents, |index, picture| {
                let name = format!("{}/seed{:04}.png", folders[row], chunk[index]);
                files[row].extend(gallery.add(name, &picture)?);
                if !args.no_grid && row < ROWS && shown[row].len() < COLUMNS {
                    shown[row].push(reduced(picture));
                }
                progress.advance(1);
                Ok(())
            })?;
        }
    }
    drop(progress);

    if !args.no_grid {
        if rows.len() > ROWS || seeds.len() > COLUMNS {
            context.say(&format!(
                "the grid has at most {ROWS} rows and {COLUMNS} columns, the first ones; a folder as --out has every picture"
            ));
        }
        gallery.show(None, || {
            let columns = shown[0].len();
            let labels = seeds.iter().take(columns);
            Ok(Grid::new(columns)
                .column_labels(labels.map(|seed| format!("seed {seed}")))
                .row_labels(rows.iter().take(ROWS).cloned())
                .draw(&shown.concat())?)
        })?;
    }
    context.say(&format!(
        "{} on the base and in {}: {}",
        counted(seeds.len(), "seed"),
        counted(parts.len(), "domain"),
        gallery.told()
    ));
    let result = rows.iter().zip(&files);
    let result = result.map(|(name, files)| json!({ "domain": name, "pictures": files }));
    context.result(&json!({
        "domains": result.collect::<Vec<_>>(), "grid": gallery.grid(), "seeds": seeds, "trunc": args.synthesis.trunc,
    }));
    Ok(())
}

/// "elf", or "elf 0.7" at another strength than its own.
fn label((name, alpha): &(String, f64)) -> String {
    match *alpha {
        1.0 => name.clone(),
        alpha => format!("{name} {alpha}"),
    }
}
