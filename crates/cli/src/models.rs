//! From `--model FILE|NAME` to a network in memory, and from the names of other networks to their files.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use domex_encoder::Encoder;
use domex_error::user_error;
use domex_hub::{CONTAINER, Cache, Manifest, Source};
use domex_stylegan2::{Generator, GeneratorConfig};

use crate::args::{AutoencoderArgs, ModelArgs, wanted_model};
use crate::assets;
use crate::context::Context;
use crate::kinds::{self, Model, Networks};

/// The name of the shipped generator.
pub const PORTRAITS: &str = "portraits";

/// The name of the shipped diffusion autoencoder.
pub const DIFFAE: &str = "diffae";

/// Loads the model that the flags name, without the networks that only training needs.
pub fn load(context: &Context, args: &ModelArgs) -> domex_error::Result<Model> {
    load_with(context, args, Networks::Generator)
}

/// Loads the model that the flags name, with all its networks.
pub fn load_all(context: &Context, args: &ModelArgs) -> domex_error::Result<Model> {
    load_with(context, args, Networks::All)
}

fn load_with(
    context: &Context,
    args: &ModelArgs,
    networks: Networks,
) -> domex_error::Result<Model> {
    let path = match args.wanted() {
        _ if args.random => return random(&context.device),
        Some((flag, wanted)) => resolve(flag, wanted)?,
        None => assets::expect(assets::GENERATOR).map_err(|error| {
            user_error(format!(
                "no --model, and {error}; `--random` does with random weights"
            ))
        })?,
    };
    open_file(&context.device, &path, networks)
}

/// As [`load`], for what only a StyleGAN2 can do.
pub fn stylegan2(
    context: &Context,
    args: &ModelArgs,
) -> domex_error::Result<domex_stylegan2::Model> {
    load(context, args)?.stylegan2(name(args))
}

/// The diffusion autoencoder that the flags name, else the shipped one.
pub fn diffae(
    context: &Context,
    args: &AutoencoderArgs,
) -> domex_error::Result<domex_diffae::Model> {
    let wanted = wanted_model(args.model.as_deref());
    let (flag, wanted) = wanted.unwrap_or(("--model", DIFFAE));
    let path = resolve(flag, wanted)?;
    open_file(&context.device, &path, Networks::Generator)?.diffae(wanted)
}

/// What the flags name, in words.
pub fn name(args: &ModelArgs) -> &str {
    match args.wanted() {
        _ if args.random => "random weights",
        Some((_, name)) => name,
        None => PORTRAITS,
    }
}

/// Loads the model that a flag names, by name or file, with all its networks.
pub fn open(device: &Device, flag: &str, wanted: &str) -> domex_error::Result<Model> {
    open_file(device, &resolve(flag, wanted)?, Networks::All)
}

