//! Reference cases of the published implementations, see `golden/stylegan2/README.md`.
//!
//! Tolerances are the README's: largest absolute error, and error relative to the tensor's peak.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use candle_core::{Tensor, Var};
use common::{Case, Check, Outcome};
use domex_checkpoint::TensorData;
use domex_stylegan2::mapping::{broadcast, truncate};
use domex_stylegan2::weights::shapes;
use domex_stylegan2::{
    Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Noise, Tensors, Truncation,
    layout, style_mixing,
};

/// Outputs and gradients of a whole generator.
fn generator(file: &str, out: (f64, f64), grad: (f64, f64)) -> Outcome {
    let case = Case::open(file);
    let config = GeneratorConfig::from_kwargs(&case.config)?;
    let spec = Generator::spec(&config)?;
    let (vars, live) = spec.trainable(&case.below("param."))?;
    let mut net = Generator::from_tensors(&live, &config)?;
    let z = Var::from_tensor(case.get("in.z"))?;
    let label = case.tensors.get("in.c");
    let mut outputs = Check::new(out.0, out.1);

    let psi = case.number("truncation_psi");
    let cutoff = Some(case.count("truncation_cutoff"));
    let ws_psi = net.latents(&z, label, Truncation::psi(psi))?;
    outputs.add("ws_psi", &ws_psi, case.get("out.ws_psi"));
    let ws_cut = net.latents(&z, label, Truncation { psi, cutoff })?;
    outputs.add("ws_psi_cutoff", &ws_cut, case.get("out.ws_psi_cutoff"));
    let img = net.synthesis().forward(&ws_psi, Noise::Const)?;
    outputs.add("img_psi_const", &img, case.get("out.img_psi_const"));

    let ws = net.latents(&z, label, Truncation::NONE)?;
    outputs.add("ws", &ws, case.get("out.ws"));
    let img = net.synthesis().forward(&ws, Noise::None)?;
    outputs.add("img_none", &img, case.get("out.img_none"));
    let (ws, at_ws) = domex_ops::autograd::watch(&ws)?;
    let blocks = net.synthesis().forward_blocks(&ws, Noise::Const)?;
    for block in &blocks {
        let taps = [("x", Some(&block.x)), ("img", block.img.as_ref())];
        for (kind, tensor) in taps {
            let name = format!("out.b{}.{kind}", block.resolution);
            if let Some(expected) = case.tensors.get(&name) {
                outputs.add(&name, tensor.expect("stored, so made"), expected);
            }
        }
    }
    let img = blocks.last().and_then(|block| block.img.clone());
    let img = img.expect("the last block makes the picture");
    outputs.add("img_const", &img, case.get("out.img_const"));

    let grads = img.mul(case.get("in.R"))?.sum_all()?.backward()?;
    let mut gradients = Check::new(grad.0, grad.1);
    gradients.gradients(&case, &vars, &grads);
    let at_ws = at_ws.take().expect("the pass reaches ws");
    gradients.add("ws", &at_ws, case.get("grad.ws"));
    if let Some(expected) = case.tensors.get("grad.z") {
        gradients.add("z", grads.get(&z).expect("reaches z"), expected);
    }
    gradients.finish();

    let w = net.mapping().forward(Some(&z), label)?;
    let moved = net.mapping_mut().track(&w)?;
    outputs.add("w_avg", &moved, case.get("out.w_avg_after_train_forward"));
    outputs.finish();
    Ok(())
}

#[test]
fn skip_generator() -> Outcome {
    generator(
        "stylegan2/generator_skip_32.safetensors",
        (2e-4, 3e-5),
        (2e-3, 3e-4),
    )
}

#[test]
fn resnet_generator_with_clamp() -> Outcome {
    generator(
        "stylegan2/generator_resnet.safetensors",
        (4e-5, 2e-5),
        (5e-4, 3e-5),
    )
}

#[test]
fn conditional_generator() -> Outcome {
    generator(
        "stylegan2/generator_conditional.safetensors",
        (6e-5, 2e-5),
        (4e-4, 3e-5),
    )
}

