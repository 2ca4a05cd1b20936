//! A run that is interrupted, and resumed to the same bits: `cargo run -p domex-train --example resume`.

use std::path::Path;

use candle_core::{Device, Var};
use domex_error::Context as _;
use domex_train::adam::{Adam, AdamConfig};
use domex_train::{
    Clock, Job, JobResult, Losses, Measures, Parameters, Resume, RunConfig, RunFolder, State, run,
};

/// Finds the lowest point of (x − 3)².
struct Parabola {
    parameters: Parameters,
    adam: Adam,
}

impl Parabola {
    fn new() -> Result<Self, Box<dyn std::error::Error>> {
        let x = Var::new(&[0f32], &Device::Cpu)?;
        let parameters = Parameters::new([("x".to_owned(), x)].into());
        let config = AdamConfig {
            lr: 0.1,
            ..AdamConfig::default()
        };
        Ok(Self {
            adam: Adam::new(&parameters, config)?,
            parameters,
        })
    }

    fn x(&self) -> JobResult<f32> {
        let x = self.parameters.get("x").context("no x")?;
        Ok(x.to_vec1::<f32>()?[0])
    }
}

impl Job for Parabola {
    fn batch(&self) -> usize {
        1
    }

    fn step(&mut self, _: &Clock) -> JobResult<Losses> {
        let x = self.parameters.get("x").context("no x")?;
        let loss = (x.as_tensor() - 3.0)?.sqr()?.sum_all()?;
        let mut losses = Losses::default();
        losses.put("loss", f64::from(loss.to_scalar::<f32>()?));
        losses.applied(self.adam.step(&loss.backward()?)?);
        Ok(losses)
    }

    fn save(&self, state: &mut State) -> JobResult<()> {
        state.put_parameters("model.", &self.parameters)?;
        Ok(self.adam.save("adam.", state)?)
    }

    fn restore(&mut self, state: &State) -> JobResult<()> {
        state.load_parameters("model.", &self.parameters)?;
        Ok(self.adam.restore("adam.", state)?)
    }

    fn tick(&mut self, _: &Clock, _: &RunFolder) -> JobResult<Measures> {
        Ok(Measures::default())
    }

    fn export(&self, _: &Clock, path: &Path) -> JobResult<()> {
        Ok(std::fs::write(path, format!("x is {}", self.x()?))?)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = tempfile::tempdir()?;
    let go = |folder: &str, images: u64, resume: bool| -> Result<f32, Box<dyn std::error::Error>> {
        let folder = parent.path().join(folder);
        let mut job = Parabola::new()?;
        let config = RunConfig {
            images,
            tick_images: 50,
            resume: match resume {
                true => Resume::From(folder.clone()),
                false => Resume::No,
            },
            ..RunConfig::new(folder)
        };
        run(&mut job, &config)?;
        Ok(job.x()?)
    };
    let whole = go("whole", 200, false)?;
    let half = go("halves", 100, false)?;
    let resumed = go("halves", 200, true)?;
    println!("x after 100 steps {half}, after 200 {whole}, resumed at 100 {resumed}");
    println!("same bits: {}", whole.to_bits() == resumed.to_bits());
    Ok(())
}
