//! Faces in photographs: found with eyes and mouth, and cut out as the pictures of FFHQ are.
//!
//! A generator that was trained on FFHQ knows faces that are upright, with eyes and mouth in the same places. [`Detector`] finds
//! faces with [`YuNet`], a small published network that gives five points for each face; [`Square`] is the oriented
//! square that FFHQ's authors derived from eyes and mouth, and cuts it out.
//!
//! Weights are not here: they are read from the published file, `yunet_n.pth` (Apache-2.0), which `domex fetch yunet` fetches.
//!
//! Deliberately not here: who a face is, and any training.
//!
//! ```
//! use domex_face::{Face, Outside, Square};
//! use image::RgbImage;
//!
//! let face = Face {
//!     score: 0.9,
//!     bounds: [30.0, 20.0, 40.0, 60.0],
//!     landmarks: [[40.0, 40.0], [60.0, 40.0], [50.0, 52.0], [42.0, 62.0], [58.0, 62.0]],
//! };
//! let square = Square::around(&face)?;
//! assert_eq!(square.side(), 80.0);
//! let picture = RgbImage::new(100, 100);
//! assert_eq!(square.cut(&picture, 64, Outside::Mirrored)?.dimensions(), (64, 64));
//! # Ok::<(), domex_face::Error>(())
//! ```

mod config;
mod detect;
mod error;
mod load;
mod network;
mod square;

pub use config::Config;
pub use detect::{Detector, Face, SIDES};
pub use error::{Error, Result};
pub use network::{STRIDES, YuNet};
pub use square::{Outside, Square};
