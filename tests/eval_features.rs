//! `domex eval` on the features of other networks, and domains scored by their texts.

use std::collections::HashMap;
use std::process::Output;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_random::Streams;
use domex_test_support::networks::{self, SIDE};
use domex_test_support::program::{World, ok, refused};
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
fn features_of_a_dinov2_are_those_of_the_samples_and_the_set() {
    let root = World::new(env!("CARGO_BIN_EXE_domex"));
    root.ok(&format!(
        "data portraits --out set --count 12 --size {SIDE}"
    ));
    // Under the names of its publisher, with queries, keys and values in one.
    let draw = |name: &str, shape: &[usize]| {
        let mut values = vec![0f32; shape.iter().product()];
        Streams::new(3).stream(name).fill_normal(&mut values);
        let values = values
            .into_iter()
            .map(|value| 0.1 * value)
            .collect::<Vec<_>>();
        (
            name.to_owned(),
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap(),
        )
    };
    let mut tensors: HashMap<String, Tensor> = [
        draw("cls_token", &[1, 1, 64]),
        draw("pos_embed", &[1, 10, 64]),
        draw("patch_embed.proj.weight", &[64, 3, 14, 14]),
        draw("patch_embed.proj.bias", &[64]),
        draw("norm.weight", &[64]),
        draw("norm.bias", &[64]),
    ]
    .into();
    for (layer, rows, columns) in [
        ("attn.qkv", 192, 64),
        ("attn.proj", 64, 64),
        ("mlp.fc1", 96, 64),
        ("mlp.fc2", 64, 96),
    ] {
        tensors.extend([
            draw(&format!("blocks.0.{layer}.weight"), &[rows, columns]),
            draw(&format!("blocks.0.{layer}.bias"), &[rows]),
        ]);
    }
    for name in [
        "norm1.weight",
        "norm1.bias",
        "norm2.weight",
        "norm2.bias",
        "ls1.gamma",
        "ls2.gamma",
    ] {
        tensors.extend([draw(&format!("blocks.0.{name}"), &[64])]);
    }
    candle_core::safetensors::save(&tensors, root.path("dino.safetensors")).unwrap();
    let line = "eval --data set --pictures 6 --features dinov2=dino.safetensors --out x --json";
    let found = &root.json(line)["likeness"];
    assert_eq!(
        (&found["network"], &found["features"]),
        (&"dinov2".into(), &64.into())
    );
    assert!(found["frechet"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["inception_score"].is_null() && found["cmmd"].is_null());

    tensors.extend([draw("register_tokens", &[1, 4, 64])]);
    candle_core::safetensors::save(&tensors, root.path("other.safetensors")).unwrap();
    root.refused(
        "eval --data set --features dinov2=other.safetensors --out y",
        &["other.safetensors", "register tokens"],
    );
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
fn domains_without_texts_are_refused_before_anything_is_measured() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let judge = world.path("shipped/judge.safetensors");
    networks::judge(&judge, SIDE, &["photo", "zombie"]);
    image::RgbImage::new(16, 16)
        .save(world.path("a.png"))
        .unwrap();
    world.ok("expand --domain red=@a.png --out run --steps 1 --batch 2 --threads 2 --quiet");
    let line = "eval --model run/model.safetensors --pictures 4 --out x";
    assert!(world.ok(line).contains("taken for"));
    let output = world
        .command(&format!("{line} --force --clip two"))
        .output();
    let output = output.unwrap();
    refused(&output, &["--clip", "no domain of the model has a text"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

#[test]
fn the_path_length_is_printed_and_written() {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let text = world.ok("eval --data portraits --pictures 4 --out words --path-length");
    for words in [
        "warning: 4 pictures for 256 features",
        "perceptual path length",
        "by the shipped perceptual network",
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
            "--data set --features dinov2=no",
            &["dinov2=no", "domex fetch dinov2-vitl14"],
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
