//! Tiny networks for the tests.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_clip::{Clip, Config, Tokenizer};
use domex_nada::Guide;
use domex_ops::testing::randn;
use image::RgbImage;
use serde_json::json;

/// A network on bytes with random weights, in `f64`.
pub fn guide(seed: u64) -> Guide {
    let block = json!({ "width": 16, "layers": 1, "heads": 2, "mlp_width": 24, "activation": "quick_gelu", "eps": 1e-5 });
    let config: Config = serde_json::from_value(json!({
        "embed_dim": 8 + seed,
        "vision": { "kind": "vit", "image_size": 16, "patch_size": 8, "transformer": block },
        "text": { "vocab_size": 514, "context_length": 77, "end_token": null, "transformer": block },
    }))
    .unwrap();
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F64, &Device::Cpu);
    Clip::new(&vb, &config).unwrap();
    for (name, var) in map.data().lock().unwrap().iter() {
        let seed = name
            .bytes()
            .fold(seed, |h, b| h * 31 % 65_521 + u64::from(b));
        var.set(&(randn(var.dims(), seed) * 0.3).unwrap()).unwrap();
    }
    let clip = Clip::new(&vb, &config).unwrap();
    let tokenizer = Arc::new(Tokenizer::with_merges("").unwrap());
    Guide::new(format!("tiny {seed}"), clip, tokenizer)
}

/// Pictures `[n, 3, 20, 24]`.
pub fn pictures(n: usize, seed: u64) -> Tensor {
    randn(&[n, 3, 20, 24], seed).tanh().unwrap()
}

/// Pictures as files hold them.
#[allow(dead_code, reason = "not every test file asks for them")]
pub fn files(n: usize, seed: u64) -> Vec<RgbImage> {
    domex_data::picture::to_rgb(&pictures(n, seed)).unwrap()
}

/// A number.
#[allow(dead_code, reason = "not every test file asks for one")]
pub fn scalar(x: &Tensor) -> f64 {
    x.to_scalar::<f64>().unwrap()
}
