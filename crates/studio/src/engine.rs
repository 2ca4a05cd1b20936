//! What makes the pictures, as the studio needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use image::RgbImage;
use serde::Serialize;

use crate::settings::{PhotoId, Settings};

/// A generator that draws pictures of [`Settings`]. It stays on one thread.
pub trait Engine {
    /// What there is to set.
    fn info(&self) -> Info;

    /// A picture of each frame, in order, all square and of one size. `photos` has what was found for each photo that the frames name.
    /// With `draft` the pictures may be smaller or coarser, if they are there sooner.
    ///
    /// # Errors
    ///
    /// The generator's. A photo whose bytes are damaged is a user error. Work may end with any error once `stop` is set.
    fn draw(
        &mut self,
        frames: &[Frame],
        photos: &BTreeMap<PhotoId, PhotoBytes>,
        draft: bool,
        stop: &Stop,
    ) -> domex_error::Result<Vec<RgbImage>>;

    /// Where in the latent space a photo lies. The photo is square and of the pictures' size.
    ///
    /// # Errors
    ///
    /// As of [`draw`](Self::draw).
    fn find(&mut self, photo: &RgbImage, steps: u32, stop: &Stop) -> domex_error::Result<Found>;
}

/// Opens models, each as an [`Engine`].
pub trait Models {
    /// Opens the model of a [`Named`](crate::Named) and has `work` use it until another one is wanted or the studio ends.
    ///
    /// # Errors
    ///
    /// The model cannot be opened; `work` was not called then.
    fn open(
        &mut self,
        model: &str,
        work: &mut dyn FnMut(&mut dyn Engine),
    ) -> domex_error::Result<()>;
}

/// What was found for a photo, in the engine's own form.
pub type PhotoBytes = Arc<[u8]>;

/// The place of a photo in the latent space.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In the engine's own form; of few kilobytes, as pictures carry it with them.
    pub bytes: Vec<u8>,
    /// In words, how near its picture is to the photo.
    pub likeness: String,
}

/// What there is to set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The model, as its user calls it.
    pub model: String,
    /// Kind of generator, in words.
    pub kind: String,
    /// Width and height of pictures.
    pub resolution: u32,
    /// Names of domains.
    pub domains: Vec<String>,
    /// Directions of the latent space that no domain holds, the strongest first.
    pub directions: Vec<Direction>,
    /// Layers whose styles can be mixed; 0 where a latent is one for all.
    pub styles: usize,
    /// Whether domains can be limited to a region.
    pub regions: bool,
    /// Whether drafts are there sooner than pictures.
    pub drafts: bool,
    /// How photos are found; `None` where they cannot be.
    pub photos: Option<PhotoSupport>,
}

/// A direction of the latent space.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Direction {
    /// Its number in the basis.
    pub dimension: usize,
    /// How far it is sensible to go both ways, in the unit of domains' strengths.
    pub reach: f64,
}

/// How photos are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhotoSupport {
    /// Steps of the search, unless asked for others.
    pub steps: u32,
    /// The fewest that make sense: 0 where an encoder predicts the latent.
    pub least: u32,
    /// What is done, in words.
    pub how: String,
}

/// A picture between two settings: `at` 0 is the first, 1 the second.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Where the way begins.
    pub from: Settings,
    /// Where it ends.
    pub to: Settings,
    /// How far on it, from 0 to 1.
    pub at: f64,
}

impl Frame {
    /// Of one settings.
    pub fn still(settings: Settings) -> Self {
        Self {
            to: settings.clone(),
            from: settings,
            at: 0.0,
        }
    }
}

/// Set when nobody waits for the work any more. Asked between two pictures or steps.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Nobody waits any more.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the work is in vain.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
