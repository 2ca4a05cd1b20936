//! What holds for every network: batches, padding, freezing, sizes, files.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};
use domex_clip::config::Activation;
use domex_clip::layout::{Tensors, to_hugging_face};
use domex_clip::{Clip, Config, Error, Preprocess, VisionConfig, load};
use domex_ops::testing::{assert_gradients, max_difference, randn};
use serde_json::json;

fn vit() -> Config {
    let transformer = json!({ "width": 32, "layers": 2, "heads": 4, "mlp_width": 48, "activation": "gelu", "eps": 1e-5 });
    serde_json::from_value(json!({
        "embed_dim": 12,
        "vision": { "kind": "vit", "image_size": 24, "patch_size": 8, "transformer": transformer },
        "text": { "vocab_size": 40, "context_length": 9, "end_token": null, "transformer": transformer },
    }))
    .unwrap()
}

fn resnet() -> Config {
    let mut json = serde_json::to_value(vit()).unwrap();
    json["vision"] = json!({ "kind": "resnet", "width": 4, "layers": [1, 1, 1, 1], "heads": 2, "image_size": 32 });
    serde_json::from_value(json).unwrap()
}

/// Tensors of the network with numbers that are not what training starts from.
fn weights(config: &Config) -> Tensors {
    let map = VarMap::new();
    Clip::new(
        &VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu),
        config,
    )
    .unwrap();
    let vars = map.data().lock().unwrap();
    let mut names: Vec<_> = vars.keys().cloned().collect();
    names.sort();
    let tensor = |(seed, name): (usize, &String)| {
        let shape = vars[name].dims();
        let noise = (randn(shape, seed as u64) * 0.2).unwrap();
        let tensor = match name.as_str() {
            name if name.ends_with("running_var") => (noise.abs().unwrap() + 0.5).unwrap(),
            name if shape.len() == 1 && name.ends_with("weight") => (noise + 1.0).unwrap(),
            _ => noise,
        };
        (name.clone(), tensor)
    };
    names.iter().enumerate().map(tensor).collect()
}

fn clip(config: &Config) -> Clip {
    Clip::from_tensors(weights(config), config, DType::F64, &Device::Cpu).unwrap()
}

#[test]
fn a_batch_equals_its_samples() {
    for config in [vit(), resnet()] {
        let clip = clip(&config);
        let size = clip.image_size();
        let pixels = randn(&[3, 3, size, size], 1);
        let together = clip.encode_image(&pixels).unwrap();
        let ids = Tensor::new(
            &[[1u32, 7, 39, 0], [1, 39, 0, 0], [1, 5, 6, 39]],
            &Device::Cpu,
        )
        .unwrap();
        let texts = clip.encode_text(&ids).unwrap();
        for i in 0..3 {
            let one = clip.encode_image(&pixels.narrow(0, i, 1).unwrap()).unwrap();
            assert!(max_difference(&one, &together.narrow(0, i, 1).unwrap()) < 1e-12);
            let one = clip.encode_text(&ids.narrow(0, i, 1).unwrap()).unwrap();
            assert!(max_difference(&one, &texts.narrow(0, i, 1).unwrap()) < 1e-12);
        }
    }
}

#[test]
fn what_follows_the_end_token_does_not_matter() {
    let clip = clip(&vit());
    let features = |rows: [[u8; 5]; 1]| {
        clip.text_features(&Tensor::new(&rows, &Device::Cpu).unwrap())
            .unwrap()
    };
    let padded = features([[1, 7, 39, 0, 0]]);
    assert!(max_difference(&padded, &features([[1, 7, 39, 12, 39]])) < 1e-12);
    assert!(max_difference(&padded, &features([[1, 8, 39, 0, 0]])) > 1e-3);
    let short = Tensor::new(&[[1i64, 7, 39]], &Device::Cpu).unwrap();
    assert!(max_difference(&padded, &clip.text_features(&short).unwrap()) < 1e-12);
}

