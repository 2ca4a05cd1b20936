//! A world of pictures whose contents are known: what the networks here learn from.
//!
//! A scene is a picture with a class for each *factor* (what is in it) and a caption. The first factor
//! is the *domain*, the manner of the picture. Everything is a function of a domain and a seed.
//! [`crate::portraits`] is the world that ships; tests have a smaller one.

use domex_judge::Factor;
use image::RgbImage;

/// Something that is asked of scenes, and how the answers read in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its name, such as `glasses`.
    pub name: String,
    /// For each answer some ways to say it, the plainest first: `with glasses`.
    pub answers: Vec<Vec<String>>,
}

/// A picture and what is in it.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The picture, square.
    pub picture: RgbImage,
    /// One class for each factor of the world, the domain first.
    pub classes: Vec<u32>,
}

/// Three pictures in a known order: `near` is closer to `reference` than `far`, to a human eye.
#[derive(Debug, Clone)]
pub struct Triplet {
    /// What both are compared with.
    pub reference: RgbImage,
    /// The closer one.
    pub near: RgbImage,
    /// The other.
    pub far: RgbImage,
}

/// Makes scenes.
pub trait Scenes: Send + Sync {
    /// What is known of each scene, the domain first.
    fn factors(&self) -> &[Factor];

    /// The scene of a domain and a seed, `size` × `size` pixels.
    fn scene(&self, domain: usize, seed: u64, size: u32) -> Scene;

    /// What that scene shows, in words. `words` chooses what is said, and how.
    fn caption(&self, domain: usize, seed: u64, words: u64) -> String;

    /// Whether a caption of the scene `own` is true of the scene `other`, each a domain and a seed.
    fn holds(&self, caption: &str, own: (usize, u64), other: (usize, u64)) -> bool;

    /// What can be asked of scenes beside their domain; nothing, unless a world says so.
    fn questions(&self) -> Vec<Question> {
        Vec::new()
    }

    /// The number of the right answer for the scene of a domain and a seed; `None` where it cannot be seen.
    fn answer(&self, question: usize, domain: usize, seed: u64) -> Option<usize> {
        let _ = (question, domain, seed);
        None
    }

    /// Words for a domain, such as `pencil sketch`.
    fn phrases(&self, domain: usize) -> Vec<String>;

    /// Sentences with `{}` in the place of such words.
    fn templates(&self) -> Vec<String>;

    /// Three pictures of which the far one differs in more, or more strongly, than the near one.
    fn triplet(&self, seed: u64, size: u32) -> Triplet;

    /// Number of domains.
    fn domains(&self) -> usize {
        self.factors()
            .first()
            .map_or(0, |domain| domain.classes.len())
    }
}
