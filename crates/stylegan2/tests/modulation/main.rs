//! Passes that change layers: StyleSpace offsets, and factors behind demodulation.

#![allow(clippy::unwrap_used)] // Also in the helpers.

#[path = "../common/mod.rs"]
mod common;
mod kernels;

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, IndexOp, Tensor, Var};
use common::{Outcome, distance, peak, same_bits};
use domex_latent::modulation::{Modulation, Modulations, Modulator};
use domex_random::Streams;
use domex_stylegan2::{Generator, GeneratorConfig, Noise, Precision, Synthesis, init};

const CPU: Device = Device::Cpu;

fn normal(name: &str, shape: &[usize]) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    Streams::new(7).stream(name).fill_normal(&mut values);
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

fn network() -> Generator {
    let config = GeneratorConfig::with_defaults(6, 10, 16, 64, 8).unwrap();
    let tensors = init::generator(&config, 3, DType::F32, &CPU).unwrap();
    Generator::from_tensors(&tensors, &config).unwrap()
}

fn latents() -> Tensor {
    normal("ws", &[2, 6, 10])
}

/// An offset and a factor for every layer, with `rows` rows.
fn everywhere(net: &Synthesis, rows: usize) -> Modulations {
    let modulation = |name: &str, channels: usize| {
        let random = |what: &str| normal(&format!("{what} {name}"), &[rows, channels]);
        Modulation {
            style_offset: Some((random("offset") * 0.3).unwrap()),
            channel_factor: Some(random("factor").affine(0.3, 1.0).unwrap()),
            ..Modulation::default()
        }
    };
    net.modulated_layers()
        .into_iter()
        .map(|layer| {
            let modulation = modulation(&layer.name, layer.channels);
            (layer.name, modulation)
        })
        .collect()
}

#[test]
fn a_pass_that_changes_nothing_has_the_same_bits() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let want = net.forward(&ws, Noise::Const)?;
    let none = net.forward_modulated(&ws, &Modulations::new(), Noise::Const)?;
    assert!(same_bits(&want, &none));
    let empty = [("b8.conv0".to_string(), Modulation::default())];
    let empty = net.forward_modulated(&ws, &empty.into(), Noise::Const)?;
    assert!(same_bits(&want, &empty));
    Ok(())
}

/// The same changes in every pass.
#[derive(Debug)]
struct Always(Modulations);

impl Modulator for Always {
    fn modulate(&self, _: &Tensor) -> domex_latent::Result<Modulations> {
        Ok(self.0.clone())
    }
}

#[test]
fn what_is_given_to_a_pass_comes_beside_the_networks_own_modulators() -> Outcome {
    let (mut net, ws) = (network(), latents());
    let (own, mut given) = (everywhere(net.synthesis(), 1), Modulations::new());
    let both = net.synthesis().forward_modulated(&ws, &own, Noise::Const)?;
    // A half of them is the network's own.
    let mut first = own.clone();
    for name in own.keys().step_by(2) {
        given.extend(first.remove_entry(name));
    }
    let styles = net.synthesis().styles(&ws)?;
    net.synthesis_mut().add_modulator(Arc::new(Always(first)));
    let net = net.synthesis();
    assert!(same_bits(
        &net.forward_modulated(&ws, &given, Noise::Const)?,
        &both
    ));
    let plain = net.forward(&ws, Noise::Const)?;
    let none = net.forward_modulated(&ws, &Modulations::new(), Noise::Const)?;
    assert!(same_bits(&plain, &none));
    let error = net.forward_styles(&styles, Noise::Const).unwrap_err();
    assert!(error.to_string().contains("modulators"), "{error}");
    Ok(())
}

#[test]
fn the_layers_are_those_of_the_styles() -> Outcome {
    let net = network();
    let styles = net.synthesis().styles(&latents())?;
    let layers = net.synthesis().modulated_layers();
    let found = layers.iter().map(|l| (l.name.as_str(), l.channels));
    let styles = styles.iter().map(|(name, s)| (name.as_str(), s.dims()[1]));
    assert!(found.eq(styles));
    Ok(())
}

#[test]
fn an_offset_is_a_step_in_style_space() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let mut modulations = everywhere(net, 2);
    for modulation in modulations.values_mut() {
        modulation.channel_factor = None;
    }
    let mut styles = net.styles(&ws)?;
    for (name, style) in &mut styles {
        let offset = modulations[name].style_offset.as_ref().unwrap();
        *style = (&*style + offset)?;
    }
    let want = net.forward_styles(&styles, Noise::Const)?;
    let got = net.forward_modulated(&ws, &modulations, Noise::Const)?;
    assert!(same_bits(&want, &got));
    assert!(distance(&got, &net.forward(&ws, Noise::Const)?) > 1e-2);
    Ok(())
}

