//! Networks of a few thousand random weights, as files: what ships with the program, in small.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_checkpoint::container::Overwrite;
use domex_clip::{Bundle, Clip, Config as ClipConfig, bundle};
use domex_judge::{Architecture, Config as JudgeConfig, Factor};
use domex_lpips::{Backbone, Config as LpipsConfig, Lpips};
use domex_pretrain::judge;
use domex_random::Streams;
use domex_stylegan2::{
    Discriminator, DiscriminatorConfig, GeneratorConfig, MappingConfig, Model, init,
};
use domex_teacher::Network;
use serde_json::{Value as Json, json};

/// Pixels on a side.
pub const SIDE: usize = 16;

/// Size of w.
pub const DIM: usize = 12;

/// Writes all of them into a folder, under the names of the shipped ones.
pub fn world(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    generator(&folder.join("generator.safetensors"), 3, true);
    autoencoder(&folder.join("diffae.safetensors"));
    clip(&folder.join("clip-one.safetensors"), 1);
    clip(&folder.join("clip-two.safetensors"), 2);
    perceptual(&folder.join("perceptual.safetensors"));
}

/// A generator with the weights of this seed, with a discriminator or without.
pub fn generator(path: &Path, seed: u64, with_discriminator: bool) {
    let mut config = GeneratorConfig::with_defaults(8, DIM, SIDE, 128, 8).unwrap();
    config.mapping.num_layers = 2;
    let mut model = Model::random(&config, seed, &Device::Cpu).unwrap();
    if with_discriminator {
        let config = DiscriminatorConfig::new(SIDE, 3, config.synthesis.channels.clone());
        let tensors = init::discriminator(&config, 4, DType::F32, &Device::Cpu).unwrap();
        model.discriminator = Some(Discriminator::from_tensors(&tensors, &config).unwrap());
    }
    model.save(path, Overwrite::Refuse).unwrap();
}

/// A generator of so many classes, with a discriminator that takes labels.
pub fn conditional(path: &Path, seed: u64, classes: usize) {
    let mut config = GeneratorConfig::with_defaults(8, DIM, SIDE, 128, 8).unwrap();
    config.mapping = MappingConfig {
        num_layers: 2,
        ..MappingConfig::new(8, classes, DIM)
    };
    let mut model = Model::random(&config, seed, &Device::Cpu).unwrap();
    let mut config = DiscriminatorConfig::new(SIDE, 3, config.synthesis.channels.clone());
    config.mapping = Some(DiscriminatorConfig::label_mapping(classes, 8));
    let tensors = init::discriminator(&config, 4, DType::F32, &Device::Cpu).unwrap();
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &config).unwrap());
    model.save(path, Overwrite::Refuse).unwrap();
}

/// A generator whose file marks its two highest resolutions for float16.
pub fn half(path: &Path, side: usize) {
    let mut config = GeneratorConfig::with_defaults(8, DIM, side, 128, 8).unwrap();
    config.synthesis.num_fp16_res = 2;
    config.synthesis.conv_clamp = Some(256.0);
    let model = Model::random(&config, 3, &Device::Cpu).unwrap();
    model.save(path, Overwrite::Refuse).unwrap();
}

/// A diffusion autoencoder of the same size.
pub fn autoencoder(path: &Path) {
    let config = domex_diffae::Config::tiny();
    let model = domex_diffae::Model::random(&config, 7, &Device::Cpu).unwrap();
    model.save(path, Overwrite::Refuse).unwrap();
}

/// A CLIP network that reads bytes.
pub fn clip(path: &Path, seed: u64) {
    let encoder = json!({
        "width": 16, "layers": 1, "heads": 2, "mlp_width": 32, "activation": "quick_gelu", "eps": 1e-5,
    });
    let config: ClipConfig = serde_json::from_value(json!({
        "embed_dim": 8,
        "vision": { "kind": "vit", "image_size": 16, "patch_size": 8, "transformer": encoder },
        "text": { "vocab_size": 514, "context_length": 96, "end_token": null, "transformer": encoder },
    }))
    .unwrap();
    let tensors = drawn(seed, |vb| drop(Clip::new(vb, &config).unwrap()));
    bundle::writer(&tensors, &config, "", &Json::Null)
        .unwrap()
        .write(path, Overwrite::Refuse)
        .unwrap();
}

/// A teacher of pictures of `side` pixels that reads texts with this CLIP network.
pub fn teacher(path: &Path, side: usize, clip: &Path) {
    let clip = Bundle::load(clip, DType::F32, &Device::Cpu).unwrap();
    let probe = clip.encode_text(&[domex_teacher::PROBE]).unwrap();
    let config = domex_teacher::Config::new(side, 8, &[8, 16]);
    let tensors = drawn(7, |vb| drop(Network::new(vb, &config).unwrap()));
    domex_teacher::write(path, &config, &tensors, &probe, &Json::Null).unwrap();
}

/// A perceptual network.
pub fn perceptual(path: &Path) {
    let config = LpipsConfig::new(Backbone::Small);
    let mut tensors = drawn(5, |vb| drop(Lpips::new(vb, &config).unwrap()));
    for (name, tensor) in &mut tensors {
        // Heads weigh squares: they are not negative.
        if name.starts_with("lin") {
            *tensor = tensor.abs().unwrap();
        }
    }
    let writer = domex_lpips::file::writer(&tensors, &config, &Json::Null).unwrap();
    writer.write(path, Overwrite::Refuse).unwrap();
}

/// A judge of pictures of `size` pixels on a side, with these classes of the factor `domain`.
pub fn judge(path: &Path, size: usize, domains: &[&str]) {
    let config = JudgeConfig {
        size,
        architecture: Architecture::Residual,
        widths: vec![4; 4],
        factors: vec![
            Factor::new("domain", domains.iter().copied()),
            Factor::new("glasses", ["none", "round"]),
        ],
    };
    let tensors = judge::init(&config, 6).unwrap();
    domex_judge::write(path, &config, &tensors, &Json::Null).unwrap();
}

/// The tensors that a network asks for, drawn by the seed and their names.
fn drawn(seed: u64, build: impl Fn(&VarBuilder<'_>)) -> BTreeMap<String, Tensor> {
    let map = VarMap::new();
    build(&VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu));
    let data = map.data().lock().unwrap();
    let draw = |(name, var): (&String, &candle_core::Var)| {
        let mut values = vec![0f32; var.elem_count()];
        Streams::new(seed).stream(name).fill_normal(&mut values);
        for value in &mut values {
            *value *= 0.3;
        }
        (
            name.clone(),
            Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap(),
        )
    };
    data.iter().map(draw).collect()
}
