//! The network's sizes, and how a file's shapes tell them.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Pixels on a side of a patch.
pub const PATCH: usize = 14;

/// Channels of a head of attention in every published network.
const HEAD: usize = 64;

/// More would be a damaged file.
const LARGEST: usize = 1 << 14;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// Sizes of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Channels of a token: 384 in ViT-S, 768 in ViT-B, 1024 in ViT-L.
    pub width: usize,
    /// Blocks: 12, in ViT-L 24.
    pub layers: usize,
    /// Heads of attention; they divide the width.
    pub heads: usize,
    /// Channels between the two linear layers of a block.
    pub mlp_width: usize,
    /// Patches on a side of the pictures that positions are stored for: 37, of 518 pixels.
    pub grid: usize,
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        for (what, size) in [
            ("width", self.width),
            ("layers", self.layers),
            ("heads", self.heads),
            ("mlp_width", self.mlp_width),
            ("grid", self.grid),
        ] {
            if !(1..=LARGEST).contains(&size) {
                return Err(Error::weights(what, size, format!("1 to {LARGEST}")));
            }
        }
        match self.width.is_multiple_of(self.heads) {
            true => Ok(()),
            false => {
                let expected = format!("a multiple of heads, {}", self.heads);
                Err(Error::weights("width", self.width, expected))
            }
        }
    }

    /// The network of these tensors, which stand under the names of [`shapes`](Self::shapes).
    ///
    /// # Errors
    ///
    /// Another network's: patches of another size, positions of no square, a width that is no multiple of 64.
    pub fn deduce(tensors: &Tensors) -> Result<Self> {
        let get = |name: &str| {
            let shape = tensors.get(name).map(Tensor::dims);
            shape.ok_or_else(|| Error::weights(name, "missing", "a tensor"))
        };
        let width = match *get("patches.weight")? {
            [width, 3, PATCH, PATCH] => width,
            ref other => {
                let expected = format!(
                    "[width, 3, {PATCH}, {PATCH}]: DINOv2 has patches of {PATCH} × {PATCH} pixels"
                );
                return Err(Error::weights("patches", format!("{other:?}"), expected));
            }
        };
        if width == 0 || !width.is_multiple_of(HEAD) {
            let expected = format!("a multiple of {HEAD}");
            return Err(Error::weights("width", width, expected));
        }
        let positions = get("positions")?;
        let grid = match *positions {
            [1, count, _] => count.saturating_sub(1).isqrt(),
            _ => 0,
        };
        if grid == 0 || positions[1] != 1 + grid * grid {
            let expected = "[1, 1 + g · g, width]";
            return Err(Error::weights(
                "positions",
                format!("{positions:?}"),
                expected,
            ));
        }
        let block = |i: usize| format!("encoder.layers.{i}.mlp.fc1.weight");
        let layers = (0..).take_while(|&i| tensors.contains_key(&block(i)));
        let config = Self {
            width,
            layers: layers.count(),
            heads: width / HEAD,
            mlp_width: get(&block(0))?.first().copied().unwrap_or(0),
            grid,
        };
        config.check()?;
        Ok(config)
    }

    /// The names of all tensors, and their shapes.
    #[must_use]
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        let (w, m) = (self.width, self.mlp_width);
        let mut shapes = BTreeMap::from([
            ("class_token".to_owned(), vec![1, 1, w]),
            (
                "positions".to_owned(),
                vec![1, 1 + self.grid * self.grid, w],
            ),
            ("patches.weight".to_owned(), vec![w, 3, PATCH, PATCH]),
            ("patches.bias".to_owned(), vec![w]),
            ("norm.weight".to_owned(), vec![w]),
            ("norm.bias".to_owned(), vec![w]),
        ]);
        for block in (0..self.layers).map(|i| format!("encoder.layers.{i}")) {
            for (layer, weight) in [
                ("layer_norm1", vec![w]),
                ("self_attn.q_proj", vec![w, w]),
                ("self_attn.k_proj", vec![w, w]),
                ("self_attn.v_proj", vec![w, w]),
                ("self_attn.out_proj", vec![w, w]),
                ("layer_norm2", vec![w]),
                ("mlp.fc1", vec![m, w]),
                ("mlp.fc2", vec![w, m]),
            ] {
                shapes.insert(format!("{block}.{layer}.bias"), vec![weight[0]]);
                shapes.insert(format!("{block}.{layer}.weight"), weight);
            }
            for scale in ["scale1", "scale2"] {
                shapes.insert(format!("{block}.{scale}"), vec![w]);
            }
        }
        shapes
    }

    /// Zeros of these shapes: a network that sees nothing, for examples and tests.
    ///
    /// # Errors
    ///
    /// Sizes that do not fit in memory.
    pub fn zeros(&self) -> Result<Tensors> {
        let shapes = self.shapes().into_iter();
        let zeros =
            shapes.map(|(name, shape)| Ok((name, Tensor::zeros(shape, DType::F32, &Device::Cpu)?)));
        zeros.collect()
    }
}
