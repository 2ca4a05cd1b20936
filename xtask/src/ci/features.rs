//! `cargo test --workspace`, `cargo run` and `cargo xtask` build dependencies with the same features.
//!
//! Cargo builds a crate again, and all that stands on it, where features differ. Each of the three would build the whole workspace for
//! itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use domex_error::{Context, Result, bail};

/// What tests are built of.
const TESTS: &[&str] = &["--workspace", "--edges", "normal,build,dev"];

/// What is built without them.
const ALONE: &[(&str, &[&str])] = &[
    (
        "cargo run",
        &["--package", "domex-cli", "--edges", "normal,build"],
    ),
    (
        "cargo xtask",
        &["--package", "xtask", "--edges", "normal,build"],
    ),
    ("cargo doc", &["--workspace", "--edges", "normal,build"]),
];

/// Crates by name and version, each with its features: with several sets of them where it is built several times.
type Crates = BTreeMap<String, BTreeSet<String>>;

/// Every crate of each has the features that the tests' has.
pub fn check(root: &Path) -> Result<()> {
    let tests = tree(root, TESTS)?;
    let mut differences = Vec::new();
    for (what, flags) in ALONE {
        let others = tree(root, flags)?;
        differences.extend(different(&tests, &others).map(|line| format!("{what}: {line}")));
    }
    if differences.is_empty() {
        return Ok(());
    }
    bail!(
        "features differ from those of the tests, so that all is built twice; name the crate with the features that are lacking among \
         the dependencies of crates/cli or xtask:\n{}",
        differences.join("\n")
    )
}

/// What is built of these.
fn tree(root: &Path, flags: &[&str]) -> Result<Crates> {
    let output = Command::new("cargo")
        .args(["tree", "--locked", "--prefix", "none"])
        .args(["--format", "{p} [{f}]"])
        .args(flags)
        .current_dir(root)
        .output()
        .context("cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(crates(&text))
}

/// Of lines `name version [features]`.
fn crates(text: &str) -> Crates {
    let mut crates = Crates::new();
    for line in text.lines() {
        // The mark is of a crate whose own crates were listed before. Lines without features head what comes next.
        let line = line.trim_end_matches(" (*)");
        if let Some((name, features)) = line.split_once(" [") {
            let features = features.trim_end_matches(']').to_owned();
            crates.entry(name.to_owned()).or_default().insert(features);
        }
    }
    crates
}

/// A line for each crate whose features are not those of the tests. One that the tests build with two sets of them serves nobody who
/// has one: which of the two is built for the same purpose is not known.
fn different<'a>(tests: &'a Crates, others: &'a Crates) -> impl Iterator<Item = String> + 'a {
    let shown = |sets: &BTreeSet<String>| {
        let sets = sets.iter().map(|features| format!("[{features}]"));
        sets.collect::<Vec<_>>().join(" and ")
    };
    others.iter().filter_map(move |(name, own)| {
        let there = tests.get(name);
        let line = || {
            let there = there.map_or("nothing".to_owned(), shown);
            format!("{name} {}, of the tests {there}", shown(own))
        };
        (there != Some(own)).then(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tests: &str, others: &str) -> Vec<String> {
        different(&crates(tests), &crates(others)).collect()
    }

    #[test]
    fn a_feature_that_only_tests_have_is_told() {
        let tests = "a v1 [std]\nb v1 [x,y]\nc v2 []\n\n[dev-dependencies]\na v1 [std] (*)";
        let others = "a v1 [std]\nb v1 [x]";
        assert_eq!(told(tests, others), ["b v1 [x], of the tests [x,y]"]);
        assert!(told(tests, tests).is_empty());
    }

    #[test]
    fn a_crate_that_is_built_twice_has_the_same_features_both_times() {
        let twice = "a v1 [std]\na v1 [std,x]";
        let all = "[std] and [std,x]";
        assert_eq!(
            told(twice, "a v1 [std]"),
            [format!("a v1 [std], of the tests {all}")]
        );
        assert_eq!(
            told("a v1 [std]", twice),
            [format!("a v1 {all}, of the tests [std]")]
        );
        assert!(told(twice, twice).is_empty());
        assert_eq!(told("", "a v1 []"), ["a v1 [], of the tests nothing"]);
    }
}
