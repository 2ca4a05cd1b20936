//! Portraits as pictures of styles, each with the latent that shows the same person as a photograph.

use domex_data::portraits::{Domain, Family, Look, phrases, render_both};
use domex_random::Stream;
use image::RgbImage;
use rayon::prelude::*;

use super::Painter;
use crate::degan::{Style, Styles};
use crate::hyperdomain::TextPictures;
use crate::{Error, Result};

/// Which part of the draws is what; the rest is a domain alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// A character in a technique.
    pub both: f64,
    /// A [look](Look) that has no name.
    pub made_up: f64,
}

/// The twenty domains that are not held out, alone and a character in a technique, and made-up looks; the held out ones are measured.
#[derive(Debug, Clone)]
pub struct DomainStyles {
    painter: Painter,
    z_dim: usize,
    shares: Shares,
    trained: Vec<Domain>,
}

impl DomainStyles {
    /// Pictures of `side` pixels for a generator of latents of `z_dim` numbers.
    #[must_use]
    pub fn new(side: u32, z_dim: usize, shares: Shares) -> Self {
        Self {
            painter: Painter { side },
            z_dim,
            shares,
            trained: learnt().collect(),
        }
    }

    fn one(&self, family: Family, stream: &mut Stream) -> Result<Domain> {
        let of = |domain: &&Domain| domain.family() == family;
        let domains: Vec<&Domain> = self.trained.iter().filter(of).collect();
        Ok(*domains[stream.index(domains.len())?])
    }

    fn render(&self, z: &[f32], character: Option<Domain>, technique: Option<Domain>) -> RgbImage {
        let (factors, seed) = Painter::factors(z);
        render_both(&factors, character, technique, seed, self.painter.side)
    }
}

/// Numbers of made-up looks begin here.
const MADE_UP: u64 = 1 << 63;

/// The domains that networks may learn.
fn learnt() -> impl Iterator<Item = Domain> {
    let learnt = |domain: &Domain| *domain != Domain::Photo && !domain.is_held_out();
    Domain::ALL.iter().copied().filter(learnt)
}

fn latent(z_dim: usize, stream: &mut Stream) -> Vec<f32> {
    let mut z = vec![0f32; z_dim];
    stream.fill_normal(&mut z);
    z
}

impl Styles for DomainStyles {
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<(u64, Vec<Style>)> {
        let kind = stream.uniform_f64();
        if kind >= 1.0 - self.shares.made_up {
            let (look, number) = (Look::draw(stream), stream.next_u64() | MADE_UP);
            let latents: Vec<Vec<f32>> = (0..n).map(|_| latent(self.z_dim, stream)).collect();
            let style = |z: Vec<f32>| {
                let (factors, seed) = Painter::factors(&z);
                Style {
                    picture: look.render(&factors, seed, self.painter.side),
                    latent: Some(z),
                }
            };
            return Ok((number, latents.into_par_iter().map(style).collect()));
        }
        let [character, technique] = if kind < self.shares.both {
            let character = self.one(Family::Character, stream)?;
            [Some(character), Some(self.one(Family::Rendering, stream)?)]
        } else {
            let domain = self.trained[stream.index(self.trained.len())?];
            [Some(domain); 2]
        };
        let place = |domain: Option<Domain>| domain.map_or(0, |domain| domain.index() as u64);
        let number = place(character) * Domain::ALL.len() as u64 + place(technique);
        let latents: Vec<Vec<f32>> = (0..n).map(|_| latent(self.z_dim, stream)).collect();
        let style = |z: Vec<f32>| Style {
            picture: self.render(&z, character, technique),
            latent: Some(z),
        };
        Ok((number, latents.into_par_iter().map(style).collect()))
    }

    fn measured(&self) -> [Vec<String>; 2] {
        let names = |domains: &[Domain]| domains.iter().map(|d| d.name().to_owned()).collect();
        [names(&self.trained), names(&Domain::HELD_OUT)]
    }