#[test]
fn discriminator() -> Outcome {
    let case = Case::open("stylegan2/discriminator_32.safetensors");
    let config = DiscriminatorConfig::from_kwargs(&case.config)?;
    let (vars, live) = Discriminator::spec(&config)?.trainable(&case.below("param."))?;
    let net = Discriminator::from_tensors(&live, &config)?;
    let img = Var::from_tensor(case.get("in.img"))?;
    let (logits, taps) = net.forward_blocks(&img, None)?;
    let mut outputs = Check::new(4e-5, 4e-5);
    outputs.add("logits", &logits, case.get("out.logits"));
    for (resolution, x) in &taps {
        let name = format!("out.b{resolution}.x");
        outputs.add(&name, x, case.get(&name));
    }
    outputs.finish();
    let grads = logits.mul(case.get("in.R"))?.sum_all()?.backward()?;
    let mut gradients = Check::new(8e-6, 8e-5);
    gradients.gradients(&case, &vars, &grads);
    gradients.add(
        "img",
        grads.get(&img).expect("reaches img"),
        case.get("grad.img"),
    );
    gradients.finish();
    Ok(())
}

/// Explicit noise, registered noise, style mixing, truncation, and the gradient of a W+ code.
#[test]
fn rosinality_generator() -> Outcome {
    let case = Case::open("stylegan2/rosinality_generator.safetensors");
    let weights = case
        .below("param.")
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), TensorData::from_tensor(tensor)?)))
        .collect::<Result<_, domex_checkpoint::Error>>()?;
    let (weights, layout) = layout::generator(&weights, None)?.expect("a known layout");
    let tensors: Tensors = weights
        .iter()
        .map(|(name, data)| Ok((name.clone(), data.to_tensor(&candle_core::Device::Cpu)?)))
        .collect::<Result<_, domex_checkpoint::Error>>()?;
    let mut config = GeneratorConfig::deduce(&shapes(&tensors))?;
    config.synthesis.demodulation = layout.demodulation();
    let net = Generator::from_tensors(&tensors, &config)?;
    let maps: Vec<Tensor> = (0..7)
        .map(|layer| case.get(&format!("in.noise.{layer}")).clone())
        .collect();
    let draw = |ws: &Tensor, noise: Noise<'_>| net.synthesis().forward(ws, noise);
    let mut outputs = Check::new(4e-4, 3e-5);

    let w = net.mapping().forward(Some(case.get("in.z")), None)?;
    outputs.add("latent", &w, case.get("out.latent"));
    let mean = case.get("in.truncation_latent").squeeze(0)?;
    let psi = Truncation::psi(case.number("truncation"));
    let ws = truncate(&broadcast(&w, 8)?, &mean, psi)?;
    outputs.add("latents_trunc", &ws, case.get("out.latents_trunc"));
    let img = draw(&ws, Noise::Maps(&maps))?;
    outputs.add("img_trunc", &img, case.get("out.img_trunc"));

    let ws = broadcast(&w, 8)?;
    let img = draw(&ws, Noise::Maps(&maps))?;
    outputs.add("img_from_z", &img, case.get("out.img_from_z"));
    let img = draw(&ws, Noise::Const)?;
    outputs.add(
        "img_registered_noise",
        &img,
        case.get("out.img_registered_noise"),
    );
    let other = net.mapping().forward(Some(case.get("in.z2")), None)?;
    let mixed = style_mixing(&ws, &broadcast(&other, 8)?, case.count("inject_index"))?;
    let img = draw(&mixed, Noise::Maps(&maps))?;
    outputs.add("img_mix", &img, case.get("out.img_mix"));

    let wplus = Var::from_tensor(case.get("in.wplus"))?;
    let img = draw(&wplus, Noise::Maps(&maps))?;
    outputs.add("img_wplus", &img, case.get("out.img_wplus"));
    outputs.finish();
    let grads = img.mul(case.get("in.R"))?.sum_all()?.backward()?;
    let mut gradients = Check::new(2e-3, 2e-4);
    let found = grads.get(&wplus).expect("reaches the W+ code");
    gradients.add("wplus", found, case.get("grad.wplus"));
    gradients.finish();
    Ok(())
}

#[test]
fn rows_of_a_truncated_latent() -> Outcome {
    let w = Tensor::new(&[[1f32, 2.0], [3.0, -4.0]], &candle_core::Device::Cpu)?;
    let mean = Tensor::new(&[1f32, 0.0], &candle_core::Device::Cpu)?;
    let ws = broadcast(&w, 3)?;
    let cutoff = Some(2);
    let cut = truncate(&ws, &mean, Truncation { psi: 0.5, cutoff })?;
    let rows = cut.to_vec3::<f32>()?;
    assert_eq!(rows[0], [[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]]);
    assert_eq!(rows[1], [[2.0, -2.0], [2.0, -2.0], [3.0, -4.0]]);
    Ok(())
}
