//! Kinds of container: which there are, what opens each, and what takes it.
//!
//! A file says what it holds by its `kind`. Whoever needs a generator asks [`open`], which picks the opener by that
//! word; a flag that takes another network asks [`expect`]. A file without a kind is a published checkpoint: its
//! reader says what it finds.

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::container::{Container, Overwrite};
use domex_error::{AnyError, Result, user_error};
use domex_eval::{Domains, Subject};
use domex_expand::SourceSettings;
use domex_latent::{Expansion, Generator};
use serde_json::Value as Json;

/// Which networks of a generator's file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Networks {
    /// All, to train on.
    All,
    /// Those that pictures are made with.
    Generator,
}

/// A generator of any kind.
pub enum Model {
    /// StyleGAN2.
    StyleGan2(Box<domex_stylegan2::Model>),
    /// StyleGAN3.
    StyleGan3(Box<domex_stylegan3::Model>),
    /// A diffusion autoencoder.
    DiffAe(Box<domex_diffae::Model>),
}

impl Model {
    /// The network that pictures are made with.
    pub fn generator(&self) -> &dyn Generator {
        match self {
            Self::StyleGan2(model) => model.generator(),
            Self::StyleGan3(model) => model.generator(),
            Self::DiffAe(model) => &**model,
        }
    }

    /// Its domains, if it was expanded.
    pub fn expansion(&self) -> Option<&Expansion> {
        match self {
            Self::StyleGan2(model) => model.expansion(),
            Self::StyleGan3(model) => model.expansion(),
            Self::DiffAe(model) => model.expansion.as_ref(),
        }
    }

    fn kind(&self) -> &'static Kind {
        match self {
            Self::StyleGan2(_) => &STYLEGAN2,
            Self::StyleGan3(_) => &STYLEGAN3,
            Self::DiffAe(_) => &DIFFAE,
        }
    }

    /// Its kind, in words.
    pub fn what(&self) -> &'static str {
        self.kind().what
    }

    /// Where it comes from.
    pub fn provenance(&self) -> &Json {
        match self {
            Self::StyleGan2(model) => &model.provenance,
            Self::StyleGan3(model) => &model.provenance,
            Self::DiffAe(model) => &model.provenance,
        }
    }

    /// Writes the container.
    pub fn save(&self, path: &Path, overwrite: Overwrite) -> Result<()> {
        match self {
            Self::StyleGan2(model) => model.save(path, overwrite)?,
            Self::StyleGan3(model) => model.save(path, overwrite)?,
            Self::DiffAe(model) => model.save(path, overwrite)?,
        }
        Ok(())
    }

    /// As measures see it, by latents of a class where there are classes, else of all.
    pub fn subject(&self, class: Option<usize>) -> Subject<'_> {
        Subject {
            generator: self.generator(),
            domains: self.expansion().map(Domains::Expanded),
            class,
        }
    }

    /// Whether both are the same networks but for their weights.
    pub fn is_of_the_shape_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::StyleGan2(a), Self::StyleGan2(b)) => a.config() == b.config(),
            (Self::StyleGan3(a), Self::StyleGan3(b)) => a.config() == b.config(),
            (Self::DiffAe(a), Self::DiffAe(b)) => a.config() == b.config(),
            _ => false,
        }
    }

    /// Which settings its kind has in an expansion.
    pub fn source_settings(&self) -> SourceSettings {
        match self {
            Self::StyleGan2(_) => domex_expand_stylegan2::SETTINGS,
            Self::StyleGan3(_) => domex_expand_stylegan3::SETTINGS,
            Self::DiffAe(_) => domex_expand_diffae::SETTINGS,
        }
    }

    /// How far a domain lies from the base, unless it says otherwise. Of a StyleGAN2 as published; of a diffusion
    /// autoencoder and of a StyleGAN3 as far as their latents lie from the mean, root mean square.
    pub fn distance(&self) -> Result<f64> {
        match self {
            Self::StyleGan2(_) => Ok(domex_expand_stylegan2::DISTANCE),
            Self::StyleGan3(model) => Ok(model.generator().spread()?),
            Self::DiffAe(model) => Ok(model.statistics()?.spread()?),
        }
    }

    /// The StyleGAN2 that only it can serve; `wanted` is what was typed, for the refusal.
    pub fn stylegan2(self, wanted: &str) -> Result<domex_stylegan2::Model> {
        match self {
            Self::StyleGan2(model) => Ok(*model),
            other => Err(other.misplaced(wanted, &[&STYLEGAN2])),
        }
    }

    /// The diffusion autoencoder that only it can serve.
    pub fn diffae(self, wanted: &str) -> Result<domex_diffae::Model> {
        match self {
            Self::DiffAe(model) => Ok(*model),
            other => Err(other.misplaced(wanted, &[&DIFFAE])),
        }
    }

    /// A generator whose layers read latents of their own, which alone can serve.
    pub fn layered(self, wanted: &str) -> Result<Self> {
        match self {
            Self::DiffAe(_) => Err(self.misplaced(wanted, &[&STYLEGAN2, &STYLEGAN3])),
            model => Ok(model),
        }
    }

    /// Refuses it where one of other kinds is needed.
    pub fn misplaced(&self, wanted: &str, needed: &[&Kind]) -> AnyError {
        let needed: Vec<&str> = needed.iter().map(|kind| kind.what).collect();
        misplaced(Path::new(wanted), self.kind(), &alternatives(&needed))
    }
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

