//! What is refused, before a weight is read: the message names the file, what was found and what was expected.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Device;
use domex_checkpoint::TensorData;
use domex_checkpoint::safetensors::{Overwrite, write};
use domex_random::Streams;
use domex_stable_diffusion::{Folder, StableDiffusion, Translation};
use domex_test_support::stable_diffusion::{self, SIDE};
use serde_json::{Value as Json, json};

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    stable_diffusion::folder(folder.path(), &stable_diffusion::files());
    folder
}

fn refused(folder: &Path) -> String {
    Folder::open(folder).unwrap_err().to_string()
}

fn expect(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} in {message}");
    }
}

/// The message when an entry of a configuration is this.
fn with(part: &str, key: &str, value: Json) -> String {
    let folder = folder();
    let file = match part {
        "scheduler" => "scheduler/scheduler_config.json".to_owned(),
        "" => "model_index.json".to_owned(),
        part => format!("{part}/config.json"),
    };
    let file = folder.path().join(file);
    let mut json: Json = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    json[key] = value;
    std::fs::write(&file, json.to_string()).unwrap();
    refused(folder.path())
}

#[test]
fn a_file_that_is_missing_is_named_with_what_to_fetch() {
    for (file, fetch) in [
        ("model_index.json", "model_index.json"),
        ("unet/config.json", "unet/"),
        (
            "unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.safetensors or unet/diffusion_pytorch_model.fp16.safetensors",
        ),
        ("vae/diffusion_pytorch_model.safetensors", "vae/diffusion"),
        (
            "text_encoder/model.safetensors",
            "text_encoder/model.safetensors or",
        ),
        ("tokenizer/merges.txt", "tokenizer/"),
        ("tokenizer/vocab.json", "tokenizer/"),
        (
            "scheduler/scheduler_config.json",
            "scheduler/scheduler_config.json",
        ),
    ] {
        let folder = folder();
        std::fs::remove_file(folder.path().join(file)).unwrap();
        expect(
            &refused(folder.path()),
            &[file, "no such file", &format!("fetch {fetch}")],
        );
    }
}

#[test]
fn networks_that_are_not_built_here_are_named() {
    for (part, key, value, expected) in [
        (
            "",
            "_class_name",
            json!("StableDiffusionXLPipeline"),
            "Stable Diffusion 1.x or 2.x",
        ),
        ("unet", "out_channels", json!(8), "4"),
        ("unet", "act_fn", json!("gelu"), "\"silu\""),
        ("unet", "flip_sin_to_cos", json!(false), "true"),
        ("unet", "transformer_layers_per_block", json!([1, 2]), "1"),
        (
            "unet",
            "class_embed_type",
            json!("timestep"),
            "no such entry",
        ),
        ("unet", "only_cross_attention", json!(true), "no such entry"),
        ("unet", "block_out_channels", json!([]), "1 to 8"),
        (
            "unet",
            "block_out_channels",
            json!([32, 1_u64 << 40]),
            "whole number",
        ),
        (
            "unet",
            "down_block_types",
            json!(["DownBlock2D", "SimpleDownBlock2D"]),
            "DownBlock2D",
        ),
        (
            "unet",
            "attention_head_dim",
            json!([1, 2, 3]),
            "a list of 2",
        ),
        ("unet", "attention_head_dim", json!(7), "divisor"),
        ("unet", "sample_size", json!(9), "multiple of 2"),
        ("unet", "sample_size", Json::Null, "whole number"),
        (
            "unet",
            "cross_attention_dim",
            json!(24),
            "16, the size of the states",
        ),
        ("unet", "norm_eps", json!("small"), "above 0"),
        ("vae", "shift_factor", json!(0.1), "no such entry"),
        ("vae", "use_quant_conv", json!(false), "true"),
        ("text_encoder", "hidden_act", json!("relu"), "quick_gelu"),
        (
            "text_encoder",
            "vocab_size",
            json!(600),
            "514, the size of the ids",
        ),
        ("text_encoder", "model_type", json!("t5"), "clip_text_model"),
        (
            "scheduler",
            "beta_schedule",
            json!("linear"),
            "scaled_linear",
        ),
        // Where it is not said, it is another one.
        ("scheduler", "beta_schedule", Json::Null, "scaled_linear"),
        ("scheduler", "prediction_type", json!("sample"), "epsilon"),
        ("scheduler", "trained_betas", json!([0.1]), "null"),
        ("scheduler", "rescale_betas_zero_snr", json!(true), "false"),
    ] {
        let file = if part.is_empty() {
            "model_index.json"
        } else {
            part
        };
        expect(&with(part, key, value), &[file, key, expected]);
    }
    let message = with("unet", "block_out_channels", json!([32, 48]));
    expect(
        &message,
        &["unet", "norm_num_groups is 32, expected a divisor of 48"],
    );
    let message = with(
        "unet",
        "down_block_types",
        json!(["DownBlock2D", "DownBlock2D"]),
    );
    expect(&message, &["unet", "up_block_types", "as on the way down"]);
    let message = with("text_encoder", "num_attention_heads", json!(3));
    expect(
        &message,
        &["text_encoder", "text heads is 3", "divisor of width 16"],
    );
    // Of another number of channels out than in, as for inpainting, and of latents that are not the autoencoder's.
    expect(
        &with("unet", "in_channels", json!(9)),
        &["unet", "out_channels is 4, expected 9"],
    );
    let message = with("vae", "latent_channels", json!(16));
    expect(
        &message,
        &[
            "unet",
            "in_channels is 4, expected 16, the size of the latents",
        ],
    );
}

