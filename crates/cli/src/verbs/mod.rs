//! One module per verb.

pub mod completions;
pub mod dormant;
pub mod generate;
pub mod info;
pub mod mix;
pub mod traverse;
