//! A build with candle's CUDA support that needs nothing of CUDA.
//!
//! candle asks `cudarc` to be linked against CUDA's libraries. Two flags make it load them instead, with no change to either crate:
//! a `--cfg` that stands for cudarc's own feature `dynamic-loading`, which its source looks at before all else, and a folder of empty
//! libraries for what its build script tells the linker: nothing refers to them. A target is named so that the flags do not reach
//! build scripts, where cudarc's refuses the combination. See "CUDA without a toolkit" in `ARCHITECTURE.md`.

use std::{fs, path::PathBuf, process::Command};

use domex_error::{AnyError, Context, Result, bail};

use super::{root, target};
use crate::out::say;

/// The version of CUDA whose interface cudarc is built for, as it spells it: 12.8.
const VERSION: &str = "12080";

/// What cudarc tells the linker to look for.
const LIBRARIES: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];

/// Arguments of `cuda build`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What cargo does [default: build --release], for instance `-- test -p domex-ops`.
    #[arg(last = true, value_name = "CARGO")]
    cargo: Vec<String>,
}

/// Runs cargo with the feature `cuda`.
pub fn run(args: &Args) -> Result<()> {
    let host = host()?;
    if !host.contains("linux") {
        bail!(
            "{host}: a build without a toolkit is made on Linux only; elsewhere use `--features cuda` with CUDA's toolkit"
        );
    }
    let default = ["build", "--release"].map(str::to_owned);
    let cargo = if args.cargo.is_empty() {
        &default[..]
    } else {
        &args.cargo
    };
    let status = command(&host, cargo)?.status().context("cargo")?;
    if !status.success() {
        bail!("cargo {}: {status}", cargo.join(" "));
    }
    if args.cargo.is_empty() {
        let program = target().join(&host).join("release").join("domex");
        say!("{}", program.display());
    }
    Ok(())
}

/// cargo with the feature and what makes it buildable.
pub fn command(host: &str, cargo: &[String]) -> Result<Command> {
    let empty = empty_libraries()?;
    let given = std::env::var("RUSTFLAGS").unwrap_or_default();
    let mut flags: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
    flags.extend([
        "--cfg".into(),
        "feature=\"dynamic-loading\"".into(),
        format!("-Lnative={}", empty.display()),
    ]);
    let mut command = Command::new("cargo");
    command
        .args(cargo)
        .args(["--features", "cuda", "--target", host])
        .current_dir(root())
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CUDARC_CUDA_VERSION", VERSION);
    Ok(command)
}

/// A folder of archives with nothing in them.
fn empty_libraries() -> Result<PathBuf> {
    let folder = target().join("cuda").join("empty");
    fs::create_dir_all(&folder).with_context(|| folder.display())?;
    for name in LIBRARIES {
        let path = folder.join(format!("lib{name}.a"));
        fs::write(&path, "!<arch>\n").with_context(|| path.display())?;
    }
    folder.canonicalize().with_context(|| folder.display())
}

/// The machine's own target.
pub fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let text = String::from_utf8(output.stdout).map_err(AnyError::internal)?;
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("`rustc -vV` names no host"),
    }
}
