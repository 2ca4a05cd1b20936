//! The Diffusion Autoencoder and what it is made of.

pub(crate) mod basis;
pub(crate) mod blocks;
pub(crate) mod checkpoint;
pub(crate) mod latent;
pub(crate) mod networks;
pub(crate) mod sampling;
pub(crate) mod schedule;

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Tensor, Var, backprop::GradStore};
use candle_nn::VarBuilder;
use domex_diffae::{Autoencoder, Config, Tensors};
use domex_diffusion::{Betas, Diffusion, Spacing};

use crate::{Case, CaseKind, Result, computed::Computed};

/// The kind of a case of this area, told from its content.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let has = |name: &str| case.get(name).is_some();
    let set = |pointer: &str| case.setting(pointer).is_some();
    let unet = has("param.input_blocks.0.0.weight");
    if set("/state_dict_keys") && case.wants("ema.pred") {
        Some(CaseKind::DiffaeCheckpoint)
    } else if set("/layers_in_order") && case.wants("stylespace") {
        Some(CaseKind::DiffaeBasis)
    } else if set("/num_hid_channels") && case.wants("pred") {
        Some(CaseKind::LatentNet)
    } else if unet && has("in.latent_noise") {
        Some(CaseKind::DiffaeRender)
    } else if unet && has("in.x_start") && case.wants("loss") {
        Some(CaseKind::DiffaeLoss)
    } else if unet && has("in.x_T") && case.any("out.clip.") {
        Some(CaseKind::DiffaeSampling)
    } else if unet && has("in.cond") && case.wants("pred") {
        Some(CaseKind::DiffaeUNet)
    } else if case.any("param.encoder.input_blocks.") && has("in.img") && case.wants("cond") {
        Some(CaseKind::DiffaeEncoder)
    } else if any_entry(case, "beta_schedule") {
        Some(CaseKind::DiffusionSchedule)
    } else if any_entry(case, "emb_channels") {
        Some(CaseKind::DiffusionBlocks)
    } else {
        None
    }
}

/// Whether an entry of the config is an object with that key.
fn any_entry(case: &Case, key: &str) -> bool {
    let entries = case.config.as_object().into_iter().flatten();
    entries
        .into_iter()
        .any(|(_, entry)| entry.get(key).is_some())
}

/// The case's parameters under a prefix as variables, and a builder over them.
struct Live {
    vars: BTreeMap<String, Var>,
    builder: VarBuilder<'static>,
}

impl Live {
    fn new(case: &Case, prefix: &str) -> Result<Self> {
        let mut vars = BTreeMap::new();
        let mut tensors = HashMap::new();
        for (name, tensor) in case.with_prefix(&format!("param.{prefix}")) {
            let var = Var::from_tensor(tensor)?;
            tensors.insert(name.to_owned(), var.as_tensor().clone());
            vars.insert(name.to_owned(), var);
        }
        Ok(Self {
            vars,
            builder: VarBuilder::from_tensors(tensors, DType::F32, case.device()),
        })
    }

    /// Answers `grad.{prefix}{name}` for each parameter whose gradient the case holds.
    fn answer(
        &self,
        case: &Case,
        prefix: &str,
        grads: &GradStore,
        computed: &mut Computed,
    ) -> Result<()> {
        answer(case, &self.vars, prefix, grads, computed)
    }
}

fn answer(
    case: &Case,
    vars: &BTreeMap<String, Var>,
    prefix: &str,
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

/// The networks' tensors, with zeros for what the case does not hold: a case of a part leaves the others out.
fn padded(case: &Case, config: &Config) -> Result<Tensors> {
    let mut tensors = Tensors::new();
    for (name, shape) in Autoencoder::spec(config)?.entries() {
        let tensor = match case.get(&format!("param.{name}")) {
            Some(tensor) => tensor.clone(),
            None => Tensor::zeros(shape, DType::F32, case.device())?,
        };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// The networks' configuration.
fn config(case: &Case) -> Result<Config> {
    Ok(Config::from_published(&case.config)?)
}

/// `in.{name}` as one number for each sample.
fn timesteps(case: &Case, name: &str) -> Result<Vec<f64>> {
    Ok(case.input(name)?.to_dtype(DType::F64)?.to_vec1()?)
}

/// `in.{name}` as steps.
fn steps(case: &Case, name: &str) -> Result<Vec<usize>> {
    let steps = case.input(name)?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
    Ok(steps.into_iter().map(|step| step as usize).collect())
}

/// A process by the keys that the cases' configs have.
fn process(
    case: &Case,
    betas: Option<&str>,
    train_steps: Option<usize>,
    steps: Option<usize>,
    spacing: Spacing,
) -> Result<Diffusion> {
    let betas = betas.ok_or_else(|| case.malformed("no `beta_schedule`"))?;
    let betas: Betas = betas.parse()?;
    let train_steps = train_steps.ok_or_else(|| case.malformed("no number of steps `T`"))?;
    let process = Diffusion::new(&betas, train_steps)?;
    Ok(match steps {
        Some(steps) => process.spaced(steps, spacing)?,
        None => process,
    })
}

/// Steps of a chain as the cases store them, the first axis being the order of execution.
#[derive(Default)]
struct Trace {
    x: Vec<Tensor>,
    x0: Vec<Tensor>,
}

impl Trace {
    fn note(&mut self, step: &domex_diffusion::Step) {
        self.x.push(step.x.clone());
        self.x0.push(step.x0.clone());
    }
}
