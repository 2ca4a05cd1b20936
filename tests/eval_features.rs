//! `domex eval` on the features of other networks, and domains scored by their texts.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::process::Output;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_random::Streams;
use domex_test_support::networks::SIDE;
use domex_test_support::program::{World, ok};
use serde_json::Value as Json;

fn json(output: &Output) -> Json {
    serde_json::from_str(&ok(output)).unwrap()
}

/// An Inception network a sixteenth as wide, of random weights.
fn inception(path: &std::path::Path) {
    let config = domex_inception::Config {
        narrow: 16,
        classes: 10,
    };
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    domex_inception::Inception::new(&vb, &config).unwrap();
    let data = map.data().lock().unwrap();
    let draw = |(name, var): (&String, &candle_core::Var)| {
        let mut values = vec![0f32; var.elem_count()];
        Streams::new(7).stream(name).fill_normal(&mut values);
        let fan_in = (var.elem_count() / var.dims()[0]) as f32;
        for value in &mut values {
            *value = match name.ends_with("running_var") {
                true => 1.0 + value.abs(),
                false => *value * (2.0 / fan_in).sqrt(),
            };
        }
        let tensor = Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap();
        (name.clone(), tensor)
    };
    let tensors: HashMap<String, Tensor> = data.iter().map(draw).collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

#[test]
fn features_of_an_inception_network_are_kept() {
    let root = World::new(env!("CARGO_BIN_EXE_domex"));
    ok(&root.run(&format!(
        "data portraits --out set --count 30 --size {SIDE}"
    )));
    inception(&root.path("inception.safetensors"));
    let eval = |rest: &str| {
        let line = "eval --data set --pictures 6 --features inception=inception.safetensors";
        root.run(&format!("{line} {rest}"))
    };
    let result = json(&eval("--out one --json"));
    let found = &result["likeness"];
    assert_eq!(found["network"], "inception");
    assert_eq!(found["features"], 128);
    assert!(found["inception_score"]["mean"].as_f64().unwrap() >= 1.0);
    assert!(found["cmmd"].is_null());
    assert_eq!(found["warnings"][0]["warning"], "fewer_than_features");

    let kept: Vec<_> = std::fs::read_dir(root.path("cache/features"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert_eq!(kept.len(), 2, "two parts of the set, not the samples");
    std::fs::write(&kept[0], b"damaged").unwrap();
    let again = eval("--out two --json");
    assert_eq!(json(&again), result);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(said.contains("computed anew"), "{said}");
    assert!(std::fs::metadata(&kept[0]).unwrap().len() > 500);
}

#[test]
fn domains_are_scored_by_their_texts() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    world.ok("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet");
    let texts =
        world.json("eval --model run/model.safetensors --clip two --pictures 4 --out texts --json");
    let zombie = &texts["texts"]["domains"][0];
    assert_eq!(zombie["target"], "zombie");
    for figure in ["text", "base", "directional", "diversity"] {
        assert!(zombie[figure].is_f64(), "{figure}: {texts}");
    }
    assert!(texts["texts"]["leakage"]["gain"][0][0].is_f64());
}

#[test]
fn the_path_length_is_printed_and_written() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let text = world.ok("eval --data portraits --pictures 4 --out words --path-length");
    for words in [
        "warning: 4 pictures for 256 features",
        "perceptual path length",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let page = world.text("words/eval.md");
    assert!(
        page.contains("| kernel distance |") && page.contains("Perceptual path length"),
        "{page}"
    );
}

#[test]
fn features_that_are_not_known_are_refused() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    world.ok(&format!("data portraits --out set --count 4 --size {SIDE}"));
    for (flags, texts) in [
        ("--data set --features fid", &["fid", "inception"][..]),
        (
            "--data set --features inception=no",
            &["inception=no", "domex fetch inception-fid"],
        ),
        (
            "--features inception=shipped/judge.safetensors --path-length",
            &["--features", "--data"],
        ),
        ("--data set --clip one", &["--clip", "expanded"]),
    ] {
        world.refused(&format!("eval {flags} --out x"), texts);
    }
}
