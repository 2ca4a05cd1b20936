//! What is said where something is missing: the driver, a device, a library, or its age.
//!
//! Each case runs in a process of its own, whose loader finds made-up libraries that answer as the case wants.

use std::{fs, path::Path, process::Command};

use cudarc::driver::{DriverError, sys::CUresult};
use domex_cuda::device;
use domex_error::{AnyError, device::Fault};

/// A driver with as many devices as `DEVICES` says, of capability `CAPABILITY`, for CUDA `VERSION`; `INIT` is what it answers first.
const DRIVER: &str = r#"
#include <stdlib.h>
#include <string.h>
static int number(const char *name) { const char *v = getenv(name); return v ? atoi(v) : 0; }
extern "C" int cuInit(unsigned) { return number("INIT"); }
extern "C" int cuDriverGetVersion(int *v) { *v = number("VERSION"); return 0; }
extern "C" int cuDeviceGetCount(int *v) { *v = number("DEVICES"); return 0; }
extern "C" int cuDeviceGet(int *v, int i) { *v = i; return 0; }
extern "C" int cuDeviceGetName(char *to, int, int) { strcpy(to, "A card"); return 0; }
extern "C" int cuDeviceTotalMem_v2(size_t *v, int) { *v = (size_t)80 << 30; return 0; }
extern "C" int cuGetErrorString(int code, const char **to) { *to = code == 2 ? "out of memory" : "another"; return 0; }
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

/// Run by the other tests: says what errors of cudarc's own types mean, as candle and crates above it wrap them.
#[test]
fn says_what_failed() {
    if std::env::var_os("FAIL").is_none() {
        return;
    }
    for code in [
        CUresult::CUDA_ERROR_OUT_OF_MEMORY,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
        CUresult::CUDA_ERROR_INVALID_VALUE,
    ] {
        let of_candle = candle_core::Error::Cuda(Box::new(DriverError(code)));
        let wrapped = candle_core::Error::wrap(DriverError(code)).context("a kernel");
        for error in [of_candle, wrapped] {
            let error = AnyError::from(domex_ops::Error::from(error)).context("step 4");
            println!("{:?}", Fault::of(&error));
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

/// Whether libraries can be made up here.
fn can_compile() -> bool {
    let version = Command::new("c++").arg("--version").output();
    if version.is_ok_and(|o| o.status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no C++ compiler: install g++"
    );
    eprintln!("skipped: no C++ compiler to make libraries with; install g++ to run this test");
    false
}

#[test]
#[cfg(target_os = "linux")]
fn errors_of_the_real_types_are_told_apart() {
    if !can_compile() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // cudarc asks the driver for the words.
    library(folder.path(), "libcuda.so", DRIVER);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "device::says_what_failed", "--nocapture"])
        .env("FAIL", "1")
        .env("LD_LIBRARY_PATH", folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said: Vec<&str> = text
        .lines()
        .filter(|l| l.contains("Some(") || l.contains("None"))
        .collect();
    let lost = "Some(Lost(\"CUDA_ERROR_ILLEGAL_ADDRESS\"))";
    let [memory, none] = ["Some(OutOfMemory)", "None"];
    assert_eq!(said, [memory, memory, lost, lost, none, none], "{text}");
}

#[test]
#[cfg(target_os = "linux")]
fn each_thing_that_can_be_missing_is_named() {
    if !can_compile() {
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
        &[
            "index: 0",
            "name: \"A card\"",
            "memory: 85899345920",
            "capability: (9, 0)",
            "driver: 12080",
        ],
    );
}
