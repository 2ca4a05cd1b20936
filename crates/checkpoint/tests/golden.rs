//! Published kinds of files against the tensors they are known to hold, exactly.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domex_checkpoint::foreign::{self, Foreign, Format, state_dict};
use domex_checkpoint::{Dtype, TensorData, Value};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// The tensors `param.<network>.*` of a reference file.
fn expected(file: &str, network: &str) -> BTreeMap<String, TensorData> {
    let file = foreign::read(golden(file)).unwrap();
    assert_eq!(file.format, Format::SafeTensors);
    let prefix = format!("param.{network}.");
    let all = state_dict(&file.value).unwrap();
    let chosen: BTreeMap<_, _> = all
        .into_iter()
        .filter_map(|(name, tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor)))
        .collect();
    assert!(!chosen.is_empty(), "no tensors of {network}");
    chosen
}

fn check_networks(pickle: &str, reference: &str) -> Foreign {
    let file = foreign::read(golden(pickle)).unwrap();
    assert_eq!(file.format, Format::Pickle);
    for network in ["G", "D", "G_ema"] {
        let value = file.get(network).unwrap();
        let tensors = file.weights(value).unwrap();
        assert_eq!(
            tensors,
            expected(reference, network),
            "{network} of {pickle}"
        );
        let object = value.as_object().unwrap();
        assert!(object.persistent);
        assert_eq!(
            &*object.class,
            if network == "D" {
                "Discriminator"
            } else {
                "Generator"
            }
        );
        let size = object
            .attribute("_init_kwargs")
            .unwrap()
            .get("img_resolution")
            .unwrap();
        assert_eq!(size.as_i64(), Some(16));
    }
    file
}

#[test]
fn nvlabs_pickle() {
    let file = check_networks("nvlabs_tiny.pkl", "nvlabs_tiny.safetensors");
    assert_eq!(file.value.get("augment_pipe"), Some(&Value::None));
    let generator = file.get("G_ema").unwrap();
    assert_eq!(generator.get("z_dim").unwrap().as_i64(), Some(32));
    let clamp = generator.path(&["_init_kwargs", "synthesis_kwargs", "conv_clamp"]);
    assert_eq!(clamp.unwrap().as_f64(), Some(256.0));
    // A NumPy scalar among the attributes of a layer.
    let layer = generator.path(&[
        "_modules",
        "synthesis",
        "_modules",
        "b4",
        "_modules",
        "conv1",
    ]);
    let gain = layer.unwrap().get("act_gain").unwrap().as_f64().unwrap();
    assert!((gain - std::f64::consts::SQRT_2).abs() < 1e-15);
}

#[test]
fn domain_expansion_pickle() {
    let reference = "domain_expansion_snapshot_tiny.safetensors";
    let file = check_networks("domain_expansion_snapshot_tiny.pkl", reference);
    let wanted = state_dict(&foreign::read(golden(reference)).unwrap().value).unwrap();
    let basis = file.get("latent_basis").unwrap().as_tensor().unwrap();
    assert_eq!(basis, &wanted["param.latent_basis"]);
    let dims = file.get("repurposed_dims").unwrap().as_tensor().unwrap();
    assert_eq!(dims.dtype(), Dtype::I32);
    assert_eq!(
        dims.to_i64_vec().unwrap(),
        wanted["param.repurposed_dims"].to_i64_vec().unwrap()
    );
    assert_eq!(file.get("subspace_distance").unwrap().as_f64(), Some(20.0));
    let tasks = file
        .value
        .path(&["expansion_cfg", "tasks"])
        .unwrap()
        .as_slice()
        .unwrap();
    assert_eq!(tasks.len(), 3);
    let text = tasks[0].path(&["args", "target_text"]).unwrap().as_str();
    assert_eq!(text, Some("sketch"));
}

#[test]
fn rosinality_files() {
    let reference = "rosinality_tiny.safetensors";
    let average =
        &state_dict(&foreign::read(golden(reference)).unwrap().value).unwrap()["param.latent_avg"];
    for (name, format) in [
        ("rosinality_tiny.pt", Format::TorchZip),
        ("rosinality_tiny_legacy.pt", Format::TorchLegacy),
    ] {
        let file = foreign::read(golden(name)).unwrap();
        assert_eq!(file.format, format);
        let tensors = file.weights(file.get("g_ema").unwrap()).unwrap();
        assert_eq!(tensors, expected(reference, "g_ema"), "{name}");
        assert_eq!(file.get("latent_avg").unwrap().as_tensor(), Some(average));
    }
}

#[test]
fn diffusion_autoencoder_checkpoint() {
    let wanted = foreign::read(golden("diffae_tiny_expected.safetensors")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&wanted.metadata["config"]).unwrap();
    let names = config["state_dict_keys"].as_array().unwrap();
    let wanted = state_dict(&wanted.value).unwrap();
    let (numel, sum, absmax) = (
        wanted["out.numel"].to_i64_vec().unwrap(),
        wanted["out.sum"].to_f64_vec(),
        wanted["out.absmax"].to_f64_vec(),
    );

    let file = foreign::read(golden("diffae_tiny.ckpt")).unwrap();
    assert_eq!(
        file.value.get("global_step").unwrap().as_i64(),
        Some(130_000)
    );
    let tensors = file.weights(file.get("state_dict").unwrap()).unwrap();
    assert_eq!(tensors.len(), names.len());
    for (i, name) in names.iter().enumerate() {
        let values = tensors[name.as_str().unwrap()].to_f64_vec();
        assert_eq!(values.len() as i64, numel[i], "{name}");
        let total: f64 = values.iter().sum();
        assert!(
            (total - sum[i]).abs() <= 1e-9 * (1.0 + sum[i].abs()),
            "{name}: {total} {}",
            sum[i]
        );
        let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        assert!(
            (largest - absmax[i]).abs() == 0.0,
            "{name}: {largest} {}",
            absmax[i]
        );
    }
    let mut whole = 0;
    for (name, tensor) in &wanted {
        if let Some(name) = name.strip_prefix("out.tensor.") {
            assert_eq!(&tensors[name], tensor, "{name}");
            whole += 1;
        }
    }
    assert!(whole >= 5);
}

#[test]
fn names_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::copy(golden("rosinality_tiny_legacy.pt"), &path).unwrap();
    assert_eq!(foreign::read(path).unwrap().format, Format::TorchLegacy);
}

#[test]
fn a_missing_entry_lists_the_others() {
    let file = foreign::read(golden("nvlabs_tiny.pkl")).unwrap();
    let message = file.get("g_ema").unwrap_err().to_string();
    assert!(
        message.contains("G_ema") && message.lines().count() == 1,
        "{message}"
    );
}