fn open_file(device: &Device, path: &Path, networks: Networks) -> domex_error::Result<Model> {
    tracing::info!(path = %path.display(), "loading");
    let model = kinds::open(path, networks, device)?;
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

/// A small network with random weights as training would start from, the same everywhere, with the colours turned down:
/// at full strength most pixels would be pure red, green or blue.
fn random(device: &Device) -> domex_error::Result<Model> {
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

/// A path as given by a flag, the shipped generator, or the file of a fetched model.
pub fn resolve(flag: &str, wanted: &str) -> domex_error::Result<PathBuf> {
    let path = Path::new(wanted);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if wanted == PORTRAITS {
        return assets::expect(assets::GENERATOR);
    }
    if wanted == DIFFAE {
        return assets::expect(assets::DIFFAE);
    }
    if let Some(path) = fetched(flag, wanted)? {
        return Ok(path);
    }
    // Last, as results are often put into a folder of the model's name.
    if path.is_dir() {
        return Err(user_error(format!(
            "{flag} {wanted}: is a folder; give a checkpoint file"
        )));
    }
    if path.exists() {
        return Err(user_error(format!(
            "{flag} {wanted}: is a device or a pipe; give a checkpoint file"
        )));
    }
    let is_name = !wanted.contains(['/', '\\']) && path.extension().is_none();
    if !is_name {
        return Err(user_error(format!("{flag} {wanted}: no such file")));
    }
    let shipped = match assets::file(assets::DIFFAE)? {
        Some(_) => format!("{PORTRAITS}, {DIFFAE}"),
        None => PORTRAITS.to_owned(),
    };
    Err(user_error(format!(
        "{flag} {wanted}: neither a file nor the name of a model (known: {shipped}, {}, {})",
        fetchable("stylegan2")?,
        fetchable("stylegan3")?
    )))
}

/// A perceptual network: a file as given, or a fetched one by its name.
pub fn perceptual(wanted: &Path) -> domex_error::Result<PathBuf> {
    if wanted.is_file() {
        kinds::expect(wanted, &kinds::PERCEPTUAL)?;
        return Ok(wanted.to_owned());
    }
    let name = wanted.to_str().unwrap_or_default();
    if let Some(path) = fetched("--perceptual", name)? {
        kinds::expect(&path, &kinds::PERCEPTUAL)?;
        return Ok(path);
    }
    Err(user_error(format!(
        "--perceptual {}: neither a file nor the name of a network (known: {})",
        wanted.display(),
        fetchable("lpips")?
    )))
}

/// The word for no encoder, in place of a file.
const NO_ENCODER: &str = "none";

/// The encoder of a generator's latents: a file as given, or the shipped one if it is this generator's. There are encoders of a StyleGAN2
/// alone.
pub fn encoder(
    context: &Context,
    wanted: Option<&str>,
    model: &Model,
) -> domex_error::Result<Option<Encoder>> {
    let Model::StyleGan2(model) = model else {
        return match wanted.filter(|wanted| *wanted != NO_ENCODER) {
            None => Ok(None),
            Some(file) => Err(user_error(format!(
                "--encoder {file}: encoders predict latents of a StyleGAN2, and this is {}; {NO_ENCODER} does without",
                model.what()
            ))),
        };
    };
    let generator = model.generator();
    let load = |path: &Path| Encoder::load(path, &context.device);
    let path = match wanted {
        Some(NO_ENCODER) => return Ok(None),
        Some(file) => Path::new(file),
        None => {
            let shipped = assets::file(assets::ENCODER)?.as_deref().map(load);
            let shipped = shipped.transpose()?;
            return Ok(shipped.filter(|encoder| encoder.check(generator).is_ok()));
        }
    };
    let refused = |why: String| user_error(format!("--encoder {}: {why}", path.display()));
    if !path.is_file() {
        return Err(refused(format!(
            "no such file; `domex train-encoder` makes one, {NO_ENCODER} does without"
        )));
    }
    kinds::expect(path, &kinds::ENCODER)?;
    let encoder = load(path)?;
    encoder
        .check(generator)
        .map_err(|error| refused(error.to_string()))?;
    Ok(Some(encoder))
}

/// The flag that takes a folder of several files.
pub const TEACHER: &str = "--teacher";

/// The file of a fetched network, or the folder of one that is of several, by any of its names. One that could be fetched and is not here is an error that says
/// how; of a name that nothing is known of there is no file.
pub fn fetched(flag: &str, wanted: &str) -> domex_error::Result<Option<PathBuf>> {
    let manifest = Manifest::builtin()?;
    let Ok(entry) = manifest.find(wanted) else {
        return Ok(of_another_manifest(wanted));
    };
    if matches!(entry.source()?, Source::Folder { .. }) && flag != TEACHER {
        return Err(user_error(format!(
            "{flag} {wanted}: is {}, which {TEACHER} of `domex expand` takes",
            entry.about
        )));
    }
    match Cache::from_env()?.find(entry)? {
        Some(path) => Ok(Some(path)),
        None => Err(user_error(format!(
            "{flag} {wanted}: is not here yet; `domex fetch {}` fetches it",
            entry.name
        ))),
    }
}

/// What was fetched by `--manifest`: what was made of a file, else the largest file, which is the weights.
fn of_another_manifest(name: &str) -> Option<PathBuf> {
    let is_name = !name.is_empty() && !name.contains(['/', '\\', '.']);
    let folder = Cache::from_env().ok().filter(|_| is_name)?.folder(name);
    let made = folder.join(CONTAINER);
    if made.is_file() {
        return Some(made);
    }
    if folder.join("model_index.json").is_file() {
        return Some(folder);
    }
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let files = files.filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())));
    let is_whole = |path: &Path| path.is_file() && path.extension().is_none_or(|end| end != "part");
    let files = files.filter(|(_, path)| is_whole(path));
    files.max().map(|(_, path)| path)
}

/// The file of the face detector.
pub fn face_detector() -> domex_error::Result<PathBuf> {
    const NAME: &str = "yunet";
    let manifest = Manifest::builtin()?;
    Cache::from_env()?
        .find(manifest.find(NAME)?)?
        .ok_or_else(|| {
            user_error(format!(
                "the network that finds faces is not here yet; `domex fetch {NAME}` fetches it"
            ))
        })
}

/// The names of all networks of a kind that can be fetched, for messages.
pub fn fetchable(kind: &str) -> domex_error::Result<String> {
    let manifest = Manifest::builtin()?;
    let entries = manifest.entries().iter().filter(|entry| entry.kind == kind);
    let names = entries.map(|entry| match &entry.alias {
        Some(alias) => format!("{alias} or {}", entry.name),
        None => entry.name.clone(),
    });
    Ok(names.collect::<Vec<_>>().join(", "))
}

/// The names of all generators that are at hand: those that ship, and those that were fetched.
pub fn at_hand() -> domex_error::Result<Vec<String>> {
    let shipped = [(PORTRAITS, assets::GENERATOR), (DIFFAE, assets::DIFFAE)];
    let mut names = Vec::new();
    for (name, file) in shipped {
        if assets::file(file)?.is_some() {
            names.push(name.to_owned());
        }
    }
    let (manifest, cache) = (Manifest::builtin()?, Cache::from_env()?);
    for entry in manifest.entries() {
        let is_generator = ["stylegan2", "stylegan3", "diffae"].contains(&entry.kind.as_str());
        if is_generator && cache.find(entry)?.is_some() {
            names.push(entry.name.clone());
        }
    }
    Ok(names)
}

/// The folder for what can be made or fetched again.
pub fn cache_folder() -> domex_error::Result<PathBuf> {
    Ok(Cache::from_env()?.root().to_owned())
}
