//! What is said where something is missing: the driver, a device, a library, or its age.
//!
//! Each case runs in a process of its own, whose loader finds made-up libraries that answer as the case wants.

use std::{fs, path::Path, process::Command};

use domex_cuda::device;

/// A driver with as many devices as `DEVICES` says, of capability `CAPABILITY`, for CUDA `VERSION`; `INIT` is what it answers first.
const DRIVER: &str = r#"
#include <stdlib.h>
static int number(const char *name) { const char *v = getenv(name); return v ? atoi(v) : 0; }
extern "C" int cuInit(unsigned) { return number("INIT"); }
extern "C" int cuDriverGetVersion(int *v) { *v = number("VERSION"); return 0; }
extern "C" int cuDeviceGetCount(int *v) { *v = number("DEVICES"); return 0; }
extern "C" int cuDeviceGet(int *v, int i) { *v = i; return 0; }
extern "C" int cuDeviceGetAttribute(int *v, int what, int) { *v = what == 75 ? number("CAPABILITY") / 10 : number("CAPABILITY") % 10; return 0; }
"#;

/// A compiler of CUDA 12.8 that is only asked for its version.
const COMPILER: &str = r#"
extern "C" int nvrtcVersion(int *major, int *minor) { *major = 12; *minor = 8; return 0; }
#define ALSO(name) extern "C" int name() { return 1; }
ALSO(nvrtcCreateProgram) ALSO(nvrtcDestroyProgram) ALSO(nvrtcCompileProgram) ALSO(nvrtcGetPTXSize) ALSO(nvrtcGetPTX)
ALSO(nvrtcGetProgramLogSize) ALSO(nvrtcGetProgramLog) ALSO(nvrtcGetErrorString)
"#;

fn library(folder: &Path, name: &str, source: &str) {
    let from = folder.join("source.cc");
    fs::write(&from, source).unwrap();
    let done = Command::new("c++")
        .args(["-shared", "-fPIC", "-o"])
        .arg(folder.join(name))
        .arg(&from)
        .status();
    assert!(done.unwrap().success());
}

/// Run by the other tests: says what [`device::find`] says.
#[test]
fn says_what_it_finds() {
    if let Some(index) = std::env::var_os("FIND") {
        let index = index.to_str().unwrap().parse().unwrap();
        match device::find(index) {
            Ok(card) => println!("found: {card:?}"),
            Err(error) => println!("found: {error}"),
        }
    }
}

/// What a process says about device `index` that finds only the libraries of `folder`.
fn found(folder: &Path, index: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "device::says_what_it_finds", "--nocapture"])
        .env("FIND", index)
        .env("LD_LIBRARY_PATH", folder)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.split_once("found: "))
        .expect("an answer");
    line.1.to_owned()
}

#[test]
#[cfg(target_os = "linux")]
fn each_thing_that_can_be_missing_is_named() {
    if !Command::new("c++")
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success())
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "no C++ compiler: install g++"
        );
        eprintln!("skipped: no C++ compiler to make libraries with; install g++ to run this test");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = [("VERSION", "12080"), ("DEVICES", "1"), ("CAPABILITY", "90")];
    let with = |name: &'static str, value: &'static str| {
        let mut all = good.to_vec();
        all.retain(|(n, _)| *n != name);
        all.push((name, value));
        all
    };
    let says = |index: &str, variables: &[(&str, &str)], wanted: &[&str]| {
        let said = found(folder, index, variables);
        for part in wanted {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    };

    // A machine with a driver of its own finds that one.
    let nothing = found(folder, "0", &good);
    if nothing.contains("NVIDIA driver was not found") {
        says(
            "0",
            &good,
            &[
                "libcuda.so.1, libcuda.so",
                "LD_LIBRARY_PATH",
                "--device cpu",
            ],
        );
    }
    library(
        folder,
        "libcuda.so.1",
        "extern \"C\" int cuInit(unsigned) { return 0; }",
    );
    says(
        "0",
        &good,
        &["libcuda.so.1", "lacks the function cuDriverGetVersion"],
    );
    library(folder, "libcuda.so.1", DRIVER);
    says(
        "0",
        &with("INIT", "100"),
        &["cuInit failed with 100", "no CUDA device"],
    );
    says(
        "0",
        &with("DEVICES", "0"),
        &["no CUDA device 0", "reports none", "CUDA_VISIBLE_DEVICES"],
    );
    says(
        "3",
        &with("DEVICES", "2"),
        &["no CUDA device 3", "2, numbers 0 to 1"],
    );
    says(
        "0",
        &with("CAPABILITY", "61"),
        &["compute capability 6.1", "needed is 7.0"],
    );
    says(
        "0",
        &good,
        &[
            "NVRTC",
            "was not found",
            "libnvrtc.so.12",
            "LD_LIBRARY_PATH",
            "nvidia-cuda-nvrtc-cu12",
        ],
    );
    library(folder, "libnvrtc.so.12", COMPILER);
    says(
        "0",
        &with("VERSION", "12020"),
        &[
            "supports CUDA 12.2",
            "NVRTC is of CUDA 12.8",
            "update the driver",
        ],
    );
    says("0", &good, &["cuBLAS was not found", "libcublas.so.12"]);
    library(folder, "libcublas.so.12", "");
    library(folder, "libcublasLt.so.12", "");
    says("0", &good, &["cuRAND was not found", "nvidia-curand-cu12"]);
    library(folder, "libcurand.so.10", "");
    says(
        "0",
        &good,
        &["index: 0", "capability: (9, 0)", "driver: 12080"],
    );
}
