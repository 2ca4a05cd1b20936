//! Made-up looks: characters and techniques that have no name.

use domex_random::Stream;
use image::RgbImage;

use super::colour::{Rgb, hsv};
use super::factors::Factors;
use super::raster::Canvas;
use super::scene::Scene;
use super::{SIZES, characters, photo, renderings};

/// A look that has no name: colours for parts of a person, or a way to bring a picture to paper, or both, drawn at random.
///
/// What learns to read a look from pictures needs more of them than there are domains. No shape is added to a person, so the
/// built-in characters stay what only they are.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    colours: Option<Colours>,
    technique: Option<Technique>,
}

/// Colours of parts of a person; a part without one keeps its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Colours {
    pub(super) skin: Option<Rgb>,
    /// Spots of another colour on the skin, and how much of it they cover.
    pub(super) spots: Option<(Rgb, f32)>,
    pub(super) hair: Option<Rgb>,
    pub(super) iris: Option<Rgb>,
    pub(super) cloth: Option<Rgb>,
    /// Behind the person, above and below.
    pub(super) ground: Option<[Rgb; 2]>,
}

/// How a picture is brought to paper.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Technique {
    pub(super) paper: Rgb,
    /// How much of the colours is there, on the person and behind.
    pub(super) cover: [f32; 2],
    /// Colours by brightness, in place of a picture's own.
    pub(super) ramp: Option<[Rgb; 3]>,
    /// Whether light and shadow are seen.
    pub(super) is_lit: bool,
    pub(super) saturation: f32,
    /// Steps of each colour.
    pub(super) levels: Option<f32>,
    /// Cells of one colour to a side, and how irregular they are.
    pub(super) cells: Option<(f32, f32)>,
    /// Outlines: their colour, strength and width.
    pub(super) line: Option<(Rgb, f32, f32)>,
    /// Strokes where it is dark, of the colour of lines: how many to a side, and their angle.
    pub(super) hatch: Option<(f32, f32)>,
}

impl Look {
    /// A new one.
    pub fn draw(stream: &mut Stream) -> Self {
        let kind = stream.uniform_f64();
        Self {
            colours: (kind < 0.65).then(|| Colours::draw(stream)),
            technique: (kind >= 0.35).then(|| Technique::draw(stream)),
        }
    }

    /// A portrait with this look, of `size` by `size` pixels; a size outside [`SIZES`] is brought within.
    pub fn render(&self, factors: &Factors, seed: u64, size: u32) -> RgbImage {
        let size = size.clamp(*SIZES.start(), *SIZES.end()) as usize;
        let seed = (seed ^ (seed >> 32)) as u32;
        let mut scene = Scene::person(factors, seed);
        if let Some(colours) = &self.colours {
            characters::recolour(colours, &mut scene);
        }
        let line = self.technique.as_ref().and_then(|technique| technique.line);
        let canvas = Canvas::draw(&scene, size, line.map_or(photo::PEN, |(.., pen)| pen));
        match &self.technique {
            Some(technique) => renderings::made_up(technique, &canvas, seed),
            None => photo::develop(&scene, &canvas, seed),
        }
    }
}

/// Uniform between two numbers.
fn between(stream: &mut Stream, from: f64, to: f64) -> f32 {
    (from + (to - from) * stream.uniform_f64()) as f32
}

fn any_colour(stream: &mut Stream) -> Rgb {
    let hue = between(stream, 0.0, 1.0);
    let saturation = between(stream, 0.0, 1.0);
    hsv(hue, saturation, between(stream, 0.1, 1.0))
}

/// What `make` draws, in so many of all cases.
fn in_some<T>(stream: &mut Stream, share: f64, make: impl FnOnce(&mut Stream) -> T) -> Option<T> {
    (stream.uniform_f64() < share).then(|| make(stream))
}

impl Colours {
    fn draw(stream: &mut Stream) -> Self {
        let mut colours = Self {
            skin: in_some(stream, 0.7, any_colour),
            spots: in_some(stream, 0.2, |stream| {
                (any_colour(stream), between(stream, 0.2, 0.5))
            }),
            hair: in_some(stream, 0.5, any_colour),
            iris: in_some(stream, 0.4, any_colour),
            cloth: in_some(stream, 0.6, any_colour),
            ground: in_some(stream, 0.5, |stream| {
                [any_colour(stream), any_colour(stream)]
            }),
        };
        if colours.skin.or(colours.hair).or(colours.cloth).is_none() {
            colours.skin = Some(any_colour(stream));
        }
        colours
    }
}

impl Technique {
    fn draw(stream: &mut Stream) -> Self {
        let line = in_some(stream, 0.6, |stream| {
            let strength = between(stream, 0.4, 1.0);
            (any_colour(stream), strength, between(stream, 0.008, 0.018))
        });
        Self {
            paper: any_colour(stream),
            cover: match stream.uniform_f64() < 0.5 {
                true => [1.0; 2],
                false => [between(stream, 0.2, 1.0), between(stream, 0.0, 0.8)],
            },
            ramp: in_some(stream, 0.3, |stream| {
                [any_colour(stream), any_colour(stream), any_colour(stream)]
            }),
            is_lit: stream.uniform_f64() < 0.7,
            saturation: between(stream, 0.2, 2.0),
            levels: in_some(stream, 0.25, |stream| between(stream, 2.0, 6.0).round()),
            cells: in_some(stream, 0.25, |stream| {
                (between(stream, 12.0, 40.0), between(stream, 0.0, 1.0))
            }),
            hatch: match line {
                Some(_) => in_some(stream, 0.4, |stream| {
                    (between(stream, 12.0, 26.0), between(stream, 0.0, 3.1))
                }),
                None => None,
            },
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;
    use crate::portraits::{Domain, render};

    #[test]
    fn a_look_is_the_same_for_everyone_and_differs_from_a_photograph() {
        let mut stream = Streams::new(3).stream("looks");
        let people = [0, 1].map(|_| Factors::draw(&mut stream));
        for _ in 0..50 {
            let look = Look::draw(&mut stream);
            let pictures = people.each_ref().map(|person| look.render(person, 5, 32));
            assert_eq!(pictures[0], look.render(&people[0], 5, 32));
            assert_ne!(pictures[0], pictures[1], "{look:?}");
            assert_ne!(
                pictures[0],
                render(&people[0], Domain::Photo, 5, 32),
                "{look:?}"
            );
        }
    }

    #[test]
    fn skin_has_the_colour_of_the_look() {
        let mut stream = Streams::new(3).stream("looks");
        let person = Factors::draw(&mut stream);
        let look = Look {
            colours: Some(Colours {
                skin: Some([0.0, 0.0, 1.0]),
                spots: None,
                hair: None,
                iris: None,
                cloth: None,
                ground: None,
            }),
            technique: None,
        };
        let picture = look.render(&person, 5, 64);
        let blue = picture
            .pixels()
            .filter(|p| p[2] > 80 && p[0] < 40 && p[1] < 40);
        assert!(blue.count() > 200);
    }
}
