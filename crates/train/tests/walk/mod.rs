//! A job for tests: a point that follows random targets, so that its place tells of every step and of every random
//! number on the way.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::{Device, Tensor, Var};
use domex_error::Context as _;
use domex_random::{Stream, Streams};
use domex_train::adam::{Adam, AdamConfig};
use domex_train::snapshots::latest;
use domex_train::{
    Clock, Job, JobResult, Losses, Measures, Parameters, Resume, RunConfig, RunFolder, State,
};
use serde::{Deserialize, Serialize};

/// How long a stalled step takes.
pub const STALL: Duration = Duration::from_secs(40);

/// What a run does; another process is told it as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    pub out: PathBuf,
    pub steps: u64,
    pub force: bool,
    pub resume: Option<PathBuf>,
    /// Time that a step takes.
    pub wait_ms: u64,
    /// The step that takes very long.
    pub stall_at: Option<u64>,
    /// Steps after which the state is large.
    pub ballast_after: Option<u64>,
    /// Steps whose loss is no number.
    pub broken: Vec<u64>,
    /// The step in which the device answers with this code.
    pub fails_at: Option<(u64, String)>,
    /// Scores by the number of the tick; none after the last of them.
    pub scores: Vec<f64>,
}

impl Plan {
    pub fn new(out: &Path, steps: u64) -> Self {
        Self {
            out: out.to_path_buf(),
            steps,
            force: false,
            resume: None,
            wait_ms: 0,
            stall_at: None,
            ballast_after: None,
            broken: Vec::new(),
            fails_at: None,
            scores: Vec::new(),
        }
    }

    /// A tick and a snapshot every four steps of two images each; two snapshots stay.
    pub fn config(&self, signals: bool) -> RunConfig {
        RunConfig {
            images: 2 * self.steps,
            tick_images: 8,
            snap: if self.stall_at.is_some() { 0 } else { 1 },
            force: self.force,
            resume: self.resume.clone().map_or(Resume::No, Resume::From),
            skip_limit: 3,
            signals,
            ..RunConfig::new(&self.out)
        }
    }
}

pub struct Walk {
    plan: Plan,
    parameters: Parameters,
    adam: Adam,
    stream: Stream,
    walked: u64,
}

impl Walk {
    pub fn new(plan: &Plan) -> Self {
        let x = Var::new(&[1f32, -2.0, 0.5], &Device::Cpu).unwrap();
        let parameters = Parameters::new([("x".to_string(), x)].into());
        let config = AdamConfig {
            lr: 0.03,
            ..AdamConfig::default()
        };
        Self {
            plan: plan.clone(),
            adam: Adam::new(&parameters, config).unwrap(),
            parameters,
            stream: Streams::new(3).stream("targets"),
            walked: 0,
        }
    }
}

impl Job for Walk {
    fn batch(&self) -> usize {
        2
    }

    fn step(&mut self, at: &Clock) -> JobResult<Losses> {
        assert_eq!(at.step, self.walked, "the clock and the state agree");
        let wait = match self.plan.stall_at == Some(at.step) {
            true => STALL,
            false => Duration::from_millis(self.plan.wait_ms),
        };
        std::thread::sleep(wait);
        if let Some((_, code)) = self
            .plan
            .fails_at
            .as_ref()
            .filter(|(step, _)| *step == at.step)
        {
            // As cudarc writes it, in candle's error.
            let text = format!("DriverError({code}, \"as the driver says\")");
            return Err(candle_core::Error::Cuda(text.into()).into());
        }
        let mut target = [0f32; 3];
        self.stream.fill_normal(&mut target);
        if self.plan.broken.contains(&at.step) {
            target[1] = f32::NAN;
        }
        let x = self.parameters.get("x").context("no x")?;
        let loss = (x.as_tensor() - Tensor::new(&target, &Device::Cpu)?)?
            .sqr()?
            .sum_all()?;
        let mut losses = Losses::default();
        losses.put("loss", f64::from(loss.to_scalar::<f32>()?));
        losses.applied(self.adam.step(&loss.backward()?)?);
        self.walked += 1;
        Ok(losses)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put_parameters("model.", &self.parameters)?;
        self.adam.save("adam.", state)?;
        state.put("stream", &self.stream)?;
        state.put("walked", &self.walked)?;
        if self
            .plan
            .ballast_after
            .is_some_and(|steps| self.walked > steps)
        {
            let ballast = Tensor::zeros(1 << 18, candle_core::DType::F32, &Device::Cpu)?;
            state.put_tensor("ballast", &ballast)?;
        }
        Ok(())
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        state.load_parameters("model.", &self.parameters)?;
        self.adam.restore("adam.", state)?;
        self.stream = state.get("stream")?;
        self.walked = state.get("walked")?;
        Ok(())
    }

    fn tick(&mut self, at: &Clock, _: &RunFolder) -> JobResult<Measures> {
        let score = self.plan.scores.get(at.tick as usize - 1);
        Ok(Measures {
            score: score.copied(),
            ..Measures::default()
        })
    }

    fn export(&self, at: &Clock, path: &Path) -> JobResult<()> {
        Ok(domex_data::folder::write_atomic(
            path,
            at.step.to_string().as_bytes(),
        )?)
    }
}

/// The bits of everything in the last snapshot: parameters, moments, counts, and the random stream.
pub fn weights(out: &Path) -> (Vec<u32>, Vec<u32>, Vec<u32>, Vec<i64>, serde_json::Value) {
    let (_, state) = latest(out).unwrap();
    let bits = |name: &str| -> Vec<u32> {
        let tensor = state.tensor(name, &Device::Cpu).unwrap();
        let values = tensor.to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    let count = state.tensor("adam.x.t", &Device::Cpu).unwrap();
    (
        bits("model.x"),
        bits("adam.x.m"),
        bits("adam.x.v"),
        count.to_vec1().unwrap(),
        state.document()["stream"].clone(),
    )
}

/// The whole lines of the run's events.
pub fn lines(out: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(out.join("events.jsonl")).unwrap_or_default();
    let lines = text
        .lines()
        .map_while(|line| serde_json::from_str(line).ok());
    lines.collect()
}
