//! The steps that call other programs.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use domex_error::{Context, Result, bail};
use domex_golden::Status;

use super::readme as page;

use crate::out::say;

/// `cargo fmt --check`.
pub fn format(root: &Path) -> Result<()> {
    cargo(root, ["fmt", "--all", "--check"])
        .context("files are not formatted; run `cargo fmt --all`")
}

/// Clippy on all targets.
pub fn clippy(root: &Path) -> Result<()> {
    cargo(
        root,
        [
            "clippy",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ],
    )
}

/// The docs of our crates.
pub fn docs(root: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings");
    status(root, command)
}

/// The README's test command, in a shell as a reader would.
pub fn tests(root: &Path) -> Result<()> {
    let line = page::command(root, page::TEST)?;
    say!("$ {line}");
    let mut command = Command::new("bash");
    command.args(["-euo", "pipefail", "-c", &line]);
    status(root, command)
}

/// The steps of the README's main command that are enough to see that it works.
const STEPS: &str = "20";

/// The README's main command, in a fresh folder, with fewer [steps](STEPS), and without `--release`: the tests have built everything at
/// the other profile already.
pub fn readme(root: &Path) -> Result<()> {
    let out = tempfile::tempdir()?;
    let folder = out.path().join("out");
    let line = page::command(root, page::RUN)?;
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    let (mut has_out, mut has_steps) = (false, false);
    while let Some(word) = words.next() {
        match word {
            "--release" => {}
            "--out" => {
                words.next();
                command.arg(word).arg(&folder);
                has_out = true;
            }
            "--steps" => {
                words.next();
                command.args([word, STEPS]);
                has_steps = true;
            }
            word => drop(command.arg(word)),
        }
    }
    if !(has_out && has_steps) {
        bail!("the README's main command has no --out or no --steps: {line}");
    }
    status(root, command)?;
    let pictures = count_pictures(&folder)?;
    if pictures == 0 {
        bail!("the README's main command wrote no picture");
    }
    say!("{pictures} pictures");
    Ok(())
}

fn count_pictures(folder: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        count += usize::from(path.extension() == Some(OsStr::new("png")));
    }
    Ok(count)
}

/// Every `crates/*/tests/golden`.
pub fn golden(root: &Path) -> Result<()> {
    for folder in crate::golden::folders(root)? {
        say!("{}", folder.strip_prefix(root).unwrap_or(&folder).display());
        let report = domex_golden::run_dir_with(&folder, |case| say!("  {case}"))?;
        say!("  {}", report.summary());
        if !report.ok() || report.count(Status::Ok) == 0 {
            bail!("{}: {}", folder.display(), report.summary());
        }
    }
    Ok(())
}

/// cargo-deny. Its advisories come from a database on the network: without one, that part is
/// left out, and said so.
pub fn deny(root: &Path) -> Result<()> {
    let program = cargo_deny()?;
    let mut offline = Command::new(&program);
    offline.args(["--locked", "check", "bans", "licenses", "sources"]);
    status(root, offline)?;

    let output = Command::new(&program)
        .args(["--locked", "check", "advisories"])
        .current_dir(root)
        .output()
        .with_context(|| program.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        say!("advisories ok");
    } else if text.contains("failed to fetch advisory database")
        || text.contains("failed to load advisory database")
    {
        say!("advisories NOT checked: their database cannot be reached from here");
    } else {
        bail!("advisories:\n{text}");
    }
    Ok(())
}

/// On the path, else where `.ci/run` installs it.
fn cargo_deny() -> Result<PathBuf> {
    let on_path = Command::new("cargo-deny").arg("--version").output();
    if on_path.is_ok_and(|output| output.status.success()) {
        return Ok("cargo-deny".into());
    }
    let installed = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".cache/domex/tools/bin/cargo-deny"))
        .filter(|path| path.is_file());
    installed.context("cargo-deny is not installed; run `cargo install --locked cargo-deny`")
}

fn cargo<const N: usize>(root: &Path, args: [&str; N]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(args);
    status(root, command)
}

fn status(root: &Path, mut command: Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command
        .current_dir(root)
        .status()
        .with_context(|| shown.clone())?;
    if status.success() {
        Ok(())
    } else {
        bail!("`{shown}`: {status}")
    }
}
