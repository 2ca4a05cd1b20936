//! The weights that ship with the program, and where they lie.
//!
//! `$DOMEX_ASSETS` is their folder, and no other, where that is set. Else they are part of the program (feature
//! `embedded-assets`, on by default). Of a program without them the folder is `assets/portraits` beside the executable or
//! beside a folder above it, `share/domex/portraits` of an installed program, or that of the source tree.
//!
//! Networks are read from files, and runs remember the files that they began with. So what is part of the program is
//! written once into the cache, under the name of its hash, and is compared with the program whenever it is asked for: a
//! file that was damaged or is gone is written again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use domex_error::{Result, user_error};
use domex_hub::Cache;
use sha2::{Digest as _, Sha256};

#[cfg(all(feature = "embedded-assets", not(test)))]
mod embedded;

#[cfg(not(all(feature = "embedded-assets", not(test))))]
mod embedded {
    //! No weights are part of this program.

    /// Names and contents.
    pub const FILES: &[(&str, &[u8])] = &[];
}

/// The generator, with its discriminator.
pub const GENERATOR: &str = "generator.safetensors";

/// The diffusion autoencoder of the same world.
pub const DIFFAE: &str = "diffae.safetensors";

/// Settings that suit an expansion of it.
pub const DIFFAE_RECIPE: &str = "expand-diffae.toml";

/// The perceptual network.
pub const PERCEPTUAL: &str = "perceptual.safetensors";

/// Settings that suit an expansion of the generator.
pub const RECIPE: &str = "expand.toml";

/// The encoder of the generator's latents.
pub const ENCODER: &str = "encoder.safetensors";

/// The judge of domains and factors.
pub const JUDGE: &str = "judge.safetensors";

/// The diffusion model that teaches.
pub const TEACHER: &str = "teacher.safetensors";

/// The encoder that makes domains of pictures.
pub const DEGAN: &str = "degan.safetensors";

/// The network that makes domains of texts.
pub const HYPERDOMAIN: &str = "hyperdomain.safetensors";

/// A network that ships, beside the CLIP models.
pub struct Shipped {
    /// Its file.
    pub file: &'static str,
    /// What people call it.
    pub words: &'static str,
    /// Whether verbs for the shipped generator cannot do without it.
    pub needed: bool,
}

/// All of them.
pub const NETWORKS: [Shipped; 8] = {
    const fn network(file: &'static str, words: &'static str, needed: bool) -> Shipped {
        Shipped {
            file,
            words,
            needed,
        }
    }
    [
        network(GENERATOR, "generator", true),
        network(PERCEPTUAL, "perceptual network", true),
        network(JUDGE, "judge", true),
        network(ENCODER, "encoder", false),
        network(TEACHER, "teacher", false),
        network(DIFFAE, "diffusion autoencoder", false),
        network(HYPERDOMAIN, "hypernetwork", false),
        network(DEGAN, "domain encoder", false),
    ]
};

/// What `--clip` calls the CLIP model whose texts the teacher learnt.
pub const TEACHER_CLIP: &str = "plain";

/// How the names of CLIP models' files begin.
const CLIP: &str = "clip-";

const SUFFIX: &str = ".safetensors";

/// A shipped file, if it is there.
///
/// # Errors
///
/// It is part of the program and cannot be written into the cache.
pub fn file(name: &str) -> Result<Option<PathBuf>> {
    if let Some(bytes) = part_of_the_program(name) {
        return unpacked(name, bytes).map(Some);
    }
    let there = places().into_iter().map(|folder| folder.join(name));
    Ok(there.into_iter().find(|path| path.is_file()))
}

/// A shipped file, or an error that says where it was looked for.
pub fn expect(name: &str) -> Result<PathBuf> {
    let missing = || {
        let places: Vec<String> = places()
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        user_error(format!(
            "the shipped {name} is not there; looked in {}. Set DOMEX_ASSETS to the folder that holds it",
            places.join(", ")
        ))
    };
    file(name)?.ok_or_else(missing)
}

/// The shipped CLIP models in the order of their names: what `--clip` calls them, and their files.
pub fn clip_models() -> Result<Vec<(String, PathBuf)>> {
    let short = |name: &str| {
        let short = name.strip_prefix(CLIP)?.strip_suffix(SUFFIX)?;
        Some(short.to_owned())
    };
    if !folder_is_given() && !embedded::FILES.is_empty() {
        let models = embedded::FILES.iter();
        let models = models.filter_map(|(name, bytes)| Some((short(name)?, *name, *bytes)));
        return models
            .map(|(short, name, bytes)| Ok((short, unpacked(name, bytes)?)))
            .collect();
    }
    let of = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<(String, PathBuf)> = entries
            .filter_map(|entry| Some((short(entry.file_name().to_str()?)?, entry.path())))
            .collect();
        found.sort();
        found
    };
    let found = places().iter().map(of).find(|found| !found.is_empty());
    Ok(found.unwrap_or_default())
}

