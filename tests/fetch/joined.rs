//! The published files of a perceptual network, heads and backbone, become one that the program reads.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_lpips::{Backbone, Config, Lpips};

/// Heads and backbone as they are published, in `models/lpips/squeeze.pth` and `models/net/squeezenet.pth`.
fn publish(cache: &Path) {
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Lpips::new(&vb, &Config::new(Backbone::Squeeze)).unwrap();
    let mut files = [HashMap::new(), HashMap::new()];
    for (name, var) in map.data().lock().unwrap().iter() {
        let features = name
            .strip_prefix("net.slice")
            .and_then(|n| n.split_once('.'));
        let tensor = var.as_detached_tensor();
        match features {
            None => files[0].insert(name.clone(), tensor),
            Some((_, rest)) => files[1].insert(format!("features.{rest}"), tensor),
        };
    }
    for (path, tensors) in ["lpips/squeeze.pth", "net/squeezenet.pth"]
        .iter()
        .zip(&files)
    {
        let path = cache.join("models").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        candle_core::safetensors::save(tensors, path).unwrap();
    }
}

fn manifest(backbone: &str) -> String {
    let entry = |name: &str, file: &str, rest: &str| {
        format!(
            "[[model]]\nname = \"{name}\"\nabout = \"a test\"\nkind = \"test\"\nlicense = \"MIT\"\n\
             url = \"http://127.0.0.1:1/{file}\"\n{rest}\n\n"
        )
    };
    let joined = format!("convert = \"lpips\"\nbackbone = \"{backbone}\"");
    entry("lpips", "squeeze.pth", &joined)
        + &entry("net", "squeezenet.pth", "")
        + &entry("other", "other.pth", "")
}

fn domex(cache: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_domex"));
    command.args(args).env("DOMEX_CACHE", cache);
    command.output().unwrap()
}

#[track_caller]
fn refused(output: &Output, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in: {stderr}");
    }
}

#[test]
fn fetched_heads_and_backbone_are_joined() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path();
    publish(cache);
    let list = cache.join("models.toml");
    let fetch = |backbone: &str| {
        std::fs::write(&list, manifest(backbone)).unwrap();
        let list = list.to_str().unwrap();
        domex(cache, &["fetch", "lpips", "--offline", "--manifest", list])
    };
    // Nothing is joined with a backbone that is not the heads'.
    let other = cache.join("models/other");
    std::fs::create_dir_all(&other).unwrap();
    let tensor = Tensor::zeros((64, 3, 11, 11), DType::F32, &Device::Cpu).unwrap();
    let tensors = HashMap::from([("features.0.weight".to_owned(), tensor)]);
    candle_core::safetensors::save(&tensors, other.join("other.pth")).unwrap();
    refused(
        &fetch("other"),
        &["other.pth", "SqueezeNet 1.1", "squeeze.pth"],
    );
    let made = cache.join("models/lpips/model.safetensors");
    assert!(!made.exists());

    let output = fetch("net");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}");
    assert!(
        stdout.contains("lpips/model.safetensors (converted)"),
        "{stdout}"
    );
    Lpips::load(&made, DType::F32, &Device::Cpu).unwrap();

    // The same by hand.
    let path = |name: &str| cache.join(name).to_str().unwrap().to_owned();
    let (heads, net) = (
        path("models/lpips/squeeze.pth"),
        path("models/net/squeezenet.pth"),
    );
    let out = path("by-hand.safetensors");
    let args = ["convert", &heads, "--backbone", &net, "--out", &out];
    assert!(domex(cache, &args).status.success());
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&made).unwrap());
    refused(&domex(cache, &args), &["by-hand.safetensors", "exists"]);
    let swapped = ["convert", &net, "--backbone", &heads, "--out", &path("x")];
    refused(
        &domex(cache, &swapped),
        &["squeezenet.pth", "lin0.model.1.weight"],
    );
}
