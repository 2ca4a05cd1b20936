//! Which files a run reads: model, CLIP models, perceptual network, pictures.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_error::user_error;
use domex_expand::TaskFile;
use domex_expand::methods::Needs;

use super::Expand;
use super::settings::ClipModel;
use super::teacher::TeacherFiles;
use crate::args::wanted_model;
use crate::kinds::Model;
use crate::paths::text;
use crate::{assets, kinds, models};

/// The word for the built-in renderer, in place of a path.
pub const PORTRAITS: &str = "portraits";

/// What the list of models calls those that `--teacher` takes.
const STABLE_DIFFUSION: &str = "stable-diffusion";

/// The word for no pictures.
const NONE: &str = "none";

/// The file of the model that the flag names, or what is taken without it, as an absolute path: a resumed run may be typed in
/// another folder.
pub fn model(wanted: Option<&str>) -> domex_error::Result<String> {
    let path = match wanted_model(wanted) {
        Some((flag, wanted)) => models::resolve(flag, wanted)?,
        None => assets::expect(assets::GENERATOR)
            .map_err(|error| user_error(format!("no --model, and {error}")))?,
    };
    Ok(text(&std::path::absolute(path)?))
}

/// Whether this is the shipped generator of its kind or one that was expanded from it: an expansion leaves a mapping network
/// and an encoder alone.
pub fn is_portraits(path: &str, model: &Model, device: &Device) -> domex_error::Result<bool> {
    if assets::is_generator(Path::new(path)) {
        return Ok(true);
    }
    let (shipped, kept) = match model {
        Model::StyleGan2(_) => (assets::GENERATOR, "mapping."),
        Model::DiffAe(_) => (assets::DIFFAE, "encoder."),
        // None is shipped.
        Model::StyleGan3(_) => return Ok(false),
    };
    let Some(shipped) = assets::file(shipped)? else {
        return Ok(false);
    };
    let kept = |model: &Model| {
        let mut tensors = match model {
            Model::StyleGan2(model) => model.g_ema.tensors(),
            Model::StyleGan3(model) => model.g_ema.tensors(),
            Model::DiffAe(model) => model.tensors().clone(),
        };
        tensors.retain(|name, _| name.starts_with(kept) && !name.contains("w_avg"));
        tensors
    };
    let shipped = kinds::open(&shipped, kinds::Networks::Generator, device)?;
    let (shipped, found) = (kept(&shipped), kept(model));
    if !shipped.keys().eq(found.keys()) {
        return Ok(false);
    }
    for (name, tensor) in &shipped {
        if !same(tensor, &found[name])? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same(a: &Tensor, b: &Tensor) -> domex_error::Result<bool> {
    if a.dims() != b.dims() {
        return Ok(false);
    }
    let values = |x: &Tensor| x.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
    Ok(values(a)? == values(b)?)
}

/// The shipped networks were trained on portraits only: for other models others must be given.
pub fn refuse_shipped(
    args: &Expand,
    file: &TaskFile,
    model: &str,
    needs: Needs,
) -> domex_error::Result<()> {
    let clip = (needs.clip && args.inputs.clip.is_empty() && file.clip.is_empty()).then_some(
        "--clip (a file, or ViT-B/32 after `domex fetch ViT-B/32`, or one of the shipped names)",
    );
    let perceptual = (args.inputs.perceptual.is_none() && needs.perceptual).then_some(
        "--perceptual (a file, or lpips-vgg after `domex fetch lpips-vgg`; or do without by --lambda-lpips 0)",
    );
    let teacher = (args.inputs.teacher.is_none() && needs.teacher)
        .then_some(
            "--teacher (a folder of Stable Diffusion, or stable-diffusion-v1-5 after `domex fetch stable-diffusion-v1-5`)",
        );
    let missing = clip.into_iter().chain(perceptual).chain(teacher);
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(user_error(format!(
        "--model {model}: is neither the shipped generator nor expanded from it, and the shipped networks were trained on its \
         portraits only; give others with {}",
        missing.join(" and ")
    )))
}

/// The CLIP networks of the flags, else of the file of tasks, else all shipped ones.
pub fn clip_models(args: &Expand, file: &TaskFile) -> domex_error::Result<Vec<ClipModel>> {
    let given = &args.inputs.clip;
    if !given.is_empty() {
        return given.iter().map(|text| clip_model(text)).collect();
    }
    if !file.clip.is_empty() {
        let models = file.clip_models();
        return models.map(|(name, weight)| named(name, weight)).collect();
    }
    let shipped = assets::clip_models()?;
    if shipped.is_empty() {
        return Err(user_error(
            "no CLIP model is shipped with this program: give one or several as --clip FILE",
        ));
    }
    let models = shipped.iter();
    models.map(|(name, _)| named(name, 1.0)).collect()
}

/// A network by name or file.
pub fn named(name: &str, weight: f64) -> domex_error::Result<ClipModel> {
    let path = network(name)?;
    let stem = || {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let name = match Path::new(name).is_file() {
        true => stem().unwrap_or_default(),
        false => name.to_owned(),
    };
    Ok(ClipModel { name, path, weight })
}

/// A network with its weight after a colon, if there is one.
pub fn clip_model(text: &str) -> domex_error::Result<ClipModel> {
    let (name, weight) = match text.rsplit_once(':') {
        Some((name, number)) => match number.parse::<f64>() {
            Ok(weight) => (name, weight),
            Err(_) => (text, 1.0),
        },
        None => (text, 1.0),
    };
    if !(weight.is_finite() && weight > 0.0) {
        return Err(user_error(format!(
            "--clip {text}: the weight is {weight}, expected a number above 0"
        )));
    }
    named(name, weight)
}

/// The weights in a folder as Hugging Face's programs save it.
fn weights_in(folder: &Path) -> domex_error::Result<PathBuf> {
    const NAMES: [&str; 4] = [
        "model.safetensors",
        "open_clip_model.safetensors",
        "pytorch_model.bin",
        "open_clip_pytorch_model.bin",
    ];
    let files = NAMES.map(|name| folder.join(name));
    files
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| {
            user_error(format!(
                "--clip {}: none of {} is in the folder",
                folder.display(),
                NAMES.join(", ")
            ))
        })
}

/// A file as given, one in a folder, a shipped network, or a fetched one.
fn network(name: &str) -> domex_error::Result<PathBuf> {
    let path = Path::new(name);
    if path.is_file() {
        kinds::expect(path, &kinds::CLIP)?;
        return Ok(std::path::absolute(path)?);
    }
    let shipped = assets::clip_models()?;
    if let Some((_, path)) = shipped.iter().find(|(known, _)| known == name) {
        return Ok(std::path::absolute(path)?);
    }
    if path.is_dir() {
        let path = weights_in(path)?;
        kinds::expect(&path, &kinds::CLIP)?;
        return Ok(std::path::absolute(path)?);
    }
    if let Some(path) = models::fetched("--clip", name)? {
        kinds::expect(&path, &kinds::CLIP)?;
        return Ok(path);
    }
    let shipped: Vec<&str> = shipped.iter().map(|(name, _)| name.as_str()).collect();
    Err(user_error(format!(
        "CLIP model {name:?}: neither a file nor the name of a network (shipped: {}; fetched by `domex fetch`: {})",
        shipped.join(", "),
        models::fetchable("clip")?
    )))
}

/// The perceptual network, where one is `needed`.
pub fn perceptual(wanted: Option<&Path>, needed: bool) -> domex_error::Result<Option<PathBuf>> {
    let path = match wanted {
        Some(path) => models::perceptual(path)?,
        None if !needed => return Ok(None),
        None => assets::expect(assets::PERCEPTUAL).map_err(|error| {
            user_error(format!(
                "no --perceptual, and {error}; or leave it out with --lambda-lpips 0"
            ))
        })?,
    };
    Ok(Some(std::path::absolute(path)?))
}

/// The diffusion model that teaches, and the CLIP model that belongs to it.
pub fn teacher(
    args: &Expand,
    file: &TaskFile,
    clip: &[ClipModel],
) -> domex_error::Result<TeacherFiles> {
    let path = match &args.inputs.teacher {
        Some(path) if path.is_dir() => path.clone(),
        Some(path) if path.is_file() => {
            kinds::expect(path, &kinds::TEACHER)?;
            path.clone()
        }
        Some(path) => {
            let fetched = models::fetched(models::TEACHER, path.to_str().unwrap_or_default())?;
            let known = models::fetchable(STABLE_DIFFUSION)?;
            fetched.ok_or_else(|| {
                user_error(format!(
                    "--teacher {}: neither a file, a folder of diffusers nor the name of a model (known: {known})",
                    path.display()
                ))
            })?
        }
        None => assets::expect(assets::TEACHER)
            .map_err(|error| user_error(format!("no --teacher, and {error}")))?,
    };
    let path = std::path::absolute(path)?;
    let named = args.inputs.teacher_clip.as_deref();
    let files = TeacherFiles {
        clip: match path.is_dir() {
            true => named.map(network).transpose()?,
            false => Some(network(named.unwrap_or(assets::TEACHER_CLIP))?),
        },
        path,
    };
    // What it lacks is said before anything else is read.
    files.folder()?;
    let keep = file.settings.diffusion.keep;
    if keep < 1.0 && files.chosen_by(clip).is_empty() {
        return Err(user_error(format!(
            "diffusion.keep {keep}: a CLIP model has to choose among the translations of Stable Diffusion; give one as --teacher-clip (a \
             file, or ViT-B/32 after `domex fetch ViT-B/32`), or keep all of them by diffusion.keep = 1 in [settings] of --tasks"
        )));
    }
    Ok(files)
}

/// Where the pictures of the source domain are.
pub fn data(wanted: Option<&str>, portraits: bool) -> Option<String> {
    match wanted {
        Some(NONE) => None,
        Some(PORTRAITS) => Some(PORTRAITS.to_owned()),
        Some(path) => Some(
            std::path::absolute(path).map_or(path.to_owned(), |path| path.display().to_string()),
        ),
        None => portraits.then(|| PORTRAITS.to_owned()),
    }
}
