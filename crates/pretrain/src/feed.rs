//! Batches of scenes.
//!
//! The seed of each scene comes from one stream, which is all that a snapshot has to hold; rendering
//! and jitter draw from streams of the scene's own, so that scenes are made on all cores at once.

use candle_core::{Device, Tensor};
use domex_ops::upload;
use domex_random::{Stream, Streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::jitter::Jitter;
use crate::scenes::Scenes;
use crate::{Error, Result};

/// What is fed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Height and width of the pictures.
    pub size: u32,
    /// The share of scenes of the first domain, the source; the others share the rest evenly.
    pub source_share: f64,
    /// Changes to the pictures.
    pub jitter: Jitter,
}

/// Some scenes.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[n, 3, size, size]` in `[-1, 1]`, f32.
    pub pixels: Tensor,
    /// For each scene one class for each factor, the domain first.
    pub classes: Vec<Vec<u32>>,
    /// The domain and the seed of each scene.
    pub plan: Vec<(usize, u64)>,
}

impl Batch {
    /// The domain of each scene.
    pub fn domains(&self) -> Vec<u32> {
        self.classes
            .iter()
            .map(|classes| classes.first().copied().unwrap_or(0))
            .collect()
    }
}

impl Feed {
    /// The next `n` scenes.
    ///
    /// # Errors
    ///
    /// No scene asked for, or a world without domains.
    pub fn next(
        &self,
        scenes: &dyn Scenes,
        n: usize,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<Batch> {
        let domains = scenes.domains();
        let plan = (0..n)
            .map(|_| self.plan(domains, stream))
            .collect::<Result<Vec<_>>>()?;
        self.render(scenes, plan, device)
    }

    /// Scenes of one domain only.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn of_domain(
        &self,
        scenes: &dyn Scenes,
        domain: usize,
        n: usize,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<Batch> {
        let plan = (0..n).map(|_| (domain, stream.next_u64())).collect();
        self.render(scenes, plan, device)
    }

    /// A domain, and the seed of a scene.
    fn plan(&self, domains: usize, stream: &mut Stream) -> Result<(usize, u64)> {
        let source = stream.uniform_f64() < self.source_share || domains == 1;
        let domain = match source {
            true => 0,
            false => 1 + stream.index(domains.saturating_sub(1))?,
        };
        Ok((domain, stream.next_u64()))
    }

    /// These scenes, each a domain and a seed.
    pub(crate) fn render(
        &self,
        scenes: &dyn Scenes,
        plan: Vec<(usize, u64)>,
        device: &Device,
    ) -> Result<Batch> {
        if plan.is_empty() {
            return Err(Error::config("scenes in a batch", 0, "at least 1"));
        }
        let make = |&(domain, seed): &(usize, u64)| {
            let scene = scenes.scene(domain, seed, self.size);
            let mut stream = Streams::new(seed).stream("jitter");
            (
                self.jitter.apply(&scene.picture, &mut stream),
                scene.classes,
            )
        };
        let made: Vec<_> = plan.par_iter().map(make).collect();
        let side = self.size as usize;
        let mut pixels = Vec::with_capacity(plan.len() * 3 * side * side);
        let mut classes = Vec::with_capacity(plan.len());
        for (values, scene_classes) in made {
            pixels.extend(values);
            classes.push(scene_classes);
        }
        let pixels = Tensor::from_vec(pixels, (plan.len(), 3, side, side), &Device::Cpu)?;
        Ok(Batch {
            pixels: upload(&pixels, device)?,
            classes,
            plan,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 4000 scenes each of `domains` has.
    fn shares(source_share: f64, domains: usize) -> Vec<usize> {
        let feed = Feed {
            size: 8,
            source_share,
            jitter: Jitter::NONE,
        };
        let mut stream = Streams::new(3).stream("plan");
        let mut found = vec![0; domains];
        for _ in 0..4000 {
            found[feed.plan(domains, &mut stream).unwrap().0] += 1;
        }
        found
    }

    #[test]
    fn the_source_has_its_share_and_the_others_share_the_rest() {
        let near = |found: usize, expected: usize| assert!(found.abs_diff(expected) < 150);
        let found = shares(0.4, 4);
        near(found[0], 1600);
        found[1..].iter().for_each(|&n| near(n, 800));
        assert_eq!(shares(0.0, 3)[0], 0);
        assert_eq!(shares(1.0, 3), [4000, 0, 0]);
        assert_eq!(shares(0.0, 1), [4000]);
    }
}
