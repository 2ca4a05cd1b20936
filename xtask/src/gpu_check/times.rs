//! How long each operator takes, beside the bound on paper of `cargo xtask cuda roofline`.

use std::time::Instant;

use candle_core::Device;
use domex_error::Result;
use serde_json::json;

use super::part::{Found, Setup, Task};
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
        Task::new(name, move |setup| timed(&row, &setup.device))
    })
    .collect()
}

fn timed(row: &Cost, device: &Device) -> Result<Found> {
    let mut run = match &row.call {
        Some(call) => call(device)?,
        None => domex_error::bail!("{}: no operator runs it alone", row.kernel),
    };
    let seconds = seconds(&mut run, device)?;
    let [memory, arithmetic] = bounds(row);
    let (rate, unit) = match memory > arithmetic {
        true => (row.bytes() / seconds / 1e9, "GB/s"),
        false => (row.operations / seconds / 1e9, "GFLOP/s"),
    };
    let bound = memory.max(arithmetic);
    Ok(Found {
        ok: true,
        text: format!(
            "{:.4} ms, {rate:.0} {unit}; {:.0} % of the least {:.4} ms on an {CARD}",
            1e3 * seconds,
            100.0 * bound / seconds,
            1e3 * bound
        ),
        figures: json!({ "ms": 1e3 * seconds, "rate": rate, "unit": unit, "bound_ms": 1e3 * bound }),
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