#[test]
fn one_row_serves_all_samples() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let one = everywhere(net, 1);
    let twice = |t: &Option<Tensor>| t.as_ref().map(|t| t.repeat((2, 1)).unwrap());
    let each: Modulations = one
        .iter()
        .map(|(name, m)| {
            let modulation = Modulation {
                style_offset: twice(&m.style_offset),
                channel_factor: twice(&m.channel_factor),
                ..Modulation::default()
            };
            (name.clone(), modulation)
        })
        .collect();
    let want = net.forward_modulated(&ws, &each, Noise::Const)?;
    let got = net.forward_modulated(&ws, &one, Noise::Const)?;
    assert!(same_bits(&want, &got));
    Ok(())
}

#[test]
fn a_batch_equals_its_samples() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let modulations = everywhere(net, 2);
    let all = net.forward_modulated(&ws, &modulations, Noise::Const)?;
    for sample in 0..2 {
        let row = |t: &Option<Tensor>| t.as_ref().map(|t| t.i(sample..=sample).unwrap());
        let own: Modulations = modulations
            .iter()
            .map(|(name, m)| {
                let modulation = Modulation {
                    style_offset: row(&m.style_offset),
                    channel_factor: row(&m.channel_factor),
                    ..Modulation::default()
                };
                (name.clone(), modulation)
            })
            .collect();
        let one = net.forward_modulated(&ws.i(sample..=sample)?, &own, Noise::Const)?;
        let found = all.i(sample..=sample)?;
        assert!(distance(&one, &found) < 1e-5 * peak(&one), "{sample}");
    }
    Ok(())
}

/// The sum over the samples of the gradient that arrives at the layer's style.
#[test]
fn a_shared_offset_learns() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let r = normal("r", &[2, 3, 16, 16]);
    let name = "b8.conv1";
    let offset = Var::zeros((1, 8), DType::F32, &CPU)?;
    let modulation = Modulation {
        style_offset: Some(offset.as_tensor().clone()),
        ..Modulation::default()
    };
    let modulations = [(name.to_string(), modulation)].into();
    let img = net.forward_modulated(&ws, &modulations, Noise::Const)?;
    let grads = (img * &r)?.sum_all()?.backward()?;
    let found = grads.get(&offset).expect("reaches the offset");

    let mut styles = net.styles(&ws)?;
    let (_, style) = styles.iter_mut().find(|(n, _)| n == name).unwrap();
    let code = Var::from_tensor(style)?;
    *style = code.as_tensor().clone();
    let img = net.forward_styles(&styles, Noise::Const)?;
    let grads = (img * &r)?.sum_all()?.backward()?;
    let want = grads.get(&code).unwrap().sum_keepdim(0)?;
    assert!(distance(found, &want) < 1e-5 * peak(&want));
    Ok(())
}

