//! The reference cases that lie in the crates of the workspace: all within their tolerances, and
//! sensitive to a change of any expected tensor.

// The helpers of a test are part of it.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, fs, path::PathBuf};

use candle_core::{DType, Device};
use domex_golden::{Found, Status, discover, run, run_dir};

/// Every `crates/*/tests/golden`.
fn folders() -> Vec<PathBuf> {
    let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let mut folders: Vec<_> = fs::read_dir(crates)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("tests/golden"))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

#[test]
fn every_case_is_within_its_tolerance() {
    for folder in folders() {
        let report = run_dir(&folder).unwrap();
        let all = report.cases.len();
        // One that is not covered any more would else be missed by nobody.
        assert_eq!(
            report.count(Status::Ok),
            all,
            "{}:\n{report}",
            folder.display()
        );
    }
}

/// Changes one expected tensor after the other, by a little more than any tolerance allows, and
/// wants each change to be noticed.
#[test]
fn every_expected_tensor_counts() {
    let dir = tempfile::tempdir().unwrap();
    for folder in folders() {
        // The cheap cases: networks would take minutes here.
        let small = |found: &Found| {
            let name = found.path.file_stem().unwrap().to_str().unwrap();
            [
                "bias_act",
                "modulated_conv2d",
                "clip_preprocess",
                "sefa_basis",
                "text_direction",
                "direction_losses",
                "nada_task_two_models",
                "other_clip_losses",
                "hyperdomain_losses",
                "degan_losses",
                "resample_and_convex",
                "metrics_and_fade_in",
                "schedule",
                "losses",
                "sample_from_P0",
                "alpha_space",
                "subspace_projection",
                "degradation",
                "kid",
                "inception_score",
                "clip_score_cmmd",
            ]
            .contains(&name)
        };
        for found in discover(&folder).unwrap().into_iter().filter(small) {
            let bytes = fs::read(&found.path).unwrap();
            let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
            let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).unwrap();
            let expected = ["out.", "out64.", "grad."];
            for name in tensors
                .keys()
                .filter(|n| expected.iter().any(|e| n.starts_with(e)))
            {
                let mut changed: HashMap<_, _> = tensors.clone();
                let want = &tensors[name];
                let scale = want.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
                let scale = scale
                    .to_dtype(DType::F64)
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap();
                if scale == 0.0 {
                    continue;
                }
                changed.insert(
                    name.clone(),
                    ((want * 1.003).unwrap() + 0.007 * scale).unwrap(),
                );
                let path = dir.path().join(found.path.file_name().unwrap());
                let metadata = header.metadata().clone();
                safetensors::serialize_to_file(&changed, metadata, &path).unwrap();
                let report = run(&Found {
                    path,
                    expected: None,
                });
                assert_eq!(report.status, Status::Failed, "{name} changed: {report}");
            }
        }
    }
}
