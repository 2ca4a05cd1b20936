//! The portrait renderer as an endless data set.
//!
//! Picture number i is a pure function of the seed and i: a random stream of its own draws the factors and the seed of
//! the rendering. So nothing is stored, no picture comes twice in a run, and order and threads change nothing.

use domex_random::Streams;
use image::RgbImage;

use super::{PictureSource, out_of_range};
use crate::error::{Error, Result};
use crate::portraits::{Domain, Factors, SIZES, render};

/// How many there are: more than any run asks for, and few enough that an index can be drawn evenly.
const LEN: u64 = 1 << 32;

/// Renderings of one domain.
#[derive(Debug, Clone)]
pub struct Portraits {
    streams: Streams,
    domain: Domain,
    resolution: u32,
}

impl Portraits {
    /// Pictures of `resolution` pixels a side. Sets of different seeds have nothing in common.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for a resolution that is none of [`SIZES`].
    pub fn new(seed: u64, domain: Domain, resolution: u32) -> Result<Self> {
        if !SIZES.contains(&resolution) {
            return Err(Error::Shape {
                what: "resolution of rendered portraits",
                found: resolution.to_string(),
                expected: format!("{} to {}", SIZES.start(), SIZES.end()),
            });
        }
        Ok(Self {
            streams: Streams::new(seed),
            domain,
            resolution,
        })
    }

    /// Factors and rendering seed of picture `index`.
    #[must_use]
    pub fn factors(&self, index: u64) -> (Factors, u64) {
        let mut stream = self.streams.stream(&format!("portrait {index}"));
        let factors = Factors::draw(&mut stream);
        (factors, stream.next_u64())
    }
}

impl PictureSource for Portraits {
    fn len(&self) -> u64 {
        LEN
    }

    fn resolution(&self) -> u32 {
        self.resolution
    }

    fn get(&self, index: u64) -> Result<(RgbImage, Vec<f32>)> {
        if index >= LEN {
            return Err(out_of_range(index, LEN));
        }
        let (factors, seed) = self.factors(index);
        let picture = render(&factors, self.domain, seed, self.resolution);
        Ok((picture, Vec::new()))
    }

    fn describe(&self) -> String {
        let size = self.resolution;
        format!(
            "portraits of the domain {}, rendered at {size} × {size} from seed {}",
            self.domain,
            self.streams.seed()
        )
    }
}
