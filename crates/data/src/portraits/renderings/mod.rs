//! Techniques: from colour, light and lines of every pixel to a picture.

mod cells;
mod drawn;
mod made_up;
mod painted;
mod printed;
mod surface;

use image::RgbImage;

use super::domain::Domain;
use super::look::Technique;
use super::photo;
use super::raster::Canvas;
use super::scene::Scene;
use surface::Surface;

/// Width of the outlines that a technique wants, in parts of the picture's side.
pub(super) fn pen(rendering: Domain) -> f32 {
    match rendering {
        Domain::Comic => 0.016,
        Domain::StainedGlass | Domain::Ink => 0.014,
        Domain::Blueprint => 0.008,
        _ => 0.012,
    }
}

/// Draws a scene in a technique; any other domain is a photograph.
pub(super) fn render(rendering: Domain, scene: &Scene, canvas: &Canvas, seed: u32) -> RgbImage {
    let s = &Surface::new(canvas, seed);
    match rendering {
        Domain::Sketch => drawn::sketch(s),
        Domain::Ink => drawn::ink(s),
        Domain::Blueprint => drawn::blueprint(s),
        Domain::Neon => drawn::neon(s),
        Domain::Watercolour => painted::watercolour(s),
        Domain::Oil => painted::oil(s),
        Domain::PixelArt => cells::pixel_art(s),
        Domain::Mosaic => cells::mosaic(s),
        Domain::LowPoly => cells::low_poly(s),
        Domain::StainedGlass => cells::stained_glass(s),
        Domain::Comic => printed::comic(s, scene),
        Domain::Embroidery => printed::embroidery(s),
        Domain::Thermal => printed::thermal(s),
        Domain::Sepia => printed::sepia(s),
        _ => photo::develop(scene, canvas, seed),
    }
}

/// Draws a scene in a technique that has no name.
pub(super) fn made_up(technique: &Technique, canvas: &Canvas, seed: u32) -> RgbImage {
    made_up::render(technique, &Surface::new(canvas, seed))
}
