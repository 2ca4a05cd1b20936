//! `domex adapt`: a domain in one pass, from a text or a picture.

mod degan;
mod hyperdomain;

use std::path::{Path, PathBuf};

use clap::Args;
use domex_data::folder::prepare_file;
use domex_data::grid::Grid;
use domex_error::user_error;
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::expansion::Rows;
use domex_latent::matrices::Matrices;
use domex_latent::subspace::Domain;
use domex_stylegan2::{Generator, Model as StyleGan2, Overwrite};
use serde_json::{Value as Json, json};

use super::domains::file as domain_file;
use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::crop::{CropArgs, Cropper};
use crate::domains::Domains;
use crate::gallery::Gallery;
use crate::kinds::Model;
use crate::paths::text;
use crate::pictures::Painter;
use crate::seeds::List;
use crate::{kinds, models};

/// Flags of `domex adapt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex adapt --text \"zombie\" --hyperdomain runs/hyperdomain/model.safetensors --out zombie\n  domex adapt --image style.png --degan runs/degan/model.safetensors --out style.png\n  domex adapt --image style.png --hyperdomain runs/hyperdomain/model.safetensors --out style.png\n  domex adapt --image party.jpg --crop face --face 2 --degan runs/degan/model.safetensors --out guest.png\n  domex adapt --text \"zombie\" --hyperdomain runs/hyperdomain/model.safetensors --out zombie.safetensors\n  domex domains add zombie.safetensors --model portraits --out more.safetensors\n\nNothing is trained: a network that `domex train-hyperdomain` or, for pictures, `domex train-degan` made says what the domain does\nto the generator. With a name that\nends in .safetensors for --out the domain is stored; else the seeds are shown without and with it."
)]
pub struct Adapt {
    /// The domain in words
    #[arg(long, value_name = "TEXT", required_unless_present = "image", conflicts_with_all = ["crop", "face"])]
    pub text: Option<String>,
    /// The domain by a picture
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub image: Option<PathBuf>,
    /// What of a picture is seen.
    #[command(flatten)]
    pub crop: CropArgs,
    /// A network that `domex train-hyperdomain` made
    #[arg(long, value_name = "FILE", conflicts_with = "degan")]
    pub hyperdomain: Option<PathBuf>,
    /// An encoder that `domex train-degan` made, for a picture
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub degan: Option<PathBuf>,
    /// The CLIP model whose embeddings the hypernetwork reads [default: the shipped one, if it is]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "degan")]
    pub clip: Option<String>,
    /// What the domain is called [default: the text, or the picture's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Strength of the domain in the pictures
    #[arg(
        long,
        value_name = "ALPHA",
        default_value_t = 1.0,
        allow_negative_numbers = true
    )]
    pub alpha: f64,
    /// Use the network with another generator than its own; what comes of it seldom is a domain
    #[arg(long)]
    pub foreign: bool,
    /// Seeds, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-7")]
    pub seeds: List,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
}

/// Where the result goes.
enum Output {
    Domain(PathBuf),
    Pictures(Gallery),
}

