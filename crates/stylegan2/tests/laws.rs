//! Laws that hold whatever the weights are.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::collections::BTreeMap;

use candle_core::{DType, Device, IndexOp, Tensor};
use common::{Outcome, distance, peak, same_bits};
use domex_latent::Generator as _;
use domex_latent::basis::{Basis, BasisKind};
use domex_random::Streams;
use domex_stylegan2::mapping::{broadcast, truncate};
use domex_stylegan2::{
    Architecture, Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Noise, NoiseMode,
    Precision, Tensors, Truncation, init, replace_rows, style_mixing,
};

const CPU: Device = Device::Cpu;

fn normal(name: &str, shape: &[usize]) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    Streams::new(7).stream(name).fill_normal(&mut values);
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

/// Small and random, with nothing left at 0 or 1 that usually starts there.
fn stirred(mut tensors: Tensors) -> Tensors {
    for (name, tensor) in &mut tensors {
        if name.ends_with("bias") || name.ends_with("noise_strength") || name.ends_with("w_avg") {
            let noise = normal(name, tensor.dims());
            *tensor = (&*tensor + (noise * 0.3).unwrap()).unwrap();
        }
    }
    tensors
}

fn small(architecture: Architecture, resolution: usize, c_dim: usize) -> Generator {
    let mut config = GeneratorConfig::with_defaults(6, 10, resolution, 64, 8).unwrap();
    config.mapping.c_dim = c_dim;
    config.mapping.embed_features = if c_dim > 0 { 10 } else { 0 };
    config.mapping.num_layers = 2;
    config.synthesis.architecture = architecture;
    let tensors = stirred(init::generator(&config, 3, DType::F32, &CPU).unwrap());
    Generator::from_tensors(&tensors, &config).unwrap()
}

fn critic(architecture: Architecture, resolution: usize, c_dim: usize) -> Discriminator {
    let channels = domex_stylegan2::config::channels(resolution, 64, 8).unwrap();
    let mut config = DiscriminatorConfig::new(resolution, 3, channels);
    config.architecture = architecture;
    if c_dim > 0 {
        config.mapping = Some(DiscriminatorConfig::label_mapping(c_dim, 5));
    }
    let tensors = stirred(init::discriminator(&config, 3, DType::F32, &CPU).unwrap());
    Discriminator::from_tensors(&tensors, &config).unwrap()
}

const ALL: [Architecture; 3] = [Architecture::Orig, Architecture::Skip, Architecture::Resnet];

#[test]
fn a_batch_equals_its_samples() -> Outcome {
    for architecture in ALL {
        let net = small(architecture, 16, 0);
        let z = normal("z", &[3, 6]);
        let all = net.forward(&z, None, Truncation::psi(0.7), Noise::Const)?;
        for sample in 0..3 {
            let z = z.i(sample..=sample)?;
            let one = net.forward(&z, None, Truncation::psi(0.7), Noise::Const)?;
            let found = all.i(sample..=sample)?;
            assert!(
                distance(&one, &found) < 1e-5 * peak(&one),
                "{architecture:?} {sample}"
            );
        }
    }
    Ok(())
}

#[test]
fn every_resolution_makes_its_picture() -> Outcome {
    for architecture in ALL {
        for resolution in [4, 8, 32] {
            let net = small(architecture, resolution, 0);
            let ws = net.latents(&normal("z", &[2, 6]), None, Truncation::NONE)?;
            let rows = 2 * resolution.ilog2() as usize - 2;
            assert_eq!(ws.dims(), [2, rows, 10]);
            let img = net.synthesis().forward(&ws, Noise::Const)?;
            assert_eq!(img.dims(), [2, 3, resolution, resolution]);
            // A batch is refused by the largest tensor: one that is not there would refuse some that fit.
            let blocks = net.synthesis().forward_blocks(&ws, Noise::Const)?;
            let largest = blocks.iter().map(|block| block.x.elem_count()).max();
            assert_eq!(Some(2 * net.widest()), largest);
            let critic = critic(architecture, resolution, 0);
            let logits = critic.forward(&img, None)?;
            assert_eq!(logits.dims(), [2, 1]);
            assert!(peak(&logits).is_finite());
        }
    }
    Ok(())
}

