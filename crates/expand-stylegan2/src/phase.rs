//! Which layers of the synthesis are trained.
//!
//! StyleGAN-NADA (Gal et al. 2021, arXiv 2108.00946) can be told to train some layers only, by its `--phase`. Its counting of
//! layers, for which rosinality's network is the measure, is in rows here: a row of W+ is read by one convolution, or by a
//! ToRGB and the next block's first convolution.
//!
//! | [`Phase`] | trained |
//! | --- | --- |
//! | `all` | the whole synthesis network, as in Domain Expansion |
//! | `no_torgb` | all but ToRGB: what StyleGAN-NADA trains where no phase is given |
//! | `texture` | the constant, the convolution of row 0 and those of rows 3 to 10 |
//! | `shape` | the constant, the convolutions of rows 0 to 2 |
//! | `shape_expanded` | the constant, the convolutions of rows 0 to 3 |
//! | `no_fine` | the constant, the convolutions of rows 0 to 10 |
//!
//! The mapping network is never trained. Phase `all` of StyleGAN-NADA unfreezes it too, but draws its latents by the frozen
//! one, so that no gradient reaches it.

use serde::{Deserialize, Serialize};

/// Layers of the generator that are trained, by the names of StyleGAN-NADA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The whole synthesis network.
    #[default]
    All,
    /// All but ToRGB.
    #[serde(rename = "no_torgb")]
    NoToRgb,
    /// What decides textures, in a network of 1024².
    Texture,
    /// What decides shapes.
    Shape,
    /// The same and a layer more.
    ShapeExpanded,
    /// All but the fine layers.
    NoFine,
}

impl Phase {
    /// All of them, by what settings call them.
    pub const ALL: [(&str, Self); 6] = [
        ("all", Self::All),
        ("no_torgb", Self::NoToRgb),
        ("texture", Self::Texture),
        ("shape", Self::Shape),
        ("shape_expanded", Self::ShapeExpanded),
        ("no_fine", Self::NoFine),
    ];

    /// Whether a parameter of this name, such as `synthesis.b8.conv0.weight`, is trained.
    pub(crate) fn trains(self, name: &str) -> bool {
        match part(name) {
            None => false,
            Some(Part::ToRgb) => self == Self::All,
            Some(Part::Constant) => true,
            Some(Part::Convolution { row }) => match self {
                Self::All | Self::NoToRgb => true,
                Self::Texture => row == 0 || (3..=10).contains(&row),
                Self::Shape => row <= 2,
                Self::ShapeExpanded => row <= 3,
                Self::NoFine => row <= 10,
            },
        }
    }
}

/// The row of W+ that the convolution of this name reads; nothing for ToRGB, the constant and what is not of the synthesis.
pub(crate) fn row_of(name: &str) -> Option<usize> {
    match part(name)? {
        Part::Convolution { row } => Some(row),
        Part::ToRgb | Part::Constant => None,
    }
}

/// A part of the synthesis network.
enum Part {
    Constant,
    Convolution { row: usize },
    ToRgb,
}

/// The part that a parameter, or a layer such as `b8.conv0`, belongs to. The shortcut of a residual block goes with the
/// block's first convolution.
fn part(name: &str) -> Option<Part> {
    let name = name.strip_prefix("synthesis.").unwrap_or(name);
    let (side, rest) = name.strip_prefix('b')?.split_once('.')?;
    let block = (side.parse::<usize>().ok()?.checked_ilog2()? as usize).checked_sub(2)?;
    Some(match rest.split('.').next()? {
        "const" => Part::Constant,
        "conv0" | "skip" => Part::Convolution {
            row: (2 * block).checked_sub(1)?,
        },
        "conv1" => Part::Convolution { row: 2 * block },
        "torgb" => Part::ToRgb,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use candle_core::Device;
    use domex_stylegan2::{Generator, GeneratorConfig, Model};

    use super::*;

    /// The parameters of a generator.
    fn parameters(resolution: usize) -> Vec<String> {
        let config = GeneratorConfig::with_defaults(8, 12, resolution, 4096, 4).unwrap();
        let model = Model::random(&config, 0, &Device::Cpu).unwrap();
        let spec = Generator::spec(&config).unwrap();
        let (vars, _) = spec.trainable(&model.g_ema.tensors()).unwrap();
        vars.into_keys().collect()
    }

    /// The layers that a phase trains, such as `b8.conv0`.
    fn trained(phase: Phase, names: &[String]) -> BTreeSet<String> {
        let layer = |name: &String| {
            let parts: Vec<&str> = name.split('.').skip(1).take(2).collect();
            parts.join(".")
        };
        let names = names.iter().filter(|name| phase.trains(name));
        names.map(layer).collect()
    }

    #[test]
    fn every_parameter_of_the_synthesis_is_trained_and_none_of_the_mapping() {
        for name in parameters(16) {
            let synthesis = name.starts_with("synthesis.");
            assert_eq!(Phase::All.trains(&name), synthesis, "{name}");
        }
    }

    #[test]
    fn every_row_but_the_last_belongs_to_a_convolution() {
        let names = parameters(16);
        let rows: BTreeSet<usize> = names.iter().filter_map(|name| row_of(name)).collect();
        assert!(rows.iter().copied().eq(0..5), "{rows:?}");
        assert_eq!(row_of("synthesis.b8.conv0.affine.bias"), Some(1));
        assert_eq!(row_of("b16.conv1"), Some(4));
        for name in [
            "synthesis.b8.torgb.weight",
            "synthesis.b4.const",
            "b8.torgb",
        ] {
            assert_eq!(row_of(name), None, "{name}");
        }
    }

    /// By the indices of StyleGAN-NADA: layer `k` of its list of later convolutions reads row `k + 1`.
    #[test]
    fn phases_train_the_published_layers() {
        let names = parameters(1024);
        let convolution = |row: usize| match row {
            0 => "b4.conv1".to_owned(),
            row => format!("b{}.conv{}", 4 << row.div_ceil(2), (row + 1) % 2),
        };
        for (phase, later) in [
            (Phase::Texture, 2..10),
            (Phase::Shape, 0..2),
            (Phase::ShapeExpanded, 0..3),
            (Phase::NoFine, 0..10),
            (Phase::NoToRgb, 0..16),
        ] {
            let rows = std::iter::once(0).chain(later.map(|k| k + 1));
            let mut expected: BTreeSet<String> = rows.map(convolution).collect();
            expected.insert("b4.const".to_owned());
            assert_eq!(trained(phase, &names), expected, "{phase:?}");
        }
    }

    #[test]
    fn a_phase_is_called_in_settings_as_in_the_list() {
        for (name, phase) in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).unwrap(), name);
        }
    }
}