/// What a network says of a domain.
struct Vectors {
    offsets: Rows,
    factors: Rows,
    /// How long it took.
    seconds: f64,
    /// What the file of the domain says of it.
    task: Json,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Adapt) -> domex_error::Result<()> {
    let (network, kind) = match (&args.hyperdomain, &args.degan) {
        (Some(path), _) => (path, &kinds::HYPERDOMAIN),
        (None, Some(path)) => (path, &kinds::DEGAN),
        (None, None) => {
            return Err(user_error(
                "no network: give one that `domex train-hyperdomain` made as --hyperdomain, or for a picture one that `domex train-degan` made as --degan",
            ));
        }
    };
    kinds::expect(network, kind)?;
    let cropper = Cropper::new(args.crop)?;
    let output = match &args.out.out {
        Some(out)
            if out
                .extension()
                .is_some_and(|ending| ending == "safetensors") =>
        {
            prepare_file(out, args.out.force)?;
            Output::Domain(out.clone())
        }
        _ => Output::Pictures(Gallery::new(&args.out)?),
    };
    if !args.alpha.is_finite() {
        return Err(user_error(format!(
            "--alpha {}: give a finite number",
            args.alpha
        )));
    }
    let mut model = models::stylegan2(context, &args.model)?;
    let vectors = match args.degan.is_some() {
        true => degan::vectors(context, args, network, &model, &cropper)?,
        false => hyperdomain::vectors(context, args, network, &model, &cropper)?,
    };
    let seconds = vectors.seconds;
    let mut domain = DomainFile {
        domain: Domain {
            name: name(args),
            task: vectors.task,
            dimension: usize::MAX,
            distance: domex_expand_stylegan2::DISTANCE,
        },
        gate: Gate::Smooth,
        offsets: vectors.offsets,
        factors: vectors.factors,
        matrices: Matrices::default(),
    };
    let mut expansion = match model.expansion.take() {
        Some(expansion) => expansion,
        None => domain_file::unexpanded(&model)?,
    };
    // The most dormant direction that is free.
    domain.domain.dimension = expansion.put_in(&domain)?;
    match output {
        Output::Domain(path) => {
            let overwrite = match args.out.force {
                true => Overwrite::Replace,
                false => Overwrite::Refuse,
            };
            domain_file::write(&domain, &model, &path, overwrite)?;
            let numbers = domain.numbers()?;
            context.say(&format!(
                "{}: {numbers} numbers, made in {seconds:.2} s; `domex domains add` takes it",
                path.display(),
            ));
            context.result(&json!({ "out": text(&path), "numbers": numbers, "seconds": seconds }));
            Ok(())
        }
        Output::Pictures(gallery) => {
            let mut generator = Generator::from_tensors(&model.g_ema.tensors(), model.config())?;
            generator.follow_domains(&expansion)?;
            model.g_ema = generator;
            model.expansion = Some(expansion);
            show(
                context,
                args,
                &Model::StyleGan2(Box::new(model)),
                gallery,
                seconds,
            )
        }
    }
}

/// Refuses a network that was trained for another generator, unless that is wanted.
fn check_generator(
    args: &Adapt,
    (flag, path): (&str, &Path),
    model: &StyleGan2,
    wanted: &str,
) -> domex_error::Result<()> {
    if domain_file::fingerprint(model)? == wanted {
        return Ok(());
    }
    let other = format!(
        "{flag} {}: was trained for another generator",
        path.display()
    );
    if !args.foreign {
        return Err(user_error(format!(
            "{other} than --model {}; give that one as --model, or --foreign to use this one all the same",
            models::name(&args.model)
        )));
    }
    tracing::warn!("{other}");
    Ok(())
}

fn name(args: &Adapt) -> String {
    let of_picture = || {
        let path = args.image.as_deref().and_then(Path::file_stem);
        path.map_or_else(
            || "domain".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        )
    };
    args.name
        .clone()
        .or_else(|| args.text.clone())
        .unwrap_or_else(of_picture)
}

/// The seeds on the base subspace and in the domain.
fn show(
    context: &Context,
    args: &Adapt,
    model: &Model,
    mut gallery: Gallery,
    seconds: f64,
) -> domex_error::Result<()> {
    let name = name(args);
    let domains = Domains::of(model.generator(), model.expansion(), "adapt")?;
    let mut painter = Painter::new(context, model, &args.synthesis)?;
    let seeds = args.seeds.values();
    let base = domains.base(&painter.latents(seeds)?)?;
    let moved = domains.moved(&base, &[(name.clone(), args.alpha)])?;
    let before = painter.paint_all(context, &base)?;
    let after = painter.paint_all(context, &moved)?;
    let mut files = Vec::new();
    for (seed, picture) in seeds.iter().zip(&after) {
        files.extend(gallery.add(format!("seed{seed:04}.png"), picture)?);
    }
    gallery.show(None, || {
        let labels = seeds.iter().map(|seed| format!("seed {seed}"));
        Ok(Grid::new(seeds.len())
            .column_labels(labels)
            .row_labels(["base".to_owned(), name.clone()])
            .draw(&[before, after].concat())?)
    })?;
    context.say(&format!(
        "{name}, made in {seconds:.2} s: {}",
        gallery.told()
    ));
    context.result(
        &json!({ "domain": name, "pictures": files, "grid": gallery.grid(), "seconds": seconds }),
    );
    Ok(())
}
