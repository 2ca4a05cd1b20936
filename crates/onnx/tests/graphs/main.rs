//! Graphs of small random generators, run and looked at.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;
mod file;
mod parity;