/// StyleGAN2.
pub const STYLEGAN2: Kind = Kind {
    name: domex_stylegan2::model::KIND,
    what: "a StyleGAN2",
    taken_by: "`--model` of every verb but `encode` and `decode`",
    generator: Some(stylegan2),
};

/// StyleGAN3.
const STYLEGAN3: Kind = Kind {
    name: domex_stylegan3::model::KIND,
    what: "a StyleGAN3",
    taken_by: "`--model` of `domex info`, `generate`, `traverse`, `mix`, `compose`, `dormant`, `expand`, `invert`, `edit`, `studio` and `eval`",
    generator: Some(stylegan3),
};

/// Diffusion autoencoders.
pub const DIFFAE: Kind = Kind {
    name: domex_diffae::model::KIND,
    what: "a diffusion autoencoder",
    taken_by: "`--model` of `domex info`, `generate`, `encode`, `decode`, `traverse`, `compose`, `dormant`, `expand`, `edit`, `studio` and `eval`",
    generator: Some(diffae),
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

/// Encoders of a generator's latents.
pub const ENCODER: Kind = Kind {
    name: domex_encoder::KIND,
    what: "an encoder",
    taken_by: "`--encoder` of `domex invert` and `domex edit`",
    generator: None,
};

/// Diffusion models that teach.
pub const TEACHER: Kind = Kind {
    name: domex_distil::KIND,
    what: "a diffusion model that teaches",
    taken_by: "`--teacher` of `domex expand`",
    generator: None,
};

/// Single domains of a model.
pub const DOMAIN: Kind = Kind {
    name: "domain",
    what: "a domain of a model",
    taken_by: "`domex domains add`",
    generator: None,
};

/// Networks that make domains of texts.
pub const HYPERDOMAIN: Kind = Kind {
    name: domex_hyperdomain::file::KIND,
    what: "a network that makes domains of texts",
    taken_by: "`--hyperdomain` of `domex adapt`",
    generator: None,
};

/// Encoders that make domains of pictures.
pub const DEGAN: Kind = Kind {
    name: domex_degan::file::KIND,
    what: "an encoder that makes domains of pictures",
    taken_by: "`--degan` of `domex adapt`",
    generator: None,
};

const RUN: Kind = Kind {
    name: domex_train::state::KIND,
    what: "a snapshot of a run",
    taken_by: "`--resume`, with the folder of the run,",
    generator: None,
};

/// Every kind there is. A new kind of generator is a constant above and a word here.
const ALL: [&Kind; 12] = [
    &STYLEGAN2,
    &STYLEGAN3,
    &DIFFAE,
    &CLIP,
    &PERCEPTUAL,
    &JUDGE,
    &ENCODER,
    &TEACHER,
    &DOMAIN,
    &HYPERDOMAIN,
    &DEGAN,
    &RUN,
];

impl Kind {
    /// What files of this kind say.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

fn stylegan2(path: &Path, networks: Networks, device: &Device) -> Result<Model> {
    let model = match networks {
        Networks::All => domex_stylegan2::Model::load(path, device)?,
        Networks::Generator => domex_stylegan2::Model::load_generator(path, device)?,
    };
    Ok(Model::StyleGan2(Box::new(model)))
}

fn stylegan3(path: &Path, networks: Networks, device: &Device) -> Result<Model> {
    let model = match networks {
        Networks::All => domex_stylegan3::Model::load(path, device)?,
        Networks::Generator => domex_stylegan3::Model::load_generator(path, device)?,
    };
    Ok(Model::StyleGan3(Box::new(model)))
}

fn diffae(path: &Path, _: Networks, device: &Device) -> Result<Model> {
    let model = domex_diffae::Model::load(path, device)?;
    Ok(Model::DiffAe(Box::new(model)))
}

/// Opens a generator: a container by its kind, or a published checkpoint.
pub fn open(path: &Path, networks: Networks, device: &Device) -> Result<Model> {
    let opener = match of(path)? {
        Some(kind) => kind.generator.ok_or_else(|| {
            let known = ALL.iter().filter(|kind| kind.generator.is_some());
            let known: Vec<&str> = known.map(|kind| kind.what).collect();
            misplaced(path, kind, &alternatives(&known))
        })?,
        // By the names of its tensors. What is wrong with a file that cannot be read its reader says.
        None if domex_diffae::model::recognizes(path).unwrap_or(false) => diffae,
        None if domex_stylegan3::model::recognizes(path).unwrap_or(false) => stylegan3,
        None => stylegan2,
    };
    opener(path, networks, device)
}

/// Refuses a container of another kind than `wanted`, and says what takes it.
pub fn expect(path: &Path, wanted: &Kind) -> Result<()> {
    match of(path)? {
        Some(kind) if kind.name != wanted.name => Err(misplaced(path, kind, wanted.what)),
        _ => Ok(()),
    }
}

/// "a, b or c".
fn alternatives(all: &[&str]) -> String {
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => all.concat(),
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

    use domex_checkpoint::container::Writer;
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

    fn refusal(path: &Path) -> String {
        let opened = open(path, Networks::All, &Device::Cpu);
        opened.err().expect("refused").to_string()
    }

    #[test]
    fn a_network_in_a_generators_place_is_told_its_own() {
        for kind in [
            CLIP,
            PERCEPTUAL,
            JUDGE,
            ENCODER,
            TEACHER,
            DOMAIN,
            HYPERDOMAIN,
            DEGAN,
            RUN,
        ] {
            let (_folder, path) = file(kind.name);
            let error = refusal(&path);
            for part in [
                "file.safetensors",
                "a StyleGAN2, a StyleGAN3 or a diffusion autoencoder is needed",
                kind.taken_by,
            ] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_generator_in_a_networks_place_is_told_its_own() {
        let (_folder, path) = file(STYLEGAN2.name);
        let error = expect(&path, &CLIP).unwrap_err().to_string();
        assert!(error.contains("a CLIP model is needed"), "{error}");
        assert!(error.contains("`--model` of every verb"), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_told_the_nearest_known_one_and_both_programs() {
        let (_folder, path) = file("stylegan4");
        let error = refusal(&path);
        let own = concat!("domex ", env!("CARGO_PKG_VERSION"));
        for part in ["\"stylegan4\"", "is \"stylegan3\"", "domex 9.1.0", own] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_kind_like_no_other_is_told_all_known_ones() {
        let (_folder, path) = file("gramophone");
        let error = expect(&path, &JUDGE).unwrap_err().to_string();
        assert!(!error.contains("nearest"), "{error}");
        for kind in ALL {
            assert!(error.contains(kind.name), "{error}");
        }
    }
}
