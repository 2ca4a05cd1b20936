//! A domain as plain weights: changes of affine maps, of weights, of kernels and of biases are added, and what is the same for every
//! latent goes into the biases of the affine maps.
//!
//! A latent of the base subspace then makes the picture that it made when moved into the domain: the step along the
//! domain's direction is such a thing too.

use candle_core::{DType, Tensor};
use domex_error::user_error;
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::matrices::AffineChange;
use domex_stylegan2::{Generator, Model, Tensors, normalised_kernels};

/// The generator with the domain in its weights at strength `alpha`, and without any domains.
pub fn fuse(model: Model, name: &str, alpha: f64) -> domex_error::Result<Model> {
    let expansion = super::expanded(&model)?;
    let domain = expansion.take_out(name)?.ok_or_else(|| {
        user_error(format!(
            "{name}: was trained with all weights and is in them already"
        ))
    })?;
    if !domain.factors.is_empty() {
        return Err(user_error(format!(
            "{name}: has factors of channels, which demodulation does not see and plain weights cannot have; domains of --parametrisation stylespace, affine, affine-light and gan-memory can be fused"
        )));
    }
    if domain.matrices.mapping.is_some() {
        return Err(user_error(format!(
            "{name}: has a mapping of its own, which is not linear in a latent, so no affine map of plain weights can do it; domains of --parametrisation stylespace, affine, affine-light and gan-memory can be fused"
        )));
    }
    let opened = Tensor::new(&[alpha], &candle_core::Device::Cpu)?;
    let strength = match domain.gate {
        Gate::Linear => alpha,
        gate => gate.open(&opened)?.to_vec1::<f64>()?[0],
    };
    let direction = expansion.basis.vectors();
    let direction = direction.narrow(1, domain.domain.dimension, 1)?;
    let step = (direction * (alpha * domain.domain.distance))?; // [D, 1]

    let mut tensors = with_changed_weights(&model, &domain, strength)?;
    for layer in model.g_ema.synthesis().style_names() {
        let at = format!("synthesis.{layer}.affine");
        let weight = tensor(&mut tensors, &format!("{at}.weight"))?.clone();
        let gain = 1.0 / (weight.dim(1)? as f64).sqrt();
        let step = step.to_dtype(weight.dtype())?.to_device(weight.device())?;
        let mut moved = (weight.matmul(&step)?.squeeze(1)? * gain)?;
        if let Some(offset) = domain.offsets.get(&layer) {
            let offset = offset.to_dtype(moved.dtype())?.to_device(moved.device())?;
            moved = (moved + (offset * strength)?)?;
        }
        let bias = tensor(&mut tensors, &format!("{at}.bias"))?;
        *bias = (&*bias + moved)?;
    }
    let mut fused = Model::new(Generator::from_tensors(&tensors, model.config())?);
    fused.provenance = model.provenance;
    fused.provenance["fused"] = serde_json::json!({ "domain": name, "strength": alpha });
    Ok(fused)
}

/// The generator's tensors with so much of the domain's matrices.
fn with_changed_weights(
    model: &Model,
    domain: &DomainFile,
    strength: f64,
) -> domex_error::Result<Tensors> {
    let mut tensors = model.g_ema.tensors();
    let like = |part: &Tensor, by: f64| -> domex_error::Result<Tensor> {
        let synthesis = model.g_ema.synthesis();
        let part = (part.to_dtype(DType::F32)? * by)?;
        Ok(part
            .to_dtype(synthesis.dtype())?
            .to_device(synthesis.device())?)
    };
    for (layer, change) in &domain.matrices.affine {
        let change = match change {
            AffineChange::Full(change) => change.clone(),
            AffineChange::LowRank { out, inner } => out.matmul(inner)?,
        };
        let weight = tensor(&mut tensors, &format!("synthesis.{layer}.affine.weight"))?;
        *weight = (&*weight + like(&change, strength)?)?;
    }
    for (layer, deviation) in &domain.matrices.deviations {
        let weight = tensor(&mut tensors, &format!("synthesis.{layer}.weight"))?;
        let deviation = like(deviation, strength)?.unsqueeze(2)?.unsqueeze(3)?;
        *weight = (&*weight + normalised_kernels(weight)?.broadcast_mul(&deviation)?)?;
    }
    for (layer, offset) in &domain.matrices.weights {
        let weight = tensor(&mut tensors, &format!("synthesis.{layer}.weight"))?;
        let offset = like(offset, strength)?.unsqueeze(2)?.unsqueeze(3)?;
        *weight = weight.broadcast_add(&offset)?;
    }
    for (layer, offset) in &domain.matrices.biases {
        let bias = tensor(&mut tensors, &format!("synthesis.{layer}.bias"))?;
        *bias = (&*bias + like(offset, strength)?)?;
    }
    Ok(tensors)
}

