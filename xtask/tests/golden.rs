//! `cargo xtask golden`: its lines, its JSON and its exit codes.

// The helpers of a test are part of it.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/ops/tests/golden/stylegan2")
}

/// Exit code, stdout, stderr.
fn golden(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    let output = command.arg("golden").arg(dir).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn a_line_per_case_a_summary_and_the_same_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("result.json");
    let (code, out, err) = golden(&cases(), &["--strict", "--json", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{out}{err}");
    let lines: Vec<_> = out.lines().collect();
    let (summary, cases) = lines.split_last().unwrap();
    assert!(cases.iter().all(|line| line.starts_with("ok ")), "{out}");
    assert!(
        summary.starts_with(&format!("{0} cases: {0} ok", cases.len())),
        "{summary}"
    );

    let json: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(json["ok"], cases.len());
    let first = &json["cases"][0];
    assert_eq!(first["name"], "stylegan2/bias_act");
    assert_eq!(first["status"], "ok");
    for group in ["outputs", "gradients"] {
        let group = &first[group];
        assert!(group["abs"].as_f64().unwrap() < 1e-5, "{group}");
        assert!(
            group["worst"]["rel_tolerance"].as_f64().unwrap() > 0.0,
            "{group}"
        );
    }
}

#[test]
fn exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = golden(dir.path(), &[]);
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    let (code, _, err) = golden(&dir.path().join("absent"), &[]);
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");

    // A case that nothing can run: not covered, which only --strict minds.
    let bytes = fs::read(cases().join("bias_act.safetensors")).unwrap();
    fs::write(dir.path().join("a.ckpt"), b"anything").unwrap();
    assert_eq!(golden(dir.path(), &[]).0, Some(0));
    assert_eq!(golden(dir.path(), &["--strict"]).0, Some(1));

    // A damaged case: its data are cut short.
    fs::write(dir.path().join("b.safetensors"), &bytes[..bytes.len() - 1]).unwrap();
    let (code, out, _) = golden(dir.path(), &[]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("1 errors, 1 not covered"), "{out}");
}
