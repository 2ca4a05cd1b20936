//! The numbers of the published implementation, and those that are known of the published networks.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::{TensorData, foreign};
use domex_clip::config::TextConfig;
use domex_random::Streams;
use domex_stable_diffusion::{
    Shapes, StableDiffusion, Translation, UNetConfig, VaeConfig, Way, text_config, text_shapes,
};
use domex_test_support::stable_diffusion;
use serde_json::{Value as Json, json};

/// A hundredth of a thousandth of the largest number: float32 against float64.
const TOLERANCE: f32 = 1e-5;

struct Reference {
    tensors: BTreeMap<String, Tensor>,
    config: Json,
}

impl Reference {
    fn read() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reference.safetensors");
        let file = foreign::read(file).unwrap();
        let tensors = foreign::state_dict(&file.value).unwrap().into_iter();
        let tensor = |data: TensorData| data.to_tensor(&Device::Cpu).unwrap();
        Self {
            config: serde_json::from_str(&file.metadata["config"]).unwrap(),
            tensors: tensors.map(|(name, data)| (name, tensor(data))).collect(),
        }
    }

    fn get(&self, folder: &str, name: &str) -> &Tensor {
        &self.tensors[&format!("{folder}.{name}")]
    }

    /// The model of a folder.
    fn model(&self, folder: &str) -> StableDiffusion {
        let path = tempfile::tempdir().unwrap();
        stable_diffusion::folder(path.path(), &self.config["folders"][folder]);
        StableDiffusion::load(path.path(), &Device::Cpu).unwrap()
    }

    fn compare(&self, folder: &str, name: &str, found: &Tensor) {
        let expected = self.get(folder, name);
        assert_eq!(found.dims(), expected.dims(), "{folder} {name}");
        let largest = |x: Tensor| -> f32 {
            let x = x.abs().unwrap().max_all().unwrap();
            x.to_scalar().unwrap()
        };
        let error = largest((found - expected).unwrap()) / largest(expected.clone());
        println!("{folder} {name}: {error:.1e}");
        assert!(error < TOLERANCE, "{folder} {name}: {error:.1e}");
    }
}

#[test]
fn every_part_gives_the_numbers_of_the_published_implementation() {
    let reference = Reference::read();
    for folder in ["one", "two"] {
        let (model, get) = (reference.model(folder), |name| reference.get(folder, name));
        let texts = ["source", "target", "nothing"].map(|text| {
            let text = reference.config["texts"][text].as_str().unwrap();
            model.text(text).unwrap()
        });
        reference.compare(folder, "out.states", &Tensor::cat(&texts, 0).unwrap());
        let latents = model.vae().encode(get("in.picture")).unwrap();
        reference.compare(folder, "out.latents", &latents);
        let decoded = model.vae().decode(get("out.latents")).unwrap();
        reference.compare(folder, "out.decoded", &decoded);
        let times = get("in.times").to_dtype(DType::F64).unwrap();
        let predicted = model.unet().forward(
            get("out.latents"),
            &times.to_vec1::<f64>().unwrap(),
            &Tensor::cat(&texts[..2], 0).unwrap(),
        );
        reference.compare(folder, "out.predicted", &predicted.unwrap());
        let kept = &model.process().schedule().alphas_cumprod;
        let kept = Tensor::new(kept.as_slice(), &Device::Cpu).unwrap();
        reference.compare(
            folder,
            "out.alphas_cumprod",
            &kept.to_dtype(DType::F32).unwrap(),
        );
    }
}