    fn show(&self, domain: usize, stream: &mut Stream) -> Result<Style> {
        let all = self.trained.iter().chain(&Domain::HELD_OUT);
        let domain = all.copied().nth(domain).unwrap_or(Domain::Photo);
        let z = latent(self.z_dim, stream);
        Ok(Style {
            picture: self.painter.rendering(&z, domain),
            latent: Some(z),
        })
    }

    fn describe(&self) -> String {
        let names: Vec<&str> = self.trained.iter().map(|domain| domain.name()).collect();
        format!("portraits: {}", names.join(", "))
    }
}

/// Pictures of texts that name a built-in domain.
#[derive(Debug, Clone)]
pub struct DomainTexts {
    painter: Painter,
    z_dim: usize,
    domains: Vec<Domain>,
}

impl DomainTexts {
    /// All words for the built-in domains that are learnt.
    #[must_use]
    pub fn learnt() -> Vec<String> {
        let words = learnt().flat_map(|domain| phrases(domain).iter().copied());
        words.map(str::to_owned).collect()
    }

    /// The first word for each domain that is held out.
    #[must_use]
    pub fn held_out() -> Vec<String> {
        let first = Domain::HELD_OUT
            .iter()
            .filter_map(|domain| phrases(*domain).first());
        first.map(|text| (*text).to_owned()).collect()
    }

    /// Pictures of `side` pixels for a generator of latents of `z_dim` numbers.
    ///
    /// # Errors
    ///
    /// A text that is not one of [`learnt`](Self::learnt).
    pub fn new(side: u32, z_dim: usize, texts: &[String]) -> Result<Self> {
        let domain = |text: &String| {
            let named = |domain: &Domain| phrases(*domain).contains(&text.as_str());
            learnt()
                .find(named)
                .ok_or_else(|| Error::config("text", text, "a word for a built-in domain"))
        };
        Ok(Self {
            painter: Painter { side },
            z_dim,
            domains: texts.iter().map(domain).collect::<Result<_>>()?,
        })
    }
}

impl TextPictures for DomainTexts {
    fn draw(&self, text: usize, stream: &mut Stream) -> Result<(RgbImage, Vec<f32>)> {
        let Some(domain) = self.domains.get(text) else {
            let expected = format!("one of {}", self.domains.len());
            return Err(Error::config("number of a text", text, expected));
        };
        let z = latent(self.z_dim, stream);
        Ok((self.painter.rendering(&z, *domain), z))
    }
}

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;

    #[test]
    fn no_held_out_domain_is_ever_drawn() {
        let styles = DomainStyles::new(
            16,
            32,
            Shares {
                both: 0.5,
                made_up: 0.2,
            },
        );
        let mut stream = Streams::new(3).stream("styles");
        let (count, mut made_up) = (Domain::ALL.len() as u64, 0);
        for _ in 0..300 {
            let (number, drawn) = styles.draw(1, &mut stream).unwrap();
            made_up += usize::from(number >= MADE_UP);
            assert!(drawn[0].latent.is_some());
            if number >= MADE_UP {
                continue;
            }
            for place in [number / count, number % count] {
                assert!(!Domain::ALL[place as usize].is_held_out(), "{number}");
            }
        }
        assert!((30..=90).contains(&made_up), "{made_up}");
    }

    #[test]
    fn a_domain_alone_is_drawn_as_the_renderer_does() {
        let styles = DomainStyles::new(
            16,
            32,
            Shares {
                both: 0.0,
                made_up: 0.0,
            },
        );
        let mut stream = Streams::new(3).stream("styles");
        let (number, drawn) = styles.draw(2, &mut stream).unwrap();
        let domain = Domain::ALL[number as usize % Domain::ALL.len()];
        for Style { picture, latent } in drawn {
            assert_eq!(picture, styles.painter.rendering(&latent.unwrap(), domain));
        }
    }
}