/// A tensor of the generator.
fn tensor<'a>(tensors: &'a mut Tensors, key: &str) -> domex_error::Result<&'a mut Tensor> {
    let missing = || user_error(format!("the generator has no tensor {key}"));
    tensors.get_mut(key).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use domex_latent::Expansion;
    use domex_latent::Generator as _;
    use domex_latent::basis::Basis;
    use domex_latent::expansion::Rows;
    use domex_latent::matrices::Matrices;
    use domex_latent::subspace::{Domain, Layout};
    use domex_random::Streams;
    use domex_stylegan2::GeneratorConfig;

    use super::*;

    const WIDTH: usize = 8;

    fn normal(name: &str, shape: &[usize]) -> Tensor {
        let mut values = vec![0f32; shape.iter().product()];
        Streams::new(3).stream(name).fill_normal(&mut values);
        (Tensor::from_vec(values, shape, &Device::Cpu).unwrap() * 0.3).unwrap()
    }

    /// A model with one domain that has offsets, changes of both forms, and offsets of weights.
    fn model() -> Model {
        let config = GeneratorConfig::with_defaults(4, WIDTH, 8, 32, 4).unwrap();
        let mut model = Model::random(&config, 1, &Device::Cpu).unwrap();
        let mut matrices = Matrices::default();
        let mut offsets = Rows::new();
        for (at, layer) in model
            .g_ema
            .synthesis()
            .modulated_layers()
            .iter()
            .enumerate()
        {
            let own = |part: &str, rows, columns| {
                normal(&format!("{part} {}", layer.name), &[rows, columns])
            };
            let change = match at % 2 {
                0 => AffineChange::Full(own("map", layer.channels, WIDTH)),
                _ => AffineChange::LowRank {
                    out: own("out", layer.channels, 2),
                    inner: own("in", 2, WIDTH),
                },
            };
            matrices.affine.insert(layer.name.clone(), change);
            if layer.resolution == 8 {
                let offset = own("weight", layer.outputs, layer.channels);
                matrices.weights.insert(layer.name.clone(), offset);
                let bias = own("bias", 1, layer.outputs).squeeze(0).unwrap();
                matrices.biases.insert(layer.name.clone(), bias);
            }
            if layer.kernel > 1 {
                let deviation = own("deviation", layer.outputs, layer.channels);
                matrices.deviations.insert(layer.name.clone(), deviation);
            }
            let offset = own("offset", 1, layer.channels).squeeze(0).unwrap();
            offsets.insert(layer.name.clone(), offset);
        }
        let file = DomainFile {
            domain: Domain {
                name: "elf".to_owned(),
                task: serde_json::Value::Null,
                dimension: WIDTH - 1,
                distance: 4.0,
            },
            gate: Gate::Smooth,
            offsets,
            factors: Rows::new(),
            matrices,
        };
        let basis = Basis::given(Tensor::eye(WIDTH, DType::F32, &Device::Cpu).unwrap()).unwrap();
        let mean = model.g_ema.mean().unwrap();
        let mut expansion = Expansion::new(Layout::new(WIDTH), basis, mean).unwrap();
        expansion.put_in(&file).unwrap();
        model.g_ema.follow_domains(&expansion).unwrap();
        model.expansion = Some(expansion);
        model
    }

    #[test]
    fn a_fused_domain_makes_of_base_latents_what_the_model_makes_in_it() {
        for alpha in [1.0, 0.7, -0.5] {
            let model = model();
            let expansion = model.expansion().unwrap();
            let spaces = expansion
                .layout
                .subspaces(&expansion.basis, &Device::Cpu, DType::F32)
                .unwrap();
            let w = normal("w", &[3, WIDTH]);
            let base = spaces.project(&w, Some(&expansion.mean)).unwrap();
            let strengths = expansion.layout.strengths(&[("elf", alpha)]).unwrap();
            let moved = spaces.compose(&base, &strengths).unwrap();
            let want = model.g_ema.synthesize(&moved).unwrap();
            let got = fuse(model, "elf", alpha)
                .unwrap()
                .g_ema
                .synthesize(&base)
                .unwrap();
            let largest = |x: &Tensor| {
                let largest = x.abs().unwrap().max_all().unwrap();
                largest.to_scalar::<f32>().unwrap()
            };
            let error = largest(&(&got - &want).unwrap()) / largest(&want);
            assert!(error < 1e-5, "{alpha}: {error}");
        }
    }
}