#[test]
fn half_precision_takes_offsets_and_factors() -> Outcome {
    let mut net = network();
    let mut config = net.config().clone();
    config.synthesis.num_fp16_res = 2;
    config.synthesis.conv_clamp = Some(256.0);
    net = Generator::from_tensors(&net.tensors(), &config)?;
    let (ws, modulations) = (latents(), everywhere(net.synthesis(), 2));
    let draw = |net: &Generator| {
        net.synthesis()
            .forward_modulated(&ws, &modulations, Noise::Const)
    };
    let full = draw(&net)?;
    net.synthesis_mut().set_precision(Precision::Half);
    let half = draw(&net)?;
    let error = distance(&full, &half);
    assert!(error > 0.0 && error < 2e-2 * peak(&full), "{error}");
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let net = network();
    let offset = |name: &str, dims: &[usize]| {
        let modulation = Modulation {
            style_offset: Some(normal("offset", dims)),
            ..Modulation::default()
        };
        (name.to_string(), modulation)
    };
    let factor = |dims: &[usize]| {
        let modulation = Modulation {
            channel_factor: Some(normal("factor", dims)),
            ..Modulation::default()
        };
        ("b8.conv0".to_string(), modulation)
    };
    for (modulation, part) in [
        (
            offset("b8.conv2", &[1, 8]),
            "modulated layer: b8.conv2, expected b4.conv1, ",
        ),
        (
            offset("b8.conv0", &[8]),
            "style offset of b8.conv0: shape [8], expected [2, 8] or [1, 8]",
        ),
        (
            factor(&[3, 8]),
            "channel factor of b8.conv0: shape [3, 8], expected [2, 8]",
        ),
    ] {
        let modulations = BTreeMap::from([modulation]);
        let result = net
            .synthesis()
            .forward_modulated(&latents(), &modulations, Noise::Const);
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

/// A factor of the demodulated weight along its input channels, once as such and once as a weight of each sample's own.
#[test]
fn a_weight_factor_along_input_channels_is_a_channel_factor() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let convolutions = || {
        net.modulated_layers()
            .into_iter()
            .filter(|l| !l.name.ends_with("torgb"))
    };
    let factor = |name: &str, channels: usize| normal(name, &[2, channels]).affine(0.3, 1.0);
    let cheap: Modulations = convolutions()
        .map(|layer| {
            let modulation = Modulation {
                channel_factor: Some(factor(&layer.name, layer.channels)?),
                ..Modulation::default()
            };
            Ok((layer.name, modulation))
        })
        .collect::<candle_core::Result<_>>()?;
    let dear: Modulations = convolutions()
        .map(|layer| {
            let factor = factor(&layer.name, layer.channels)?.reshape((2, 1, (), 1, 1))?;
            let modulation = Modulation {
                weight_factor: Some(factor.repeat((1, 1, 1, 3, 3))?),
                ..Modulation::default()
            };
            Ok((layer.name, modulation))
        })
        .collect::<candle_core::Result<_>>()?;
    let want = net.forward_modulated(&ws, &cheap, Noise::Const)?;
    let got = net.forward_modulated(&ws, &dear, Noise::Const)?;
    assert!(distance(&got, &want) < 1e-5 * peak(&want));
    Ok(())
}

#[test]
fn a_weight_offset_is_another_weight() -> Outcome {
    let net = network();
    let offset = normal("offset", &[8, 8, 1, 1]);
    let mut tensors = net.tensors();
    let key = "synthesis.b8.conv0.weight";
    let changed = tensors[key].broadcast_add(&offset)?;
    tensors.insert(key.to_string(), changed);
    let want = net
        .with_tensors(&tensors)?
        .synthesis()
        .forward(&latents(), Noise::Const)?;
    let modulation = Modulation {
        weight_offset: Some(offset),
        ..Modulation::default()
    };
    let changes = BTreeMap::from([("b8.conv0".to_string(), modulation)]);
    let got = net
        .synthesis()
        .forward_modulated(&latents(), &changes, Noise::Const)?;
    assert!(same_bits(&want, &got));
    Ok(())
}

/// Of a convolution that doubles the size, one that keeps it, and a ToRGB.
#[test]
fn weight_offsets_of_samples_are_other_weights_for_each() -> Outcome {
    let net = network();
    let synthesis = net.synthesis();
    let maps: Vec<Tensor> = synthesis
        .modulated_layers()
        .into_iter()
        .filter(|layer| !layer.name.ends_with("torgb"))
        .map(|layer| {
            let side = layer.resolution;
            normal(&format!("noise {}", layer.name), &[2, 1, side, side])
        })
        .collect();
    let mut changes = everywhere(synthesis, 2);
    for layer in synthesis.modulated_layers() {
        let shape = [2, layer.outputs, layer.channels, 1, 1];
        let offset = normal(&format!("weight {}", layer.name), &shape);
        if layer.name.starts_with("b8.") {
            changes.get_mut(&layer.name).unwrap().weight_offset = Some(offset);
        }
    }
    let got = synthesis.forward_modulated(&latents(), &changes, Noise::Maps(&maps))?;
    for at in 0..2 {
        let row = |t: &Tensor| t.narrow(0, at, 1);
        let mut tensors = net.tensors();
        let mut own = changes.clone();
        for (layer, modulation) in &mut own {
            modulation.style_offset = modulation.style_offset.as_ref().map(row).transpose()?;
            modulation.channel_factor = modulation.channel_factor.as_ref().map(row).transpose()?;
            if let Some(offset) = modulation.weight_offset.take() {
                let key = format!("synthesis.{layer}.weight");
                let changed = tensors[&key].broadcast_add(&offset.i(at)?)?;
                tensors.insert(key, changed);
            }
        }
        let maps: Vec<Tensor> = maps.iter().map(row).collect::<candle_core::Result<_>>()?;
        let other = net.with_tensors(&tensors)?;
        let other = other.synthesis();
        let want = other.forward_modulated(&row(&latents())?, &own, Noise::Maps(&maps))?;
        let error = distance(&row(&got)?, &want);
        assert!(error < 1e-5 * peak(&want), "{error}");
    }
    Ok(())
}

#[test]
fn weight_offsets_for_another_number_of_samples_are_refused() {
    let net = network();
    let modulation = Modulation {
        weight_offset: Some(normal("offset", &[3, 8, 8, 1, 1])),
        ..Modulation::default()
    };
    let changes = BTreeMap::from([("b8.conv0".to_string(), modulation)]);
    let result = net
        .synthesis()
        .forward_modulated(&latents(), &changes, Noise::Const);
    let message = result.unwrap_err().to_string();
    assert!(
        message.contains("weight offset") && message.contains("[2, o"),
        "{message}"
    );
}
