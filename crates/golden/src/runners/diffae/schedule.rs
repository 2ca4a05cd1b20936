//! Noise schedules in float64, timestep maps, and timestep embeddings.

use candle_core::{DType, Device, Tensor};
use domex_diffusion::{Diffusion, Schedule, Spacing, timestep_embedding};
use serde::Deserialize;

use super::{process, steps, timesteps};
use crate::{Case, Result, computed::Computed, runners::vectors};

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "T")]
    train_steps: usize,
    #[serde(rename = "T_eval")]
    steps: usize,
    beta_schedule: String,
    gen_type: String,
    rescale_timesteps: bool,
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for (name, entry) in case.config.as_object().into_iter().flatten() {
        let entry = Entry::deserialize(entry)
            .map_err(|e| case.malformed(format!("config `{name}` does not fit: {e}")))?;
        let spacing = match entry.gen_type.as_str() {
            "ddim" => Spacing::Ddim,
            "ddpm" => Spacing::Ddpm,
            other => return Err(case.malformed(format!("gen_type {other:?}?"))),
        };
        let betas = Some(entry.beta_schedule.as_str());
        let base = process(case, betas, Some(entry.train_steps), None, spacing)?
            .with_rescaled_timesteps(entry.rescale_timesteps);
        let spaced = base.spaced(entry.steps, spacing)?;
        if case.any(&format!("out.{name}.base.")) {
            arrays(&format!("{name}.base"), base.schedule(), &mut computed)?;
        }
        arrays(name, spaced.schedule(), &mut computed)?;
        times(case, name, &spaced, &mut computed)?;
    }
    embeddings(case, &mut computed)?;
    Ok(computed)
}

fn arrays(name: &str, s: &Schedule, computed: &mut Computed) -> Result<()> {
    for (array, values) in [
        ("betas", &s.betas),
        ("alphas_cumprod", &s.alphas_cumprod),
        ("alphas_cumprod_prev", &s.alphas_cumprod_prev),
        ("alphas_cumprod_next", &s.alphas_cumprod_next),
        ("sqrt_alphas_cumprod", &s.sqrt_alphas_cumprod),
        (
            "sqrt_one_minus_alphas_cumprod",
            &s.sqrt_one_minus_alphas_cumprod,
        ),
        (
            "log_one_minus_alphas_cumprod",
            &s.log_one_minus_alphas_cumprod,
        ),
        ("sqrt_recip_alphas_cumprod", &s.sqrt_recip_alphas_cumprod),
        (
            "sqrt_recipm1_alphas_cumprod",
            &s.sqrt_recipm1_alphas_cumprod,
        ),
        ("posterior_variance", &s.posterior_variance),
        (
            "posterior_log_variance_clipped",
            &s.posterior_log_variance_clipped,
        ),
        ("posterior_mean_coef1", &s.posterior_mean_coef1),
        ("posterior_mean_coef2", &s.posterior_mean_coef2),
    ] {
        let tensor = vectors::row(values, DType::F64, &Device::Cpu)?;
        computed.out(format_args!("{name}.{array}"), tensor);
    }
    Ok(())
}

/// The timestep map, and what the network is given at `in.{name}.t`.
fn times(case: &Case, name: &str, d: &Diffusion, computed: &mut Computed) -> Result<()> {
    let map: Vec<f64> = d.timestep_map().iter().map(|&t| t as f64).collect();
    let map = vectors::row(&map, DType::F64, &Device::Cpu)?;
    computed.out(format_args!("{name}.timestep_map"), map);
    let times = steps(case, &format!("{name}.t"))?
        .into_iter()
        .map(|step| d.network_timestep(step))
        .collect::<domex_diffusion::Result<Vec<f64>>>()?;
    let times = vectors::row(&times, DType::F64, &Device::Cpu)?;
    computed.out(format_args!("{name}.t_model"), times);
    Ok(())
}

/// `out.{name}.emb` at `in.{name}.t`.
fn embeddings(case: &Case, computed: &mut Computed) -> Result<()> {
    let embedded: Vec<(String, Tensor)> = case
        .with_prefix("out.")
        .filter_map(|(name, t)| Some((name.strip_suffix(".emb")?.to_owned(), t.clone())))
        .collect();
    for (name, like) in embedded {
        let t = timesteps(case, &format!("{name}.t"))?;
        let embedding = timestep_embedding(&t, like.dim(1)?, DType::F32, case.device())?;
        computed.out(format_args!("{name}.emb"), embedding);
    }
    Ok(())
}