/// Whether this is the shipped generator.
pub fn is_generator(path: &Path) -> bool {
    let same = |shipped: PathBuf| Some(shipped.canonicalize().ok()? == path.canonicalize().ok()?);
    let shipped = file(GENERATOR).ok().flatten();
    shipped.and_then(same).unwrap_or(false)
}

/// A file as people know it: those of the program by name, since where they lie in the cache is nobody's business.
pub fn shown(path: &Path) -> String {
    let unpacked = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner);
    match unpacked.iter().find(|(_, place)| *place == path) {
        Some((name, _)) => format!("the shipped {}", name.trim_end_matches(SUFFIX)),
        None => path.display().to_string(),
    }
}

/// Writes a shipped file into the cache again, if a run remembers it there and it is gone or damaged. It is [`shown`] by its name from then on.
pub fn restore(path: &Path) -> Result<()> {
    for (name, bytes) in embedded::FILES {
        if path.ends_with(name) && path.ends_with(place_in_cache(name, bytes)) {
            unpacked(name, bytes)?;
        }
    }
    Ok(())
}

fn folder_is_given() -> bool {
    std::env::var_os("DOMEX_ASSETS").is_some_and(|value| !value.is_empty())
}

/// The content of a shipped file that is part of the program, unless another folder is to be taken.
fn part_of_the_program(name: &str) -> Option<&'static [u8]> {
    let mut files = embedded::FILES.iter();
    let found = files.find(|(known, _)| *known == name && !folder_is_given());
    found.map(|(_, bytes)| *bytes)
}

/// Where such a file lies in the cache.
fn place_in_cache(name: &str, bytes: &[u8]) -> PathBuf {
    let hash = Sha256::digest(bytes);
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    Path::new("shipped").join(hash).join(name)
}

/// Files of the cache that are known to be right, by name.
static UNPACKED: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// The file of the cache that holds these bytes, written if it is not there.
fn unpacked(name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let mut done = UNPACKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = done.get(name) {
        return Ok(path.clone());
    }
    let cache = Cache::from_env()
        .map_err(Into::into)
        .and_then(|cache| unpack(cache.root(), name, bytes))
        .map_err(|error| {
            // With the cause, as callers put words around it.
            user_error(format!(
                "the shipped networks cannot be unpacked (DOMEX_CACHE names another folder for them): {}",
                error.message()
            ))
        })?;
    done.insert(name.to_owned(), cache.clone());
    Ok(cache)
}

fn unpack(cache: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = cache.join(place_in_cache(name, bytes));
    if !std::fs::read(&path).is_ok_and(|found| found == bytes) {
        let folder = path.parent().unwrap_or(cache);
        std::fs::create_dir_all(folder)
            .map_err(|error| user_error(format!("{}: {error}", folder.display())))?;
        domex_data::folder::write_atomic(&path, bytes)?;
    }
    Ok(path)
}

/// Where to look, in this order.
fn places() -> Vec<PathBuf> {
    const FOLDER: &str = "assets/portraits";
    if let Some(folder) = std::env::var_os("DOMEX_ASSETS").filter(|value| !value.is_empty()) {
        return vec![folder.into()];
    }
    let mut places = Vec::new();
    if let Some(program) = std::env::current_exe()
        .ok()
        .and_then(|path| path.canonicalize().ok())
    {
        let above = program.ancestors().skip(1);
        places.extend(above.clone().map(|folder| folder.join(FOLDER)));
        places.extend(
            above
                .take(2)
                .map(|folder| folder.join("share/domex/portraits")),
        );
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    places.extend(built.ancestors().nth(2).map(|root| root.join(FOLDER)));
    places.dedup();
    // One that is not there is named only if none is.
    let there: Vec<PathBuf> = places
        .iter()
        .filter(|folder| folder.is_dir())
        .cloned()
        .collect();
    if there.is_empty() { places } else { there }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_program_is_a_network_that_is_known_or_settings() {
        let source = include_str!("assets/embedded.rs");
        let (_, list) = source.split_once("shipped![").unwrap();
        let mut files: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        files.retain(|file| !file.starts_with(CLIP));
        let networks = NETWORKS.iter().map(|network| network.file);
        let mut known: Vec<&str> = networks.chain([RECIPE, DIFFAE_RECIPE]).collect();
        known.sort_unstable();
        assert_eq!(files, known);
    }

    #[test]
    fn what_is_part_of_the_program_is_written_once_and_again_if_it_was_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let unpack = || unpack(folder.path(), "a.bin", b"weights").unwrap();
        let path = unpack();
        let time = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let first = time();
        assert_eq!(unpack(), path);
        assert_eq!(time(), first, "it was not written again");
        std::fs::write(&path, b"weighty").unwrap();
        unpack();
        assert_eq!(std::fs::read(&path).unwrap(), b"weights");
        let other = super::unpack(folder.path(), "a.bin", b"others").unwrap();
        assert_ne!(other, path, "programs with other weights share a cache");
    }
}
