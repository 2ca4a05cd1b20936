//! One side of the measurement: a process that sets a row up and runs it as often as it is told.
//!
//! Lines on stdin, answers on stdout, both JSON: first the work; then `{"runs": 3}` is answered by
//! `{"wall": .., "cpu": .., "memory": ..}`, the seconds of those runs and the most bytes that the row has
//! taken so far beyond what the process held before it was set up. The end of stdin ends the process.
//! `bench/peer/serve.py` speaks the same.

use std::io::{BufRead, Write};

use candle_core::Device;
use domex_error::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{clock, rows::Work, work};

/// What a side is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// How often to do the work.
    pub runs: usize,
}

/// What it answers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Answer {
    /// Seconds by the wall, over all runs.
    pub wall: f64,
    /// Seconds of the processor.
    pub cpu: f64,
    /// Bytes, where the system tells.
    pub memory: Option<u64>,
}

/// Serves until stdin ends.
pub fn serve() -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let mut out = std::io::stdout().lock();
    let Some(line) = lines.next() else {
        return Ok(());
    };
    let row: Work = serde_json::from_str(&line?).context("the work on stdin")?;
    let before = clock::memory(false);
    let mut work = work::prepare(&row, &Device::Cpu)?;
    for line in lines {
        let order: Order = serde_json::from_str(&line?).context("an order on stdin")?;
        let span = clock::time(&mut work, order.runs)?;
        let memory = clock::memory(true).zip(before);
        let answer = Answer {
            wall: span.wall,
            cpu: span.cpu,
            memory: memory.map(|(most, before)| most.saturating_sub(before)),
        };
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}
