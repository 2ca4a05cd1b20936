//! Styles of kernels, biases, and the latents that layers read: what domains change behind their gates.

use domex_stylegan2::normalised_kernels;

use super::*;

/// A kernel of the style γ = S + Γ, β = M + B in place of γ = S, β = M, and the bias of its layer.
fn restyled(weight: &Tensor, by: [&Tensor; 2]) -> Tensor {
    let [o, i, _, _] = <[usize; 4]>::from(weight.dims4().unwrap());
    let rows = weight
        .reshape((o * i, 9))
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    let [gamma, beta] = by.map(|by| by.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    let kernel = |(at, kernel): (usize, &Vec<f32>)| {
        let mean = kernel.iter().sum::<f32>() / 9.0;
        let variance = kernel.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 8.0;
        let deviation = variance.sqrt();
        let (gamma, beta) = (deviation + gamma[at], mean + beta[at]);
        let restyle = move |x: &f32| gamma * (x - mean) / deviation + beta;
        kernel.iter().map(restyle).collect::<Vec<f32>>()
    };
    let all: Vec<f32> = rows.iter().enumerate().flat_map(kernel).collect();
    Tensor::from_vec(all, weight.dims(), &CPU).unwrap()
}

/// By the formula of GAN Memory, for a convolution that doubles the size and one that keeps it.
#[test]
fn styles_of_kernels_and_biases_are_each_samples_own() -> Outcome {
    let net = network();
    let mut changes = Modulations::new();
    for layer in net.synthesis().modulated_layers() {
        if layer.kernel == 1 || layer.resolution != 8 {
            continue;
        }
        let random = |what: &str, shape: &[usize]| normal(&format!("{what} {}", layer.name), shape);
        let kernels = [2, layer.outputs, layer.channels, 1, 1];
        let modulation = Modulation {
            kernel_deviation: Some((random("deviation", &kernels) * 0.3)?),
            weight_offset: Some((random("mean", &kernels) * 0.3)?),
            bias_offset: Some(random("bias", &[2, layer.outputs])),
            ..Modulation::default()
        };
        changes.insert(layer.name, modulation);
    }
    let got = net
        .synthesis()
        .forward_modulated(&latents(), &changes, Noise::Const)?;
    for at in 0..2 {
        let mut tensors = net.tensors();
        for (layer, modulation) in &changes {
            let own = |by: &Option<Tensor>| by.as_ref().unwrap().i(at).unwrap();
            let (gamma, beta) = (
                own(&modulation.kernel_deviation),
                own(&modulation.weight_offset),
            );
            let key = format!("synthesis.{layer}.weight");
            let changed = restyled(&tensors[&key], [&gamma, &beta]);
            tensors.insert(key, changed);
            let key = format!("synthesis.{layer}.bias");
            let changed = (&tensors[&key] + own(&modulation.bias_offset))?;
            tensors.insert(key, changed);
        }
        let ws = latents().i(at..=at)?;
        let want = net
            .with_tensors(&tensors)?
            .synthesis()
            .forward(&ws, Noise::Const)?;
        let error = distance(&got.i(at..=at)?, &want);
        assert!(error < 1e-4 * peak(&want), "{error}");
    }
    Ok(())
}

#[test]
fn a_latent_offset_is_another_latent_of_its_layer() -> Outcome {
    let net = network();
    let (net, ws) = (net.synthesis(), latents());
    let offset = normal("latent", &[2, 10]);
    let layers = net.modulated_layers();
    let modulation = Modulation {
        latent_offset: Some(offset.clone()),
        ..Modulation::default()
    };
    let changes = layers
        .iter()
        .map(|layer| (layer.name.clone(), modulation.clone()));
    let got = net.forward_modulated(&ws, &changes.collect(), Noise::Const)?;
    let moved = ws.broadcast_add(&offset.unsqueeze(1)?)?;
    assert!(same_bits(&got, &net.forward(&moved, Noise::Const)?));
    Ok(())
}

/// A directional derivative of the picture by what a domain may change of kernels, biases and latents, against central differences.
#[test]
fn gradients_reach_styles_of_kernels_biases_and_latents() -> Outcome {
    let config = GeneratorConfig::with_defaults(6, 10, 8, 32, 4)?;
    let tensors = init::generator(&config, 3, DType::F64, &CPU)?;
    let net = Generator::from_tensors(&tensors, &config)?;
    let net = net.synthesis();
    let layer = net
        .modulated_layers()
        .into_iter()
        .find(|layer| layer.name == "b8.conv1");
    let layer = layer.unwrap();
    let double = |what: &str, shape: &[usize]| normal(what, shape).to_dtype(DType::F64).unwrap();
    let kernels = [2, layer.outputs, layer.channels, 1, 1];
    let shapes: [&[usize]; 4] = [&kernels, &kernels, &[2, layer.outputs], &[2, 10]];
    let parts = |step: f64| -> Vec<Var> {
        let part = |(at, shape): (usize, &&[usize])| {
            let begin = (double(&format!("begin {at}"), shape) * 0.2).unwrap();
            let along = (double(&format!("along {at}"), shape) * step).unwrap();
            Var::from_tensor(&(begin + along).unwrap()).unwrap()
        };
        shapes.iter().enumerate().map(part).collect()
    };
    let ws = double("ws", &[2, 4, 10]);
    let r = double("r", &[2, 3, 8, 8]);
    let value = |parts: &[Var]| -> candle_core::Result<Tensor> {
        let part = |at: usize| Some(parts[at].as_tensor().clone());
        let modulation = Modulation {
            kernel_deviation: part(0),
            weight_offset: part(1),
            bias_offset: part(2),
            latent_offset: part(3),
            ..Modulation::default()
        };
        let changes = [(layer.name.clone(), modulation)].into();
        let img = net.forward_modulated(&ws, &changes, Noise::Const).unwrap();
        (img * &r)?.sum_all()
    };
    let at = parts(0.0);
    let grads = value(&at)?.backward()?;
    let mut slope = 0.0;
    for (at, (var, shape)) in at.iter().zip(shapes).enumerate() {
        let grad = grads.get(var).expect("reaches every part");
        let own = (grad * double(&format!("along {at}"), shape))?.sum_all()?;
        let own = own.to_scalar::<f64>()?;
        assert!(own.abs() > 1e-6, "part {at}: {own}");
        slope += own;
    }
    let step = 1e-5;
    let [before, after] = [-step, step].map(|step| value(&parts(step)).unwrap());
    let want = ((after - before)? / (2.0 * step))?.to_scalar::<f64>()?;
    assert!((slope / want - 1.0).abs() < 1e-6, "{slope} and {want}");
    Ok(())
}

/// A kernel of equal numbers has no deviation: it stays as it is.
#[test]
fn a_constant_kernel_keeps_its_numbers() -> Outcome {
    let kernels = Tensor::full(0.1f32, (1, 2, 3, 3), &CPU)?;
    let found = normalised_kernels(&kernels)?
        .abs()?
        .max_all()?
        .to_scalar::<f32>()?;
    assert!(found < 0.1, "{found}");
    let points = normalised_kernels(&Tensor::ones((2, 2, 1, 1), DType::F32, &CPU)?);
    assert!(points.unwrap_err().to_string().contains("k above 1"));
    Ok(())
}

#[test]
fn what_does_not_fit_kernels_biases_and_latents_is_refused_by_name() {
    let net = network();
    let refused = |layer: &str, modulation: Modulation, part: &str| {
        let changes = BTreeMap::from([(layer.to_string(), modulation)]);
        let result = net
            .synthesis()
            .forward_modulated(&latents(), &changes, Noise::Const);
        let message = result.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    let bias = |shape: &[usize]| Modulation {
        bias_offset: Some(normal("bias", shape)),
        ..Modulation::default()
    };
    refused(
        "b8.conv0",
        bias(&[3, 8]),
        "bias offset: shape [3, 8], expected [2, o]",
    );
    refused("b8.conv0", bias(&[2, 7]), "bias offset");
    let kernels = |shape: &[usize]| Modulation {
        kernel_deviation: Some(normal("deviation", shape)),
        ..Modulation::default()
    };
    refused(
        "b8.conv0",
        kernels(&[3, 8, 8, 1, 1]),
        "change of deviations",
    );
    refused(
        "b8.torgb",
        kernels(&[2, 3, 8, 1, 1]),
        "kernels to normalise",
    );
    let latent = Modulation {
        latent_offset: Some(normal("latent", &[2, 9])),
        ..Modulation::default()
    };
    refused("b8.conv0", latent, "latent offset of b8.conv0");
}
