//! What is refused, and that the message says what to do.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::Overwrite;
use domex_clip::layout::Tensors;
use domex_clip::{Bundle, Clip, Config, Error, Overflow, Preprocess, Tokenizer, bundle, load};
use serde_json::json;

type Shapes = BTreeMap<String, Vec<usize>>;

/// The shapes of a published network: `(width, layers, patch, image, text width, text layers, d)`.
fn published([width, layers, patch, image, text_width, text_layers, d]: [usize; 7]) -> Shapes {
    let mut shapes = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
    for (model, width, layers) in [
        ("vision_model", width, layers),
        ("text_model", text_width, text_layers),
    ] {
        for layer in 0..layers {
            add(
                format!("{model}.encoder.layers.{layer}.mlp.fc1.weight"),
                &[4 * width, width],
            );
        }
    }
    add(
        "vision_model.embeddings.patch_embedding.weight".into(),
        &[width, 3, patch, patch],
    );
    add(
        "vision_model.embeddings.position_embedding.weight".into(),
        &[1 + (image / patch).pow(2), width],
    );
    add(
        "text_model.embeddings.token_embedding.weight".into(),
        &[49408, text_width],
    );
    add(
        "text_model.embeddings.position_embedding.weight".into(),
        &[77, text_width],
    );
    add("text_projection.weight".into(), &[d, text_width]);
    shapes
}

const B32: [usize; 7] = [768, 12, 32, 224, 512, 12, 512];

#[test]
fn published_networks_are_recognised() {
    let b16 = [768, 12, 16, 224, 512, 12, 512];
    let l14 = [1024, 24, 14, 224, 768, 12, 768];
    for (shape, heads, text_heads) in [(B32, 12, 8), (b16, 12, 8), (l14, 16, 12)] {
        let config = Config::deduce(&published(shape)).unwrap();
        assert_eq!(config.vision.image_size(), 224);
        assert_eq!(config.embed_dim, shape[6]);
        assert_eq!(
            config,
            config.clone().with_heads(heads, text_heads).unwrap()
        );
    }
}

