//! What cannot be is refused before the first step, with a message that says what can.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use candle_core::Tensor;
use common::{config, model, normal, pictures};
use domex_diffae::{Autoencoder, Config, Heads, Model};
use domex_latent::Generator;
use serde_json::{Value, json};

fn text<T>(result: Result<T, impl std::fmt::Display>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn says(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in: {text}");
}

/// A code and noise for one picture.
fn operands(model: &Model) -> (Tensor, Tensor) {
    (normal("z", &[1, 32]), model.fixed_noise().unwrap())
}

#[test]
fn more_steps_than_the_training_had() {
    let model = model();
    let (z, noise) = operands(&model);
    let message = text(model.decode(&z, &noise, 101));
    says(
        &message,
        "sampling steps: 101, expected 1 to the 100 steps of training",
    );
    says(
        &text(model.encode_noise(&pictures(1), &z, 200)),
        "1 to the 100",
    );
    says(&text(model.sample_codes(&z, 0)), "1 to the 100");
    says(&text(model.decode(&z, &noise, 60)), "50 or 100");
}

#[test]
fn sizes_that_the_network_cannot_halve() {
    let model = model();
    let z = normal("z", &[1, 32]);
    let message = text(model.decode(&z, &normal("x", &[1, 3, 16, 15]), 5));
    says(&message, "multiples of 2");
    says(
        &text(model.encode(&normal("x", &[1, 3, 9, 9]))),
        "multiples of 2",
    );
    let mut config = config();
    config.unet.image_size = 15;
    config.encoder.image_size = 15;
    says(
        &text(Autoencoder::spec(&config)),
        "image_size: 15, expected a multiple of 2",
    );
    // Another size that can be halved is fine: the network is convolutional.
    assert!(model.decode(&z, &normal("x", &[1, 3, 8, 12]), 5).is_ok());
}

#[test]
fn codes_of_another_size() {
    let model = model();
    let noise = model.fixed_noise().unwrap();
    for dims in [&[1, 31][..], &[2, 32], &[32], &[1, 1, 32], &[0, 32]] {
        let z = Tensor::zeros(dims, model.dtype(), model.device()).unwrap();
        says(&text(model.decode(&z, &noise, 5)), "z_sem: shape");
    }
    says(
        &text(model.sample_codes(&normal("z", &[1, 33]), 5)),
        "[n, 32]",
    );
    says(
        &text(model.synthesize(&normal("z", &[1, 2, 32]))),
        "[n, 1, 32]",
    );
    says(&text(model.synthesize(&normal("z", &[0, 32]))), "[n, 32]");
    says(
        &text(model.encode(&normal("x", &[1, 1, 16, 16]))),
        "[n, 3, any, any]",
    );
}

#[test]
fn numbers_that_are_not_finite() {
    let model = model();
    let (z, noise) = operands(&model);
    for value in [f64::NAN, f64::INFINITY] {
        let spoil = |t: &Tensor| (t + value).unwrap();
        says(&text(model.decode(&spoil(&z), &noise, 5)), "z_sem: entry 0");
        says(&text(model.decode(&z, &spoil(&noise), 5)), "must be finite");
        says(
            &text(model.encode(&spoil(&pictures(1)))),
            "pictures: entry 0",
        );
        says(&text(model.sample_codes(&spoil(&z), 5)), "noise: entry 0");
    }
}

#[test]
fn configurations_out_of_range() {
    let refused = |f: &dyn Fn(&mut Config), part: &str| {
        let mut config = Config::tiny();
        f(&mut config);
        says(&text(Autoencoder::spec(&config)), part);
    };
    refused(&|c| c.unet.output_channels = vec![8, 48], "32 groups");
    refused(
        &|c| c.unet.output_channels.clear(),
        "levels of unet.output_channels",
    );
    refused(&|c| c.unet.input_channels = vec![8], "2 levels");
    refused(&|c| c.unet.heads = Heads::Count(3), "share out 16 channels");
    refused(&|c| c.unet.heads = Heads::Channels(0), "unet.heads");
    refused(&|c| c.unet.num_res_blocks = 0, "num_res_blocks");
    refused(&|c| c.unet.model_channels = 1 << 40, "model_channels");
    refused(&|c| c.unet.patch = 0, "unet.patch");
    refused(
        &|c| c.encoder.patch = 3,
        "encoder.image_size: 16, expected a multiple of 3",
    );
    refused(&|c| c.unet.out_channels = 6, "unet.out_channels");
    refused(
        &|c| c.encoder.out_channels = 31,
        "encoder.out_channels: 31, expected 32",
    );
    refused(
        &|c| c.encoder.channels = vec![8; 40],
        "levels of encoder.channels",
    );
    refused(&|c| c.diffusion.train_steps = 0, "diffusion steps");
    refused(&|c| c.diffusion.train_steps = 5, "with 5 steps has a β");
    refused(&|c| c.latent.as_mut().unwrap().layers = 1, "latent.layers");
    refused(
        &|c| c.latent.as_mut().unwrap().skip_layers = vec![10],
        "latent.skip_layers",
    );
    refused(
        &|c| c.latent.as_mut().unwrap().channels = 33,
        "latent.channels",
    );
}

/// The published arguments of a small network.
fn kwargs() -> Value {
    json!({
        "image_size": 16, "in_channels": 3, "model_channels": 8, "out_channels": 3,
        "num_res_blocks": 2, "num_input_res_blocks": null, "embed_channels": 32,
        "attention_resolutions": [8], "channel_mult": [1, 2], "input_channel_mult": null,
        "conv_resample": true, "num_heads": 1, "num_head_channels": -1,
        "num_heads_upsample": -1, "resblock_updown": true, "use_new_attention_order": false,
        "resnet_two_cond": true, "resnet_cond_channels": null, "num_classes": null,
        "enc_out_channels": 32, "enc_attn_resolutions": null, "enc_pool": "adaptivenonzero",
        "enc_num_res_block": 2, "enc_channel_mult": [1, 2, 2], "latent_net_conf": null
    })
}

#[test]
fn published_arguments_of_variants_that_were_not_published() {
    let mut tiny = Config::tiny();
    tiny.latent = None;
    assert_eq!(Config::from_published(&kwargs()).unwrap(), tiny);
    let refused = |key: &str, value: Value, part: &str| {
        let mut kwargs = kwargs();
        kwargs[key] = value;
        says(&text(Config::from_published(&kwargs)), part);
    };
    refused(
        "resnet_two_cond",
        json!(false),
        "resnet_two_cond: false, expected true",
    );
    refused("enc_pool", json!("depthconv"), "adaptivenonzero");
    refused("num_classes", json!(10), "num_classes");
    refused("channel_mult", json!("wide"), "keyword arguments");
    refused("enc_out_channels", json!(16), "encoder.out_channels");
    refused("latent_net_conf", json!({}), "latent prior");
    says(
        &text(Config::from_published(&json!(null))),
        "keyword arguments",
    );
}
