//! The stand-in for the driver and cuDNN: what it must stop at, it stops at.

use std::{
    path::Path,
    process::{Command, Output},
};

use crate::build::COMPILERS;

/// The calls of `stand_in.cc`, compiled; None without a compiler.
fn program() -> Option<std::path::PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stand_in");
    let compiled = COMPILERS.iter().find_map(|compiler| {
        let mut command = Command::new(compiler);
        command
            .args(["-std=c++17", "-pthread", "-I"])
            .arg(here.join("shim"))
            .arg(here.join("tests/host/stand_in.cc"))
            .arg("-o")
            .arg(&program);
        command.status().ok()
    });
    match compiled {
        Some(status) => assert!(status.success(), "stand_in.cc does not compile"),
        None if std::env::var_os("CI").is_some() => panic!("no C++ compiler"),
        None => {
            eprintln!("not tested, for want of a C++ compiler");
            return None;
        }
    }
    Some(program)
}

#[test]
fn misuse_stops_the_program() {
    let Some(program) = program() else { return };
    let run = |what: &str, how: &str| -> Output {
        let run = Command::new(&program).args([what, how]).output();
        run.unwrap()
    };
    for what in ["copy", "convolution"] {
        let right = run(what, "right");
        assert!(right.status.success(), "{what}: {right:?}");
    }
    for (what, how, why) in [
        ("copy", "written too soon", "before the device had fetched"),
        (
            "copy",
            "written after other work",
            "before the device had fetched",
        ),
        ("copy", "freed too soon", "was freed before"),
        ("copy", "each thread's own stream", "own stream"),
        ("convolution", "sizes that do not fit", "do not fit"),
        ("convolution", "a descriptor that is gone", "there is not"),
        (
            "convolution",
            "too small a workspace",
            "a workspace of so few",
        ),
        (
            "convolution",
            "an algorithm of other bits",
            "must not serve",
        ),
    ] {
        let stopped = run(what, how);
        let said = String::from_utf8_lossy(&stopped.stderr);
        assert!(
            !stopped.status.success() && said.contains(why),
            "{how}: {stopped:?}"
        );
    }
}
