//! Kinds of container: which there are, what opens each, and what takes it.
//!
//! A file says what it holds by its `kind`. Whoever needs a generator asks [`open`], which picks the opener by that
//! word; a flag that takes another network asks [`expect`]. A file without a kind is a published checkpoint: its
//! reader says what it finds.

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_error::{AnyError, Result, user_error};
use domex_stylegan2::Model;

/// Which networks of a generator's file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// All, to train on.
    All,
    /// Those that pictures are made with.
    Generator,
}

/// Reads a generator.
type Opener = fn(&Path, Networks, &Device) -> Result<Model>;

/// A kind of container.
#[derive(Debug)]
pub struct Kind {
    /// What files say.
    name: &'static str,
    /// The same in words.
    what: &'static str,
    /// What is typed to use such a file.
    taken_by: &'static str,
    /// How it is opened, if it is a generator.
    generator: Option<Opener>,
}

const STYLEGAN2: Kind = Kind {
    name: domex_stylegan2::model::KIND,
    what: "a StyleGAN2",
    taken_by: "`--model`",
    generator: Some(stylegan2),
};

/// Diffusion autoencoders, which some verbs take beside StyleGAN2.
pub const DIFFAE: Kind = Kind {
    name: domex_diffae::model::KIND,
    what: "a diffusion autoencoder",
    taken_by: "`--model` of `domex info`, `generate`, `encode` and `decode`",
    generator: None,
};

/// CLIP networks with their tokenizer.
pub const CLIP: Kind = Kind {
    name: domex_clip::bundle::KIND,
    what: "a CLIP model",
    taken_by: "`--clip` of `domex expand`",
    generator: None,
};

/// Perceptual networks.
pub const PERCEPTUAL: Kind = Kind {
    name: domex_lpips::file::KIND,
    what: "a perceptual network",
    taken_by: "`--perceptual` of `domex expand` and `domex eval`",
    generator: None,
};

/// Classifiers of domain and factors.
pub const JUDGE: Kind = Kind {
    name: domex_judge::KIND,
    what: "a judge",
    taken_by: "`--judge` of `domex eval`",
    generator: None,
};

const RUN: Kind = Kind {
    name: domex_train::state::KIND,
    what: "a snapshot of a run",
    taken_by: "`--resume`, with the folder of the run,",
    generator: None,
};

/// Every kind there is. A new kind of generator is a constant above and a word here.
const ALL: [&Kind; 6] = [&STYLEGAN2, &DIFFAE, &CLIP, &PERCEPTUAL, &JUDGE, &RUN];

fn stylegan2(path: &Path, networks: Networks, device: &Device) -> Result<Model> {
    Ok(match networks {
        Networks::All => Model::load(path, device)?,
        Networks::Generator => Model::load_generator(path, device)?,
    })
}

/// Opens a generator: a container by its kind, or a published checkpoint.
pub fn open(path: &Path, networks: Networks, device: &Device) -> Result<Model> {
    let opener = match of(path)? {
        Some(kind) => kind.generator.ok_or_else(|| {
            let known = ALL.iter().filter(|kind| kind.generator.is_some());
            let known: Vec<&str> = known.map(|kind| kind.what).collect();
            misplaced(path, kind, &known.join(" or "))
        })?,
        None if is_published_diffae(path) => return Err(misplaced(path, &DIFFAE, STYLEGAN2.what)),
        None => stylegan2,
    };
    opener(path, networks, device)
}

/// Whether a file is a diffusion autoencoder, ours or as published.
pub fn is_diffae(path: &Path) -> Result<bool> {
    Ok(match of(path)? {
        Some(kind) => kind.name == DIFFAE.name,
        None => is_published_diffae(path),
    })
}

/// Refuses whatever is no diffusion autoencoder, and says what takes it.
pub fn expect_diffae(path: &Path) -> Result<()> {
    match of(path)? {
        Some(kind) if kind.name != DIFFAE.name => Err(misplaced(path, kind, DIFFAE.what)),
        None if !is_published_diffae(path) => Err(user_error(format!(
            "{}: {} is needed here, and this is none",
            path.display(),
            DIFFAE.what
        ))),
        _ => Ok(()),
    }
}

