//! Pictures in and out.
//!
//! What the other crates and the command line need to show and to read: pictures as tensors and as PNG files
//! ([`picture`]), Pillow's 8-bit resize ([`pil_resize`]), labelled grids ([`grid`]), animations ([`animation`]), the
//! spectrum of a latent space as PNG and SVG ([`plot`]), texts in PNG files ([`png_text`]), text with an embedded font ([`text`]), output folders with
//! atomic files ([`folder`]), and the one door for files that are read ([`mod@file`]). [`source`] reads sets of pictures,
//! [`dataset`] writes them, and [`portraits`] draws a world of its own from known factors.
//!
//! It is deliberately not a place for networks, losses or training: nothing here knows what a generator is.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use domex_data::{folder::OutputFolder, grid::Grid, picture};
//!
//! // Six grey pictures in [-1, 1], as a generator gives them.
//! let tensor = Tensor::zeros((6, 3, 64, 64), DType::F32, &Device::Cpu)?;
//! let pictures = picture::to_rgb(&tensor)?;
//! let drawing = Grid::new(3).title("Six pictures").row_labels(["first", "second"]).draw(&pictures)?;
//! # let parent = tempfile::tempdir()?;
//! # let run = parent.path().join("run");
//! let folder = OutputFolder::create(run, false)?;
//! picture::write_png(&folder.file("grid.png"), &drawing)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod animation;
mod background;
pub mod dataset;
mod decode;
mod error;
pub mod file;
pub mod folder;
pub mod grid;
pub mod palette;
pub mod picture;
pub mod pil_resize;
pub mod plot;
pub mod png_text;
pub mod portraits;
pub mod source;
pub mod text;
mod words;

pub use error::{Error, Result};
pub use words::{counted, quoted};
