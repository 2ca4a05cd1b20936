//! What holds for any weights.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use candle_core::{DType, Device, Tensor, Var};
use common::{apart, config, model, normal, pictures, tensors};
use domex_diffae::{Autoencoder, Error, Model, Prediction, init};
use domex_diffusion::{Clip, Loss, Spacing, uniform_timesteps};
use domex_latent::Generator;
use domex_latent::basis::{Basis, BasisKind};
use domex_random::Streams;

#[test]
fn a_batch_is_its_samples_one_by_one() {
    let model = model();
    let x = pictures(3);
    let z = model.encode(&x).unwrap();
    let noise = model.encode_noise(&x, &z, 5).unwrap();
    let back = model.decode(&z, &noise, 5).unwrap();
    let codes = model.sample_codes(&normal("codes", &[3, 32]), 10).unwrap();
    for i in 0..3 {
        let one = |t: &Tensor| t.narrow(0, i, 1).unwrap();
        let zi = model.encode(&one(&x)).unwrap();
        assert!(apart(&zi, &one(&z)) < 1e-5);
        let noise_i = model.encode_noise(&one(&x), &one(&z), 5).unwrap();
        assert!(apart(&noise_i, &one(&noise)) < 1e-3);
        let back_i = model.decode(&one(&z), &one(&noise), 5).unwrap();
        assert!(apart(&back_i, &one(&back)) < 1e-3);
        let code = normal("codes", &[3, 32]).narrow(0, i, 1).unwrap();
        assert!(apart(&model.sample_codes(&code, 10).unwrap(), &one(&codes)) < 1e-4);
    }
}

#[test]
fn gradients_through_a_chain_are_the_same_with_and_without_recomputation() {
    let (vars, live) = Autoencoder::spec(&config())
        .unwrap()
        .trainable(&tensors(DType::F64))
        .unwrap();
    let model = Model::from_tensors(live, &config()).unwrap();
    let wide = |t: Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
    let z = wide(normal("z", &[2, 32]));
    let noise = wide(normal("noise", &[2, 3, 16, 16]));
    let recomputed = model.decode(&z, &noise, 4).unwrap();
    let process = config().diffusion.pictures().unwrap();
    let process = process.spaced(4, Spacing::Ddim).unwrap();
    let unet = &model.networks.unet;
    let denoise = |x: &Tensor, t: &[f64]| unet.forward(x, t, &z);
    let kept = process
        .ddim_sample::<Error>(&noise, Clip::Unit, denoise, |_| {})
        .unwrap();
    assert_eq!(apart(&recomputed, &kept), 0.0);
    let grads = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let (recomputed, kept) = (grads(&recomputed), grads(&kept));
    let of_unet = |name: &str| !name.starts_with("encoder.") && !name.starts_with("latent_net.");
    let weights = vars.iter().filter(|(name, _)| of_unet(name));
    let mut moved = 0;
    for var in weights.map(|(_, var)| var).chain([&z, &noise]) {
        let (a, b) = (recomputed.get(var).unwrap(), kept.get(var).unwrap());
        assert!(apart(a, b) < 1e-9 * (1.0 + apart(b, &b.zeros_like().unwrap())));
        moved += usize::from(apart(b, &b.zeros_like().unwrap()) > 0.0);
    }
    assert_eq!(moved, vars.keys().filter(|name| of_unet(name)).count() + 2);
    // The frozen encoder gets none.
    assert!(recomputed.get(&vars["encoder.out.3.weight"]).is_none());
}

#[test]
fn the_gradient_for_a_code_is_the_difference_quotient() {
    let model = Model::from_tensors(tensors(DType::F64), &config()).unwrap();
    let wide = |t: Tensor| t.to_dtype(DType::F64).unwrap();
    let noise = wide(normal("noise", &[1, 3, 16, 16]));
    let (z, along) = (wide(normal("z", &[1, 32])), wide(normal("along", &[1, 32])));
    let loss = |z: &Tensor| {
        let x = model.decode(z, &noise, 3).unwrap();
        (x * wide(pictures(1))).unwrap().sum_all().unwrap()
    };
    let var = Var::from_tensor(&z).unwrap();
    let grads = loss(&var).backward().unwrap();
    let slope = (grads.get(&var).unwrap() * &along)
        .unwrap()
        .sum_all()
        .unwrap();
    let slope = slope.to_scalar::<f64>().unwrap();
    let at = |h: f64| {
        loss(&(&z + (&along * h).unwrap()).unwrap())
            .to_scalar::<f64>()
            .unwrap()
    };
    let want = (at(1e-6) - at(-1e-6)) / 2e-6;
    assert!(
        (slope - want).abs() < 1e-5 * want.abs().max(1.0),
        "{slope} {want}"
    );
}

