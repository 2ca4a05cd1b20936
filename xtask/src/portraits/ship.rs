//! What ships: the trained networks in half precision, and their card.

use std::{path::Path, process::ExitCode};

use candle_core::{DType, Device};
use domex_checkpoint::{
    container::{Container, Overwrite, Writer},
    sha256_file,
};
use domex_data::folder::write_atomic;
use domex_error::{Context, Result, user_error};
use domex_pretrain::stylegan2::{Damping, damp_unused_directions};
use domex_stylegan2::{Model, Tensors};
use serde_json::Value as Json;

use super::{Args, card::Card};
use crate::out::say;

/// All of them together may weigh this much.
const MOST: u64 = 75_000_000;

/// The generator as training left it: needed to resume its training, not to make pictures or to expand.
const LEFT_OUT: &str = "generator.";

/// A network and the run that it comes from.
struct Network {
    run: &'static str,
    /// The run whose length and speed the card tells.
    told: &'static str,
    file: &'static str,
    what: &'static str,
}

const NETWORKS: [Network; 11] = [
    Network {
        run: "generator",
        told: "generator",
        file: "generator.safetensors",
        what: "StyleGAN2 of photographs, 64 × 64, z and w of 512, with its discriminator",
    },
    Network {
        run: "diffae",
        told: "refined",
        file: "diffae.safetensors",
        what: "diffusion autoencoder of photographs, 64 × 64, codes of 128, with its latent prior; its U-Net began as the teacher's and saw 77 k photographs, of which these are the last",
    },
    Network {
        run: "encoder",
        told: "encoder",
        file: "encoder.safetensors",
        what: "encoder of the generator's latents",
    },
    Network {
        run: "plain",
        told: "plain",
        file: "clip-plain.safetensors",
        what: "CLIP model: image and text encoder with a vocabulary of their own; reads best",
    },
    Network {
        run: "robust",
        told: "robust",
        file: "clip-robust.safetensors",
        what: "the same, trained under attack; its gradient has a shape",
    },
    Network {
        run: "fine",
        told: "fine",
        file: "clip-fine.safetensors",
        what: "the same, attacked half as far; sees finer things",
    },
    Network {
        run: "perceptual",
        told: "perceptual",
        file: "perceptual.safetensors",
        what: "perceptual network in LPIPS form",
    },
    Network {
        run: "judge",
        told: "judge",
        file: "judge.safetensors",
        what: "classifier of domain and factors; no training loss sees it",
    },
    Network {
        run: "teacher",
        told: "teacher",
        file: "teacher.safetensors",
        what: "diffusion model that draws what a text says, of all domains but the held-out ones",
    },
    Network {
        run: "degan",
        told: "degan",
        file: "degan.safetensors",
        what: "encoder that makes domains of pictures for the generator, of all domains but the held-out ones",
    },
    Network {
        run: "hyperdomain",
        told: "hyperdomain",
        file: "hyperdomain.safetensors",
        what: "network that makes domains of texts for the generator, of all domains but the held-out ones",
    },
];

/// Writes the networks of the runs that are there into the folder of assets, and the card anew. What has no run stays as it is.
pub fn ship(args: &Args) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.assets).with_context(|| args.assets.display().to_string())?;
    let path = args.assets.join("README.md");
    let mut card = Card::read(&path);
    let (mut total, mut shipped) = (0, 0);
    for network in &NETWORKS {
        let (run, file) = (args.out.join(network.run), args.assets.join(network.file));
        if run.join("model.safetensors").is_file() {
            ship_one(&run, network.run, &file)?;
            let told = args.out.join(network.told);
            card.put_row(network.file, row(network, &told, &file)?);
            say!("{}", file.display());
            shipped += 1;
        }
        total += file.metadata().map_or(0, |metadata| metadata.len());
    }
    if shipped == 0 {
        let out = args.out.display();
        return Err(user_error(format!(
            "{out}: no run here has a model to ship"
        )));
    }
    if total > MOST {
        return Err(user_error(format!(
            "the networks weigh {total} bytes together, at most {MOST} ship"
        )));
    }
    card.measured(&args.out)?;
    write_atomic(&path, card.text().as_bytes())?;
    say!("{}: {:.1} MB", args.assets.display(), total as f64 * 1e-6);
    Ok(ExitCode::SUCCESS)
}

fn ship_one(run: &Path, name: &str, to: &Path) -> Result<()> {
    let from = run.join("model.safetensors");
    let instead = match name {
        "generator" => {
            let tensors = damped(&Model::load(&from, &Device::Cpu)?)?.into_iter();
            let named = tensors.map(|(name, tensor)| (format!("generator_ema.{name}"), tensor));
            named.collect()
        }
        _ => Tensors::new(),
    };
    halve(&from, &instead, to)
}

/// The parameters of a trained generator as they ship: directions that its latents do not use are dormant.
pub fn damped(model: &Model) -> Result<Tensors> {
    Ok(damp_unused_directions(model, &Damping::default(), 0)?)
}

/// The same container with every float in half precision, and some tensors `instead` of its own.
fn halve(from: &Path, instead: &Tensors, to: &Path) -> Result<()> {
    let file = Container::open(from)?;
    let mut writer = Writer::new(file.kind(), file.config());
    if let Some(provenance) = file.provenance() {
        writer = writer.provenance(provenance);
    }
    let names = file.names().filter(|name| !name.starts_with(LEFT_OUT));
    for name in names {
        let tensor = match instead.get(name) {
            Some(tensor) => tensor.clone(),
            None => file.tensor(name, &Device::Cpu)?,
        };
        let tensor = if tensor.dtype().is_float() {
            tensor.to_dtype(DType::F16)?
        } else {
            tensor
        };
        writer.tensor(name, &tensor)?;
    }
    Ok(writer.write(to, Overwrite::Replace)?)
}

/// The card's line on a network.
fn row(network: &Network, run: &Path, shipped: &Path) -> Result<String> {
    let (bytes, hash) = (shipped.metadata()?.len(), sha256_file(shipped)?);
    let last = last_event(&run.join("events.jsonl"))?;
    let seed = json(&run.join("run.json"))?["seed"].clone();
    Ok(format!(
        "| `{}` | {} | {:.1} MB | {} | {:.0} k | {:.0} min | {:.0} | {:.1} GiB | `{hash}` |",
        network.file,
        network.what,
        bytes as f64 * 1e-6,
        seed,
        last["images"].as_f64().unwrap_or(0.0) / 1000.0,
        last["seconds"].as_f64().unwrap_or(0.0) / 60.0,
        last["images_per_second"].as_f64().unwrap_or(0.0),
        last["peak_memory"].as_f64().unwrap_or(0.0) / f64::from(1 << 30),
    ))
}

/// A file of JSON.
pub fn json(path: &Path) -> Result<Json> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

/// The last line of a run's events.
pub fn last_event(path: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = text.lines().last().unwrap_or("{}");
    serde_json::from_str(line).with_context(|| path.display().to_string())
}
