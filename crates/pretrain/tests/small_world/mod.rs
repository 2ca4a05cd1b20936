//! A world of two factors, for tests: the ground's colour is the domain, a square is left or right.

use domex_judge::Factor;
use domex_pretrain::scenes::{Scene, Scenes, Triplet};
use image::{Rgb, RgbImage};

pub struct SmallWorld(Vec<Factor>);

impl SmallWorld {
    pub fn new() -> Self {
        Self(vec![
            Factor::new("domain", ["day", "night", "dusk"]),
            Factor::new("place", ["left", "right"]),
        ])
    }

    fn draw(domain: usize, right: bool, size: u32, grain: u64) -> RgbImage {
        let ground = [[200, 220, 240], [20, 20, 60], [220, 120, 60]][domain];
        RgbImage::from_fn(size, size, |x, y| {
            let inside = (x > size / 2) == right && (size / 4..3 * size / 4).contains(&y);
            let grain = ((u64::from(x * 31 + y * 17) ^ grain) % 13) as u8;
            let base: [u8; 3] = if inside { [128, 128, 128] } else { ground };
            Rgb(base.map(|v| v.saturating_sub(6).saturating_add(grain)))
        })
    }
}

impl Scenes for SmallWorld {
    fn factors(&self) -> &[Factor] {
        &self.0
    }

    fn scene(&self, domain: usize, seed: u64, size: u32) -> Scene {
        let right = seed % 2 == 1;
        Scene {
            picture: Self::draw(domain, right, size, seed >> 1),
            classes: vec![domain as u32, u32::from(right)],
        }
    }

    fn caption(&self, domain: usize, seed: u64, words: u64) -> String {
        let domain = &self.0[0].classes[domain];
        let place = &self.0[1].classes[(seed % 2) as usize];
        match words % 3 {
            0 => format!("a square at {domain}"),
            1 => format!("a square on the {place}"),
            _ => format!("a square on the {place} at {domain}"),
        }
    }

    fn holds(&self, caption: &str, own: (usize, u64), other: (usize, u64)) -> bool {
        let domain = own.0 == other.0 || !caption.contains(" at ");
        domain && (own.1 % 2 == other.1 % 2 || !caption.contains("on the"))
    }

    fn phrases(&self, domain: usize) -> Vec<String> {
        vec![self.0[0].classes[domain].clone()]
    }

    fn templates(&self) -> Vec<String> {
        vec!["a square at {}".into(), "{}".into()]
    }

    fn triplet(&self, seed: u64, size: u32) -> Triplet {
        let domain = (seed % 3) as usize;
        Triplet {
            reference: Self::draw(domain, seed.is_multiple_of(2), size, 1),
            near: Self::draw(domain, seed % 2 == 1, size, 2),
            far: Self::draw((domain + 1) % 3, seed % 2 == 1, size, 3),
        }
    }
}
