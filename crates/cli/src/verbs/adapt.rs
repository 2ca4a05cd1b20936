//! `domex adapt`: a domain in one pass, from a text or a picture.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use clap::Args;
use domex_clip::{Prompts, TextMeans, unit_length};
use domex_data::folder::prepare_file;
use domex_data::grid::Grid;
use domex_data::picture;
use domex_error::user_error;
use domex_hyperdomain::file::{self, Purpose};
use domex_hyperdomain::modulation::Part;
use domex_hyperdomain::{Hypernetwork, ModulationKind};
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::expansion::Rows;
use domex_latent::subspace::Domain;
use domex_nada::Guide;
use domex_stylegan2::{Generator, Overwrite};
use serde_json::json;

use super::domains::file as domain_file;
use super::expand::inputs::named;
use crate::args::{ModelArgs, OutArgs, SynthesisArgs};
use crate::context::Context;
use crate::domains::Domains;
use crate::gallery::Gallery;
use crate::kinds::Model;
use crate::paths::text;
use crate::pictures::Painter;
use crate::seeds::List;
use crate::{assets, kinds, models};

/// Flags of `domex adapt`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex adapt --text \"zombie\" --hyperdomain runs/hyperdomain/model.safetensors --out zombie\n  domex adapt --image style.png --hyperdomain runs/hyperdomain/model.safetensors --out style.png\n  domex adapt --text \"zombie\" --hyperdomain runs/hyperdomain/model.safetensors --out zombie.safetensors\n  domex domains add zombie.safetensors --model portraits --out more.safetensors\n\nNothing is trained: a network that `domex train-hyperdomain` made says what the domain does to the generator. With a name that\nends in .safetensors for --out the domain is stored; else the seeds are shown without and with it."
)]
pub struct Adapt {
    /// The domain in words
    #[arg(long, value_name = "TEXT", required_unless_present = "image")]
    pub text: Option<String>,
    /// The domain by a picture
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
    pub image: Option<PathBuf>,
    /// A network that `domex train-hyperdomain` made
    #[arg(long, value_name = "FILE")]
    pub hyperdomain: PathBuf,
    /// The CLIP model whose embeddings the network reads [default: the shipped one, if it is]
    #[arg(long, value_name = "NAME|FILE")]
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

/// Runs the verb.
pub fn run(context: &Context, args: &Adapt) -> domex_error::Result<()> {
    kinds::expect(&args.hyperdomain, &kinds::HYPERDOMAIN)?;
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
    let (network, purpose) = file::read(&args.hyperdomain, &context.device)?;
    let mut model = models::stylegan2(context, &args.model)?;
    if domain_file::fingerprint(&model)? != purpose.generator {
        let other = format!(
            "--hyperdomain {}: was trained for another generator",
            args.hyperdomain.display()
        );
        if !args.foreign {
            return Err(user_error(format!(
                "{other} than --model {}; give that one as --model, or --foreign to use this one all the same",
                models::name(&args.model)
            )));
        }
        tracing::warn!("{other}");
    }
    let guide = guide(context, args, &purpose)?;
    let begin = std::time::Instant::now();
    let embedding = embedding(context, args, &model, &guide, &purpose)?;
    let factors = factors(&network, &embedding)?;
    let seconds = begin.elapsed().as_secs_f64();
    let mut domain = DomainFile {
        domain: Domain {
            name: name(args),
            task: json!({ "source": purpose.source, "target": args.text.clone().unwrap_or_default() }),
            dimension: usize::MAX,
            distance: domex_expand_stylegan2::DISTANCE,
        },
        gate: Gate::Smooth,
        offsets: Rows::new(),
        factors,
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
            context.say(&format!(
                "{}: {} numbers, made in {seconds:.2} s; `domex domains add` takes it",
                path.display(),
                domain.numbers()
            ));
            context.result(
                &json!({ "out": text(&path), "numbers": domain.numbers(), "seconds": seconds }),
            );
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

/// The CLIP model that the network was trained with.
fn guide(context: &Context, args: &Adapt, purpose: &Purpose) -> domex_error::Result<Guide> {
    let load = |path: &Path| Guide::load(path, 1.0, &context.device);
    if let Some(wanted) = &args.clip {
        let clip = named(wanted, 1.0)?;
        if domex_checkpoint::sha256_file(&clip.path)? != purpose.clip {
            return Err(user_error(format!(
                "--clip {wanted}: is not the CLIP model whose embeddings {} reads",
                args.hyperdomain.display()
            )));
        }
        return Ok(load(&clip.path)?);
    }
    for (_, path) in assets::clip_models()? {
        if domex_checkpoint::sha256_file(&path)? == purpose.clip {
            return Ok(load(&path)?);
        }
    }
    Err(user_error(format!(
        "--hyperdomain {}: reads embeddings of a CLIP model that does not ship with the program; give it as --clip",
        args.hyperdomain.display()
    )))
}

/// `[1, d]` at length 1. A picture's is the source text's and what sets the picture apart from the generator's own: those of
/// texts and pictures lie in different places, and the network knows texts.
fn embedding(
    context: &Context,
    args: &Adapt,
    model: &domex_stylegan2::Model,
    guide: &Guide,
    purpose: &Purpose,
) -> domex_error::Result<Tensor> {
    /// Pictures that stand for the generator's own.
    const OWN: u32 = 16;
    let means = TextMeans::new(&guide.clip, &guide.tokenizer, None)?;
    let words = |text: &str| -> domex_error::Result<Tensor> {
        let mean = means.mean(&Prompts::imagenet(), text)?.unsqueeze(0)?;
        let mean = unit_length(&mean)?.to_dtype(DType::F32)?;
        Ok(mean.to_device(&context.device)?)
    };
    let Some(path) = &args.image else {
        return words(args.text.as_deref().unwrap_or_default());
    };
    let style = guide.features_of_files(&[picture::read(path)?])?;
    let generator = domex_stylegan2::Model::new(model.g_ema.clone());
    let generator = Model::StyleGan2(Box::new(generator));
    let mut painter = Painter::new(context, &generator, &args.synthesis)?;
    let seeds: Vec<u32> = (0..OWN).collect();
    let ws = painter.latents(&seeds)?;
    let own = painter.paint_all(context, &ws)?;
    let own = unit_length(&guide.features_of_files(&own)?)?.mean_keepdim(0)?;
    let step = (unit_length(&style)? - own)?.to_dtype(DType::F32)?;
    let moved = (words(&purpose.source)? + step.to_device(&context.device)?)?;
    Ok(unit_length(&moved)?)
}

/// A domain's factors by layer, `[channels]` each.
fn factors(network: &Hypernetwork, embedding: &Tensor) -> domex_error::Result<Rows> {
    let config = network.config();
    if config.modulation != ModulationKind::CinMult {
        return Err(user_error(format!(
            "--hyperdomain: its domains are of kind {}, and a gated domain has factors of input channels only; train one with --modulation cin_mult",
            config.modulation.name()
        )));
    }
    let layers = config.convolutions.iter().zip(network.forward(embedding)?);
    let mut rows = Rows::new();
    for (layer, offsets) in layers {
        if let Some(factor) = offsets.get(&Part::In) {
            let factor = factor.flatten_all()?.to_device(&Device::Cpu)?;
            rows.insert(layer.name.clone(), factor);
        }
    }
    Ok(rows)
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
