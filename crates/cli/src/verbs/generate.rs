//! `domex generate`: one picture a seed, and a labelled grid of them.

mod aligned;

use clap::Args;
use domex_data::grid::Grid;
use domex_error::user_error;
use domex_stylegan3::Transform;
use serde_json::json;

use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::gallery::Gallery;
use crate::kinds::Model;
use crate::pictures::Painter;
use crate::seeds::List;
use crate::{models, sheet};

/// Flags of `domex generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex generate --seeds 0-15\n  domex generate --model ffhq.pkl --seeds 85,265,297 --trunc 0.7 --out pictures\n  domex generate --model expanded.safetensors --domains all --seeds 0-7\n  domex generate --model expanded.safetensors --domains elf=0.7,zombie --out both.png\n  domex generate --model stylegan3-t.pkl --seeds 2 --translate 0.2,0 --rotate 15\n\nA seed means the same latent as in NVlabs' generate.py, so it gives the same picture."
)]
pub struct Generate {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-15")]
    pub seeds: List,
    /// Domains of an expanded model, or "all": the same seeds on the base subspace and in each, with a strength if one is
    /// given [strength: 1]
    #[arg(long, visible_alias = "domain", value_name = "NAME[=ALPHA],..|all")]
    pub domains: Option<String>,
    /// Shift the pictures of a StyleGAN3, to the right and down, in widths of a picture
    #[arg(long, value_name = "X,Y", value_parser = shift, allow_hyphen_values = true)]
    pub translate: Option<[f64; 2]>,
    /// Turn the pictures of a StyleGAN3 counterclockwise, before they are shifted
    #[arg(long, value_name = "DEGREES", allow_negative_numbers = true)]
    pub rotate: Option<f64>,
    /// Write the single pictures only, no grid.png
    #[arg(long)]
    pub no_grid: bool,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Generate) -> domex_error::Result<()> {
    let mut gallery = Gallery::new(&args.out)?;
    if args.no_grid {
        gallery.needs_grid("--no-grid")?;
    }
    let mut model = models::load(context, &args.model)?;
    if let Some(transform) = transform(args) {
        match &mut model {
            Model::StyleGan3(model) => model.g_ema.set_transform(&transform)?,
            other => {
                return Err(user_error(format!(
                    "--translate and --rotate: move the pictures of a StyleGAN3, and this is {}; leave them out",
                    other.what()
                )));
            }
        }
    }
    if let Some(domains) = &args.domains {
        return aligned::run(context, args, domains, &model, gallery);
    }
    let mut painter = Painter::new(context, &model, &args.synthesis)?;
    let seeds = args.seeds.values();
    let progress = context.progress("pictures", seeds.len());
    let mut shown = Vec::new();
    // Latents a chunk at a time: a long list of seeds must not be held in memory at once.
    for chunk in seeds.chunks(usize::from(args.synthesis.batch)) {
        let ws = painter.latents(chunk)?;
        painter.paint(&ws, |index, picture| {
            gallery.add(format!("seed{:04}.png", chunk[index]), &picture)?;
            if !args.no_grid && shown.len() < sheet::MOST {
                shown.push(picture);
            }
            progress.advance(1);
            Ok(())
        })?;
    }
    drop(progress);
    if !args.no_grid {
        let only = shown.first().filter(|_| seeds.len() == 1);
        gallery.show(only, || {
            let columns = shown.len().min(if shown.len() > 32 { 8 } else { 4 });
            let captions = seeds
                .iter()
                .take(sheet::MOST)
                .map(|seed| format!("seed {seed}"));
            Ok(Grid::new(columns)
                .title(title(args))
                .captions(captions)
                .draw(&shown)?)
        })?;
        if let Some(notice) = sheet::notice(&[("pictures", shown.len(), seeds.len())]) {
            context.say(&notice);
        }
    }
    context.say(&gallery.told());
    context.result(&json!({
        "pictures": gallery.files(), "grid": gallery.grid(), "seeds": seeds, "trunc": args.synthesis.trunc,
    }));
    Ok(())
}

/// What `--translate` takes.
fn shift(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let pair = text.split_once(',');
    let pair = pair.and_then(|(x, y)| Some([number(x)?, number(y)?]));
    pair.filter(|pair| pair.iter().all(|number| number.is_finite()))
        .ok_or_else(|| format!("'{text}' is not two numbers, such as 0.3,-0.2"))
}

/// Where the pictures go, if a flag says so.
fn transform(args: &Generate) -> Option<Transform> {
    (args.translate.is_some() || args.rotate.is_some()).then(|| Transform {
        translate: args.translate.unwrap_or_default(),
        rotate: args.rotate.unwrap_or_default(),
    })
}

fn title(args: &Generate) -> String {
    let model = models::name(&args.model);
    let name = std::path::Path::new(model)
        .file_stem()
        .map_or_else(|| model.into(), |stem| stem.to_string_lossy());
    format!("{name} · ψ {}", args.synthesis.trunc)
}
