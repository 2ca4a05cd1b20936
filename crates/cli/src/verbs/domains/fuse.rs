//! A domain of offsets as plain weights: what an offset adds to a style, the bias of the layer's affine map can add.

use domex_error::user_error;
use domex_latent::domain_vectors::Gate;
use domex_stylegan2::{Generator, Model};

/// The generator with the domain in its weights, at `NAME[=ALPHA]`, and without any domains.
pub fn fuse(model: Model, wanted: &str) -> domex_error::Result<Model> {
    let (name, alpha) = match wanted.rsplit_once('=') {
        Some((name, number)) => match number.trim().parse::<f64>() {
            Ok(alpha) if alpha.is_finite() => (name.trim(), alpha),
            _ => return Err(user_error(format!("{wanted}: {number:?} is no number"))),
        },
        None => (wanted, 1.0),
    };
    let expansion = model.expansion().ok_or_else(|| {
        user_error("the model has no domains; give one that `domex expand` made, as --model")
    })?;
    let domain = expansion.take_out(name)?.ok_or_else(|| {
        user_error(format!(
            "{name}: was trained with all weights and is in them already"
        ))
    })?;
    if !domain.factors.is_empty() {
        return Err(user_error(format!(
            "{name}: has factors of channels, which demodulation does not see and plain weights cannot have; domains of --parametrisation stylespace can be fused"
        )));
    }
    let opened = candle_core::Tensor::new(&[alpha], &candle_core::Device::Cpu)?;
    let strength = match domain.gate {
        Gate::Linear => alpha,
        gate => gate.open(&opened)?.to_vec1::<f64>()?[0],
    };
    let mut tensors = model.g_ema.tensors();
    for (layer, offset) in &domain.offsets {
        let key = format!("synthesis.{layer}.affine.bias");
        let bias = tensors
            .get_mut(&key)
            .ok_or_else(|| user_error(format!("the generator has no tensor {key}")))?;
        let offset = offset.to_dtype(bias.dtype())?.to_device(bias.device())?;
        *bias = (&*bias + (offset * strength)?)?;
    }
    let mut fused = Model::new(Generator::from_tensors(&tensors, model.config())?);
    fused.provenance = model.provenance;
    fused.provenance["fused"] = serde_json::json!({ "domain": name, "strength": alpha });
    Ok(fused)
}
