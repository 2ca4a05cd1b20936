//! `domex convert`: every published kind of file to the container and back again, with the
//! same numbers in the same places.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

use candle_core::{Device, Tensor};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../stylegan2/tests/golden")
        .join(name)
}

fn convert(file: &Path, out: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_domex"))
        .arg("convert")
        .arg(file)
        .arg("--out")
        .arg(out)
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[track_caller]
fn converts(file: &Path, out: &Path, args: &[&str]) {
    let (code, stderr) = convert(file, out, args);
    assert_eq!(code, Some(0), "{stderr}");
}

fn load(path: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// Every tensor of `want` whose name starts with `prefix` is in `found`, bit for bit.
#[track_caller]
fn same(found: &HashMap<String, Tensor>, want: &HashMap<String, Tensor>, prefix: &str) {
    let mut count = 0;
    for (name, tensor) in want {
        let Some(name) = name
            .strip_prefix("param.")
            .filter(|n| n.starts_with(prefix))
        else {
            continue;
        };
        count += 1;
        let other = found
            .get(name)
            .unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(other.dims(), tensor.dims(), "{name}");
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values(other) == values(tensor), "{name} differs");
    }
    assert!(count > 10, "only {count} tensors under {prefix}");
}

#[test]
fn a_network_pickle_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        dir.path().join("ours.safetensors"),
        dir.path().join("nv.safetensors"),
    );
    converts(&golden("stylegan2/nvlabs_tiny.pkl"), &ours, &[]);
    converts(
        &ours,
        &theirs,
        &["--to", "safetensors", "--layout", "nvlabs"],
    );
    let (found, want) = (
        load(&theirs),
        load(&golden("stylegan2/nvlabs_tiny.safetensors")),
    );
    for network in ["G_ema.", "G.", "D."] {
        same(&found, &want, network);
    }
    // And once more from the published names to the container.
    let again = dir.path().join("again.safetensors");
    converts(&theirs, &again, &["--to", "domex"]);
    assert_eq!(load(&again).len(), load(&ours).len());
}

#[test]
fn a_rosinality_checkpoint_there_and_back() {
    let want = load(&golden("stylegan2/rosinality_tiny.safetensors"));
    for file in ["rosinality_tiny.pt", "rosinality_tiny_legacy.pt"] {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours.safetensors");
        let theirs = dir.path().join("theirs.safetensors");
        converts(&golden("stylegan2").join(file), &ours, &[]);
        converts(
            &ours,
            &theirs,
            &["--to", "safetensors", "--layout", "rosinality"],
        );
        let found = load(&theirs);
        same(&found, &want, "g_ema.");
        assert!(found.contains_key("latent_avg"));
    }
}

#[test]
fn an_expanded_model_keeps_its_domains_in_the_container() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("ours.safetensors");
    converts(
        &golden("expansion/domain_expansion_snapshot_tiny.pkl"),
        &out,
        &[],
    );
    assert!(load(&out).contains_key("expansion.basis"));
    let bytes = std::fs::read(&out).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header.metadata().clone().unwrap();
    assert_eq!(metadata["format"], "domex/1");
    assert!(
        metadata["expansion"].contains("31"),
        "{}",
        metadata["expansion"]
    );
}

#[test]
fn a_network_pickle_for_the_tools_of_nvlabs() {
    let dir = tempfile::tempdir().unwrap();
    for file in [
        "stylegan2/nvlabs_tiny",
        "expansion/domain_expansion_snapshot_tiny",
    ] {
        let want = load(&golden(&format!("{file}.safetensors")));
        for program in ["stylegan2-ada-pytorch", "stylegan3"] {
            let pickle = dir.path().join("network.pkl");
            let args = ["--to", "pkl", "--for", program, "--force"];
            converts(&golden(&format!("{file}.pkl")), &pickle, &args);
            let back = dir.path().join("back.safetensors");
            let args = ["--to", "safetensors", "--force"];
            converts(&pickle, &back, &args);
            for network in ["G_ema.", "G.", "D."] {
                same(&load(&back), &want, network);
            }
        }
    }
}

#[test]
fn a_diffusion_autoencoder_gets_a_container() {
    let dir = tempfile::tempdir().unwrap();
    let file = golden("../../../diffae/tests/golden/diffae/diffae_tiny.ckpt");
    let ours = dir.path().join("ours.safetensors");
    converts(&file, &ours, &[]);
    assert!(load(&ours).len() > 10);
    let (code, stderr) = convert(&file, &dir.path().join("x"), &["--to", "safetensors"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--to domex"), "{stderr}");
    let (code, stderr) = convert(&file, &dir.path().join("x"), &["--to", "pkl"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("--to domex"), "{stderr}");
}

#[test]
fn mistakes_are_told_in_one_line_with_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.safetensors");
    let file = golden("stylegan2/nvlabs_tiny.pkl");
    #[track_caller]
    fn refused((code, stderr): (Option<i32>, String), part: &str) {
        assert_eq!(code, Some(2), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(part), "`{part}` is not in: {stderr}");
    }
    refused(
        convert(&dir.path().join("absent.pkl"), &out, &[]),
        "absent.pkl",
    );
    refused(
        convert(&file, &out, &["--layout", "nvlabs"]),
        "--to safetensors",
    );
    refused(convert(&file, &out, &["--for", "stylegan3"]), "--to pkl");
    refused(convert(&file, &dir.path().join("x.pkl"), &[]), "--to pkl");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "a file").unwrap();
    refused(convert(&file, &plain.join("out.x"), &[]), "plain");
    let damaged = dir.path().join("damaged.pkl");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    refused(convert(&damaged, &out, &[]), "damaged.pkl");
    assert!(!out.exists());

    converts(&file, &out, &[]);
    refused(convert(&file, &out, &[]), "exists");
    converts(&file, &out, &["--force"]);
}