#[test]
fn styles_go_out_and_in() -> Outcome {
    for architecture in ALL {
        let net = small(architecture, 16, 0);
        let ws = normal("ws", &[2, 6, 10]);
        let styles = net.synthesis().styles(&ws)?;
        assert_eq!(styles[0].0, "b4.conv1");
        let img = net.synthesis().forward(&ws, Noise::Const)?;
        let again = net.synthesis().forward_styles(&styles, Noise::Const)?;
        assert!(same_bits(&img, &again));

        let mut moved = styles.clone();
        moved[0].1 = (&moved[0].1 + 1.0)?;
        let other = net.synthesis().forward_styles(&moved, Noise::Const)?;
        assert!(distance(&img, &other) > 1e-3);
        assert!(
            net.synthesis()
                .forward_styles(&styles[1..], Noise::Const)
                .is_err()
        );
    }
    Ok(())
}

#[test]
fn the_skip_network_has_a_style_per_layer() {
    let net = small(Architecture::Skip, 8, 0);
    let names = net.synthesis().style_names();
    assert_eq!(
        names,
        ["b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb"]
    );
    let names: Vec<_> = net
        .acting_matrices()
        .unwrap()
        .into_iter()
        .map(|m| m.name)
        .collect();
    assert_eq!(names[0], "synthesis.b4.conv1.affine.weight");
    assert_eq!(names[4], "synthesis.b8.torgb.affine.weight");
}

#[test]
fn each_kind_of_basis_takes_one_torgb_of_a_skip_network() {
    let net = small(Architecture::Skip, 16, 0);
    let sources = |kind| Basis::of(&net, &kind).unwrap().sources().to_vec();
    let torgb = |sources: Vec<String>| -> Vec<String> {
        let all = sources.into_iter();
        all.filter(|name| name.contains("torgb")).collect()
    };
    assert_eq!(
        torgb(sources(BasisKind::DomainExpansion)),
        ["synthesis.b4.torgb.affine.weight"]
    );
    assert_eq!(
        torgb(sources(BasisKind::Genforce { layers: None })),
        ["synthesis.b16.torgb.affine.weight"]
    );
}

#[test]
fn truncation_has_its_ends() -> Outcome {
    let net = small(Architecture::Skip, 8, 0);
    let z = normal("z", &[2, 6]);
    let plain = net.latents(&z, None, Truncation::NONE)?;
    let one = net.latents(&z, None, Truncation::psi(1.0))?;
    assert!(same_bits(&plain, &one));
    let zero = net.latents(&z, None, Truncation::psi(0.0))?;
    let mean = broadcast(&net.mean()?.unsqueeze(0)?, 4)?;
    for sample in 0..2 {
        assert!(distance(&zero.i(sample..=sample)?, &mean) < 1e-6);
    }
    let none = truncate(
        &plain,
        &net.mean()?,
        Truncation {
            psi: 0.3,
            cutoff: Some(0),
        },
    )?;
    assert!(same_bits(&none, &plain));
    Ok(())
}

#[test]
fn tracking_moves_the_mean_by_its_rule() -> Outcome {
    let mut net = small(Architecture::Skip, 8, 0);
    let before = net.mean_w()?;
    let w = normal("w", &[5, 10]);
    let moved = net.mapping_mut().track(&w)?;
    let expected = ((&before * 0.995)? + (w.mean(0)? * 0.005)?)?;
    assert!(distance(&moved, &expected) < 1e-6);
    assert!(same_bits(&net.mean_w()?, &moved));
    assert!(same_bits(&net.tensors()["mapping.w_avg"], &moved));
    Ok(())
}

