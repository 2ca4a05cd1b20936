//! Recipes: what is trained on the portrait world, and how.
//!
//! [`World`] makes scenes of the portrait renderer. Each of [`recipes`] is a set of settings for one job,
//! with the numbers that were found to work on it. [`fn@steering`] and [`fn@retrieval`] try contrastive models out.

mod labels;
mod painter;
mod questions;
pub mod recipes;
mod retrieval;
mod steering;
mod styles;
mod templates;
mod truth;
mod world;

pub use painter::Painter;
pub use recipes::ImageEncoder;
pub use retrieval::retrieval;
pub use steering::{Steering, steering};
pub use styles::{DomainStyles, DomainTexts, Shares};
pub use world::World;