#[test]
fn weights_of_another_network_are_named() {
    let message = with("unet", "layers_per_block", json!(2));
    expect(
        &message,
        &[
            "diffusion_pytorch_model.safetensors",
            "tensor down_blocks.0",
            "is not there",
        ],
    );
    let message = with("text_encoder", "intermediate_size", json!(28));
    expect(
        &message,
        &["model.safetensors", "fc1", "[24", "expected [28"],
    );
    let message = with("text_encoder", "num_hidden_layers", json!(0));
    expect(&message, &["num_hidden_layers", "0"]);
    let folder = folder();
    let file = folder
        .path()
        .join("vae/diffusion_pytorch_model.safetensors");
    let more = BTreeMap::from([(
        "adapter".to_owned(),
        TensorData::from_f32(vec![1], &[0.0]).unwrap(),
    )]);
    write(&file, &BTreeMap::new(), &more, Overwrite::Replace).unwrap();
    expect(&refused(folder.path()), &["vae", "is not there"]);
    std::fs::write(&file, b"nothing").unwrap();
    expect(&refused(folder.path()), &["vae"]);
}

#[test]
fn a_tokenizer_that_contradicts_itself_is_named() {
    let change = |name: &str, text: &str| {
        let folder = folder();
        std::fs::write(folder.path().join("tokenizer").join(name), text).unwrap();
        refused(folder.path())
    };
    expect(
        &change("merges.txt", "#version: 0.2\na b\n"),
        &["vocab.json", "514"],
    );
    expect(&change("merges.txt", "a\n"), &["merges.txt", "two parts"]);
    expect(
        &change("vocab.json", r#"{ "!": 1 }"#),
        &["vocab.json", "\"!\" is 1, expected 0"],
    );
    expect(
        &change("vocab.json", r#"{ "cat": 1 }"#),
        &["vocab.json", "\"cat\"", "none that merges.txt makes"],
    );
    expect(
        &change("vocab.json", r#"{ "!": 0 }"#),
        &["1 tokens, expected 514"],
    );
    expect(
        &change("vocab.json", "[]"),
        &["vocab.json", "no JSON object"],
    );
    let padding = r#"{ "pad_token": { "content": "cat" } }"#;
    expect(
        &change("special_tokens_map.json", padding),
        &["special_tokens_map.json", "pad_token"],
    );
}

#[test]
fn texts_and_settings_out_of_range_are_refused() {
    let folder = folder();
    let model = StableDiffusion::load(folder.path(), &Device::Cpu).unwrap();
    let message = model.text(&"zombie ".repeat(20)).unwrap_err().to_string();
    expect(&message, &["122 tokens", "at most 48"]);
    let text = model.text("zombie").unwrap();
    let x = stable_diffusion::weight("picture", &[1, 3, SIDE, SIDE]);
    let stream = || Streams::new(0).stream("noise");
    let translate = |steps, text| {
        let how = Translation {
            steps,
            ..Translation::default()
        };
        let made = model.translate(&x, text, text, &how, &mut stream());
        made.unwrap_err().to_string()
    };
    expect(&translate(1, &text), &["steps", "2 to 1000"]);
    let two = text.repeat((2, 1, 1)).unwrap();
    expect(
        &translate(2, &two),
        &["states of a text", "[1, tokens, 16]"],
    );
    let none = x.narrow(0, 0, 1).unwrap().squeeze(0).unwrap();
    assert!(
        model
            .translate(&none, &text, &text, &Translation::default(), &mut stream())
            .is_err()
    );
}

#[test]
fn damaged_numbers_are_refused_when_they_are_read() {
    let folder = folder();
    let file = folder
        .path()
        .join("vae/diffusion_pytorch_model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len() - 4;
    bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    Folder::open(folder.path()).unwrap();
    let message = StableDiffusion::load(folder.path(), &Device::Cpu).unwrap_err();
    expect(&message.to_string(), &["vae", "NaN"]);
}
