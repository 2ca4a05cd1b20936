//! The portrait world: head-and-shoulders portraits with known factors, in many domains.
//!
//! A portrait is a pure function of its [`Factors`] (who is seen, and how), its [`Domain`] (as
//! what, or in which technique) and a seed (grain, strands, brush strokes). The source domain is
//! [`Domain::Photo`]; the others are *renderings* (a pencil sketch, a mosaic) or *characters* (a
//! robot, a vampire), and one of each can be joined with [`render_both`]. Because the factors are
//! known, whatever is learned from these pictures can be measured.
//!
//! A [`Look`] is one of many more that have no name.
//!
//! How it is drawn: `scene` puts shapes (signed distances) in layers from back to front;
//! a character changes the layers; `raster` keeps colour, light and lines of every
//! pixel apart, some neighbours at a time (`lanes`); a rendering turns them into a picture.
//!
//! ```
//! use domex_data::portraits::{Domain, Factors, render};
//! use domex_random::Streams;
//!
//! let factors = Factors::draw(&mut Streams::new(7).stream("portraits"));
//! let photo = render(&factors, Domain::Photo, 7, 64);
//! assert_eq!(photo.dimensions(), (64, 64));
//! ```

mod captions;
mod characters;
mod colour;
mod domain;
mod face;
mod factors;
mod hair;
mod lanes;
mod layer;
mod look;
mod noise;
mod photo;
mod raster;
mod renderings;
mod scene;
mod shape;
#[cfg(test)]
mod tests;
mod wear;

pub use captions::{caption, caption_both, phrases};
pub use domain::{Domain, Family};
pub use factors::{Background, Beard, EyeColour, Factors, Glasses, HairColour, HairStyle, Hat};
pub use look::Look;

use image::RgbImage;

use raster::Canvas;
use scene::Scene;

/// Smallest and largest side of a portrait, in pixels.
pub const SIZES: std::ops::RangeInclusive<u32> = 8..=4096;

/// Draws a portrait of `size` by `size` pixels; a size outside [`SIZES`] is brought within.
pub fn render(factors: &Factors, domain: Domain, seed: u64, size: u32) -> RgbImage {
    match domain.family() {
        Family::Photo => render_both(factors, None, None, seed, size),
        Family::Character => render_both(factors, Some(domain), None, seed, size),
        Family::Rendering => render_both(factors, None, Some(domain), seed, size),
    }
}

/// Draws a character in a technique: a robot as a mosaic. `None` is an ordinary person, or a
/// photograph; so is a domain of the wrong family.
pub fn render_both(
    factors: &Factors,
    character: Option<Domain>,
    rendering: Option<Domain>,
    seed: u64,
    size: u32,
) -> RgbImage {
    let size = size.clamp(*SIZES.start(), *SIZES.end()) as usize;
    let seed = (seed ^ (seed >> 32)) as u32;
    let mut scene = Scene::person(factors, seed);
    if let Some(character) = character {
        characters::turn_into(character, &mut scene);
    }
    let pen = rendering.map_or(photo::PEN, renderings::pen);
    let canvas = Canvas::draw(&scene, size, pen);
    match rendering {
        Some(rendering) => renderings::render(rendering, &scene, &canvas, seed),
        None => photo::develop(&scene, &canvas, seed),
    }
}