#[test]
fn pixels_have_the_gradient_of_the_differences() {
    let mut quick = vit();
    if let VisionConfig::Vit(vit) = &mut quick.vision {
        vit.transformer.activation = Activation::QuickGelu;
    }
    for config in [vit(), quick, resnet()] {
        let clip = clip(&config);
        let size = clip.image_size();
        let f = |xs: &[Tensor]| {
            clip.encode_image(&xs[0])
                .map_err(|e| candle_core::Error::wrap(e).into())
        };
        assert_gradients("encode_image", f, &[randn(&[1, 3, size, size], 5)]);
    }
}

#[test]
fn weights_are_frozen() {
    for config in [vit(), resnet()] {
        let map = VarMap::new();
        let clip = Clip::new(
            &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
            &config,
        )
        .unwrap();
        let size = clip.image_size();
        let pixels =
            Var::from_tensor(&randn(&[1, 3, size, size], 2).to_dtype(DType::F32).unwrap()).unwrap();
        let ids = Tensor::new(&[[1u32, 39]], &Device::Cpu).unwrap();
        let logits = clip
            .logits(
                &clip.encode_image(&pixels).unwrap(),
                &clip.encode_text(&ids).unwrap(),
            )
            .unwrap();
        let grads = logits.sum_all().unwrap().backward().unwrap();
        assert!(grads.get(&pixels).is_some());
        assert!(map.all_vars().iter().all(|var| grads.get(var).is_none()));
    }
}

#[test]
fn preprocessing_takes_any_size() {
    let grey = |h, w| Tensor::zeros((1, 3, h, w), DType::F64, &Device::Cpu).unwrap();
    for antialias in [false, true] {
        let preprocess = Preprocess {
            antialias,
            ..Preprocess::new(24)
        };
        let wanted = preprocess.apply(&grey(24, 24)).unwrap();
        for (h, w) in [(1, 1), (24, 31), (7, 90), (256, 200)] {
            let pixels = preprocess.apply(&grey(h, w)).unwrap();
            assert_eq!(pixels.dims(), [1, 3, 24, 24]);
            assert!(max_difference(&pixels, &wanted) < 1e-12, "{h}x{w}");
        }
        // (0.5 - mean) / std of the first colour.
        let first = wanted.flatten_all().unwrap().to_vec1::<f64>().unwrap()[0];
        assert!((first - 0.069_036_92).abs() < 1e-6, "{first}");
    }
    let picture = randn(&[1, 3, 50, 40], 3);
    let sharp = Preprocess::new(16).apply(&picture).unwrap();
    let smooth = Preprocess {
        antialias: true,
        ..Preprocess::new(16)
    }
    .apply(&picture)
    .unwrap();
    assert!(max_difference(&sharp, &smooth) > 0.1);
}

