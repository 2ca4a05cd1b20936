//! Settings of the pipeline.

use super::filter::BANDS;

/// How likely each change is, as a multiplier of `p`, and how far it goes. The default is *bgc*:
/// the multipliers of its three groups 1, those of the other
/// groups 0.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Multiplier of the mirror image.
    pub xflip: f64,
    /// Multiplier of quarter turns.
    pub rotate90: f64,
    /// Multiplier of shifts by whole pixels.
    pub xint: f64,
    /// Longest such shift, as a share of the picture.
    pub xint_max: f64,
    /// Multiplier of scaling.
    pub scale: f64,
    /// Standard deviation of the scale's logarithm to base 2.
    pub scale_std: f64,
    /// Multiplier of rotation, which may come before and after the stretch.
    pub rotate: f64,
    /// Largest angle, as a share of half a turn.
    pub rotate_max: f64,
    /// Multiplier of stretching one axis and shrinking the other.
    pub aniso: f64,
    /// Standard deviation of the stretch's logarithm to base 2.
    pub aniso_std: f64,
    /// Multiplier of shifts by any amount.
    pub xfrac: f64,
    /// Standard deviation of such a shift, as a share of the picture.
    pub xfrac_std: f64,
    /// Multiplier of brightness.
    pub brightness: f64,
    /// Standard deviation of what is added to the colours, which lie in −1 to 1.
    pub brightness_std: f64,
    /// Multiplier of contrast.
    pub contrast: f64,
    /// Standard deviation of the contrast's logarithm to base 2.
    pub contrast_std: f64,
    /// Multiplier of inverted luma.
    pub lumaflip: f64,
    /// Multiplier of hue.
    pub hue: f64,
    /// Largest turn of the hue, as a share of half a turn.
    pub hue_max: f64,
    /// Multiplier of saturation.
    pub saturation: f64,
    /// Standard deviation of the saturation's logarithm to base 2.
    pub saturation_std: f64,
    /// Multiplier of amplified or damped frequencies.
    pub imgfilter: f64,
    /// Multiplier of it for each band, the lowest frequencies first.
    pub imgfilter_bands: [f64; BANDS],
    /// Standard deviation of a band's gain's logarithm to base 2.
    pub imgfilter_std: f64,
    /// Multiplier of noise.
    pub noise: f64,
    /// Standard deviation of the noise's standard deviation.
    pub noise_std: f64,
    /// Multiplier of a rectangle that is cut out.
    pub cutout: f64,
    /// Its size, as a share of the picture's.
    pub cutout_size: f64,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            xflip: 1.0,
            rotate90: 1.0,
            xint: 1.0,
            scale: 1.0,
            rotate: 1.0,
            aniso: 1.0,
            xfrac: 1.0,
            brightness: 1.0,
            contrast: 1.0,
            lumaflip: 1.0,
            hue: 1.0,
            saturation: 1.0,
            ..Self::none()
        }
    }
}

impl AugmentConfig {
    /// All multipliers 0: nothing ever changes. The sizes are the published ones.
    #[must_use]
    pub fn none() -> Self {
        Self {
            xflip: 0.0,
            rotate90: 0.0,
            xint: 0.0,
            xint_max: 0.125,
            scale: 0.0,
            scale_std: 0.2,
            rotate: 0.0,
            rotate_max: 1.0,
            aniso: 0.0,
            aniso_std: 0.2,
            xfrac: 0.0,
            xfrac_std: 0.125,
            brightness: 0.0,
            brightness_std: 0.2,
            contrast: 0.0,
            contrast_std: 0.5,
            lumaflip: 0.0,
            hue: 0.0,
            hue_max: 1.0,
            saturation: 0.0,
            saturation_std: 1.0,
            imgfilter: 0.0,
            imgfilter_bands: [1.0; BANDS],
            imgfilter_std: 1.0,
            noise: 0.0,
            noise_std: 0.1,
            cutout: 0.0,
            cutout_size: 0.5,
        }
    }

    /// Every number by its name.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let numbers = [
            ("xflip", self.xflip),
            ("rotate90", self.rotate90),
            ("xint", self.xint),
            ("xint_max", self.xint_max),
            ("scale", self.scale),
            ("scale_std", self.scale_std),
            ("rotate", self.rotate),
            ("rotate_max", self.rotate_max),
            ("aniso", self.aniso),
            ("aniso_std", self.aniso_std),
            ("xfrac", self.xfrac),
            ("xfrac_std", self.xfrac_std),
            ("brightness", self.brightness),
            ("brightness_std", self.brightness_std),
            ("contrast", self.contrast),
            ("contrast_std", self.contrast_std),
            ("lumaflip", self.lumaflip),
            ("hue", self.hue),
            ("hue_max", self.hue_max),
            ("saturation", self.saturation),
            ("saturation_std", self.saturation_std),
            ("imgfilter", self.imgfilter),
            ("imgfilter_std", self.imgfilter_std),
            ("noise", self.noise),
            ("noise_std", self.noise_std),
            ("cutout", self.cutout),
            ("cutout_size", self.cutout_size),
        ];
        let bands = self.imgfilter_bands.map(|value| ("imgfilter_bands", value));
        numbers.into_iter().chain(bands)
    }
}
