//! A tiny Stable Diffusion as a folder of diffusers, with weights that follow from their names.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use domex_checkpoint::TensorData;
use domex_checkpoint::safetensors::{Overwrite, write};
use domex_stable_diffusion::{Shapes, UNetConfig, VaeConfig, text_config, text_shapes};
use serde_json::{Map, Value as Json, json};

/// The pictures of the folder that [`files`] makes have so many pixels on a side.
pub const SIDE: usize = 16;

/// The configurations of a folder: an entry for each part, and the token that fills texts up. The text encoder reads bytes.
pub fn files() -> Json {
    json!({
        "unet": {
            "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 4, "block_out_channels": [32, 64],
            "cross_attention_dim": 16, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "in_channels": 4,
            "layers_per_block": 1, "norm_eps": 1e-5, "norm_num_groups": 32, "out_channels": 4, "sample_size": SIDE / 2,
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        },
        "vae": {
            "_class_name": "AutoencoderKL", "block_out_channels": [8, 16],
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "in_channels": 3, "latent_channels": 4,
            "layers_per_block": 1, "norm_num_groups": 4, "out_channels": 3, "scaling_factor": 2,
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"],
        },
        "text_encoder": {
            "model_type": "clip_text_model", "hidden_act": "quick_gelu", "hidden_size": 16, "intermediate_size": 24,
            "layer_norm_eps": 1e-5, "max_position_embeddings": 48, "num_attention_heads": 2, "num_hidden_layers": 1,
            "vocab_size": 514,
        },
        "scheduler": {
            "_class_name": "PNDMScheduler", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
            "num_train_timesteps": 1000,
        },
        "pad_token": "<|endoftext|>",
    })
}

/// Writes a folder of these configurations, with weights in single precision.
pub fn folder(path: &Path, files: &Json) {
    let json = |name: &str, json: &Json| {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, json.to_string()).unwrap();
        file
    };
    json(
        "model_index.json",
        &json!({ "_class_name": "StableDiffusionPipeline", "safety_checker": [null, null] }),
    );
    json("scheduler/scheduler_config.json", &files["scheduler"]);
    json("tokenizer/vocab.json", &vocabulary());
    json(
        "tokenizer/special_tokens_map.json",
        &json!({ "pad_token": files["pad_token"] }),
    );
    std::fs::write(path.join("tokenizer/merges.txt"), "#version: 0.2\n").unwrap();
    let config = |part: &str| json(&format!("{part}/config.json"), &files[part]);
    let unet = UNetConfig::read(&config("unet")).unwrap();
    let vae = VaeConfig::read(&config("vae")).unwrap();
    let text = text_config(&config("text_encoder")).unwrap();
    for (name, shapes) in [
        ("unet/diffusion_pytorch_model", unet.shapes()),
        ("vae/diffusion_pytorch_model", vae.shapes()),
        ("text_encoder/model", text_shapes(&text)),
    ] {
        let file = path.join(format!("{name}.safetensors"));
        weights(&file, &shapes.unwrap());
    }
}

fn weights(file: &Path, shapes: &Shapes) {
    let data = shapes.iter().map(|(name, shape)| {
        let data = TensorData::from_tensor(&weight(name, shape)).unwrap();
        (name.clone(), data)
    });
    write(file, &BTreeMap::new(), &data.collect(), Overwrite::Replace).unwrap();
}

/// A hash of the name, and of each place in the tensor; the size is that which keeps a layer's deviation.
pub fn weight(name: &str, shape: &[usize]) -> Tensor {
    let letter = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(16_777_619);
    let seed = name.bytes().fold(2_166_136_261, letter);
    let inputs: usize = shape.iter().skip(1).product();
    let value = |i: usize| {
        let mut x = (i as u32).wrapping_mul(0x9E37_79B9).wrapping_add(seed);
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        let x = f64::from(x ^ (x >> 16)) / f64::from(1u32 << 31) - 1.0;
        let x = match shape.len() {
            0 | 1 => x * 0.2 + f64::from(u8::from(name.ends_with("weight"))),
            _ => x * (3.0 / inputs as f64).sqrt(),
        };
        x as f32
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The bytes inside a word, those that end one, start and end.
fn vocabulary() -> Json {
    let plain = (33..127).chain(161..173).chain(174..256);
    let signs: Vec<char> = plain.chain(256..324).filter_map(char::from_u32).collect();
    let inside = signs.iter().map(char::to_string);
    let last = signs.iter().map(|sign| format!("{sign}</w>"));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let words = inside.chain(last).chain(special);
    let ids = words.enumerate().map(|(id, word)| (word, Json::from(id)));
    Json::Object(ids.collect::<Map<_, _>>())
}
