//! `domex generate --domains`: the same seeds in every domain.

use candle_core::Tensor;
use domex_data::folder::{OutputFolder, write_atomic};
use domex_data::grid::Grid;
use domex_data::picture::{encode_png, write_png};
use domex_error::user_error;
use image::RgbImage;
use serde_json::json;

use super::Generate;
use crate::context::Context;
use crate::domains::{Domains, slugs};
use crate::kinds::Model;
use crate::paths::{text, texts};
use crate::pictures::Painter;

/// Pictures of the grid: more would not fit on a screen.
const COLUMNS: usize = 8;
const ROWS: usize = 24;

/// The name of what is not moved.
const BASE: &str = "base";

/// Writes `DOMAIN/seed0000.png` for the base subspace and each domain, and a grid of them.
pub fn run(
    context: &Context,
    args: &Generate,
    wanted: &str,
    model: &Model,
    folder: &OutputFolder,
) -> domex_error::Result<()> {
    let domains = Domains::of(model.generator(), model.expansion(), "--domains")?;
    let names = domains.chosen(wanted)?;
    let all: Vec<String> = std::iter::once(BASE.to_owned())
        .chain(names.iter().cloned())
        .collect();
    let folders = slugs(&all);
    for name in &folders {
        let path = folder.file(name);
        std::fs::create_dir_all(&path)
            .map_err(|error| user_error(format!("cannot write {}: {error}", path.display())))?;
    }
    let mut painter = Painter::new(context, model, &args.synthesis)?;
    let seeds = args.seeds.values();
    let progress = context.progress("pictures", seeds.len() * all.len());
    let mut files: Vec<Vec<_>> = vec![Vec::new(); all.len()];
    let mut shown: Vec<Vec<RgbImage>> = vec![Vec::new(); all.len()];
    for chunk in seeds.chunks(usize::from(args.synthesis.batch)) {
        let base = domains.base(&painter.latents(chunk)?)?;
        for row in 0..all.len() {
            let latents: Tensor = match row {
                0 => base.clone(),
                _ => domains.moved(&base, &[(all[row].clone(), 1.0)])?,
            };
            painter.paint(&latents, |index, picture| {
                let path = folder
                    .file(&folders[row])
                    .join(format!("seed{:04}.png", chunk[index]));
                write_atomic(&path, &encode_png(&picture)?)?;
                files[row].push(path);
                if row < ROWS && shown[row].len() < COLUMNS {
                    shown[row].push(picture);
                }
                progress.advance(1);
                Ok(())
            })?;
        }
    }
    drop(progress);

    let grid = (!args.no_grid).then(|| folder.file("grid.png"));
    if let Some(path) = &grid {
        let columns = shown[0].len();
        let drawing = Grid::new(columns)
            .column_labels(
                seeds
                    .iter()
                    .take(columns)
                    .map(|seed| format!("seed {seed}")),
            )
            .row_labels(all.iter().take(ROWS).cloned())
            .draw(&shown.concat())?;
        write_png(path, &drawing)?;
    }
    context.say(&format!(
        "{} pictures of {} seeds in {} domains and the base, in {}",
        files.iter().map(Vec::len).sum::<usize>(),
        seeds.len(),
        names.len(),
        folder.path().display()
    ));
    let rows = all
        .iter()
        .zip(&files)
        .map(|(name, files)| json!({ "domain": name, "pictures": texts(files) }));
    context.result(&json!({
        "domains": rows.collect::<Vec<_>>(), "grid": grid.as_ref().map(text), "seeds": seeds, "trunc": args.synthesis.trunc,
    }));
    Ok(())
}
