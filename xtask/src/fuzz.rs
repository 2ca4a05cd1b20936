//! `fuzz`: inputs that nobody wrote, for every reader of files.
//!
//! The targets stand in `fuzz`, outside the workspace. They are run by cargo-fuzz, which needs a nightly compiler; each
//! begins with the samples of the tests. What makes a reader panic, hang or take too much memory is kept in
//! `fuzz/artifacts`.

use std::path::Path;
use std::process::{Command, ExitCode};

use domex_error::{Context, Result, bail, user_error};

use crate::ci::root;
use crate::out::say;

/// The targets, and the folders of the samples that they begin with.
const TARGETS: &[(&str, &[&str])] = &[
    (
        "anchors",
        &["crates/mystyle/tests/data", "crates/checkpoint/tests/data"],
    ),
    (
        "checkpoint",
        &[
            "crates/checkpoint/tests/data",
            "crates/stylegan2/tests/golden/stylegan2",
        ],
    ),
    ("clip", &["crates/clip/tests/golden/clip"]),
    ("container", &[]),
    ("dataset", &[]),
    ("diffae", &["crates/diffae/tests/golden/diffae"]),
    ("diffusers", &[]),
    ("lpips", &["crates/lpips/tests/data"]),
    ("manifest", &[]),
    ("picture", &[]),
    ("snapshot", &[]),
    ("studio", &[]),
    (
        "stylegan2",
        &[
            "crates/stylegan2/tests/golden/stylegan2",
            "crates/stylegan2/tests/data",
        ],
    ),
    ("stylegan3", &["crates/stylegan3/tests/golden/stylegan3"]),
    ("tasks", &[]),
    ("tokenizer", &[]),
    ("vocabulary", &[]),
];

/// More memory than a reader may take, in MiB.
const MEMORY: u32 = 2048;

/// Longer than a reader may take for one input, in seconds.
const PATIENCE: u32 = 20;

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The targets [default: all].
    targets: Vec<String>,
    /// How long each is run.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
}

/// Runs the job.
pub fn run(args: &Args) -> Result<ExitCode> {
    let root = root()?;
    for name in &args.targets {
        if !TARGETS.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            let known = known.join(", ");
            return Err(user_error(format!(
                "no target `{name}`; there are: {known}"
            )));
        }
    }
    if !is_at_hand() {
        return Err(user_error(
            "cargo-fuzz or a nightly compiler is missing: `rustup toolchain install nightly`, `cargo install cargo-fuzz`",
        ));
    }
    build(&root)?;
    for (name, samples) in TARGETS {
        if !(args.targets.is_empty() || args.targets.iter().any(|target| target == name)) {
            continue;
        }
        say!("== {name}");
        let corpus = root.join("fuzz/corpus").join(name);
        std::fs::create_dir_all(&corpus)?;
        let mut command = cargo_fuzz(&root);
        command.arg("run").arg(name).arg(corpus);
        command.args(samples.iter().map(|folder| root.join(folder)));
        command.args(["--", &format!("-max_total_time={}", args.seconds)]);
        command.args([
            format!("-rss_limit_mb={MEMORY}"),
            format!("-timeout={PATIENCE}"),
        ]);
        succeed(command)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the targets where that can be done. Elsewhere what they call is compiled and run by the tests, on samples.
pub fn check(root: &Path) -> Result<()> {
    if is_at_hand() {
        return build(root);
    }
    say!("skipped: cargo-fuzz or a nightly compiler is missing");
    Ok(())
}

fn build(root: &Path) -> Result<()> {
    lock(root)?;
    let mut command = cargo_fuzz(root);
    command.arg("build");
    succeed(command)
}

/// Gives the targets the versions of dependencies that the program has.
fn lock(root: &Path) -> Result<()> {
    std::fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock"))
        .context("fuzz/Cargo.lock")?;
    Ok(())
}

fn cargo_fuzz(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz"]).current_dir(root);
    command
}

fn is_at_hand() -> bool {
    let output = Command::new("cargo")
        .args(["+nightly", "fuzz", "--version"])
        .output();
    output.is_ok_and(|output| output.status.success())
}

fn succeed(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}").replace('"', "");
    let status = command.status().with_context(|| shown.clone())?;
    match status.success() {
        true => Ok(()),
        false => bail!("`{shown}`: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_run() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/targets");
        let files = std::fs::read_dir(folder).unwrap();
        let mut there: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        there.sort();
        let names = there
            .iter()
            .map(|path| path.file_stem().unwrap().to_str().unwrap());
        assert!(names.eq(TARGETS.iter().map(|(name, _)| *name)));
    }

    #[test]
    fn every_folder_of_samples_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for folder in TARGETS.iter().flat_map(|(_, samples)| *samples) {
            assert!(root.join(folder).is_dir(), "{folder}");
        }
    }
}
