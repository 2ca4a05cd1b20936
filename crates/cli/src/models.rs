//! From `--model FILE|NAME` to a network in memory.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use domex_error::user_error;
use domex_stylegan2::{Generator, GeneratorConfig};

use crate::args::ModelArgs;
use crate::assets;
use crate::context::Context;
use crate::kinds::{self, Model, Networks};

/// The model that needs no file: small, random, the same everywhere.
pub const TINY_RANDOM: &str = "tiny-random";

/// The name of the shipped generator.
pub const PORTRAITS: &str = "portraits";

/// Loads the model that the flags name, without the networks that only training needs.
pub fn load(context: &Context, args: &ModelArgs) -> domex_error::Result<Model> {
    open_with(&context.device, name(args), Networks::Generator)
}

/// As [`load`], for what only a StyleGAN2 can do.
pub fn stylegan2(
    context: &Context,
    args: &ModelArgs,
) -> domex_error::Result<domex_stylegan2::Model> {
    load(context, args)?.stylegan2(name(args))
}

/// As [`load`], for what only a diffusion autoencoder can do.
pub fn diffae(context: &Context, args: &ModelArgs) -> domex_error::Result<domex_diffae::Model> {
    load(context, args)?.diffae(name(args))
}

/// What the flags name: without them the shipped generator, and where that is not there the random model.
pub fn name(args: &ModelArgs) -> &str {
    match &args.model {
        Some(name) => name,
        None if assets::file(assets::GENERATOR).is_some() => PORTRAITS,
        None => TINY_RANDOM,
    }
}

/// Loads a model by name or file, with all its networks.
pub fn open(device: &Device, wanted: &str) -> domex_error::Result<Model> {
    open_with(device, wanted, Networks::All)
}

fn open_with(device: &Device, wanted: &str, networks: Networks) -> domex_error::Result<Model> {
    if wanted == TINY_RANDOM {
        return tiny_random(device);
    }
    let path = resolve(wanted)?;
    tracing::info!(path = %path.display(), "loading");
    let model = kinds::open(&path, networks, device)?;
    warn_of_mean(&model)?;
    Ok(model)
}

/// Numbers of w are of the order of one. A mean far from that is finite and still makes no picture.
fn warn_of_mean(model: &Model) -> domex_error::Result<()> {
    const FAR: f32 = 1e4;
    let Model::StyleGan2(model) = model else {
        return Ok(());
    };
    let mean = model.g_ema.mean_w()?.to_dtype(DType::F32)?;
    let largest = mean.abs()?.max_all()?.to_scalar::<f32>()?;
    if largest > FAR {
        tracing::warn!(
            "the mean latent has numbers of up to {largest:.1e}, and those of a generator are of the order of one: the file is probably damaged"
        );
    }
    Ok(())
}

/// Random weights as training would start from, with the colours turned down: at full strength
/// most pixels would be pure red, green or blue.
fn tiny_random(device: &Device) -> domex_error::Result<Model> {
    const COLOURS: f64 = 0.2;
    let config = GeneratorConfig::tiny();
    let random = domex_stylegan2::Model::random(&config, 0, device)?;
    let mut tensors = random.g_ema.tensors();
    for (name, tensor) in &mut tensors {
        if name.ends_with("torgb.weight") {
            *tensor = (&*tensor * COLOURS)?;
        }
    }
    let model = domex_stylegan2::Model::new(Generator::from_tensors(&tensors, &config)?);
    Ok(Model::StyleGan2(Box::new(model)))
}

/// A path as given, or the converted file of a fetched model's name.
pub fn resolve(wanted: &str) -> domex_error::Result<PathBuf> {
    let path = Path::new(wanted);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if path.is_dir() {
        return Err(user_error(format!(
            "--model {wanted}: is a folder; give a checkpoint file"
        )));
    }
    if wanted == PORTRAITS {
        return assets::expect(assets::GENERATOR);
    }
    let is_name = !wanted.contains(['/', '\\']) && path.extension().is_none();
    if !is_name {
        return Err(user_error(format!("--model {wanted}: no such file")));
    }
    let folder = cache_folder()?.join("models");
    let fetched = folder.join(wanted).join("model.safetensors");
    if fetched.is_file() {
        return Ok(fetched);
    }
    let known = fetched_names(&folder);
    Err(user_error(format!(
        "--model {wanted}: neither a file nor a fetched model (known: {}); `cargo xtask fetch --list` shows what can be fetched",
        [vec![PORTRAITS.to_owned(), TINY_RANDOM.to_owned()], known]
            .concat()
            .join(", ")
    )))
}

/// A perceptual network: a file as given, or what `cargo xtask fetch` made of the published ones.
pub fn perceptual(wanted: &Path) -> domex_error::Result<PathBuf> {
    if wanted.is_file() {
        kinds::expect(wanted, &kinds::PERCEPTUAL)?;
        return Ok(wanted.to_owned());
    }
    let name = wanted.to_str().unwrap_or_default();
    let fetched = fetched_folder(name).map(|folder| folder.join("model.safetensors"));
    fetched.filter(|file| file.is_file()).ok_or_else(|| {
        user_error(format!(
            "--perceptual {}: no such file, nor a network that is here; `cargo xtask fetch lpips-vgg` fetches a published one",
            wanted.display()
        ))
    })
}

/// The largest file of a fetched model: its weights.
pub fn fetched_file(name: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(fetched_folder(name)?).ok()?.flatten();
    let files = files.filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())));
    files
        .filter(|(_, path)| path.is_file())
        .max()
        .map(|(_, path)| path)
}

/// Where a model of this name would be, if it is a name and no path.
fn fetched_folder(name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty() && !name.contains(['/', '\\', '.']);
    Some(cache_folder().ok()?.join("models").join(name)).filter(|_| plain)
}

fn fetched_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("model.safetensors").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// `$DOMEX_CACHE`, else `$XDG_CACHE_HOME/domex` of an absolute path, else `~/.cache/domex`.
pub fn cache_folder() -> domex_error::Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    variable("DOMEX_CACHE")
        // A relative one is to be ignored, says the specification.
        .or_else(|| {
            let folder = variable("XDG_CACHE_HOME").filter(|folder| folder.is_absolute());
            folder.map(|folder| folder.join("domex"))
        })
        .or_else(|| variable("HOME").map(|folder| folder.join(".cache").join("domex")))
        .ok_or_else(|| user_error("no folder for fetched models: set DOMEX_CACHE or HOME"))
}
