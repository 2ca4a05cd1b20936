//! What is sent to a device in every step arrives whole and in order, though nobody waits for it.

use candle_core::{Device, Tensor};
use domex_error::Result;
use domex_ops::upload;
use serde_json::json;

use super::part::{Found, Setup, Task};

/// Values of a batch, and batches: together more than what may wait for the device at once.
const LEN: usize = 4 << 20;
const BATCHES: usize = 24;

pub fn task() -> Task {
    Task::new("uploads of many batches", many)
}

fn many(setup: &Setup) -> Result<Found> {
    let batch = |number: usize| -> Result<Tensor> {
        let values = (0..LEN).map(|i| (i % 1000 + 1000 * number) as f32);
        Ok(Tensor::from_iter(values, &Device::Cpu)?)
    };
    let sent = (0..BATCHES).map(|number| Ok(upload(&batch(number)?, &setup.device)?));
    let sent = sent.collect::<Result<Vec<Tensor>>>()?;
    let mut wrong = 0;
    for (number, sent) in sent.iter().enumerate() {
        let differ = sent.to_device(&Device::Cpu)?.ne(&batch(number)?)?;
        let differ: f32 = differ
            .to_dtype(candle_core::DType::F32)?
            .sum_all()?
            .to_scalar()?;
        wrong += usize::from(differ > 0.0);
    }
    Ok(Found {
        ok: wrong == 0,
        text: format!(
            "{BATCHES} batches of {} MB, {wrong} of them wrong",
            4 * LEN / 1_000_000
        ),
        figures: json!({ "wrong": wrong }),
    })
}