#[test]
fn noise_modes() -> Outcome {
    let net = small(Architecture::Skip, 8, 0);
    let ws = normal("ws", &[2, 4, 10]);
    let draw = |mode: NoiseMode, stream: &str| {
        let mut stream = Streams::new(1).stream(stream);
        net.synthesis()
            .forward(&ws, Noise::new(mode, &mut stream))
            .unwrap()
    };
    let constant = draw(NoiseMode::Const, "a");
    assert!(same_bits(
        &constant,
        &net.synthesis().forward(&ws, Noise::Const)?
    ));
    assert!(same_bits(
        &draw(NoiseMode::Random, "a"),
        &draw(NoiseMode::Random, "a")
    ));
    assert!(distance(&draw(NoiseMode::Random, "a"), &draw(NoiseMode::Random, "b")) > 1e-3);
    assert!(distance(&draw(NoiseMode::None, "a"), &constant) > 1e-3);

    // The buffers, given as explicit maps, are the constant noise.
    let own = net.tensors();
    let maps: Vec<Tensor> = ["b4.conv1", "b8.conv0", "b8.conv1"]
        .iter()
        .map(|layer| own[&format!("synthesis.{layer}.noise_const")].clone())
        .collect();
    assert!(same_bits(
        &constant,
        &net.synthesis().forward(&ws, Noise::Maps(&maps))?
    ));
    let wide: Vec<Tensor> = maps
        .iter()
        .map(|map| map.broadcast_as((2, 1, map.dims()[0], map.dims()[1])))
        .collect::<Result<_, _>>()?;
    let same = net.synthesis().forward(&ws, Noise::Maps(&wide))?;
    assert!(distance(&constant, &same) < 1e-6);
    let error = net
        .synthesis()
        .forward(&ws, Noise::Maps(&maps[1..]))
        .unwrap_err();
    assert!(
        error.to_string().contains("noise maps: 2, expected 3"),
        "{error}"
    );
    Ok(())
}

#[test]
fn mixing_takes_rows_from_both() -> Outcome {
    let (a, b) = (normal("a", &[2, 4, 10]), normal("b", &[2, 4, 10]));
    let mixed = style_mixing(&a, &b, 1)?;
    assert!(same_bits(&mixed.i((.., ..1))?, &a.i((.., ..1))?));
    assert!(same_bits(&mixed.i((.., 1..))?, &b.i((.., 1..))?));
    assert!(same_bits(&style_mixing(&a, &b, 0)?, &b));
    assert!(same_bits(&style_mixing(&a, &b, 4)?, &a));
    assert!(same_bits(&replace_rows(&a, &b, &[1, 3, 2])?, &mixed));
    assert!(style_mixing(&a, &b, 5).is_err());
    assert!(replace_rows(&a, &b, &[4]).is_err());
    Ok(())
}

#[test]
fn a_conditional_discriminator_projects_its_label() -> Outcome {
    let net = critic(Architecture::Resnet, 8, 3);
    let img = normal("img", &[2, 3, 8, 8]);
    let label = Tensor::new(&[[0f32, 1.0, 0.0], [0.0, 0.0, 1.0]], &CPU)?;
    let logits = net.forward(&img, Some(&label))?;
    assert_eq!(logits.dims(), [2, 1]);

    // The same with the label's part by hand: an unconditional network with five outputs, of
    // which each is read by a projection of 1 in one place.
    let tensors = net.tensors();
    let dense = |x: &Tensor, name: &str, gain: f64, bias: f64| -> candle_core::Result<Tensor> {
        let weight = &tensors[&format!("mapping.{name}.weight")];
        let offset = (&tensors[&format!("mapping.{name}.bias")] * bias)?;
        let scale = gain / (weight.dim(1)? as f64).sqrt();
        x.matmul(&(weight.t()? * scale)?)?.broadcast_add(&offset)
    };
    let unit = |x: &Tensor| -> candle_core::Result<Tensor> {
        x.broadcast_div(&(x.sqr()?.mean_keepdim(1)? + 1e-8)?.sqrt()?)
    };
    let mut cmap = unit(&dense(&label, "embed", 1.0, 1.0)?)?;
    for layer in 0..8 {
        let x = dense(&cmap, &format!("fc{layer}"), 0.01, 0.01)?;
        cmap = (x.maximum(&(&x * 0.2)?)? * 2f64.sqrt())?;
    }
    let mut features = Vec::new();
    for place in 0..5 {
        let mut one = tensors.clone();
        one.retain(|name, _| !name.starts_with("mapping."));
        for part in ["weight", "bias"] {
            let name = format!("b4.out.{part}");
            let row = one[&name].i(place..=place)?.contiguous()?;
            one.insert(name, row);
        }
        let config = DiscriminatorConfig {
            mapping: None,
            ..net.config().clone()
        };
        features.push(Discriminator::from_tensors(&one, &config)?.forward(&img, None)?);
    }
    let by_hand = (Tensor::cat(&features, 1)? * cmap)?.sum_keepdim(1)?;
    let by_hand = (by_hand / 5f64.sqrt())?;
    assert!(distance(&logits, &by_hand) < 1e-5 * peak(&by_hand).max(1.0));

    let missing = net.forward(&img, None).unwrap_err().to_string();
    assert!(missing.contains("needs a label"), "{missing}");
    Ok(())
}