/// A network as OpenAI names its tensors, from the reference cases.
fn openai(case: &str) -> Tensors {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/clip");
    let path = format!("{folder}/{case}.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let tensors = tensors.into_iter();
    tensors
        .filter_map(|(name, tensor)| Some((name.strip_prefix("param.")?.to_owned(), tensor)))
        .collect()
}

#[test]
fn files_of_both_layouts_load() {
    let folder = tempfile::tempdir().unwrap();
    let ids = Tensor::new(&[[1u32, 7, 39]], &Device::Cpu).unwrap();
    for case in ["openai_vit_same_net", "openai_rn"] {
        let mut theirs = openai(case);
        let ours = to_hugging_face(theirs.clone()).unwrap();
        let config = Config::deduce(&load::shapes(&ours)).unwrap();
        let size = config.vision.image_size();
        let pixels = randn(&[1, 3, size, size], 4).to_dtype(DType::F32).unwrap();
        let wanted = Clip::from_tensors(ours.clone(), &config, DType::F32, &Device::Cpu).unwrap();
        // What such files hold beside weights.
        theirs.insert(
            "context_length".into(),
            Tensor::new(9i64, &Device::Cpu).unwrap(),
        );
        let wrapped = theirs
            .iter()
            .map(|(name, tensor)| (format!("module.{name}"), tensor.clone()))
            .collect();
        for (name, tensors) in [("ours", ours), ("theirs", theirs), ("wrapped", wrapped)] {
            let path = folder.path().join(format!("{name}.safetensors"));
            candle_core::safetensors::save(&tensors.into_iter().collect(), &path).unwrap();
            let (tensors, deduced) = load::read(&path).unwrap();
            assert_eq!(deduced, config, "{case}, {name}");
            let clip = Clip::from_tensors(tensors, &deduced, DType::F32, &Device::Cpu).unwrap();
            let same = |a: Result<Tensor, Error>, b: Result<Tensor, Error>| {
                max_difference(&a.unwrap(), &b.unwrap())
            };
            assert_eq!(
                same(clip.encode_image(&pixels), wanted.encode_image(&pixels)),
                0.0
            );
            assert_eq!(same(clip.encode_text(&ids), wanted.encode_text(&ids)), 0.0);
        }
    }
}

/// The configuration that is read with a file of these tensors and this file beside it.
fn beside(tensors: Tensors, name: &str, json: &serde_json::Value) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors.into_iter().collect(), &path).unwrap();
    std::fs::write(folder.path().join(name), json.to_string()).unwrap();
    load::read_published(&path).map(|(_, config)| config)
}

#[test]
fn heads_and_activation_come_from_the_file_beside_the_weights() {
    let part = json!({ "num_attention_heads": 4, "hidden_act": "gelu" });
    let json = json!({ "vision_config": part, "text_config": part });
    let found = beside(weights(&vit()), "config.json", &json).unwrap();
    assert_eq!(found, vit());
}

#[test]
fn heads_come_from_a_file_of_open_clip() {
    let theirs = openai("openai_vit_same_net");
    let deduced = Config::deduce(&load::shapes(&to_hugging_face(theirs.clone()).unwrap()));
    let config = deduced.unwrap();
    let VisionConfig::Vit(vit) = &config.vision else {
        panic!("not a vision transformer")
    };
    let json = json!({ "model_cfg": {
        "embed_dim": config.embed_dim,
        "vision_cfg": { "head_width": vit.transformer.width / 2 },
        "text_cfg": { "heads": 2 },
    }});
    let found = beside(theirs, "open_clip_config.json", &json).unwrap();
    assert_eq!((vision_heads(&found), found.text.transformer.heads), (2, 2));
}

fn vision_heads(config: &Config) -> usize {
    match &config.vision {
        VisionConfig::Vit(vit) => vit.transformer.heads,
        VisionConfig::ResNet(resnet) => resnet.heads,
    }
}

#[test]
fn a_file_beside_the_weights_that_contradicts_them_is_named() {
    let refused = |name: &str, json: serde_json::Value, words: &str| {
        let error = beside(weights(&vit()), name, &json).unwrap_err();
        let error = error.to_string();
        assert!(error.contains(name) && error.contains(words), "{error}");
    };
    let part = json!({ "hidden_size": 64 });
    let json = json!({ "vision_config": part, "text_config": {} });
    refused("config.json", json, "hidden_size");
    let json = json!({ "model_cfg": { "vision_cfg": {}, "text_cfg": { "heads": 5 } } });
    refused("open_clip_config.json", json, "heads");
    let json = json!({
        "model_cfg": { "vision_cfg": {}, "text_cfg": { "heads": 4 } },
        "preprocess_cfg": { "mean": [0.5, 0.5, 0.5] },
    });
    refused("open_clip_config.json", json, "mean");
}

#[test]
fn a_file_of_something_else_beside_the_weights_is_left_alone() {
    let json = json!({ "model_type": "unet" });
    let found = beside(weights(&vit()), "config.json", &json).unwrap();
    assert_eq!(
        found,
        Config::deduce(&load::shapes(&weights(&vit()))).unwrap()
    );
}
