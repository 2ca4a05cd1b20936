//! A text-conditional diffusion model of pictures, as a teacher: it draws what a text says, and translates a picture from one
//! text to another.
//!
//! - [`Network`] predicts the velocity of a noisy picture from its time and a text's features;
//! - [`Teacher`] is one that has learnt, frozen: [`sample`](Teacher::sample) draws, [`translate`](Teacher::translate) changes a
//!   picture from what one text says to what another says, and keeps what both leave open: the person.
//!
//! Texts come as the features of a CLIP model's text encoder, at length 1; zeros stand for no text. A teacher's file knows the
//! features of one text, so that another encoder is [noticed](Teacher::check_text).
//!
//! Left out on purpose: the text encoder, a training loop (`domex_pretrain::teacher`), what a generator learns from it.

mod error;
mod file;
mod network;
mod translate;

pub use domex_diffusion::{Translation, Way};
pub use error::{Error, Result};
pub use file::{KIND, PROBE, write};
pub use network::{Config, Network};
pub use translate::Teacher;
