//! `cargo test --workspace`, `cargo run` and `cargo xtask` build dependencies with the same features.
//!
//! Cargo builds a crate again, and all that stands on it, where features differ. Each of the three would build the whole workspace for
//! itself.

use std::{collections::BTreeSet, path::Path, process::Command};

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

/// A line for each crate: its name and version, and its features.
fn tree(root: &Path, flags: &[&str]) -> Result<BTreeSet<String>> {
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
    // The mark is of a crate whose own crates were listed before.
    let crates = text.lines().map(|line| line.trim_end_matches(" (*)"));
    Ok(crates.map(str::to_owned).collect())
}

/// Lines that the tests have otherwise.
fn different<'a>(
    tests: &'a BTreeSet<String>,
    others: &'a BTreeSet<String>,
) -> impl Iterator<Item = String> + 'a {
    others.difference(tests).map(|line| {
        let of = |line: &str| line.split(" [").next().map(str::to_owned);
        let there = tests.iter().find(|other| of(other) == of(line));
        let there = there.map_or("nothing", String::as_str);
        format!("{line}, of the tests {there}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_tests_have_is_told() {
        let set = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        let tests = set(&["a v1 [std]", "b v1 [x,y]", "c v2 []"]);
        let others = set(&["a v1 [std]", "b v1 [x]"]);
        let told: Vec<String> = different(&tests, &others).collect();
        assert_eq!(told, ["b v1 [x], of the tests b v1 [x,y]"]);
        assert_eq!(different(&tests, &tests).count(), 0);
    }
}
