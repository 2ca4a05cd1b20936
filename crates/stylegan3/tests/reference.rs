//! Reference cases of the published implementation, see `golden/stylegan3/README.md`.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Case, Outcome, golden, off, peak};
use domex_checkpoint::foreign;
use domex_ops::autograd::watch;
use domex_stylegan2::Truncation;
use domex_stylegan3::{Generator, GeneratorConfig, Model, Transform, init};

/// Outputs and gradients may be off by so much of their largest number.
const OUT: f64 = 2e-5;
const GRAD: f64 = 5e-5;

fn generator(file: &str) -> Outcome {
    let case = Case::open(file);
    let config = case.generator()?;
    let spec = Generator::spec(&config)?;
    let (vars, live) = spec.trainable(&case.below("param."))?;
    let mut net = Generator::from_tensors(&live, &config)?;
    let (z, label) = (case.get("in.z"), case.tensors.get("in.c"));
    let psi = case.config["truncation_psi"].as_f64().unwrap();
    let cutoff = case.config["truncation_cutoff"].as_u64().unwrap() as usize;
    let mut worst = 0f64;
    let mut compare = |name: &str, found: &Tensor, most: f64| {
        let off = off(found, case.get(name));
        assert!(off <= most, "{file}: {name} off by {off:.2e}");
        worst = worst.max(off);
    };

    let ws_psi = net.latents(z, label, Truncation::psi(psi))?;
    compare("out.ws_psi", &ws_psi, OUT);
    let cutoff = Some(cutoff);
    let ws_cut = net.latents(z, label, Truncation { psi, cutoff })?;
    compare("out.ws_psi_cutoff", &ws_cut, OUT);
    compare("out.img_psi", &net.synthesis().forward(&ws_psi)?, OUT);

    let (ws, at_ws) = watch(&net.latents(z, label, Truncation::NONE)?)?;
    compare("out.ws", &ws, OUT);
    let img = net.synthesis().forward(&ws)?;
    compare("out.img", &img, OUT);
    let grads = img.mul(case.get("in.R"))?.sum_all()?.backward()?;
    compare("grad.ws", &at_ws.take().unwrap(), GRAD);
    let expected = case.below("grad.");
    let floor = 1e-2 * expected.values().map(peak).fold(0.0, f64::max);
    let (mut seen, mut worst_grad) = (0, 0f64);
    for (name, var) in &vars {
        let Some(expected) = expected.get(name) else {
            continue;
        };
        let found = grads.get(var).unwrap();
        let off = peak(&(found - expected)?) / peak(expected).max(floor);
        assert!(off <= GRAD, "{file}: gradient of {name} off by {off:.2e}");
        worst_grad = worst_grad.max(off);
        seen += 1;
    }
    assert!(seen > 10, "the case holds gradients");

    let transform = Transform {
        translate: [0, 1].map(|axis| case.config["translate"][axis].as_f64().unwrap()),
        rotate: case.config["rotate"].as_f64().unwrap(),
    };
    let matrix = transform.matrix(DType::F32, &Device::Cpu)?;
    compare("in.transform", &matrix, 1e-6);
    net.set_transform(&transform)?;
    let features = net
        .synthesis()
        .features(&ws.narrow(0, 0, 1)?.narrow(1, 0, 1)?.squeeze(1)?)?;
    compare("out.input_moved", &features, OUT);
    compare("out.img_moved", &net.synthesis().forward(&ws)?, OUT);
    println!("{file}: outputs off by at most {worst:.2e}, gradients of weights {worst_grad:.2e}");
    Ok(())
}

#[test]
fn configuration_t() -> Outcome {
    generator("generator_t.safetensors")
}

#[test]
fn configuration_r_with_classes() -> Outcome {
    generator("generator_r.safetensors")
}

/// The filters that the published program stores are those that the configuration says.
#[test]
fn filters_are_computed_as_published() -> Outcome {
    for file in ["generator_t.safetensors", "generator_r.safetensors"] {
        let case = Case::open(file);
        let drawn = init::generator(&case.generator()?, 1, DType::F32, &Device::Cpu)?;
        let mut seen = 0;
        for (name, tensor) in case.below("param.") {
            if name.ends_with("_filter") {
                let off = off(&drawn[&name], &tensor);
                assert!(off < 2e-7, "{file}: {name} off by {off:.2e}");
                seen += 1;
            }
        }
        assert!(seen >= 8, "{seen}");
    }
    Ok(())
}

#[test]
fn a_network_pickle_makes_its_pictures() -> Outcome {
    let case = Case::open("stylegan3_tiny.safetensors");
    let path = golden("stylegan3_tiny.pkl");
    assert!(domex_stylegan3::model::recognizes(&path)?);
    let model = Model::load(&path, &Device::Cpu)?;
    assert_eq!(model.config(), &case.generator()?);
    assert_eq!(model.provenance["source"]["format"], "pickle");
    let net = model.generator();
    let discriminator = model.discriminator.as_ref().ok_or("no discriminator")?;
    for (network, found) in [("G_ema", net.tensors()), ("D", discriminator.tensors())] {
        let expected = case.below(&format!("param.{network}."));
        assert!(found.keys().eq(expected.keys()), "{network}");
        for (name, tensor) in &found {
            let apart = (tensor - &expected[name])?.abs()?.sum_all()?;
            assert_eq!(apart.to_scalar::<f32>()?, 0.0, "{network}.{name}");
        }
    }
    assert!(
        Model::load_generator(&path, &Device::Cpu)?
            .discriminator
            .is_none()
    );
    let ws = net.latents(case.get("in.z"), None, Truncation::psi(0.7))?;
    assert!(off(&ws, case.get("out.ws_psi")) < OUT);
    assert!(off(&net.synthesis().forward(&ws)?, case.get("out.img")) < OUT);
    Ok(())
}

/// Names, shapes and filters say what the arguments of the same pickle say.
#[test]
fn the_tensors_of_a_pickle_say_its_configuration() -> Outcome {
    let file = foreign::read(golden("stylegan3_tiny.pkl"))?;
    let weights = file.weights(file.get("G_ema")?)?;
    let tensors = domex_stylegan2::model::tensors(&weights, &Device::Cpu)?;
    let found = GeneratorConfig::deduce(&tensors)?;
    assert_eq!(found, Case::open("stylegan3_tiny.safetensors").generator()?);
    Ok(())
}
