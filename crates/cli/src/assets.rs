//! The weights that ship with the program, and where they lie.
//!
//! The folder is `$DOMEX_ASSETS` and no other where that is set; else `assets/portraits` beside the
//! executable or beside a folder above it, `share/domex/portraits` of an installed program, and the
//! source tree that the program was built from.

use std::path::{Path, PathBuf};

use domex_error::user_error;

/// The generator, with its discriminator.
pub const GENERATOR: &str = "generator.safetensors";

/// The perceptual network.
pub const PERCEPTUAL: &str = "perceptual.safetensors";

/// Settings that suit an expansion of the generator.
pub const RECIPE: &str = "expand.toml";

/// The judge of domains and factors.
pub const JUDGE: &str = "judge.safetensors";

/// The diffusion model that teaches.
pub const TEACHER: &str = "teacher.safetensors";

/// What `--clip` calls the CLIP model whose texts it learnt.
pub const TEACHER_CLIP: &str = "plain";

/// How the names of CLIP models' files begin.
const CLIP: &str = "clip-";

const SUFFIX: &str = ".safetensors";

/// A shipped file, if it is there.
pub fn file(name: &str) -> Option<PathBuf> {
    places()
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// A shipped file, or an error that says where it was looked for.
pub fn expect(name: &str) -> domex_error::Result<PathBuf> {
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
    file(name).ok_or_else(missing)
}

/// The shipped CLIP models in the order of their names: what `--clip` calls them, and their files.
pub fn clip_models() -> Vec<(String, PathBuf)> {
    let of = |folder: &PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut found: Vec<(String, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let short = name.strip_prefix(CLIP)?.strip_suffix(SUFFIX)?;
                Some((short.to_owned(), entry.path()))
            })
            .collect();
        found.sort();
        found
    };
    places()
        .iter()
        .map(of)
        .find(|found| !found.is_empty())
        .unwrap_or_default()
}

/// Whether this is the shipped generator.
pub fn is_generator(path: &Path) -> bool {
    let same = |shipped: PathBuf| Some(shipped.canonicalize().ok()? == path.canonicalize().ok()?);
    file(GENERATOR).and_then(same).unwrap_or(false)
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
