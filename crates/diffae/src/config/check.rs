//! Ranges. What passes can be built without an overflow, though perhaps not without memory.

use domex_diffusion::layers::GroupNorm;

use super::{Config, EncoderConfig, Heads, LatentConfig, UNetConfig};
use crate::{Error, Result};

/// No network has sizes beyond these; a file that says so is damaged.
const MAX_CHANNELS: usize = 1 << 16;
pub(crate) const MAX_LEVELS: usize = 16;
const MAX_BLOCKS: usize = 64;
const MAX_IMAGE_SIZE: usize = 1 << 14;
const MAX_LAYERS: usize = 1 << 10;
const MAX_PATCH: usize = 1 << 4;

impl Config {
    /// Refuses what no network can be built from.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.unet.validate()?;
        self.encoder.validate()?;
        let size = self.unet.cond_channels;
        same("encoder.out_channels", self.encoder.out_channels, size)?;
        let (unet, encoder) = (&self.unet, &self.encoder);
        same("encoder.image_size", encoder.image_size, unet.image_size)?;
        same("encoder.in_channels", encoder.in_channels, unet.in_channels)?;
        // The prediction is noise that is taken off the picture.
        same("unet.out_channels", unet.out_channels, unet.in_channels)?;
        if let Some(latent) = &self.latent {
            latent.validate()?;
            same("latent.channels", latent.channels, size)?;
        }
        self.diffusion.pictures()?;
        self.diffusion.latents()?;
        Ok(())
    }
}

impl UNetConfig {
    /// See [`Config::validate`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        channels("unet.in_channels", self.in_channels)?;
        channels("unet.out_channels", self.out_channels)?;
        channels("unet.embed_channels", self.embed_channels)?;
        channels("unet.cond_channels", self.cond_channels)?;
        within("unet.model_channels", self.model_channels, 2, MAX_CHANNELS)?;
        let (input, output) = (&self.input_channels, &self.output_channels);
        let size = in_patches("unet", self.image_size, self.patch)?;
        levels("unet.input_channels", input, size)?;
        levels("unet.output_channels", output, size)?;
        if input.len() != output.len() {
            let expected = format!("{} levels, as unet.output_channels", output.len());
            return Err(Error::config("unet.input_channels", input.len(), expected));
        }
        let blocks = self.num_input_res_blocks;
        within("unet.num_input_res_blocks", blocks, 1, MAX_BLOCKS)?;
        within("unet.num_res_blocks", self.num_res_blocks, 1, MAX_BLOCKS)?;
        for heads in [self.heads, self.heads_upsample] {
            heads.validate("unet.heads")?;
        }
        Ok(())
    }
}

impl EncoderConfig {
    /// See [`Config::validate`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        channels("encoder.in_channels", self.in_channels)?;
        channels("encoder.out_channels", self.out_channels)?;
        let size = in_patches("encoder", self.image_size, self.patch)?;
        levels("encoder.channels", &self.channels, size)?;
        let blocks = self.num_res_blocks;
        within("encoder.num_res_blocks", blocks, 1, MAX_BLOCKS)?;
        self.heads.validate("encoder.heads")
    }
}

impl LatentConfig {
    /// See [`Config::validate`].
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        channels("latent.channels", self.channels)?;
        channels("latent.hidden_channels", self.hidden_channels)?;
        within("latent.time_channels", self.time_channels, 2, MAX_CHANNELS)?;
        within("latent.layers", self.layers, 2, MAX_LAYERS)?;
        within("latent.time_layers", self.time_layers, 1, MAX_LAYERS)?;
        if let Some(layer) = self.skip_layers.iter().find(|l| **l >= self.layers) {
            let expected = format!("layers below {}", self.layers);
            return Err(Error::config("latent.skip_layers", layer, expected));
        }
        if !self.condition_bias.is_finite() {
            let found = self.condition_bias;
            return Err(Error::config(
                "latent.condition_bias",
                found,
                "a finite number",
            ));
        }
        Ok(())
    }
}

impl Heads {
    /// Heads of attention over that many channels.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the channels cannot be shared out.
    pub fn of(self, channels: usize) -> Result<usize> {
        let (unit, heads) = match self {
            Self::Count(heads) => (heads, heads),
            Self::Channels(depth) => (depth, channels.checked_div(depth).unwrap_or(0)),
        };
        if unit == 0 || !channels.is_multiple_of(unit) {
            let expected = format!("heads that share out {channels} channels");
            return Err(Error::config("heads", format!("{self:?}"), expected));
        }
        Ok(heads)
    }

    fn validate(self, what: &str) -> Result<()> {
        let (Self::Count(size) | Self::Channels(size)) = self;
        channels(what, size)
    }
}

fn same(what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let expected = format!("{expected}, as the U-Net has it");
    Err(Error::config(what, found, expected))
}

fn within(what: &str, found: usize, least: usize, most: usize) -> Result<()> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(Error::config(what, found, format!("{least} to {most}")))
}

fn channels(what: &str, found: usize) -> Result<()> {
    within(what, found, 1, MAX_CHANNELS)
}

/// How many patches of `patch` pixels stand side by side in a picture.
fn in_patches(network: &str, image_size: usize, patch: usize) -> Result<usize> {
    within(&format!("{network}.patch"), patch, 1, MAX_PATCH)?;
    if image_size.is_multiple_of(patch) {
        return Ok(image_size / patch);
    }
    let expected = format!("a multiple of {patch}, the side of a patch");
    Err(Error::config(
        format!("{network}.image_size"),
        image_size,
        expected,
    ))
}

/// Channels of the levels of a network, which halve the picture.
fn levels(what: &str, widths: &[usize], image_size: usize) -> Result<()> {
    within(&format!("levels of {what}"), widths.len(), 1, MAX_LEVELS)?;
    for &width in widths {
        channels(what, width)?;
        GroupNorm::groups(width)?;
    }
    within("image_size", image_size, 1, MAX_IMAGE_SIZE)?;
    let unit = 1usize << (widths.len() - 1);
    if !image_size.is_multiple_of(unit) {
        let expected = format!(
            "a multiple of {unit}, to be halved {} times",
            widths.len() - 1
        );
        return Err(Error::config("image_size", image_size, expected));
    }
    Ok(())
}
