//! What a run's settings and tasks may choose, at a tiny size.

#![allow(clippy::unwrap_used)]

mod clip_models;
mod course;
mod layers;
mod passes;
mod pictures;
mod world;
