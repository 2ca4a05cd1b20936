//! A stand-in for CUDA's libraries, made of the kernels behind the shim: candle and our operators call it as they call a device.
//!
//! It shows what the tests of the kernels cannot: whether operands, results and launches are put together as they should be. It is
//! slow, a fibre for each thread, so it serves for small sizes.

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use domex_cuda::modules::{self, Module};
use domex_error::{Context, Result, bail};

use super::{root, target};

/// The names under which the libraries are looked for.
const NAMES: [&str; 7] = [
    "libcuda.so.1",
    "libnvrtc.so.12",
    "libcublas.so.12",
    "libcublasLt.so.12",
    "libcurand.so.10",
    "libcudnn.so.9",
    "libnccl.so.2",
];

/// Compiles it, and gives the folder in which the loader is to look.
pub fn build() -> Result<PathBuf> {
    let folder = target().join("cuda").join("stand-in");
    fs::create_dir_all(&folder).with_context(|| folder.display())?;
    let folder = folder.canonicalize().with_context(|| folder.display())?;
    let (tensors, operators): (Vec<Module>, Vec<Module>) =
        modules::ALL.iter().partition(|module| is_tensor(**module));
    // Optimising the many small kernels would cost more than running them.
    for (name, modules, optimised) in [("operators", operators, "-O1"), ("tensors", tensors, "-O0")]
    {
        let source = folder.join(name).with_extension("cc");
        fs::write(&source, library(name, &modules)).with_context(|| source.display())?;
        let mut compiler = compiler(&source, &folder.join(format!("lib{name}.so")));
        // Kernels of one name and the shim's own state stay apart.
        compiler.args([optimised, "-fvisibility=hidden", "-Wl,-Bsymbolic"]);
        run(&mut compiler)?;
    }
    let driver = root().join("crates/cuda/shim/driver.cc");
    let libraries = folder.join("libdomex.so");
    let mut compiler = compiler(&driver, &libraries);
    compiler.arg("-O2").arg("-L").arg(&folder);
    run(compiler.args(["-loperators", "-ltensors", "-Wl,-rpath,$ORIGIN"]))?;
    for name in NAMES {
        let link = folder.join(name);
        if !link.exists() {
            symlink(&libraries, &link).with_context(|| link.display())?;
        }
    }
    Ok(folder)
}

/// Whether the module is one of those that serve candle's own operations.
fn is_tensor(module: Module) -> bool {
    let path = format!("crates/cuda/kernels/tensor/{}.cu", module.name());
    root().join(path).exists()
}

/// The source of a library of kernels.
fn library(name: &str, modules: &[Module]) -> String {
    let mut text = String::from("#include \"stand_in.h\"\n");
    for module in modules {
        let _ = writeln!(text, "#include \"{}.cu\"", module.name());
    }
    text += "#include \"host.h\"\nstatic const Kernel KERNELS[] = {\n";
    for kernel in modules.iter().flat_map(|module| module.kernels()) {
        let _ = writeln!(text, "    KERNEL({kernel}),");
    }
    text + "};\nLIBRARY(" + name + ")\n"
}

fn compiler(source: &Path, to: &Path) -> Command {
    let mut command = Command::new("c++");
    let folders =
        ["shim", "kernels", "kernels/tensor"].map(|folder| root().join("crates/cuda").join(folder));
    command
        .args(["-std=c++17", "-g1", "-fPIC", "-shared", "-pthread"])
        .args(folders.map(|folder| format!("-I{}", folder.display())))
        .arg("-o")
        .arg(to)
        .arg(source);
    command
}

fn run(compiler: &mut Command) -> Result<()> {
    let status = compiler.status().context("c++")?;
    if !status.success() {
        bail!("c++: {status}");
    }
    Ok(())
}
