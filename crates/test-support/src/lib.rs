//! What the tests of several crates share: small networks, the program in a folder of its own, processes, a
//! headless browser.
//!
//! A dependency of tests alone, and like a test it panics where something is not as it should be.

#![allow(clippy::unwrap_used)]

#[cfg(unix)]
pub mod browser;
pub mod networks;
#[cfg(unix)]
pub mod process;
pub mod program;
pub mod ranks;
pub mod runs;
pub mod stable_diffusion;