#[test]
fn shapes_that_contradict_themselves() {
    let refused = |change: &dyn Fn(&mut Shapes), word: &str| {
        let mut shapes = published(B32);
        change(&mut shapes);
        let message = Config::deduce(&shapes).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    let position = "vision_model.embeddings.position_embedding.weight";
    refused(&|s| s.clear(), "text_projection.weight");
    refused(
        &|s| drop(s.remove("vision_model.encoder.layers.3.mlp.fc1.weight")),
        "layers.11",
    );
    refused(
        &|s| drop(s.insert(position.into(), vec![49, 768])),
        "49 positions",
    );
    refused(
        &|s| drop(s.insert(position.into(), vec![0, 768])),
        "0 positions",
    );
    refused(
        &|s| drop(s.insert(position.into(), vec![50])),
        "2 dimensions",
    );
    refused(
        &|s| drop(s.insert("text_projection.weight".into(), vec![0, 512])),
        "embed_dim",
    );
    refused(
        &|s| drop(s.insert("text_projection.weight".into(), vec![usize::MAX, 512])),
        "embed_dim",
    );
}

#[test]
fn configs_that_do_not_fit() {
    let config = Config::deduce(&published(B32)).unwrap();
    for (json, word) in [
        (
            json!({ "vision_config": { "num_attention_heads": 7 } }),
            "vision heads is 7",
        ),
        (
            json!({ "text_config": { "num_attention_heads": 0 } }),
            "text heads is 0",
        ),
        (
            json!({ "text_config": { "hidden_size": 768 } }),
            "hidden_size is 768, expected 512",
        ),
        (
            json!({ "vision_config": { "hidden_act": "relu" } }),
            "\"relu\"",
        ),
        (
            json!({ "vision_config": { "layer_norm_eps": -1.0 } }),
            "eps is -1",
        ),
        (
            json!({ "text_config": { "eos_token_id": 49408 } }),
            "end token is 49408",
        ),
        (json!({ "projection_dim": "many" }), "many"),
    ] {
        let message = config
            .clone()
            .with_hugging_face(&json)
            .unwrap_err()
            .to_string();
        assert!(message.contains(word), "{message}");
    }
}

fn tiny() -> Config {
    let transformer = json!({ "width": 8, "layers": 1, "heads": 2, "mlp_width": 8, "activation": "quick_gelu", "eps": 1e-5 });
    serde_json::from_value(json!({
        "embed_dim": 4,
        "vision": { "kind": "vit", "image_size": 8, "patch_size": 4, "transformer": transformer },
        "text": { "vocab_size": 10, "context_length": 5, "end_token": 9, "transformer": transformer },
    }))
    .unwrap()
}

#[test]
fn inputs_of_the_wrong_kind() {
    let clip = Clip::new(&VarBuilder::zeros(DType::F32, &Device::Cpu), &tiny()).unwrap();
    let pixels = |shape: &[usize]| {
        clip.image_features(&Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap())
    };
    for shape in [&[1, 3, 9, 8][..], &[1, 1, 8, 8], &[3, 8, 8], &[]] {
        let message = pixels(shape).unwrap_err().to_string();
        assert!(message.contains("[n, 3, 8, 8]"), "{message}");
    }
    for (ids, word) in [
        (
            Tensor::new(&[[1u32, 10, 9]], &Device::Cpu),
            "vocabulary of 10",
        ),
        (
            Tensor::new(&[[1i64, -1, 9]], &Device::Cpu),
            "vocabulary of 10",
        ),
        (
            Tensor::new(&[[1u32, 9], [1, 2]], &Device::Cpu),
            "text 1: no end token 9",
        ),
        (Tensor::new(&[[1f32, 9.0]], &Device::Cpu), "not floats"),
        (
            Tensor::new(&[[1u32, 2, 3, 4, 5, 9]], &Device::Cpu),
            "[n, 1 to 5]",
        ),
        (Tensor::new(&[1u32, 9], &Device::Cpu), "[n, 1 to 5]"),
    ] {
        let message = clip.text_features(&ids.unwrap()).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
    let grey = Tensor::zeros((1, 4, 9, 9), DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(
        Preprocess::new(8).apply(&grey),
        Err(Error::Shape { .. })
    ));
    let grey = grey.narrow(1, 0, 3).unwrap();
    assert!(Preprocess::new(0).apply(&grey).is_err());
}

#[test]
fn tensors_that_are_not_the_networks() {
    let none = Clip::from_tensors(Tensors::new(), &tiny(), DType::F32, &Device::Cpu).unwrap_err();
    assert!(
        none.to_string().contains("token_embedding.weight"),
        "{none}"
    );

    let map = candle_nn::VarMap::new();
    Clip::new(
        &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        &tiny(),
    )
    .unwrap();
    let full: Tensors = map
        .data()
        .lock()
        .unwrap()
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    let build = |tensors: Tensors| Clip::from_tensors(tensors, &tiny(), DType::F32, &Device::Cpu);
    assert!(build(full.clone()).is_ok());

    let mut tensors = full.clone();
    tensors.insert(
        "vision_model.extra".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
    );
    let message = build(tensors).unwrap_err().to_string();
    assert!(
        message.contains("1 unexpected") && message.contains("vision_model.extra"),
        "{message}"
    );

    let mut tensors = full;
    tensors.remove("vision_model.post_layernorm.bias");
    let message = build(tensors).unwrap_err().to_string();
    assert!(
        message.contains("vision_model.post_layernorm.bias"),
        "{message}"
    );
}

#[test]
fn files_that_hold_no_clip() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let tensors = std::collections::HashMap::from([(
        "weight".to_owned(),
        Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
    )]);
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let message = load::read(&path).unwrap_err().to_string();
    assert!(message.contains("not a CLIP checkpoint"), "{message}");
    std::fs::write(&path, b"no checkpoint").unwrap();
    assert!(load::read(&path).is_err());
    assert!(load::read(folder.path().join("absent")).is_err());
}

/// The tiny network on bytes, and its file.
fn bundle_file(folder: &std::path::Path) -> std::path::PathBuf {
    let mut config = tiny();
    config.text.vocab_size = 514;
    config.text.end_token = None;
    let map = candle_nn::VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Clip::new(&vb, &config).unwrap();
    let vars = map.data().lock().unwrap();
    let vars = vars.iter();
    let tensors: Tensors = vars
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    let path = folder.join("clip.safetensors");
    let writer = bundle::writer(&tensors, &config, "", &json!({}));
    writer.unwrap().write(&path, Overwrite::Replace).unwrap();
    path
}

#[test]
fn a_file_of_ones_own_that_is_not_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = bundle_file(folder.path());
    let load = || Bundle::load(&path, DType::F32, &Device::Cpu);
    assert_eq!(load().unwrap().clip.config().text.vocab_size, 514);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let message = load().unwrap_err().to_string();
    assert!(message.contains("damaged"), "{message}");
}

#[test]
fn texts_that_do_not_fit() {
    let tokenizer = Tokenizer::new().unwrap();
    let tokenize = |texts: &[&str], context| {
        tokenizer.tokenize(texts, context, Overflow::Refuse, &Device::Cpu)
    };
    let message = tokenize(&["a cat", "one two three four"], 5)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("text 1") && message.contains("6 tokens") && message.contains("at most 5"),
        "{message}"
    );
    assert!(tokenize(&[], 5).is_err());
    assert!(tokenize(&["a"], 1).is_err());
    assert_eq!(
        tokenize(&[""], 3).unwrap().to_vec2::<u32>().unwrap(),
        [[49406, 49407, 0]]
    );
}
