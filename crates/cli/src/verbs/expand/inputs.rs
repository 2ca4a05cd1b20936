//! Which files a run reads: model, CLIP networks, perceptual network, pictures.

use std::path::{Path, PathBuf};

use domex_data::portraits::Domain;
use domex_data::source::{self, Options, PictureSource, Portraits};
use domex_expand::TaskFile;
use domex_stylegan2::Model;

use super::Expand;
use super::settings::{Settings, Tower};
use crate::exit::mendable;
use crate::{assets, models};

/// The word for the built-in renderer, in place of a path.
pub const PORTRAITS: &str = "portraits";

/// The word for no pictures.
const NONE: &str = "none";

/// Seed of rendered portraits, so that the run's own seed need not be that of its pictures.
const PEOPLE: u64 = 0x0d0e_7415;

/// Published networks by the names that papers and the official files use, and what fetches them.
const PUBLISHED: [(&str, &str); 3] = [
    ("ViT-B/32", "clip-vit-b32"),
    ("ViT-B/16", "clip-vit-b16"),
    ("ViT-L/14", "clip-vit-l14"),
];

/// The model's file, as an absolute path: a resumed run may be typed in another folder.
pub fn model(wanted: Option<&str>) -> anyhow::Result<String> {
    let wanted = match wanted {
        Some(wanted) => wanted.to_owned(),
        None => std::env::var("DOMEX_MODEL").unwrap_or_default(),
    };
    let path = match wanted.as_str() {
        models::TINY_RANDOM => return Ok(wanted),
        "" | models::PORTRAITS => assets::expect(assets::GENERATOR)
            .map_err(|error| mendable(format!("no --model, and {error}")))?,
        wanted => models::resolve(wanted)?,
    };
    Ok(std::path::absolute(path)?.display().to_string())
}

/// The CLIP networks of the flags, else of the file of tasks, else the shipped ones.
pub fn towers(args: &Expand, file: &TaskFile) -> anyhow::Result<Vec<Tower>> {
    if !args.clip.is_empty() {
        return args.clip.iter().map(|text| tower(text)).collect();
    }
    if !file.clip.is_empty() {
        let weights = file
            .clip_weights
            .iter()
            .copied()
            .chain(std::iter::repeat(1.0));
        let towers = file.clip.iter().zip(weights);
        return towers
            .map(|(name, weight)| {
                Ok(Tower {
                    path: network(name)?,
                    weight,
                })
            })
            .collect();
    }
    let shipped = assets::towers();
    if shipped.is_empty() {
        return Err(mendable(
            "no CLIP network is shipped with this program: give one or several as --clip FILE",
        ));
    }
    let towers = shipped.into_iter();
    towers
        .map(|(_, path)| {
            Ok(Tower {
                path: std::path::absolute(path)?,
                weight: 1.0,
            })
        })
        .collect()
}

/// A network with its weight after a colon, if there is one.
fn tower(text: &str) -> anyhow::Result<Tower> {
    let (name, weight) = match text.rsplit_once(':') {
        Some((name, number)) => match number.parse::<f64>() {
            Ok(weight) => (name, weight),
            Err(_) => (text, 1.0),
        },
        None => (text, 1.0),
    };
    if !(weight.is_finite() && weight > 0.0) {
        return Err(mendable(format!(
            "--clip {text}: the weight is {weight}, expected a number above 0"
        )));
    }
    Ok(Tower {
        path: network(name)?,
        weight,
    })
}

/// A file as given, a shipped network, or a fetched one.
fn network(name: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(name);
    if path.is_file() {
        return Ok(std::path::absolute(path)?);
    }
    let shipped = assets::towers();
    if let Some((_, path)) = shipped.iter().find(|(known, _)| known == name) {
        return Ok(std::path::absolute(path)?);
    }
    let published = PUBLISHED.iter().find(|(known, _)| *known == name);
    let fetched = published.map_or(name, |(_, fetched)| fetched);
    if let Some(path) = models::fetched_file(fetched) {
        return Ok(path);
    }
    let hint = match published {
        Some((_, fetched)) => {
            format!("; `cargo xtask fetch {fetched}` fetches it, then give its file")
        }
        None => String::new(),
    };
    let known: Vec<&str> = shipped
        .iter()
        .map(|(name, _)| name.as_str())
        .chain(PUBLISHED.map(|p| p.0))
        .collect();
    Err(mendable(format!(
        "CLIP network {name:?}: neither a file nor a network that is here (known: {}){hint}",
        known.join(", ")
    )))
}

/// The perceptual network, where one is `needed`.
pub fn perceptual(wanted: Option<&Path>, needed: bool) -> anyhow::Result<Option<PathBuf>> {
    let path = match wanted {
        Some(path) if path.is_file() => path.to_owned(),
        Some(path) => {
            return Err(mendable(format!(
                "--perceptual {}: no such file",
                path.display()
            )));
        }
        None if !needed => return Ok(None),
        None => assets::expect(assets::PERCEPTUAL).map_err(|error| {
            mendable(format!(
                "no --perceptual, and {error}; or do without by --lambda-lpips 0"
            ))
        })?,
    };
    Ok(Some(std::path::absolute(path)?))
}

/// Where the pictures of the source domain are.
pub fn data(wanted: Option<&str>, model: &str) -> Option<String> {
    match wanted {
        Some(NONE) => None,
        Some(PORTRAITS) => Some(PORTRAITS.to_owned()),
        Some(path) => Some(
            std::path::absolute(path).map_or(path.to_owned(), |path| path.display().to_string()),
        ),
        None => assets::is_generator(Path::new(model)).then(|| PORTRAITS.to_owned()),
    }
}

/// The pictures, or a notice of what will be off without them.
pub fn pictures(
    settings: &Settings,
    model: &Model,
    side: usize,
    notices: &mut Vec<String>,
) -> anyhow::Result<Option<Box<dyn PictureSource>>> {
    if settings.config.src == 0.0 {
        return Ok(None);
    }
    let off = "the adversarial loss on the base subspace is off (--lambda-src 0 says so too); replay alignment alone holds it";
    if model.discriminator.is_none() {
        notices.push(format!("the model has no discriminator: {off}"));
        return Ok(None);
    }
    let Some(path) = &settings.data else {
        notices.push(format!("there are no pictures (--data): {off}"));
        return Ok(None);
    };
    if path == PORTRAITS {
        return Ok(Some(Box::new(Portraits::new(
            PEOPLE,
            Domain::Photo,
            side as u32,
        )?)));
    }
    Ok(Some(
        source::open(Path::new(path), Options::default())?.source,
    ))
}
