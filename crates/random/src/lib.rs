//! Random numbers that repeat.
//!
//! Two sources, for two needs:
//!
//! - [`Streams`] and [`Stream`]: the project's own. Each purpose in a run (noise, latents, data order, …)
//!   draws from its own named stream, all derived from the run's one seed. A stream's state can be saved
//!   and read back at any point, and goes on with the same bits.
//! - [`RandomState`]: NumPy's legacy generator, so that "seed 85" means the latent that it means to the
//!   published StyleGAN2 programs.
//!
//! What this crate deliberately is not: a source of entropy (nothing here is seeded from the clock or the
//! system), a set of distributions (uniform, normal, index and permutation are what the project draws), or
//! fit for secrets.
//!
//! ```
//! use domex_random::{RandomState, Stream, Streams};
//!
//! let streams = Streams::new(7);
//! let mut noise = streams.stream("noise");
//! noise.normal_f64();
//!
//! // A stream saved in mid-run goes on where it stopped.
//! let saved = serde_json::to_string(&noise)?;
//! let mut resumed: Stream = serde_json::from_str(&saved)?;
//! assert_eq!(noise.normal_f64(), resumed.normal_f64());
//!
//! // The latent of seed 0, as `np.random.RandomState(0).randn(1, 512)` gives it.
//! let z = RandomState::new(0).randn(512);
//! assert_eq!(z[0], 1.764052345967664);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod mt19937;
mod random_state;
pub mod stream;

pub use random_state::RandomState;
pub use stream::{Error, Result, Stream, Streams};