#[test]
fn half_precision_stays_near() -> Outcome {
    for architecture in ALL {
        let mut net = small(architecture, 16, 0);
        let mut config = net.config().clone();
        config.synthesis.num_fp16_res = 2;
        config.synthesis.conv_clamp = Some(256.0);
        net = Generator::from_tensors(&net.tensors(), &config)?;
        let ws = normal("ws", &[2, 6, 10]);
        let full = net.synthesis().forward(&ws, Noise::Const)?;
        net.synthesis_mut().set_precision(Precision::Half);
        let blocks = net.synthesis().forward_blocks(&ws, Noise::Const)?;
        let types: Vec<_> = blocks.iter().map(|block| block.x.dtype()).collect();
        assert_eq!(types, [DType::F32, DType::F16, DType::F16]);
        let half = net.synthesis().forward(&ws, Noise::Const)?;
        assert_eq!(half.dtype(), DType::F32);
        let error = distance(&full, &half);
        assert!(
            error > 0.0 && error < 2e-2 * peak(&full),
            "{architecture:?}: {error}"
        );
    }
    Ok(())
}

#[test]
fn a_pass_to_a_resolution_ends_there_or_where_there_first_is_a_picture() -> Outcome {
    for (architecture, sides) in [
        (Architecture::Skip, [4, 8, 16]),
        (Architecture::Resnet, [16, 16, 16]),
    ] {
        let net = small(architecture, 16, 0);
        let net = net.synthesis();
        let ws = normal("ws", &[2, 6, 10]);
        let blocks = net.forward_blocks(&ws, Noise::Const)?;
        for (asked, side) in [4, 8, 16].into_iter().zip(sides) {
            let drawn = net.forward_to(&ws, asked, Noise::Const)?;
            let block = blocks.iter().find(|block| block.resolution == side);
            let expected = block
                .and_then(|block| block.img.clone())
                .expect("a picture");
            assert!(same_bits(&drawn, &expected), "{architecture:?} {asked}");
        }
    }
    Ok(())
}

#[test]
fn weights_stay_live() -> Outcome {
    let net = small(Architecture::Resnet, 8, 2);
    let (vars, live) = Generator::spec(net.config())?.trainable(&net.tensors())?;
    let trained = Generator::from_tensors(&live, net.config())?;
    let label = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &CPU)?;
    let draw = |net: &Generator| {
        let z = normal("z", &[2, 6]);
        net.forward(&z, Some(&label), Truncation::NONE, Noise::Const)
    };
    assert!(same_bits(&draw(&net)?, &draw(&trained)?));
    let grads = draw(&trained)?.sqr()?.sum_all()?.backward()?;
    let before = draw(&trained)?;
    for (name, var) in &vars {
        let grad = grads
            .get(var)
            .unwrap_or_else(|| panic!("no gradient for {name}"));
        assert!(peak(grad) > 0.0, "{name}");
        var.set(&(var.as_tensor() - (grad * 1e-6)?)?.detach())?;
    }
    assert!(distance(&before, &draw(&trained)?) > 0.0);
    assert!(
        !vars
            .keys()
            .any(|name| name.contains("w_avg") || name.contains("filter"))
    );
    Ok(())
}

#[test]
fn a_frozen_network_passes_a_gradient_to_its_latent() -> Outcome {
    let net = small(Architecture::Skip, 8, 0);
    let ws = candle_core::Var::from_tensor(&normal("ws", &[1, 4, 10]))?;
    let img = net.synthesis().forward(&ws, Noise::Const)?;
    let grads = img.sum_all()?.backward()?;
    assert!(peak(grads.get(&ws).expect("reaches ws")) > 0.0);
    Ok(())
}

