//! The rules of the house that a reviewer would otherwise repeat.
//!
//! - Arrows between crates point down, as [`FLOORS`] lists them.
//! - What works with any network names none: see [`NETWORKS`].
//! - A module starts with `//!`, but for `tests.rs`, which belongs to the module above it.
//! - No file is longer than [`LONGEST`] lines, but for those in [`LONG_FOR_A_REASON`].
//! - Nothing unfinished, no test that is not run, no path of one machine.
//!
//! Also an ordinary test, so that it need not wait for the whole check.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use domex_error::{AnyError, Context, Result, bail};

use super::floors::{EVERYWHERE, FLOORS};
use crate::out::say;

/// The crates of networks: floor 1 of ARCHITECTURE.md.
const NETWORKS: &[&str] = &[
    "domex-stylegan2",
    "domex-stylegan3",
    "domex-hyperdomain",
    "domex-degan",
    "domex-clip",
    "domex-lpips",
    "domex-diffusion",
    "domex-diffae",
    "domex-inception",
    "domex-dinov2",
    "domex-face",
    "domex-residual",
    "domex-judge",
    "domex-encoder",
    "domex-teacher",
    "domex-stable-diffusion",
];

/// Crates that work with any network, and so depend on none of these, whatever [`FLOORS`] says.
const NAME_NO_NETWORK: &[&str] = &["domex-latent", "domex-hub", "domex-train", "domex-expand"];

/// Lines of the longest file that needs no reason.
const LONGEST: usize = 500;

/// Longer files, each with its reason.
const LONG_FOR_A_REASON: &[(&str, &str)] = &[];

/// Parts of a line that have no place here, each with what to do instead. Spelt in two halves, so
/// that this file does not hold them.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("todo", "!(", "finish it, or leave it out"),
    ("unimplemented", "!(", "finish it, or leave it out"),
    ("dbg", "!(", "use `tracing`"),
    ("#[ignore", "]", "a test that is not run tests nothing"),
    ("FIX", "ME", "mend it"),
    ("/work", "/", "no path of one machine"),
    ("/root", "/", "no path of one machine"),
];

/// Checks everything.
pub fn check(root: &Path) -> Result<()> {
    let mut complaints = arrows(root)?;
    let files = files(root)?;
    if files.is_empty() {
        bail!("no files found under {}", root.display());
    }
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else {
            continue;
        };
        complaints.extend(lines(file, &text));
    }
    if complaints.is_empty() {
        say!("{} files are tidy", files.len());
        return Ok(());
    }
    bail!("{}", complaints.join("\n"))
}

/// Our own text files: tracked, or new and not ignored.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    let text = String::from_utf8(output.stdout).context("git ls-files")?;
    let ours = |path: &&str| {
        let extension = Path::new(path).extension().and_then(|e| e.to_str());
        matches!(extension, Some("rs" | "toml" | "md" | "sh")) || path.starts_with(".ci/")
    };
    Ok(text.lines().filter(ours).map(PathBuf::from).collect())
}

fn lines(file: &Path, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    let name = file.display();
    // Pages that come with reference data are their authors'.
    if file.components().any(|part| part.as_os_str() == "golden")
        && file.extension().is_some_and(|e| e == "md")
    {
        return complaints;
    }
    if file.extension().is_some_and(|e| e == "rs") {
        // `tests.rs` is the rest of the module above it.
        let is_rest = file.file_name().is_some_and(|name| name == "tests.rs");
        if !is_rest && !text.starts_with("//!") {
            complaints.push(format!(
                "{name}: starts without `//!`; say what the module is for"
            ));
        }
        let count = text.lines().count();
        let excused = LONG_FOR_A_REASON
            .iter()
            .any(|(path, _)| Path::new(path) == file);
        if count > LONGEST && !excused {
            complaints.push(format!(
                "{name}: {count} lines; cut it in two, or give a reason in tidy.rs"
            ));
        }
    }
    for (i, line) in text.lines().enumerate() {
        for (head, tail, instead) in FORBIDDEN {
            if line.contains(&format!("{head}{tail}")) {
                complaints.push(format!("{name}:{}: `{head}{tail}`: {instead}", i + 1));
            }
        }
    }
    complaints
}

/// What of a Cargo.toml matters here.
#[derive(serde::Deserialize)]
struct Manifest {
    package: Package,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
}

fn arrows(root: &Path) -> Result<Vec<String>> {
    let mut folders = vec![root.join("xtask")];
    for entry in std::fs::read_dir(root.join("crates"))? {
        folders.push(entry?.path());
    }
    folders.sort();
    let mut complaints = Vec::new();
    for folder in folders {
        let path = folder.join("Cargo.toml");
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        let manifest: Manifest = toml::from_str(&text)
            .map_err(AnyError::internal)
            .with_context(|| path.display())?;
        let name = manifest.package.name;
        let Some((_, allowed)) = FLOORS.iter().find(|(known, _)| *known == name) else {
            complaints.push(format!("{name}: give it a floor in tidy.rs"));
            continue;
        };
        for used in manifest
            .dependencies
            .keys()
            .filter(|used| used.starts_with("domex-"))
        {
            if used != EVERYWHERE && !allowed.contains(&used.as_str()) {
                complaints.push(format!(
                    "{name} uses {used}, which is not below it; see the floors in ARCHITECTURE.md"
                ));
            }
            complaints.extend(named_network(&name, used));
        }
    }
    Ok(complaints)
}

/// What is wrong with this arrow, where it leads to a network that its crate should not know.
fn named_network(name: &str, used: &str) -> Option<String> {
    let wrong = NAME_NO_NETWORK.contains(&name) && NETWORKS.contains(&used);
    wrong.then(|| {
        format!("{name} uses {used}: it works with any network; name that one in a crate beside it")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{FLOORS, LONGEST, NETWORKS, check, lines, named_network};

    #[test]
    fn the_house_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        if let Err(complaints) = check(&root) {
            panic!("{complaints}");
        }
    }

    #[test]
    fn no_arrow_points_up() {
        for (i, (name, uses)) in FLOORS.iter().enumerate() {
            for used in *uses {
                let below = FLOORS[..i].iter().any(|(other, _)| other == used);
                assert!(below, "{name} uses {used}, which is not listed before it");
            }
        }
    }

    #[test]
    fn floor_one_of_the_page_is_the_list_of_networks() {
        let page = include_str!("../../../ARCHITECTURE.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| 1 | `"));
        let mut rows: Vec<_> = rows
            .filter_map(|row| row.split_once('`'))
            .map(|(name, _)| format!("domex-{name}"))
            .collect();
        let mut networks = NETWORKS.to_vec();
        rows.sort();
        networks.sort_unstable();
        assert_eq!(rows, networks);
    }

    #[test]
    fn a_network_named_by_an_expansion_is_found() {
        assert!(named_network("domex-expand", "domex-clip").is_some());
        assert!(named_network("domex-expand", "domex-nada").is_none());
        assert!(named_network("domex-nada", "domex-clip").is_none());
    }

    #[test]
    fn each_rule_finds_its_offender() {
        let file = Path::new("crates/a/src/b.rs");
        let found = |text: &str| lines(file, text).join("\n");
        assert_eq!(found("//! Fine.\n"), "");
        assert!(found("fn a() {}\n").contains("starts without"));
        let unfinished = ["//! A.\nfn a() { to", "do!() }\n"].concat();
        assert!(found(&unfinished).contains("b.rs:2"));
        let long = format!("//! A.\n{}", "\n".repeat(LONGEST));
        assert!(found(&long).contains("cut it in two"));
    }
}
