//! `gpu-check` as a program, rehearsed on the CPU: parts are processes, rows come back, and a rehearsal is no measurement.

// The helpers of a test are part of it.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use serde_json::Value;

fn rehearse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["gpu-check", "--device", "cpu"])
        .args(args)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap()
}

#[test]
fn rows_of_several_parts_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.json");
    let only = "^(operators/matmul|golden/ops/stylegan2/bias_act|times/conv_forward)";
    let output = rehearse(&["--only", only, "--json", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in [
        "| ok | operators | matmul, f16 |",
        "| ok | golden | ops/stylegan2/bias_act |",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(json["card"].is_null());
    let rows = json["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4 + 1 + 8);
    assert!(rows.iter().all(|row| row["ok"] == true));
    assert!(rows[12]["figures"]["ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_part_that_cannot_begin_is_wrong_and_the_others_run() {
    let only = "^(operators/matmul, f32|expansion/)";
    let output = rehearse(&["--only", only, "--assets", "nowhere"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("| ok | operators | matmul, f32 |"), "{text}");
    assert!(
        text.contains("| WRONG | expansion |") && text.contains("nowhere"),
        "{text}"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for args in [&["--write"][..], &["--only", "no such row"]] {
        assert_eq!(rehearse(args).status.code(), Some(2), "{args:?}");
    }
}