/// By the names of its tensors. What is wrong with a file that cannot be read its reader says.
fn is_published_diffae(path: &Path) -> bool {
    domex_diffae::model::recognizes(path).unwrap_or(false)
}

/// Refuses a container of another kind than `wanted`, and says what takes it.
pub fn expect(path: &Path, wanted: &Kind) -> Result<()> {
    match of(path)? {
        Some(kind) if kind.name != wanted.name => Err(misplaced(path, kind, wanted.what)),
        _ => Ok(()),
    }
}

fn misplaced(path: &Path, found: &Kind, wanted: &str) -> AnyError {
    user_error(format!(
        "{}: is {} (kind {:?}), and {wanted} is needed here; {} takes this file",
        path.display(),
        found.what,
        found.name,
        found.taken_by
    ))
}

/// The kind of a file, `None` for what is no container.
fn of(path: &Path) -> Result<Option<&'static Kind>> {
    /// Beyond this, as a share of equal letters, a word is not a slip of another.
    const ALIKE: f64 = 0.6;
    let Some(file) = Container::find(path)? else {
        return Ok(None);
    };
    let found = ALL.into_iter().find(|kind| kind.name == file.kind());
    if found.is_some() {
        return Ok(found);
    }
    let alike = |kind: &&Kind| strsim::normalized_damerau_levenshtein(kind.name, file.kind());
    let nearest = ALL
        .into_iter()
        .max_by(|a, b| alike(a).total_cmp(&alike(b)))
        .filter(|kind| alike(kind) >= ALIKE);
    let nearest = nearest.map(|kind| format!("; the nearest known one is {:?}", kind.name));
    let known: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
    let by = file.provenance().and_then(|json| json["program"].as_str());
    let by = by.map(|program| format!(", written by {program}"));
    Err(user_error(format!(
        "{}: kind {:?}{} is not known to domex {}{} (known: {})",
        path.display(),
        file.kind(),
        by.unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        nearest.unwrap_or_default(),
        known.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use domex_checkpoint::container::{Overwrite, Writer};
    use serde_json::json;

    use super::*;

    /// An empty container of a kind.
    fn file(kind: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.safetensors");
        let writer = Writer::new(kind, &json!({})).provenance(&json!({ "program": "domex 9.1.0" }));
        writer.write(&path, Overwrite::Refuse).unwrap();
        (folder, path)
    }

    #[test]
    fn a_network_in_a_generators_place_is_told_its_own() {
        for kind in [DIFFAE, CLIP, PERCEPTUAL, JUDGE, RUN] {
            let (_folder, path) = file(kind.name);
            let error = open(&path, Networks::All, &Device::Cpu)
                .unwrap_err()
                .to_string();
            for part in ["file.safetensors", "a StyleGAN2 is needed", kind.taken_by] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_generator_in_a_networks_place_is_told_its_own() {
        let (_folder, path) = file(STYLEGAN2.name);
        let error = expect(&path, &CLIP).unwrap_err().to_string();
        assert!(error.contains("a CLIP model is needed"), "{error}");
        assert!(error.contains("`--model` takes this file"), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_told_the_nearest_known_one_and_both_programs() {
        let (_folder, path) = file("stylegan3");
        let error = open(&path, Networks::All, &Device::Cpu)
            .unwrap_err()
            .to_string();
        let own = concat!("domex ", env!("CARGO_PKG_VERSION"));
        for part in ["\"stylegan3\"", "is \"stylegan2\"", "domex 9.1.0", own] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_kind_like_no_other_is_told_all_known_ones() {
        let (_folder, path) = file("vocoder");
        let error = expect(&path, &JUDGE).unwrap_err().to_string();
        assert!(!error.contains("nearest"), "{error}");
        for kind in ALL {
            assert!(error.contains(kind.name), "{error}");
        }
    }
}
