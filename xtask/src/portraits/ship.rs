//! What ships: the trained networks in half precision, and their card.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
};

use candle_core::{DType, Device};
use domex_checkpoint::{
    container::{Container, Overwrite, Writer},
    sha256_file,
};
use domex_data::folder::write_atomic;
use domex_error::{AnyError, Context, Result, user_error};
use domex_pretrain::stylegan2::{Damping, damp_unused_directions};
use domex_stylegan2::{Model, Tensors};
use serde_json::Value as Json;

use super::Args;
use crate::out::say;

/// All of them together may weigh this much.
const MOST: u64 = 68_000_000;

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

const NETWORKS: [Network; 8] = [
    Network {
        run: "generator",
        told: "generator",
        file: "generator.safetensors",
        what: "StyleGAN2 of photographs, 64 × 64, z and w of 512, with its discriminator",
    },
    Network {
        run: "diffae",
        told: "autoencoder",
        file: "diffae.safetensors",
        what: "diffusion autoencoder of photographs, 64 × 64, codes of 128, with its latent prior; the figures are the autoencoder's",
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
];

/// Writes the networks of all runs and the card into the folder of assets.
pub fn ship(args: &Args) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.assets).with_context(|| args.assets.display().to_string())?;
    let mut rows = Vec::new();
    let mut total = 0;
    for network in &NETWORKS {
        let run = args.out.join(network.run);
        let path = args.assets.join(network.file);
        let from = run.join("model.safetensors");
        let instead = match network.run {
            "generator" => {
                let tensors = damped(&Model::load(&from, &Device::Cpu)?)?.into_iter();
                let named = tensors.map(|(name, tensor)| (format!("generator_ema.{name}"), tensor));
                named.collect()
            }
            _ => Tensors::new(),
        };
        halve(&from, &instead, &path)?;
        let bytes = path.metadata()?.len();
        total += bytes;
        rows.push(row(
            network,
            &args.out.join(network.told),
            bytes,
            &sha256_file(&path)?,
        )?);
    }
    if total > MOST {
        return Err(user_error(format!(
            "the networks weigh {total} bytes together, at most {MOST} ship"
        )));
    }
    let card = card(&rows, &figures(&args.out)?);
    let path = args.assets.join("README.md");
    write_atomic(&path, card.as_bytes())?;
    say!("{}: {:.1} MB", args.assets.display(), total as f64 * 1e-6);
    Ok(ExitCode::SUCCESS)
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
fn row(network: &Network, run: &Path, bytes: u64, hash: &str) -> Result<String> {
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

fn card(rows: &[String], figures: &str) -> String {
    format!(
        "# The networks of the portrait world\n\n\
         Trained by this project from its own renderings, in half precision. `cargo xtask portraits` makes them again from\n\
         nothing; every file holds the settings of its run (`domex info FILE`). Licence: that of the project.\n\n\
         Times are of the machine that trained them, two cores shared with other work; a run that began from an earlier one tells its\n\
         own part. The generator's unused directions were damped when it was written (docs/portraits.md).\n\n\
         | file | what | size | seed | pictures | time | pictures a second | memory | SHA-256 |\n|---|---|---|---|---|---|---|---|---|\n{}\n\n\
         {figures}",
        rows.join("\n")
    )
}

/// What was measured, as far as it was.
fn figures(out: &Path) -> Result<String> {
    let mut text = String::from("## Measured\n");
    let mut table = |title: &str, path: PathBuf, of: &dyn Fn(&Json) -> BTreeMap<String, String>| {
        if path.is_file() {
            let rows = of(&json(&path)?);
            let rows = rows
                .iter()
                .map(|(name, value)| format!("| {name} | {value} |\n"));
            text.push_str(&format!("\n{title}\n\n| | |\n|---|---|\n"));
            text.extend(rows);
        }
        Ok::<_, AnyError>(())
    };
    table(
        "Generator, against fresh renderings, by judge and perceptual network:",
        out.join("measure/fidelity.json"),
        &|json| numbers(json, ""),
    )?;
    table(
        "CLIP, right answers on fresh renderings:",
        out.join("retrieval/scores.json"),
        &|json| numbers(json, ""),
    )?;
    table(
        "The attacked CLIP models at once: photographs whose pixels follow a domain's text, the share judged to be of that domain:",
        out.join("steer/scores.json"),
        &|json| {
            let mut rows = numbers(&json["reached"], "");
            let mean = json["mean"].as_f64().unwrap_or(f64::NAN);
            let pictures = &json["pictures"];
            rows.insert("**mean**".to_owned(), format!("{mean:.3}"));
            rows.insert("**photographs for each**".to_owned(), pictures.to_string());
            rows
        },
    )?;
    let judge = out.join("measure/judge.json");
    table(
        "Judge, right answers on fresh renderings of all domains:",
        judge.clone(),
        &|json| numbers(&json["all"], ""),
    )?;
    table(
        "Judge, right answers on fresh photographs:",
        judge,
        &|json| numbers(&json["source"], ""),
    )?;
    Ok(text)
}

/// The numbers of a JSON object, those of objects in it under both names.
fn numbers(json: &Json, above: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, value) in json.as_object().into_iter().flatten() {
        let name = format!("{above}{name}");
        match value {
            Json::Number(number) => {
                let value = number.as_f64().unwrap_or(f64::NAN);
                let text = if value.fract() == 0.0 && value.abs() > 1.0 {
                    format!("{value}")
                } else {
                    format!("{value:.3}")
                };
                all.insert(name, text);
            }
            Json::Object(_) => all.extend(numbers(value, &format!("{name}: "))),
            _ => {}
        }
    }
    all
}

fn json(path: &Path) -> Result<Json> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    serde_json::from_slice(&bytes).with_context(|| path.display().to_string())
}

/// The last line of a run's events.
pub fn last_event(path: &Path) -> Result<Json> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = text.lines().last().unwrap_or("{}");
    serde_json::from_str(line).with_context(|| path.display().to_string())
}
