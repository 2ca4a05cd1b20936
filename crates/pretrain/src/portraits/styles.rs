//! Portraits as pictures of styles, each with the latent that shows the same person as a photograph.

use domex_data::portraits::{Domain, Family, render_both};
use domex_random::Stream;
use image::RgbImage;
use rayon::prelude::*;

use super::Painter;
use crate::Result;
use crate::degan::{Style, Styles};

/// The twenty domains that are not held out, alone and a character in a technique; the held out ones are measured.
#[derive(Debug, Clone)]
pub struct DomainStyles {
    painter: Painter,
    z_dim: usize,
    /// The share of draws that are a character in a technique.
    both: f64,
    trained: Vec<Domain>,
}

impl DomainStyles {
    /// Pictures of `side` pixels for a generator of latents of `z_dim` numbers. `both` is the share of draws that are a character
    /// in a technique.
    #[must_use]
    pub fn new(side: u32, z_dim: usize, both: f64) -> Self {
        let domains = Domain::ALL.iter().copied();
        let trained = |domain: &Domain| *domain != Domain::Photo && !domain.is_held_out();
        Self {
            painter: Painter { side },
            z_dim,
            both,
            trained: domains.filter(trained).collect(),
        }
    }

    fn one(&self, family: Family, stream: &mut Stream) -> Result<Domain> {
        let of = |domain: &&Domain| domain.family() == family;
        let domains: Vec<&Domain> = self.trained.iter().filter(of).collect();
        Ok(*domains[stream.index(domains.len())?])
    }

    fn latent(&self, stream: &mut Stream) -> Vec<f32> {
        let mut z = vec![0f32; self.z_dim];
        stream.fill_normal(&mut z);
        z
    }

    fn render(&self, z: &[f32], character: Option<Domain>, technique: Option<Domain>) -> RgbImage {
        let (factors, seed) = Painter::factors(z);
        render_both(&factors, character, technique, seed, self.painter.side)
    }
}

impl Styles for DomainStyles {
    fn draw(&self, n: usize, stream: &mut Stream) -> Result<(u64, Vec<Style>)> {
        let [character, technique] = if stream.uniform_f64() < self.both {
            let character = self.one(Family::Character, stream)?;
            [Some(character), Some(self.one(Family::Rendering, stream)?)]
        } else {
            let domain = self.trained[stream.index(self.trained.len())?];
            [Some(domain); 2]
        };
        let place = |domain: Option<Domain>| domain.map_or(0, |domain| domain.index() as u64);
        let number = place(character) * Domain::ALL.len() as u64 + place(technique);
        let latents: Vec<Vec<f32>> = (0..n).map(|_| self.latent(stream)).collect();
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
        let z = self.latent(stream);
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

#[cfg(test)]
mod tests {
    use domex_random::Streams;

    use super::*;

    #[test]
    fn no_held_out_domain_is_ever_drawn() {
        let styles = DomainStyles::new(16, 32, 0.5);
        let mut stream = Streams::new(3).stream("styles");
        let count = Domain::ALL.len() as u64;
        for _ in 0..300 {
            let (number, drawn) = styles.draw(1, &mut stream).unwrap();
            for place in [number / count, number % count] {
                assert!(!Domain::ALL[place as usize].is_held_out(), "{number}");
            }
            assert!(drawn[0].latent.is_some());
        }
    }

    #[test]
    fn a_domain_alone_is_drawn_as_the_renderer_does() {
        let styles = DomainStyles::new(16, 32, 0.0);
        let mut stream = Streams::new(3).stream("styles");
        let (number, drawn) = styles.draw(2, &mut stream).unwrap();
        let domain = Domain::ALL[number as usize % Domain::ALL.len()];
        for Style { picture, latent } in drawn {
            assert_eq!(picture, styles.painter.rendering(&latent.unwrap(), domain));
        }
    }
}
