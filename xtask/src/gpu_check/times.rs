//! How long each operator takes, beside the bound on paper of `cargo xtask cuda roofline`, and convolutions by cuDNN, where it is there.

use std::time::Instant;

use candle_core::Device;
use domex_error::Result;
use domex_ops::computed_by_cudnn;
use serde_json::json;

use super::{
    cudnn,
    part::{Found, Setup, Task},
};
use crate::{
    bench::work::Run,
    cuda::{
        costs::{self, Cost, Sizes},
        roofline::{CARD, bounds},
    },
};

/// Seconds that a row's measurement takes, but for what is longer alone.
const SECONDS: f64 = 0.25;

/// Runs before those that count: they compile, allocate and fill caches.
const WARM: usize = 3;

/// Batches of runs, of which the fastest counts: what else a machine does only adds.
const BATCHES: usize = 5;

/// The most runs of a batch, for operators of microseconds.
const MOST: f64 = 1000.0;

/// A task for each row that an operator runs.
pub fn tasks(setup: &Setup) -> Vec<Task> {
    let sizes = match setup.on_card() {
        true => Sizes::PUBLISHED,
        false => Sizes::SMALL,
    };
    let rows = costs::all(&sizes)
        .into_iter()
        .filter(|row| row.call.is_some());
    rows.map(|row| {
        let name = format!("{}, {}", row.kernel, row.size);
        Task::new(name, move |setup| timed(&row, setup))
    })
    .collect()
}

fn timed(row: &Cost, setup: &Setup) -> Result<Found> {
    let Some(call) = &row.call else {
        domex_error::bail!("{}: no operator runs it alone", row.kernel)
    };
    let mut run = call(&setup.device)?;
    let ours = cudnn::without(|| seconds(&mut run, &setup.device))?;
    let [memory, arithmetic] = bounds(row);
    let (rate, unit) = match memory > arithmetic {
        true => (row.bytes() / ours / 1e9, "GB/s"),
        false => (row.operations / ours / 1e9, "GFLOP/s"),
    };
    let bound = memory.max(arithmetic);
    let mut text = format!(
        "{:.4} ms, {rate:.0} {unit}; {:.0} % of the least {:.4} ms on an {CARD}",
        1e3 * ours,
        100.0 * bound / ours,
        1e3 * bound
    );
    let mut figures =
        json!({ "ms": 1e3 * ours, "rate": rate, "unit": unit, "bound_ms": 1e3 * bound });
    if row.by_cudnn() {
        match by_cudnn(&mut run, setup)? {
            Ok(theirs) => {
                text += &format!(
                    "; cuDNN {:.4} ms: ours at {:.2} of its rate",
                    1e3 * theirs,
                    theirs / ours
                );
                figures["cudnn_ms"] = json!(1e3 * theirs);
            }
            Err(why) => text += &format!("; {why}"),
        }
    }
    Ok(Found {
        ok: true,
        text,
        figures,
    })
}

/// Seconds of a run by cuDNN, or why there is none.
fn by_cudnn(run: &mut Run, setup: &Setup) -> Result<Result<f64, String>> {
    if let Some(why) = cudnn::missing(setup) {
        return Ok(Err(format!("no cuDNN: {why}")));
    }
    let before = computed_by_cudnn();
    let theirs = seconds(run, &setup.device)?;
    Ok(match computed_by_cudnn() > before {
        true => Ok(theirs),
        false => Err("cuDNN does not do it".to_owned()),
    })
}

/// Seconds of one run: the least over some batches of runs, each up to where the device is done.
pub fn seconds(run: &mut Run, device: &Device) -> Result<f64> {
    let mut batch = |runs: usize| -> Result<f64> {
        let start = Instant::now();
        for _ in 0..runs {
            run()?;
        }
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let first = batch(1)?;
    if first > SECONDS {
        return Ok(first.min(batch(1)?));
    }
    let once = batch(WARM)? / WARM as f64;
    let runs = (SECONDS / BATCHES as f64 / once.max(1e-9)).clamp(1.0, MOST) as usize;
    let mut least = f64::INFINITY;
    for _ in 0..BATCHES {
        least = least.min(batch(runs)? / runs as f64);
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use std::{thread::sleep, time::Duration};

    use super::*;

    #[test]
    fn a_run_takes_as_long_as_it_does() {
        let mut run: Run = Box::new(|| {
            sleep(Duration::from_millis(4));
            Ok(())
        });
        let seconds = seconds(&mut run, &Device::Cpu).unwrap();
        assert!((0.004..0.1).contains(&seconds), "{seconds}");
    }
}
