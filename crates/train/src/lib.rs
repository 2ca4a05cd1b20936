//! The engine of any training run.
//!
//! What every run needs, whatever it trains: [parameters by name](params), an [optimizer](adam) that works in place,
//! [lazy regularisation](lazy), a [moving average](ema), a [state] that is saved and restored to the bit,
//! [snapshots] of which the last few stay, a [guard] against numbers that are not finite,
//! a [team](Team) of processes that share a step, [events] for programs and for TensorBoard, [progress] for people, [signals], an
//! [early stop](stop), a [process] set up to compute for long, what fits into its [memory], and the [loop](run()) that ties them together.
//!
//! Deliberately not here: networks, losses, data. A [`Job`] brings them.
//!
//! ```
//! use candle_core::{Device, Var};
//! use domex_error::Context as _;
//! use domex_train::adam::{Adam, AdamConfig};
//! use domex_train::{Clock, Job, JobResult, Losses, Measures, Parameters, RunConfig, RunFolder, State, run};
//!
//! /// Finds the lowest point of (x − 3)².
//! struct Parabola {
//!     parameters: Parameters,
//!     adam: Adam,
//! }
//!
//! impl Job for Parabola {
//!     fn batch(&self) -> usize {
//!         1
//!     }
//!     fn step(&mut self, _: &Clock) -> JobResult<Losses> {
//!         let x = self.parameters.get("x").context("no x")?;
//!         let loss = (x.as_tensor() - 3.0)?.sqr()?.sum_all()?;
//!         let mut losses = Losses::default();
//!         losses.put("loss", f64::from(loss.to_scalar::<f32>()?));
//!         losses.applied(self.adam.step(&loss.backward()?)?);
//!         Ok(losses)
//!     }
//!     fn save(&self, state: &mut State) -> JobResult<()> {
//!         state.put_parameters("model.", &self.parameters)?;
//!         Ok(self.adam.save("adam.", state)?)
//!     }
//!     fn restore(&mut self, state: &State) -> JobResult<()> {
//!         state.load_parameters("model.", &self.parameters)?;
//!         Ok(self.adam.restore("adam.", state)?)
//!     }
//!     fn tick(&mut self, _: &Clock, _: &RunFolder) -> JobResult<Measures> {
//!         Ok(Measures::default())
//!     }
//!     fn export(&self, _: &Clock, path: &std::path::Path) -> JobResult<()> {
//!         Ok(std::fs::write(path, "x is 3")?)
//!     }
//! }
//!
//! let x = Var::new(&[0f32], &Device::Cpu)?;
//! let parameters = Parameters::new([("x".to_string(), x)].into());
//! let adam = Adam::new(&parameters, AdamConfig { lr: 0.1, ..AdamConfig::default() })?;
//! let mut job = Parabola { parameters, adam };
//! # let parent = tempfile::tempdir()?;
//! # let folder = parent.path().join("run");
//! let config = RunConfig { images: 300, tick_images: 100, ..RunConfig::new(folder) };
//! let outcome = run(&mut job, &config)?;
//! assert_eq!(outcome.clock.step, 300);
//! assert!(outcome.last.is_some_and(|record| record.values["loss"] < 1e-3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod accumulate;
pub mod adam;
pub mod ema;
mod error;
pub mod events;
pub mod guard;
pub mod lazy;
mod lock;
pub mod memory;
pub mod params;
pub mod process;
pub mod progress;
pub mod run;
pub mod signals;
pub mod snapshots;
pub mod state;
pub mod stderr;
pub mod stop;
mod team;

pub use error::{Error, JobResult, Result};
pub use lock::{Lock, is_taken};
pub use params::Parameters;
pub use run::{
    Best, Clock, Job, Losses, Measures, Outcome, Resume, RunConfig, RunFolder, STOP, run,
};
pub use state::State;
pub use team::Team;
