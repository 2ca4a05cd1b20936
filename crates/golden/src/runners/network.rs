//! Networks from a case: its config, its tensors, and which of them are variables.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var, backprop::GradStore};
use domex_stylegan2::{Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Tensors};
use serde_json::{Value, json};

use crate::{Case, Result, computed::Computed};

/// A network whose parameters are variables, by their published names.
pub(super) struct Trainable<N> {
    /// The network, live on the variables.
    pub network: N,
    /// The variables.
    pub vars: BTreeMap<String, Var>,
}

impl<N> Trainable<N> {
    /// Answers `grad.{name}` for each parameter whose gradient the case holds.
    pub fn answer(&self, case: &Case, grads: &GradStore, computed: &mut Computed) -> Result<()> {
        for (name, var) in &self.vars {
            if case.get(&format!("grad.{name}")).is_some() {
                computed.grad(name, grads, var)?;
            }
        }
        Ok(())
    }
}

/// The tensors under `param.{prefix}`, by the rest of their names.
pub(super) fn tensors(case: &Case, prefix: &str) -> Tensors {
    let prefix = format!("param.{prefix}");
    case.with_prefix(&prefix)
        .map(|(name, tensor)| (name.to_owned(), tensor.clone()))
        .collect()
}

/// The generator that the case's config describes, on `param.*`.
pub(super) fn generator(case: &Case) -> Result<Trainable<Generator>> {
    let config = generator_config(case)?;
    let (vars, live) = Generator::spec(&config)?.trainable(&tensors(case, ""))?;
    Ok(Trainable {
        network: Generator::from_tensors(&live, &config)?,
        vars,
    })
}

/// The discriminator that the case's config describes, on `param.*`.
pub(super) fn discriminator(case: &Case) -> Result<Trainable<Discriminator>> {
    let config = DiscriminatorConfig::from_kwargs(&case.config)?;
    let (vars, live) = Discriminator::spec(&config)?.trainable(&tensors(case, ""))?;
    Ok(Trainable {
        network: Discriminator::from_tensors(&live, &config)?,
        vars,
    })
}

/// The case's config as a generator's keyword arguments. Where the mapping's learning rate
/// multiplier stands at the top, it is moved to where the published arguments have it.
pub(super) fn generator_config(case: &Case) -> Result<GeneratorConfig> {
    let mut kwargs = case.config.clone();
    if let Some(multiplier) = case.setting("/mapping_lr_multiplier") {
        kwargs["mapping_kwargs"]["lr_multiplier"] = multiplier.clone();
    }
    Ok(GeneratorConfig::from_kwargs(&kwargs)?)
}

/// The discriminator beside a generator: its own arguments under `discriminator`, the rest shared.
pub(super) fn discriminator_config(case: &Case) -> Result<DiscriminatorConfig> {
    let mut kwargs = json!({});
    for key in ["c_dim", "img_resolution", "img_channels"] {
        if let Some(value) = case.config.get(key) {
            kwargs[key] = value.clone();
        }
    }
    if let Some(Value::Object(own)) = case.config.get("discriminator") {
        for (key, value) in own {
            kwargs[key] = value.clone();
        }
    }
    Ok(DiscriminatorConfig::from_kwargs(&kwargs)?)
}

/// The label of a conditional network, `in.c`.
pub(super) fn label(case: &Case) -> Option<&Tensor> {
    case.get("in.c")
}
