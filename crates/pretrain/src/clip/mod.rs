//! A contrastive image-text model, trained to be robust.
//!
//! CLIP's architecture (`domex_clip`) at a small size, with a [`vocabulary`] of its own. What sets it apart is
//! what it is for: its gradient is to shape pictures. So it learns on pictures that were moved against it
//! ([`mod@attack`]), and on some that followed it all the way to a text ([`hard_negatives`]); how it is trained says [`objective`], and
//! [`mod@steer`] tries it: pixels of the source
//! domain follow the loss of an expansion, and a judge that no training saw says what became of them.
//!
//! Retrieval says little here: a small network can retrieve perfectly and guide a generator nowhere.

pub mod attack;
pub mod calibrate;
mod config;
pub mod hard_negatives;
pub mod init;
mod job;
pub mod objective;
pub mod steer;
pub mod texts;
pub mod vocabulary;

pub use attack::Attack;
pub use config::{ClipConfig, Robust};
pub use hard_negatives::HardNegativeConfig;
pub use job::ClipJob;
pub use steer::{Steer, steer};
