//! The program as its users see it: every verb, from end to end, one module for each subject.
//!
//! One binary, as linking each module alone took longer than its tests.

// The helpers of a test are part of it.
#![allow(clippy::unwrap_used)]

mod adapt;
mod cli;
mod convert;
mod degan;
mod discover;
mod domain_names;
mod eval;
mod eval_features;
mod expand;
mod expand_adversarial;
mod expand_classes;
mod expand_diffae;
mod expand_inputs;
#[cfg(unix)]
mod expand_kill;
mod expand_methods;
mod expand_stable_diffusion;
mod export;
mod faces;
mod fetch;
mod folders;
mod install;
mod invert;
mod mistakes;
mod output;
mod person;
mod portraits;
#[cfg(unix)]
mod ranks;
mod readers;
mod report;
#[cfg(unix)]
mod studio;
mod stylegan3;
mod train;
