//! `domex mix`: a grid in which rows give some layers' styles and columns the others'.

use candle_core::Tensor;
use clap::Args;
use domex_data::grid::{Grid, reduced};
use domex_error::user_error;
use domex_stylegan2::replace_rows;
use image::{Rgb, RgbImage};
use serde_json::json;

use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::gallery::Gallery;
use crate::models;
use crate::pictures::Painter;
use crate::seeds::List;

/// The published program's default: styles 0 to 6.
const DEFAULT_STYLES: std::ops::Range<usize> = 0..7;

/// Flags of `domex mix`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex mix --rows 85,100,75 --cols 55,821,1789 --styles 0-3\n\nThe picture in a row and a column takes the column's styles in the layers of --styles and the row's elsewhere."
)]
pub struct Mix {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds of the rows
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub rows: List,
    /// Seeds of the columns
    #[arg(long, value_name = "LIST", default_value = "4-7")]
    pub cols: List,
    /// Layers that take the column's style [default: 0-6, as far as the network has them]
    #[arg(long, value_name = "LIST")]
    pub styles: Option<List>,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Mix) -> domex_error::Result<()> {
    let mut gallery = Gallery::new(&args.out)?;
    let model = models::load(context, &args.model)?.layered(models::name(&args.model))?;
    let mut painter = Painter::new(context, &model, &args.synthesis)?;
    let styles = styles(args, model.generator().layers())?;

    let (rows, cols) = (args.rows.values(), args.cols.values());
    let seeds = |of: &[u32]| -> Vec<String> {
        let labels = of.iter().map(|seed| format!("seed {seed}"));
        std::iter::once(String::new()).chain(labels).collect()
    };
    let grid = Grid::new(cols.len() + 1)
        .title(format!(
            "Columns give the styles {}, rows the rest",
            crate::seeds::ranges(&styles)
        ))
        .column_labels(seeds(cols))
        .row_labels(seeds(rows));
    let side = u32::try_from(model.generator().resolution())?;
    // Before the work, not after it.
    grid.check((rows.len() + 1) * (cols.len() + 1), (side, side))?;
    let row_ws = painter.latents(rows)?;
    let col_ws = painter.latents(cols)?;
    let mut all = vec![row_ws.clone(), col_ws.clone()];
    for row in 0..rows.len() {
        let row_w = row_ws
            .narrow(0, row, 1)?
            .broadcast_as(col_ws.shape())?
            .contiguous()?;
        all.push(replace_rows(&row_w, &col_ws, &styles)?);
    }
    let (heads, mut pictures) = (rows.len() + cols.len(), Vec::new());
    let progress = context.progress("pictures", heads + rows.len() * cols.len());
    painter.paint(&Tensor::cat(&all, 0)?, |index, picture| {
        if let Some(mixed) = index.checked_sub(heads) {
            let (row, col) = (rows[mixed / cols.len()], cols[mixed % cols.len()]);
            gallery.add(format!("{row}-{col}.png"), &picture)?;
        }
        pictures.push(reduced(picture));
        progress.advance(1);
        Ok(())
    })?;
    drop(progress);

    let (row_pictures, rest) = pictures.split_at(rows.len());
    let (col_pictures, mixed) = rest.split_at(cols.len());
    let mut cells = vec![blank(&pictures[0])];
    cells.extend_from_slice(col_pictures);
    for (row, mixes) in row_pictures.iter().zip(mixed.chunks(cols.len())) {
        cells.push(row.clone());
        cells.extend_from_slice(mixes);
    }
    gallery.show(None, || Ok(grid.draw(&cells)?))?;
    context.say(&gallery.told());
    context
        .result(&json!({ "grid": gallery.grid(), "pictures": gallery.files(), "styles": styles }));
    Ok(())
}

fn styles(args: &Mix, layers: usize) -> domex_error::Result<Vec<usize>> {
    let styles = match &args.styles {
        Some(list) => list.indices(),
        None => DEFAULT_STYLES.take(layers).collect(),
    };
    match styles.iter().find(|&&style| style >= layers) {
        Some(style) => Err(user_error(format!(
            "--styles {style}: the network has {layers} layers; allowed: 0 to {}",
            layers - 1
        ))),
        None => Ok(styles),
    }
}

fn blank(like: &RgbImage) -> RgbImage {
    RgbImage::from_pixel(like.width(), like.height(), Rgb([255; 3]))
}
