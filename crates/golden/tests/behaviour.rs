//! What a run says of right, wrong, unknown and damaged cases. The cases are made on the spot:
//! leaky ReLU of a few numbers, with its gradient.

// The helpers of a test are part of it.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, fs, path::Path};

use candle_core::{Device, Tensor};
use domex_golden::{Report, Status, run_dir};

type Tensors = HashMap<String, Tensor>;

const CONFIG: &str =
    r#"{"cases": [{"act": "lrelu", "alpha": null, "gain": 1, "clamp": null, "dim": 1}]}"#;

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap()
}

fn right() -> Tensors {
    HashMap::from([
        ("in.0.x".to_owned(), tensor(&[2.0, -5.0, 0.5])),
        ("in.0.R".to_owned(), tensor(&[1.0, 3.0, -2.0])),
        ("out.0.y".to_owned(), tensor(&[2.0, -1.0, 0.5])),
        ("grad.0.x".to_owned(), tensor(&[1.0, 0.6, -2.0])),
    ])
}

fn write(path: &Path, tensors: &Tensors, config: &str) {
    let metadata = HashMap::from([("config".to_owned(), config.to_owned())]);
    safetensors::serialize_to_file(tensors, Some(metadata), path).unwrap();
}

/// Runs one case under the name `name.safetensors`.
fn run(name: &str, tensors: &Tensors, config: &str) -> Report {
    let dir = tempfile::tempdir().unwrap();
    write(
        &dir.path().join(name).with_extension("safetensors"),
        tensors,
        config,
    );
    run_dir(dir.path()).unwrap()
}

#[track_caller]
fn ends(report: &Report, status: Status, parts: &[&str]) {
    assert_eq!(report.cases.len(), 1);
    assert_eq!(report.cases[0].status, status, "{report}");
    for part in parts {
        assert!(
            report.to_string().contains(part),
            "`{part}` is not in: {report}"
        );
    }
    assert_eq!(
        report.ok(),
        matches!(status, Status::Ok | Status::NotCovered)
    );
}

#[test]
fn a_right_case_is_ok_whatever_its_name() {
    for name in ["bias_act", "some_other_name", "generator_skip_32"] {
        let report = run(name, &right(), CONFIG);
        ends(&report, Status::Ok, &["stylegan2/", name, "1 ok"]);
        let case = &report.cases[0];
        assert_eq!(case.outputs.as_ref().map(|group| group.tensors), Some(1));
        assert_eq!(case.gradients.as_ref().map(|group| group.tensors), Some(1));
    }
}

#[test]
fn a_perturbed_output_fails() {
    let mut tensors = right();
    tensors.insert("out.0.y".to_owned(), tensor(&[2.0, -1.0, 0.5001]));
    ends(
        &run("bias_act", &tensors, CONFIG),
        Status::Failed,
        &["used by out.0.y"],
    );
}

#[test]
fn a_perturbed_gradient_fails() {
    let mut tensors = right();
    tensors.insert("grad.0.x".to_owned(), tensor(&[1.0, 0.6001, -2.0]));
    ends(
        &run("bias_act", &tensors, CONFIG),
        Status::Failed,
        &["used by grad.0.x"],
    );
}

#[test]
fn a_perturbed_weight_of_the_loss_fails() {
    let mut tensors = right();
    tensors.insert("in.0.R".to_owned(), tensor(&[1.0, 3.0, -2.001]));
    ends(
        &run("bias_act", &tensors, CONFIG),
        Status::Failed,
        &["used by grad.0.x"],
    );
}

#[test]
fn what_is_not_computed_fails() {
    for name in ["out.1.y", "grad.0.b", "out64.0.y"] {
        let mut tensors = right();
        tensors.insert(name.to_owned(), tensor(&[0.0]));
        ends(
            &run("bias_act", &tensors, CONFIG),
            Status::Failed,
            &[name, "not computed"],
        );
    }
}

#[test]
fn a_wrong_shape_and_a_nan_fail() {
    let mut tensors = right();
    tensors.insert("out.0.y".to_owned(), tensor(&[2.0, -1.0]));
    ends(
        &run("bias_act", &tensors, CONFIG),
        Status::Failed,
        &["shape [1, 3], expected [1, 2]"],
    );
    let mut tensors = right();
    tensors.insert("in.0.x".to_owned(), tensor(&[f32::NAN, -5.0, 0.5]));
    ends(&run("bias_act", &tensors, CONFIG), Status::Failed, &["inf"]);
}

#[test]
fn an_unknown_case_is_not_covered() {
    let tensors = HashMap::from([("out.answer".to_owned(), tensor(&[42.0]))]);
    ends(
        &run("deep_thought", &tensors, "{}"),
        Status::NotCovered,
        &["0 failed, 0 errors"],
    );
}

#[test]
fn a_case_that_cannot_be_run_is_an_error() {
    let mut tensors = right();
    tensors.remove("in.0.x");
    ends(
        &run("a", &tensors, CONFIG),
        Status::Error,
        &["in.0.x", "missing"],
    );
    let config = CONFIG.replace("lrelu", "hyperrelu");
    ends(&run("a", &right(), &config), Status::Error, &["hyperrelu"]);
    let config = CONFIG.replace("\"gain\": 1", "\"gain\": \"much\"");
    ends(
        &run("a", &right(), &config),
        Status::Error,
        &["config", "much"],
    );
    ends(
        &run("a", &right(), "{"),
        Status::Error,
        &["config", "not JSON"],
    );
    let mut inputs_only = right();
    inputs_only.retain(|name, _| name.starts_with("in."));
    ends(
        &run("a", &inputs_only, CONFIG),
        Status::Error,
        &["to compare with"],
    );
}

#[test]
fn damaged_files_are_errors_and_do_not_stop_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    write(&path("b_right.safetensors"), &right(), CONFIG);
    let bytes = fs::read(path("b_right.safetensors")).unwrap();
    fs::write(path("a_empty.safetensors"), b"").unwrap();
    fs::write(path("c_cut.safetensors"), &bytes[..bytes.len() - 5]).unwrap();
    fs::write(path("d_text.safetensors"), "not at all").unwrap();
    let mut huge = bytes.clone();
    huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(path("e_huge.safetensors"), &huge).unwrap();
    fs::write(path("f_alone.pkl"), b"\x80\x03N.").unwrap();
    let report = run_dir(dir.path()).unwrap();
    let statuses: Vec<_> = report.cases.iter().map(|case| case.status).collect();
    let expected = [
        Status::Error,
        Status::Ok,
        Status::Error,
        Status::Error,
        Status::Error,
        Status::NotCovered,
    ];
    assert_eq!(statuses, expected, "{report}");
    assert!(!report.ok());
    assert!(report.to_string().lines().all(|line| !line.is_empty()));
}

#[test]
fn a_folder_without_a_case_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |dir: &Path| run_dir(dir).unwrap_err().message();
    assert!(refused(dir.path()).contains("no reference case"));
    assert!(refused(&dir.path().join("absent")).contains("absent: "));
}

#[test]
fn one_file_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("one.safetensors");
    write(&path, &right(), CONFIG);
    assert_eq!(run_dir(&path).unwrap().count(Status::Ok), 1);
}
