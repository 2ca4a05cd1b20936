//! `domex export`: a StyleGAN2 with its domains as an ONNX graph, for programs that know nothing of this one.
//!
//! Beside `FILE.onnx` stands `FILE.json`, which lists inputs, output and domains, and with `--card` the `README.md` that model hubs show.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use domex_data::counted;
use domex_data::folder::{OutputFolder, prepare_file, write_atomic};
use domex_error::{AnyError, Result, user_error};
use domex_onnx::Options;
use serde_json::json;

use crate::args::ModelArgs;
use crate::context::Context;
use crate::interrupt::Interrupt;
use crate::models;
use crate::paths::text;

/// Flags of `domex export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex export --model run/model.safetensors --out elf.onnx\n  domex export --model run/model.safetensors --out hub/elf.onnx --precision float16 --card\n  domex export --model ffhq.pkl --input w+ --noise input --out ffhq.onnx\n\nThe graph takes z or w, truncation, and the strength of each domain, and gives pictures from -1 to 1: those of `domex compose`, where strength 0 is the base subspace. Its operators are standard ones (opset 17). FILE.json, beside it, lists what goes in."
)]
pub struct Export {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The file to write; its name ends in .onnx
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// What the graph begins with: noise z, or a latent, one for all layers (w) or one for each (w+)
    #[arg(long, value_enum, default_value_t = Input::Z)]
    pub input: Input,
    /// Per-pixel noise: the stored maps, none, or an input for each layer
    #[arg(long, value_enum, default_value_t = Noise::Const)]
    pub noise: Noise,
    /// What the synthesis network's weights are stored as: float16 takes half the place, and colours change by about a step
    /// of an 8-bit picture; all is computed in float32
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    pub precision: Precision,
    /// Write a model card, README.md, beside the file
    #[arg(long)]
    pub card: bool,
    /// Replace existing files
    #[arg(long)]
    pub force: bool,
}

/// What the graph begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Input {
    /// Noise, through the mapping network.
    Z,
    /// A latent.
    W,
    /// A latent for each layer.
    #[value(name = "w+")]
    WPlus,
}

/// Per-pixel noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Noise {
    /// The maps stored in the checkpoint.
    Const,
    /// No noise.
    None,
    /// An input for each layer.
    Input,
}

/// What the synthesis network's weights are stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Single precision.
    Float32,
    /// Half precision.
    Float16,
}

impl Export {
    fn options(&self) -> Options {
        Options {
            input: match self.input {
                Input::Z => domex_onnx::Input::Z,
                Input::W => domex_onnx::Input::W,
                Input::WPlus => domex_onnx::Input::WPlus,
            },
            noise: match self.noise {
                Noise::Const => domex_onnx::Noise::Const,
                Noise::None => domex_onnx::Noise::None,
                Noise::Input => domex_onnx::Noise::Input,
            },
            precision: match self.precision {
                Precision::Float32 => domex_onnx::Precision::Float32,
                Precision::Float16 => domex_onnx::Precision::Float16,
            },
        }
    }
}

/// Runs the verb.
pub fn run(context: &Context, args: &Export) -> Result<()> {
    let files = Files::new(args)?;
    let interrupt = Interrupt::watch()?;
    let model = models::stylegan2(context, &args.model)?;
    let exported = domex_onnx::export(&model, &args.options())?;
    interrupt.check()?;

    let description = &exported.description;
    let listed = serde_json::to_vec_pretty(description).map_err(AnyError::internal)?;
    write_atomic(&files.description, &listed)?;
    if let Some(card) = &files.card {
        let page = domex_onnx::card(description, &files.name);
        write_atomic(card, page.as_bytes())?;
    }
    write_atomic(&args.out, &exported.bytes)?;

    context.say(&format!(
        "{}: {:.1} MB, {}, {}",
        args.out.display(),
        exported.bytes.len() as f64 / 1e6,
        counted(description.inputs.len(), "input"),
        counted(description.domains.len(), "domain")
    ));
    context.result(&json!({
        "file": text(&args.out), "bytes": exported.bytes.len(), "description": text(&files.description),
        "card": files.card.as_ref().map(text), "inputs": description.inputs, "output": description.output,
        "domains": description.domains,
    }));
    Ok(())
}

/// What is written beside the graph.
struct Files {
    /// The graph's own, without its folder.
    name: String,
    description: PathBuf,
    card: Option<PathBuf>,
    /// Go away again, where they were made and nothing is written.
    _folders: Vec<OutputFolder>,
}

impl Files {
    /// Checked before any work.
    fn new(args: &Export) -> Result<Self> {
        let out = &args.out;
        let name = out.file_name().map(text).unwrap_or_default();
        let is_graph = out.extension().is_some_and(|ending| ending == "onnx");
        if !is_graph || out.is_dir() {
            return Err(user_error(format!(
                "--out {}: a graph is written; give a file name that ends in .onnx",
                out.display()
            )));
        }
        let description = out.with_extension("json");
        let card = args.card.then(|| out.with_file_name("README.md"));
        let all = [Some(out), Some(&description), card.as_ref()];
        let all = all.into_iter().flatten();
        let folders = all.map(|file| prepare_file(file, args.force));
        Ok(Self {
            name,
            _folders: folders.collect::<domex_data::Result<_>>()?,
            description,
            card,
        })
    }
}
