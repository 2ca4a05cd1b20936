//! The program as its users meet it: files, output, exit codes.

#![allow(clippy::unwrap_used)] // the lint spares test functions, not their helpers

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

fn domex(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_domex"))
        .args(args)
        .env(
            "DOMEX_CACHE",
            std::env::temp_dir().join("domex-no-such-cache"),
        )
        // No shipped weights: the model without a file is the random one.
        .env(
            "DOMEX_ASSETS",
            std::env::temp_dir().join("domex-no-such-assets"),
        )
        .env_remove("DOMEX_MODEL")
        .output()
        .expect("the program starts")
}

fn golden(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stylegan2/tests/golden");
    root.join(path).to_str().expect("a plain path").to_owned()
}

fn folder() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out").to_str().unwrap().to_owned();
    (dir, out)
}

#[track_caller]
fn ok(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "failed: {stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The run must end with exit code 2 and one line on stderr, which holds every text.
#[track_caller]
fn refused(output: &Output, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "{text:?} is not in: {stderr}");
    }
    // What clap refuses carries its own hints on further lines.
    if !stderr.contains("--help") {
        assert_eq!(
            stderr.trim_end().lines().count(),
            1,
            "more than one line: {stderr}"
        );
    }
}

#[test]
fn generates_the_same_pictures_twice() {
    let (_dir, out) = folder();
    ok(&domex(&["generate", "--seeds", "0-2", "--out", &out]));
    let first = std::fs::read(Path::new(&out).join("seed0001.png")).unwrap();
    assert!(Path::new(&out).join("grid.png").is_file());
    ok(&domex(&[
        "generate", "--seeds", "1", "--out", &out, "--force",
    ]));
    assert_eq!(
        first,
        std::fs::read(Path::new(&out).join("seed0001.png")).unwrap()
    );
}

#[test]
fn reads_every_kind_of_checkpoint() {
    for file in [
        "stylegan2/nvlabs_tiny.pkl",
        "stylegan2/rosinality_tiny.pt",
        "stylegan2/rosinality_tiny_legacy.pt",
        "expansion/domain_expansion_snapshot_tiny.pkl",
    ] {
        let info = ok(&domex(&["info", "--json", "--model", &golden(file)]));
        let info: serde_json::Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["kind"], "stylegan2", "{file}");
        let (_dir, out) = folder();
        ok(&domex(&[
            "generate",
            "--seeds",
            "7",
            "--trunc",
            "0.7",
            "--model",
            &golden(file),
            "--out",
            &out,
        ]));
        assert!(Path::new(&out).join("seed0007.png").is_file(), "{file}");
    }
}

#[test]
fn shows_the_domains_of_an_expanded_model() {
    let model = golden("expansion/domain_expansion_snapshot_tiny.pkl");
    let text = ok(&domex(&["info", "--model", &model]));
    for word in ["sketch", "elf", "tiger", "31", "20"] {
        assert!(text.contains(word), "{word} is not in: {text}");
    }
    let (_dir, out) = folder();
    ok(&domex(&[
        "traverse", "--model", &model, "--domain", "elf", "--seeds", "0,1", "--frames", "3",
        "--out", &out,
    ]));
    assert!(Path::new(&out).join("traverse.gif").is_file());
    let unknown = domex(&[
        "traverse", "--model", &model, "--domain", "elv", "--out", &out, "--force",
    ]);
    refused(&unknown, &["elv", "elf"]);
}

#[test]
fn traverses_mixes_and_probes() {
    let (_dir, out) = folder();
    ok(&domex(&[
        "traverse", "--dim", "0", "--seeds", "0", "--steps", "3", "--frames", "2", "--out", &out,
    ]));
    let (_dir, out) = folder();
    ok(&domex(&[
        "mix", "--rows", "0,1", "--cols", "2-4", "--out", &out,
    ]));
    assert!(Path::new(&out).join("1-4.png").is_file());
    let (_dir, out) = folder();
    let json = ok(&domex(&[
        "dormant",
        "--probe",
        "4",
        "--samples",
        "1",
        "--json",
        "--out",
        &out,
    ]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["probe"]["directions"].as_array().unwrap().len(), 4);
    for file in ["dormant.json", "spectrum.png", "spectrum.svg"] {
        assert!(Path::new(&out).join(file).is_file(), "{file}");
    }
}

#[test]
fn bad_flags_say_what_is_allowed() {
    let (_dir, out) = folder();
    refused(
        &domex(&["generate", "--seeds", "5-1", "--out", &out]),
        &["5-1", "1-5"],
    );
    refused(
        &domex(&["generate", "--noise-mode", "loud", "--out", &out]),
        &["const", "random", "none"],
    );
    refused(
        &domex(&["generate", "--class", "3", "--out", &out]),
        &["no classes"],
    );
    refused(
        &domex(&["generate", "--device", "tpu", "--out", &out]),
        &["tpu", "cpu, cuda"],
    );
    refused(
        &domex(&["generate", "--trunc", "nan", "--out", &out]),
        &["--trunc"],
    );
    refused(
        &domex(&["mix", "--styles", "99", "--out", &out]),
        &["99", "allowed"],
    );
    refused(
        &domex(&["traverse", "--dim", "100000", "--out", &out]),
        &["100000"],
    );
    refused(
        &domex(&["traverse", "--distance=-3", "--out", &out, "--force"]),
        &["--distance"],
    );
    refused(&domex(&["generat"]), &["generate"]);
}

#[test]
fn bad_files_are_named_with_the_reason() {
    let (dir, out) = folder();
    let write = |name: &str, bytes: &[u8]| -> String {
        let path: PathBuf = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = std::fs::read(golden("stylegan2/nvlabs_tiny.pkl")).unwrap();
    let zip = std::fs::read(golden("stylegan2/rosinality_tiny.pt")).unwrap();
    for (name, bytes) in [
        ("empty.pkl", &[][..]),
        ("text.pt", b"this is no checkpoint at all"),
        ("cut.pkl", &whole[..whole.len() / 2]),
        ("cut.pt", &zip[..zip.len() / 3]),
        ("huge.safetensors", b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
    ] {
        let path = write(name, bytes);
        refused(&domex(&["info", "--model", &path]), &[name]);
        refused(
            &domex(&["generate", "--model", &path, "--out", &out, "--force"]),
            &[name],
        );
    }
    // A true checkpoint under a wrong name is still read: content decides.
    let renamed = write("renamed.jpg", &zip);
    ok(&domex(&["info", "--model", &renamed]));
    refused(
        &domex(&["info", "--model", "no-such-file.pkl"]),
        &["no-such-file.pkl", "no such file"],
    );
    refused(
        &domex(&["info", "--model", "no-such-name"]),
        &["no-such-name", "tiny-random"],
    );
}

#[test]
fn the_output_folder_is_checked_first() {
    let (dir, out) = folder();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let inside = file.join("out");
    refused(
        &domex(&[
            "generate",
            "--seeds",
            "0",
            "--out",
            inside.to_str().unwrap(),
        ]),
        &["file"],
    );
    ok(&domex(&["generate", "--seeds", "0", "--out", &out]));
    let again = domex(&["generate", "--seeds", "0", "--out", &out]);
    refused(&again, &["--force"]);
}

#[test]
fn completions_know_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            ok(&domex(&["completions", shell])).contains("dormant"),
            "{shell}"
        );
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    use std::io::Read as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_domex"))
        .args(["info", "--tensors"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(stderr, "");
}
