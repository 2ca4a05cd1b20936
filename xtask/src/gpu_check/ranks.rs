//! The gradients of two ranks, each on a card of its own, against those of one. The ranks are threads here.

use std::{net::TcpListener, thread};

use candle_core::{Device, Tensor, Var, backprop::GradStore};
use domex_error::{AnyError, Result, bail, user_error};
use domex_ranks::{Group, Launch};
use domex_train::Team;
use serde_json::json;

use super::part::{Found, Setup, Task, card};
use crate::bench::work::noise;

/// Relative to the largest value: sums of four numbers in another order.
const TOLERANCE: f64 = 1e-6;

const RANKS: usize = 2;

/// Passes of a rank.
const PASSES: usize = 2;

/// Of the variables. No pass of the last rank has a gradient of the last but one, and no pass at all of the last.
const SHAPES: [&[usize]; 4] = [&[33, 7], &[1], &[5, 3, 3, 3], &[2]];

pub fn task() -> Task {
    Task::new("gradients of two ranks", two_ranks)
}

fn two_ranks(setup: &Setup) -> Result<Found> {
    let devices = match setup.on_card() {
        false => [Device::Cpu, Device::Cpu],
        true => match card(1) {
            Ok(second) => [setup.device.clone(), second],
            Err(why) => {
                return Ok(Found {
                    ok: true,
                    text: format!("not run, for want of two cards: {why}"),
                    figures: json!({}),
                });
            }
        },
    };
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let ranks: Vec<_> = devices
        .into_iter()
        .enumerate()
        .map(|(rank, device)| thread::spawn(move || sums(rank, port, &device)))
        .collect();
    let found = ranks.into_iter().map(|rank| match rank.join() {
        Ok(found) => found,
        Err(_) => bail!("a rank panicked"),
    });
    let found = found.collect::<Result<Vec<_>>>()?;
    let want = truth()?;
    let mut worst = 0f64;
    for (_, sums) in &found {
        for (sum, want) in sums.iter().zip(&want) {
            match (sum, want) {
                (Some(sum), Some(want)) => worst = worst.max(difference(sum, want)?),
                (None, None) => {}
                _ => bail!("a gradient is there that should not be, or is not that should"),
            }
        }
    }
    let by_cards = found.iter().all(|(by_cards, _)| *by_cards);
    let ok = worst <= TOLERANCE && by_cards == setup.on_card();
    let by = match by_cards {
        true => "by NCCL",
        false => "through the memory of the host",
    };
    Ok(Found {
        ok,
        text: format!("{by}, off by {worst:.1e} of {TOLERANCE:.0e}"),
        figures: json!({ "off": worst, "nccl": by_cards }),
    })
}

/// What one rank comes to, on the CPU, and whether the cards added up. Twice, as the first sum finds the others.
fn sums(rank: usize, port: u16, device: &Device) -> Result<(bool, Vec<Option<Tensor>>)> {
    let variable = |name: &str| match name {
        "RANK" | "LOCAL_RANK" => Some(rank.to_string()),
        "WORLD_SIZE" | "LOCAL_WORLD_SIZE" => Some(RANKS.to_string()),
        "MASTER_ADDR" => Some("127.0.0.1".to_owned()),
        "MASTER_PORT" => Some(port.to_string()),
        _ => None,
    };
    let launch = Launch::from(&variable)?.ok_or_else(|| user_error("no launcher"))?;
    let team = Team::of(Group::join(&launch, "gpu-check")?);
    let mut found = Vec::new();
    for _ in 0..2 {
        let variables = variables(device)?;
        let parts = (0..PASSES).map(|pass| gradients(&variables, rank, pass));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let sums = team.sum(&variables.iter().collect::<Vec<_>>(), parts)?;
        found = variables
            .iter()
            .map(|var| {
                let sum = sums.get(var).map(|sum| sum.to_device(&Device::Cpu));
                sum.transpose()
            })
            .collect::<candle_core::Result<_>>()?;
    }
    Ok((team.has_peers(), found))
}

fn variables(device: &Device) -> Result<Vec<Var>> {
    let ones = |shape: &&[usize]| Ok(Var::ones(*shape, candle_core::DType::F32, device)?);
    SHAPES.iter().map(ones).collect()
}

/// Those of a pass: the coefficients of a sum of products.
fn gradients(variables: &[Var], rank: usize, pass: usize) -> Result<GradStore> {
    let used = SHAPES.len() - 1 - usize::from(rank + 1 == RANKS);
    let terms = variables[..used].iter().enumerate().map(|(at, var)| {
        let all = noise(&[&[RANKS, PASSES], var.dims()].concat(), &Device::Cpu)?;
        let factors = all.get(rank)?.get(pass)?;
        let factors = (factors.to_device(var.device())? * (1.0 + at as f64))?;
        Ok((var.as_tensor() * factors)?.sum_all()?)
    });
    let sum = terms.reduce(|a: Result<Tensor>, b| Ok((a? + b?)?));
    let sum = sum.unwrap_or_else(|| Err(AnyError::internal("no variable")))?;
    Ok(sum.backward()?)
}

/// The sums over all passes of all ranks.
fn truth() -> Result<Vec<Option<Tensor>>> {
    let variables = variables(&Device::Cpu)?;
    let mut sums: Vec<Option<Tensor>> = vec![None; variables.len()];
    for (rank, pass) in (0..RANKS).flat_map(|rank| (0..PASSES).map(move |pass| (rank, pass))) {
        let part = gradients(&variables, rank, pass)?;
        for (sum, var) in sums.iter_mut().zip(&variables) {
            *sum = match (sum.take(), part.get(var)) {
                (Some(sum), Some(more)) => Some((sum + more)?),
                (None, more) => more.cloned(),
                (sum, None) => sum,
            };
        }
    }
    Ok(sums)
}

fn difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let largest = |t: &Tensor| -> Result<f64> {
        Ok(f64::from(
            t.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?,
        ))
    };
    Ok(largest(&(a - b)?)? / largest(b)?)
}
