//! The compilers that check the kernels, in a folder of their own.

use std::{path::PathBuf, process::Command};

use domex_error::{Context, Result, bail};

use super::target;
use crate::out::say;

/// The wheels: the last with support for compute capability 7.0.
const WHEELS: [&str; 2] = [
    "nvidia-cuda-nvrtc-cu12==12.9.86",
    "nvidia-cuda-nvcc-cu12==12.9.86",
];

/// Where they go.
fn folder() -> PathBuf {
    target().join("cuda").join("toolkit")
}

/// The folder of NVRTC's library.
pub fn libraries() -> PathBuf {
    folder().join("nvidia").join("cuda_nvrtc").join("lib")
}

/// The assembler.
pub fn ptxas() -> PathBuf {
    folder()
        .join("nvidia")
        .join("cuda_nvcc")
        .join("bin")
        .join("ptxas")
}

/// Downloads them.
pub fn run() -> Result<()> {
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
        ])
        .arg(folder())
        .args(WHEELS)
        .status()
        .context("python3, which gets the wheels by pip")?;
    if !status.success() {
        bail!("pip could not get {}: {status}", WHEELS.join(" and "));
    }
    say!("{}", folder().display());
    Ok(())
}