#[test]
fn initial_weights_follow_the_published_rule() -> Outcome {
    let config = GeneratorConfig::with_defaults(64, 64, 16, 512, 64)?;
    let tensors = init::generator(&config, 5, DType::F32, &CPU)?;
    let spread = |name: &str| -> f64 {
        let tensor = tensors[name].to_dtype(DType::F64).unwrap();
        let square: f64 = tensor
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar()
            .unwrap();
        square.sqrt()
    };
    assert!((spread("synthesis.b8.conv0.weight") - 1.0).abs() < 0.02);
    assert!((spread("mapping.fc1.weight") - 100.0).abs() < 4.0);
    assert!((spread("synthesis.b8.conv0.noise_const") - 1.0).abs() < 0.4);
    assert_eq!(spread("synthesis.b8.conv0.noise_strength"), 0.0);
    assert_eq!(spread("synthesis.b8.conv0.bias"), 0.0);
    assert_eq!(spread("synthesis.b8.conv0.affine.bias"), 1.0);
    let filter = tensors["synthesis.b8.resample_filter"].to_vec2::<f32>()?;
    assert_eq!(filter[1], [3.0 / 64.0, 9.0 / 64.0, 9.0 / 64.0, 3.0 / 64.0]);
    let again = init::generator(&config, 5, DType::F32, &CPU)?;
    assert!(
        tensors
            .iter()
            .all(|(name, tensor)| same_bits(tensor, &again[name]))
    );
    let other = init::generator(&config, 6, DType::F32, &CPU)?;
    assert!(distance(&tensors["mapping.fc0.weight"], &other["mapping.fc0.weight"]) > 1.0);
    Ok(())
}

#[test]
fn double_precision_agrees() -> Outcome {
    let net = small(Architecture::Resnet, 8, 0);
    let wide: BTreeMap<_, _> = net
        .tensors()
        .into_iter()
        .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F64)?)))
        .collect::<candle_core::Result<_>>()?;
    let wide = Generator::from_tensors(&wide, net.config())?;
    let z = normal("z", &[2, 6]);
    let img = net.forward(&z, None, Truncation::psi(0.5), Noise::Const)?;
    let z = z.to_dtype(DType::F64)?;
    let fine = wide.forward(&z, None, Truncation::psi(0.5), Noise::Const)?;
    assert_eq!(fine.dtype(), DType::F64);
    assert!(distance(&img, &fine) < 1e-5 * peak(&fine));
    Ok(())
}

#[test]
fn a_region_divides_a_picture_between_two_latents() {
    for architecture in ALL {
        let generator = small(architecture, 16, 0);
        let synthesis = generator.synthesis();
        let [inside, outside] = ["inside", "outside"]
            .map(|name| broadcast(&normal(name, &[2, 10]), generator.config().num_ws()).unwrap());
        let within = |region: &Tensor| {
            let noise = Noise::Const;
            let made = synthesis.forward_within(&inside, &outside, region, noise);
            made.unwrap()
        };
        let [one, other] =
            [&inside, &outside].map(|ws| synthesis.forward(ws, Noise::Const).unwrap());
        let none = Tensor::zeros((1, 1, 16, 16), DType::F32, &CPU).unwrap();
        assert!(same_bits(&within(&none), &other), "{architecture:?}");
        assert!(
            same_bits(&within(&none.ones_like().unwrap()), &one),
            "{architecture:?}"
        );

        let left = Tensor::ones((1, 1, 16, 8), DType::F32, &CPU).unwrap();
        let left = left.pad_with_zeros(3, 0, 8).unwrap();
        let both = within(&left);
        let right = |x: &Tensor| x.narrow(3, 8, 8).unwrap();
        assert!(same_bits(&right(&both), &right(&other)), "{architecture:?}");
        let far =
            |x: &Tensor| distance(&both.narrow(3, 0, 2).unwrap(), &x.narrow(3, 0, 2).unwrap());
        assert!(far(&one) < far(&other), "{architecture:?}");
    }
}

#[test]
fn a_region_that_does_not_fit_is_refused() {
    let generator = small(Architecture::Skip, 16, 0);
    let ws = broadcast(&normal("w", &[1, 10]), generator.config().num_ws()).unwrap();
    let region = Tensor::ones((1, 1, 8, 8), DType::F32, &CPU).unwrap();
    let synthesis = generator.synthesis();
    let refused = synthesis.forward_within(&ws, &ws, &region, Noise::Const);
    assert!(refused.unwrap_err().to_string().contains("region"));
    let region = Tensor::ones((1, 1, 16, 16), DType::F32, &CPU).unwrap();
    let mut stream = Streams::new(0).stream("noise");
    let refused = synthesis.forward_within(&ws, &ws, &region, Noise::Random(&mut stream));
    assert!(refused.unwrap_err().to_string().contains("random"));
}