#[test]
fn velocity_on_patches_is_noise_like_any_other() {
    let mut config = config();
    config.prediction = Prediction::Velocity;
    (config.unet.patch, config.encoder.patch) = (2, 2);
    let tensors = init::nowhere_zero(&config, 1, DType::F64, &Device::Cpu).unwrap();
    let networks = Autoencoder::from_tensors(&tensors, &config).unwrap();
    let wide = |t: Tensor| t.to_dtype(DType::F64).unwrap();
    let (x0, noise) = (wide(pictures(3)), wide(normal("noise", &[3, 3, 16, 16])));
    let (diffusion, steps) = (config.diffusion.pictures().unwrap(), [3, 40, 99]);
    let z = networks.encoder.forward(&x0).unwrap();
    assert_eq!(z.dims(), [3, 32]);
    let velocity = networks.loss_with_codes(&diffusion, &x0, &z, &steps, &noise);
    let predict = |x: &Tensor, t: &[f64]| networks.unet.forward(x, t, &z);
    let noise = diffusion.training_loss(&x0, &steps, &noise, Loss::Mse, predict);
    // A velocity that is wrong by d says noise that is wrong by √ᾱ d.
    let values = |t: &Tensor| t.to_vec1::<f64>().unwrap();
    let velocity = values(&velocity.unwrap().per_sample);
    for (i, noise) in values(&noise.unwrap().per_sample).iter().enumerate() {
        let kept = diffusion.schedule().alphas_cumprod[steps[i]];
        assert!((noise / (kept * velocity[i]) - 1.0).abs() < 1e-4, "{i}");
    }
}

#[test]
fn a_fresh_network_predicts_nothing_and_learns() {
    let config = config();
    let tensors = init::autoencoder(&config, 1, DType::F32, &Device::Cpu).unwrap();
    let (vars, live) = Autoencoder::spec(&config)
        .unwrap()
        .trainable(&tensors)
        .unwrap();
    let networks = Autoencoder::from_tensors(&live, &config).unwrap();
    let diffusion = config.diffusion.pictures().unwrap();
    let mut stream = Streams::new(1).stream("steps");
    let steps = uniform_timesteps(&mut stream, &diffusion, 2).unwrap();
    let noise = normal("noise", &[2, 3, 16, 16]);
    let loss = || {
        networks
            .training_loss(&diffusion, &pictures(2), &steps, &noise)
            .unwrap()
    };
    let first = loss();
    assert_eq!(apart(&first.prediction, &noise.zeros_like().unwrap()), 0.0);
    for _ in 0..5 {
        let grads = loss().loss.backward().unwrap();
        for var in vars.values() {
            if let Some(grad) = grads.get(var) {
                var.set(&(var.as_tensor() - (grad * 0.05).unwrap()).unwrap())
                    .unwrap();
            }
        }
    }
    let (before, after) = (first.loss, loss().loss);
    let value = |t: &Tensor| t.to_scalar::<f32>().unwrap();
    assert!(value(&after) < 0.95 * value(&before), "{after} {before}");
}

#[test]
fn a_model_serves_as_a_generator() {
    let mut model = model();
    model.steps = 4;
    model.latent_steps = 4;
    let generator: &dyn Generator = &model;
    assert_eq!((generator.latent_dim(), generator.layers()), (32, 1));
    let z = generator.map(&normal("noise", &[2, 32]), None).unwrap();
    let x = generator.synthesize(&z).unwrap();
    assert_eq!(x.dims(), [2, 3, 16, 16]);
    // Equal codes, equal pictures: in a batch, as a row of W+, and at every call.
    let one = generator
        .synthesize(&z.narrow(0, 1, 1).unwrap().unsqueeze(1).unwrap())
        .unwrap();
    assert!(apart(&one, &x.narrow(0, 1, 1).unwrap()) < 1e-4);
    assert_eq!(generator.mean().unwrap().dims(), [32]);
    let basis = Basis::of(generator, &BasisKind::DomainExpansion).unwrap();
    assert_eq!((basis.latent_dim(), basis.count()), (32, 32));
    assert!(basis.sources()[0].starts_with("input_blocks.1.0.cond_emb_layers.1"));
    assert!(generator.map(&normal("noise", &[2, 32]), Some(&z)).is_err());
}