#[test]
fn a_translation_is_there_as_the_source_and_back_as_the_target() {
    let reference = Reference::read();
    let mut how: Translation =
        serde_json::from_value(reference.config["translation"].clone()).unwrap();
    how.way = Way::Inversion;
    let mut stream = Streams::new(0).stream("noise");
    for folder in ["one", "two"] {
        let model = reference.model(folder);
        let text = |name: &str| {
            let text = reference.config["texts"][name].as_str().unwrap();
            model.text(text).unwrap().repeat((2, 1, 1)).unwrap()
        };
        let pictures = reference.get(folder, "in.picture");
        let made = model.translate(
            pictures,
            &text("source"),
            &text("target"),
            &how,
            &mut stream,
        );
        // What the reference has in latents, as a picture.
        let expected = model.decode(reference.get(folder, "out.translated"), [16, 16]);
        let apart = (made.unwrap() - expected.unwrap()).unwrap().abs().unwrap();
        let apart: f32 = apart.max_all().unwrap().to_scalar().unwrap();
        println!("{folder}: {apart:.1e}");
        assert!(apart < 3e-4, "{folder}: {apart:.1e}");
    }
}

/// The configurations of the published networks, as their repositories have them.
fn published(folder: &Path, version: &str) -> (UNetConfig, VaeConfig, TextConfig) {
    let down = ["CrossAttnDownBlock2D"; 3]
        .into_iter()
        .chain(["DownBlock2D"]);
    let up = ["UpBlock2D"].into_iter().chain(["CrossAttnUpBlock2D"; 3]);
    let mut unet = json!({
        "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280], "center_input_sample": false,
        "cross_attention_dim": 768, "down_block_types": down.collect::<Vec<_>>(), "downsample_padding": 1, "flip_sin_to_cos": true,
        "freq_shift": 0, "in_channels": 4, "layers_per_block": 2, "mid_block_scale_factor": 1, "norm_eps": 1e-5,
        "norm_num_groups": 32, "out_channels": 4, "sample_size": 64, "up_block_types": up.collect::<Vec<_>>(),
    });
    let vae = json!({
        "act_fn": "silu", "block_out_channels": [128, 256, 512, 512], "down_block_types": vec!["DownEncoderBlock2D"; 4],
        "in_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 3,
        "sample_size": 512, "up_block_types": vec!["UpDecoderBlock2D"; 4],
    });
    let mut text = json!({
        "hidden_act": "quick_gelu", "hidden_size": 768, "intermediate_size": 3072, "layer_norm_eps": 1e-5,
        "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 12, "num_hidden_layers": 12,
        "vocab_size": 49408,
    });
    if version == "2.1" {
        unet["attention_head_dim"] = json!([5, 10, 20, 20]);
        unet["cross_attention_dim"] = 1024.into();
        unet["use_linear_projection"] = true.into();
        for (key, value) in [
            ("hidden_size", 1024),
            ("intermediate_size", 4096),
            ("num_attention_heads", 16),
            ("num_hidden_layers", 23),
        ] {
            text[key] = value.into();
        }
        text["hidden_act"] = "gelu".into();
    }
    let write = |name: &str, json: &Json| {
        let file = folder.join(name);
        std::fs::write(&file, json.to_string()).unwrap();
        file
    };
    (
        UNetConfig::read(&write("unet.json", &unet)).unwrap(),
        VaeConfig::read(&write("vae.json", &vae)).unwrap(),
        text_config(&write("text.json", &text)).unwrap(),
    )
}

#[test]
fn the_published_networks_have_their_known_sizes_and_cost() {
    let folder = tempfile::tempdir().unwrap();
    let numbers = |shapes: &Shapes| -> usize {
        let count = |shape: &Vec<usize>| shape.iter().product::<usize>();
        shapes.values().map(count).sum()
    };
    // Parameters as the published implementation counts them, operations as PyTorch's counter does.
    for (version, unet, text, flops) in [
        ("1.5", 859_520_964, 123_060_480, 803_273_441_280),
        ("2.1", 865_910_724, 340_387_840, 804_257_464_320),
    ] {
        let (unet_config, vae, text_config) = published(folder.path(), version);
        assert_eq!(numbers(&unet_config.shapes().unwrap()), unet, "{version}");
        assert_eq!(numbers(&vae.shapes().unwrap()), 83_653_863);
        assert_eq!(
            numbers(&text_shapes(&text_config).unwrap()),
            text,
            "{version}"
        );
        assert_eq!(unet_config.flops(77).unwrap(), flops, "{version}");
    }
}
