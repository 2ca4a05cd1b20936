//! StyleGAN3: a whole generator with gradients, and the contents of a network pickle.

use std::path::Path;

use domex_ops::autograd::watch;
use domex_stylegan2::Truncation;
use domex_stylegan3::{Generator, GeneratorConfig, Model, Transform};
use serde::Deserialize;

use super::{checkpoint::contents, network};
use crate::{
    Case, CaseKind, Result,
    computed::{Computed, dot},
};

/// A tensor that no other generator has.
const MARK: &str = "synthesis.input.freqs";

/// The kind of a case, if it is one of these.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    if case.get(&format!("param.{MARK}")).is_some() {
        Some(CaseKind::StyleGan3)
    } else if case.get(&format!("param.G_ema.{MARK}")).is_some() {
        Some(CaseKind::StyleGan3Checkpoint)
    } else {
        None
    }
}

/// What stands beside the generator's arguments.
const BESIDE: [&str; 4] = ["truncation_psi", "truncation_cutoff", "translate", "rotate"];

fn config(case: &Case) -> Result<GeneratorConfig> {
    let mut kwargs = case.config.clone();
    if let Some(entries) = kwargs.as_object_mut() {
        entries.retain(|key, _| !BESIDE.contains(&key.as_str()));
    }
    Ok(GeneratorConfig::from_kwargs(&kwargs)?)
}

/// Mapping, truncation, synthesis with and without a user's transform, gradients.
pub(crate) fn run(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Moved {
        translate: [f64; 2],
        rotate: f64,
    }
    let mut computed = Computed::default();
    let config = config(case)?;
    let (vars, live) = Generator::spec(&config)?.trainable(&network::tensors(case, ""))?;
    let trainable = network::Trainable {
        network: Generator::from_tensors(&live, &config)?,
        vars,
    };
    let mut generator = trainable.network.clone();
    let (z, label) = (case.input("z")?, network::label(case));
    let psi = case.number("/truncation_psi").unwrap_or(1.0);
    let ws_psi = generator.latents(z, label, Truncation::psi(psi))?;
    computed.out("img_psi", generator.synthesis().forward(&ws_psi)?);
    computed.out("ws_psi", ws_psi);
    let cutoff = case.count("/truncation_cutoff");
    let cut = generator.latents(z, label, Truncation { psi, cutoff })?;
    computed.out("ws_psi_cutoff", cut);

    let ws = generator.latents(z, label, Truncation::NONE)?;
    // The latents are in the middle of the graph: their gradient is asked for on the way.
    let (ws, at_ws) = watch(&ws)?;
    let img = generator.synthesis().forward(&ws)?;
    let grads = dot(&img, case.input("R")?)?.backward()?;
    trainable.answer(case, &grads, &mut computed)?;
    if let Some(grad) = at_ws.take() {
        computed.grad_tensor("ws", grad);
    }
    computed.out("img", img);

    let Moved { translate, rotate } = case.config()?;
    generator.set_transform(&Transform { translate, rotate })?;
    computed.out("img_moved", generator.synthesis().forward(&ws)?);
    let first = ws.narrow(0, 0, 1)?.narrow(1, 0, 1)?.squeeze(1)?;
    computed.out("input_moved", generator.synthesis().features(&first)?);
    computed.out("ws", ws);
    Ok(computed)
}

/// A network pickle, or without a file the tensors that it must hold.
pub(crate) fn checkpoint(case: &Case, file: Option<&Path>) -> Result<Computed> {
    let mut computed = Computed::default();
    let generator = match file {
        None => Generator::from_tensors(&network::tensors(case, "G_ema."), &config(case)?)?,
        Some(path) => {
            computed.set_contents(contents(path)?);
            Model::load(path, case.device())?.g_ema
        }
    };
    let psi = case.number("/truncation_psi").unwrap_or(1.0);
    let ws = generator.latents(case.input("z")?, None, Truncation::psi(psi))?;
    computed.out("img", generator.synthesis().forward(&ws)?);
    computed.out("ws_psi", ws);
    Ok(computed)
}
