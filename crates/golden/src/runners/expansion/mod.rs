//! Cases of the expansion's training: several networks, a basis, and the tasks in the config.

mod clip_models;
mod perceptual;
pub(super) mod phases;
pub(super) mod step;
pub(super) mod trajectory;

use candle_core::{Tensor, backprop::GradStore};
use domex_latent::{basis::Basis, subspace::Subspaces};
use domex_stylegan2::{Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Vars};
use serde_json::{Value, json};

use super::network::{Trainable, tensors};
use crate::{Case, Result, computed::Computed};

/// The trained generator, on `param.G.*`.
fn generator(case: &Case) -> Result<Trainable<Generator>> {
    let config = generator_config(case)?;
    let (vars, live) = Generator::spec(&config)?.trainable(&tensors(case, "G."))?;
    Ok(Trainable {
        network: Generator::from_tensors(&live, &config)?,
        vars,
    })
}

/// The generator before the expansion, without variables: the synthesis of `param.G_frozen.*`, or
/// for a case without it that of `param.G.*`, and the trained one's mapping network.
fn source(case: &Case) -> Result<Generator> {
    let mut all = tensors(case, "G.");
    for (name, tensor) in tensors(case, "G_frozen.") {
        all.insert(name, tensor);
    }
    Ok(Generator::from_tensors(&all, &generator_config(case)?)?)
}

/// The discriminator, on `param.D.*`.
fn discriminator(case: &Case) -> Result<Trainable<Discriminator>> {
    let Some(kwargs) = case.setting("/discriminator") else {
        return Err(case.malformed("config has no `discriminator`"));
    };
    let config = DiscriminatorConfig::from_kwargs(kwargs)?;
    let (vars, live) = Discriminator::spec(&config)?.trainable(&tensors(case, "D."))?;
    Ok(Trainable {
        network: Discriminator::from_tensors(&live, &config)?,
        vars,
    })
}

/// `generator` of the config, which is flat, brought to the published arguments.
fn generator_config(case: &Case) -> Result<GeneratorConfig> {
    let Some(flat) = case.setting("/generator") else {
        return Err(case.malformed("config has no `generator`"));
    };
    let pick = |pairs: &[(&str, &str)]| -> Value {
        let found = pairs
            .iter()
            .filter_map(|(from, to)| Some(((*to).to_owned(), flat.get(*from)?.clone())));
        Value::Object(found.collect())
    };
    let mut kwargs = json!({
        "mapping_kwargs": pick(&[
            ("mapping_layers", "num_layers"),
            ("mapping_lr_multiplier", "lr_multiplier"),
            ("w_avg_beta", "w_avg_beta"),
        ]),
        "synthesis_kwargs": pick(&[
            ("channel_base", "channel_base"),
            ("channel_max", "channel_max"),
            ("architecture", "architecture"),
            ("conv_clamp", "conv_clamp"),
        ]),
    });
    for key in ["z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"] {
        if let Some(value) = flat.get(key) {
            kwargs[key] = value.clone();
        }
    }
    Ok(GeneratorConfig::from_kwargs(&kwargs)?)
}

/// The repurposed dimensions of `in.basis`, in the order of the tasks.
fn subspaces(case: &Case) -> Result<Subspaces> {
    let basis = case.input("basis")?;
    let tasks = case
        .setting("/expansion_cfg/tasks")
        .and_then(Value::as_array);
    let dims: Option<Vec<usize>> = tasks.and_then(|tasks| {
        let dim = |task: &Value| usize::try_from(task.get("dimension")?.as_u64()?).ok();
        tasks.iter().map(dim).collect()
    });
    let dims = dims.ok_or_else(|| case.malformed("config has no tasks with a `dimension` each"))?;
    Ok(Subspaces::new(
        &Basis::given(basis.clone())?,
        &dims,
        None,
        basis.device(),
        basis.dtype(),
    )?)
}

/// A number of the config that has to be there.
fn number(case: &Case, name: &str) -> Result<f64> {
    case.number(&format!("/{name}"))
        .ok_or_else(|| case.malformed(format!("config has no number `{name}`")))
}

/// Answers `{prefix}{name}` for each parameter whose gradient the case holds under that name.
fn answer(
    case: &Case,
    prefix: &str,
    vars: &Vars,
    grads: &GradStore,
    computed: &mut Computed,
) -> Result<()> {
    for (name, var) in vars {
        let name = format!("{prefix}{name}");
        if case.get(&format!("grad.{name}")).is_some() {
            computed.grad(name, grads, var)?;
        }
    }
    Ok(())
}

/// The loss whose gradients are stored: `gain` times the case's `out.loss`.
fn gained(case: &Case, loss: &Tensor) -> Result<Tensor> {
    Ok((loss * number(case, "gain")?)?)
}
