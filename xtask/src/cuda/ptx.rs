//! Every kernel through NVRTC for each supported architecture, and through ptxas for what it costs there.

use std::{path::PathBuf, process::Command};

use domex_cuda::{
    compile::{Compiler, Modules},
    modules::{self, Module},
};
use domex_error::{Context, Result, bail, user_error};
use regex::Regex;

use super::{root, toolkit};
use crate::out::say;

/// Compute capabilities: Volta, Ampere, Hopper.
const ARCHITECTURES: [(u32, u32); 3] = [(7, 0), (8, 0), (9, 0)];

/// The table's page.
const PAGE: &str = "crates/cuda/REGISTERS.md";

/// Arguments of `cuda ptx`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The assembler [default: that of `cuda toolkit`].
    #[arg(long, value_name = "FILE")]
    ptxas: Option<PathBuf>,
    /// Write the table to crates/cuda/REGISTERS.md.
    #[arg(long)]
    write: bool,
}

/// Registers of the kernel that needs most, and bytes spilled by all.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    registers: u32,
    spilled: u32,
}

/// Compiles everything, prints the table, and fails where a kernel does not compile.
pub fn run(args: &Args) -> Result<()> {
    if found_elsewhere()? {
        return Ok(());
    }
    let version = Compiler::shared()
        .map_err(|e| user_error(format!("{e}; or run `cargo xtask cuda toolkit`")))?;
    let ptxas = args.ptxas.clone().unwrap_or_else(toolkit::ptxas);
    let folder = tempfile::tempdir()?;
    let mut page = format!(
        "# Registers\n\nOf the kernel of each file that needs most, and bytes that all of its kernels spill, by compute capability: NVRTC and ptxas {}.\n\
         `cargo xtask cuda toolkit` gets both, `cargo xtask cuda ptx --write` makes this table anew. Counted by the compiler; no kernel has run on a GPU.\n\n\
         | file | kernels |{} |\n| --- | --- |{}\n",
        dotted(version.version()),
        ARCHITECTURES
            .map(|(major, minor)| format!(" {major}.{minor} registers | spilled"))
            .join(" |"),
        " --- | --- |".repeat(ARCHITECTURES.len()),
    );
    for &module in modules::ALL {
        let mut row = format!("| `{}` | {} |", module.name(), module.kernels().len());
        for architecture in ARCHITECTURES {
            if !module.runs_on(architecture) {
                row += " | |";
                continue;
            }
            let compiled = Modules::at(architecture, None);
            let ptx = compiled
                .ptx(module)
                .map_err(|e| user_error(e.to_string()))?;
            check_names(module, &ptx)?;
            if ptxas.exists() {
                let file = folder.path().join("kernels.ptx");
                std::fs::write(&file, &*ptx)?;
                let cost = cost(&ptxas, architecture, &file)?;
                row += &format!(" {} | {} |", cost.registers, cost.spilled);
            } else {
                row += " | |";
            }
        }
        say!("{row}");
        page += &row;
        page.push('\n');
    }
    if args.write {
        if !ptxas.exists() {
            bail!(
                "{}: no such file; run `cargo xtask cuda toolkit`",
                ptxas.display()
            );
        }
        domex_data::folder::write_atomic(&root().join(PAGE), page.as_bytes())?;
    }
    Ok(())
}

/// Where NVRTC is in the toolkit's folder alone, this program once more, with that folder where the loader looks. Returns whether it
/// ran.
fn found_elsewhere() -> Result<bool> {
    let folder = toolkit::libraries();
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if folders.contains(&folder) || !folder.exists() {
        return Ok(false);
    }
    folders.push(folder);
    let joined = std::env::join_paths(folders).map_err(|e| user_error(e.to_string()))?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("LD_LIBRARY_PATH", joined)
        .status()?;
    if !status.success() {
        bail!("the kernels did not compile: {status}");
    }
    Ok(true)
}

/// The kernels that the module lists are those in the PTX.
fn check_names(module: Module, ptx: &str) -> Result<()> {
    let entry = Regex::new(r"\.entry (\w+)\(").map_err(|e| user_error(e.to_string()))?;
    let mut made: Vec<String> = entry.captures_iter(ptx).map(|c| c[1].to_owned()).collect();
    let mut listed = module.kernels();
    made.sort();
    listed.sort();
    if made != listed {
        let differ = |a: &[String], b: &[String]| {
            let only: Vec<_> = a.iter().filter(|name| !b.contains(name)).cloned().collect();
            only.join(" ")
        };
        bail!(
            "{}: listed but not compiled: {}; compiled but not listed: {}",
            module.name(),
            differ(&listed, &made),
            differ(&made, &listed)
        );
    }
    Ok(())
}

fn cost(
    ptxas: &std::path::Path,
    (major, minor): (u32, u32),
    file: &std::path::Path,
) -> Result<Cost> {
    let output = Command::new(ptxas)
        .args(["-v", &format!("-arch=sm_{major}{minor}"), "-o"])
        .arg(file.with_extension("cubin"))
        .arg(file)
        .output()
        .with_context(|| ptxas.display())?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{}: {text}", ptxas.display());
    }
    let numbers = |pattern: &str| -> Result<Vec<u32>> {
        let pattern = Regex::new(pattern).map_err(|e| user_error(e.to_string()))?;
        Ok(pattern
            .captures_iter(&text)
            .filter_map(|c| c[1].parse().ok())
            .collect())
    };
    Ok(Cost {
        registers: numbers(r"Used (\d+) registers")?
            .into_iter()
            .max()
            .unwrap_or(0),
        spilled: numbers(r"(\d+) bytes spill stores")?.into_iter().sum(),
    })
}

fn dotted(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}
