//! What the networks cost, counted from their configuration.

use crate::folder::count;
use crate::{Result, UNetConfig};

impl UNetConfig {
    /// Floating-point operations of one pass over the latents of one picture with a text of so many tokens: two for each product of
    /// convolutions, linear layers and attention. What is done number by number is not counted.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be built.
    pub fn flops(&self, tokens: usize) -> Result<u64> {
        let shapes = self.shapes()?;
        let layers = shapes.iter().filter(|(_, shape)| shape.len() > 1);
        let layers = layers.map(|(name, shape)| count(shape) * self.places(name, tokens));
        let products: u64 = layers.sum::<u64>() + self.attention_products(tokens);
        Ok(2 * products)
    }

    /// Places of a level.
    fn places_of(&self, level: usize) -> u64 {
        let side = (self.sample_size >> level) as u64;
        side * side
    }

    /// How often a layer's weight is used.
    fn places(&self, name: &str, tokens: usize) -> u64 {
        let last = self.channels.len() - 1;
        let mut parts = name.split('.');
        let (block, number) = (
            parts.next(),
            parts.next().and_then(|n| n.parse::<usize>().ok()),
        );
        let level = match (block, number) {
            (Some("down_blocks"), Some(i)) => i + usize::from(name.contains("downsamplers")),
            (Some("up_blocks"), Some(i)) => last - i - usize::from(name.contains("upsamplers")),
            (Some("mid_block"), _) => last,
            _ => 0,
        };
        let is = |part: &str| name.contains(part);
        match () {
            () if is("time_emb") => 1,
            () if is("attn2.to_k") || is("attn2.to_v") => tokens as u64,
            () => self.places_of(level),
        }
    }

    /// Products of queries with keys, and of weights with values, to itself and to the text.
    fn attention_products(&self, tokens: usize) -> u64 {
        let last = self.channels.len() - 1;
        let one = |level: usize| {
            let places = self.places_of(level);
            2 * places * (places + tokens as u64) * self.channels[level] as u64
        };
        let attends = (0..=last).filter(|&level| self.attends[level]);
        let levels = attends.map(|level| (2 * self.layers + 1) as u64 * one(level));
        levels.sum::<u64>() + one(last)
    }
}
