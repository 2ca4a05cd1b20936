//! Projection on the base subspace, and traversal along repurposed directions.

use domex_latent::{
    basis::Basis,
    subspace::{Steps, Subspaces},
};
use serde::Deserialize;

use crate::{Case, Result, compare::values, computed::Computed};

#[derive(Deserialize)]
struct Config {
    cases: Vec<Sub>,
}

#[derive(Deserialize)]
struct Sub {
    name: String,
    /// Which input is the latent: `w` or `wplus`.
    latent: String,
    /// Which input lists the repurposed dimensions.
    dims: String,
    /// Whether the mean replaces the repurposed components.
    mean: bool,
    step: Option<Step>,
    base_dims: Option<String>,
}

/// One step for all, or the name of the input that holds the steps.
#[derive(Deserialize)]
#[serde(untagged)]
enum Step {
    One(f64),
    Input(String),
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let basis = Basis::given(case.input("basis")?.clone())?;
    for sub in case.config::<Config>()?.cases {
        let latent = case.input(&sub.latent)?;
        let dims = indices(case, &sub.dims)?;
        let base_dims = sub
            .base_dims
            .as_deref()
            .map(|name| indices(case, name))
            .transpose()?;
        let spaces = Subspaces::new(
            &basis,
            &dims,
            base_dims.as_deref(),
            latent.device(),
            latent.dtype(),
        )?;
        let mean = if sub.mean {
            Some(case.input("mean")?)
        } else {
            None
        };
        let base = spaces.project(latent, mean)?;
        if let Some(step) = &sub.step {
            let steps = match step {
                Step::One(step) => Steps::one(*step),
                Step::Input(name) => Steps::from_tensor(case.input(name)?)?,
            };
            let edits = spaces.traverse(&base, &steps)?;
            computed.out(format_args!("{}.edit_latents", sub.name), edits);
        }
        computed.out(format_args!("{}.base_latent", sub.name), base);
    }
    Ok(computed)
}

fn indices(case: &Case, name: &str) -> Result<Vec<usize>> {
    values(case.input(name)?)?
        .into_iter()
        .map(|value| {
            if value >= 0.0 && value.fract() == 0.0 && value < 1e9 {
                Ok(value as usize)
            } else {
                Err(case.malformed(format!("in.{name}: {value} is no dimension")))
            }
        })
        .collect()
}
