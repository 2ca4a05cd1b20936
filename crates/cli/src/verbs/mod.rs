//! One module per verb.

pub mod completions;
pub mod compose;
pub mod data;
pub mod dormant;
pub mod eval;
pub mod expand;
pub mod generate;
pub mod info;
pub mod mix;
pub mod train;
pub mod traverse;
