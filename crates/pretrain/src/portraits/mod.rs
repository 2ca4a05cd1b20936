//! Recipes: what is trained on the portrait world, and how.
//!
//! [`World`] makes scenes of the portrait renderer. Each of [`recipes`] is a set of settings for one job,
//! with the numbers that were found to work on it. [`fn@steering`] tries contrastive models out, [`fn@fidelity`] generators,
//! [`fn@outcomes`] what they became by expansion.

mod composed;
mod fidelity;
mod labels;
mod outcomes;
mod painter;
mod questions;
pub mod recipes;
mod retrieval;
mod steering;
mod templates;
mod truth;
mod world;

pub use composed::{blended, composed, rendered};
pub use fidelity::{Eyes, Fidelity, fidelity};
pub use outcomes::{Outcome, Outcomes, adapted, outcomes};
pub use painter::Painter;
pub use recipes::Tower;
pub use retrieval::retrieval;
pub use steering::{Steering, steering};
pub use world::World;
