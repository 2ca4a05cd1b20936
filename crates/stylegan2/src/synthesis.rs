//! Synthesis network: latents, one row per layer, to pictures.
//!
//! Rows of `ws: [n, rows, w_dim]`: the 4×4 block's `conv1` takes row 0 and its `torgb` row 1;
//! block `k >= 1` takes rows `2k - 1` (`conv0`), `2k` (`conv1`) and `2k + 1` (`torgb`), so a
//! `torgb` shares its row with the next block's `conv0`.
//!
//! The pass has two halves, and both can be had alone: latents to styles (the StyleSpace of
//! arXiv 2011.12799), and styles to a picture. Follows `SynthesisNetwork` of stylegan2-ada-pytorch,
//! `training/networks.py`.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_latent::{ActingMatrix, Role};

use crate::block::{Block, State};
use crate::config::SynthesisConfig;
use crate::error::expect_dims;
use crate::half::Precision;
use crate::layer::check_style;
use crate::noise::Noise;
use crate::weights::{Tensors, Walk, join};
use crate::{Error, Result};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Synthesis {
    blocks: Vec<Block>,
    precision: Precision,
    dtype: DType,
    device: Device,
    cfg: SynthesisConfig,
}

/// What leaves a block.
#[derive(Debug, Clone)]
pub struct BlockOutput {
    /// Width and height.
    pub resolution: usize,
    /// Features `[n, c, h, w]`, in float16 where the block runs in it.
    pub x: Tensor,
    /// The picture so far `[n, colours, h, w]`; `None` where the architecture has none yet.
    pub img: Option<Tensor>,
}

impl Synthesis {
    /// Reads the network from the node that holds `b4`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name.
    pub fn new(vb: &VarBuilder<'_>, cfg: &SynthesisConfig) -> Result<Self> {
        let blocks = cfg
            .resolutions()
            .into_iter()
            .map(|resolution| Block::new(&vb.pp(format!("b{resolution}")), cfg, resolution))
            .collect::<Result<_>>()?;
        Ok(Self {
            blocks,
            precision: Precision::Auto,
            dtype: vb.dtype(),
            device: vb.device().clone(),
            cfg: cfg.clone(),
        })
    }

    /// Sets the number type of the highest resolutions.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &SynthesisConfig {
        &self.cfg
    }

    /// Type of the weights.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// `ws: [n, rows, w_dim]` to pictures `[n, colours, h, w]`, about -1 to 1 and not clamped.
    ///
    /// # Errors
    ///
    /// A wrong shape of `ws` or of an explicit noise map.
    pub fn forward(&self, ws: &Tensor, noise: Noise<'_>) -> Result<Tensor> {
        let styles = self.style_tensors(ws)?;
        last_picture(self.run(&styles, noise, |_| ())?)
    }

    /// Like [`forward`](Self::forward), with what leaves each block, from 4×4 upwards. The last
    /// entry's `img` is the picture.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_blocks(&self, ws: &Tensor, noise: Noise<'_>) -> Result<Vec<BlockOutput>> {
        let styles = self.style_tensors(ws)?;
        let mut outputs = Vec::with_capacity(self.blocks.len());
        self.run(&styles, noise, |output| outputs.push(output))?;
        Ok(outputs)
    }

    /// Styles of every layer from `ws: [n, rows, w_dim]`: name, such as `b8.conv0`, and values
    /// `[n, c]` as they leave the affine map. In the order `b4.conv1`, `b4.torgb`, `b8.conv0`,
    /// `b8.conv1`, `b8.torgb`, ...
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn styles(&self, ws: &Tensor) -> Result<Vec<(String, Tensor)>> {
        let names = self.style_names();
        Ok(names.into_iter().zip(self.style_tensors(ws)?).collect())
    }

    /// Names of the styles, in the order of [`styles`](Self::styles).
    pub fn style_names(&self) -> Vec<String> {
        self.layers()
            .map(|layer| format!("b{}.{}", layer.resolution, layer.name))
            .collect()
    }

    /// Pictures from styles as [`styles`](Self::styles) gives them, changed or not.
    ///
    /// # Errors
    ///
    /// A style that is missing, out of order or of the wrong shape.
    pub fn forward_styles(&self, styles: &[(String, Tensor)], noise: Noise<'_>) -> Result<Tensor> {
        let names = self.style_names();
        let given = styles.iter().map(|(name, _)| name.as_str());
        if !given.clone().eq(names.iter().map(String::as_str)) {
            return Err(Error::config(
                "styles",
                given.collect::<Vec<_>>().join(", "),
                names.join(", "),
            ));
        }
        let n = styles[0].1.dim(0)?;
        for (layer, (name, style)) in self.layers().zip(styles) {
            check_style(name, style, layer.affine, n)?;
        }
        let styles: Vec<_> = styles.iter().map(|(_, style)| style.clone()).collect();
        last_picture(self.run(&styles, noise, |_| ())?)
    }

    /// Number of layers that add noise: the length of [`Noise::Maps`].
    pub fn noise_layers(&self) -> usize {
        self.blocks.iter().map(Block::noisy_layers).sum()
    }

    /// The affine weights, in parameter order, for `domex_latent`'s bases. `path` is where this
    /// network stands in the checkpoint.
    pub(crate) fn acting_matrices(&self, path: &str) -> Vec<ActingMatrix> {
        self.layers()
            .map(|layer| ActingMatrix {
                name: join(
                    path,
                    &format!("b{}.{}.affine.weight", layer.resolution, layer.name),
                ),
                role: if layer.name == "torgb" {
                    Role::ToRgb
                } else {
                    Role::Conv
                },
                stage: layer.stage,
                weight: layer.affine.weight().clone(),
            })
            .collect()
    }

    fn layers(&self) -> impl Iterator<Item = StyledLayer<'_>> {
        self.blocks.iter().enumerate().flat_map(|(stage, block)| {
            // Two convolutions per block, but one in the first.
            let first = (2 * stage).saturating_sub(1);
            let layers = block.affines().into_iter().enumerate();
            layers.map(move |(index, (name, affine))| StyledLayer {
                stage,
                resolution: block.resolution(),
                name,
                affine,
                row: first + index,
            })
        })
    }

    fn style_tensors(&self, ws: &Tensor) -> Result<Vec<Tensor>> {
        let rows = self.cfg.num_ws();
        expect_dims("ws", ws, &[None, Some(rows), Some(self.cfg.w_dim)])?;
        // Neighbouring layers share a row: it is taken out once.
        let rows = (0..rows)
            .map(|row| Ok(ws.narrow(1, row, 1)?.squeeze(1)?.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        self.layers()
            .map(|layer| layer.affine.forward(&rows[layer.row]))
            .collect()
    }

    /// Styles in the order of [`layers`](Self::layers) through all blocks.
    fn run(
        &self,
        styles: &[Tensor],
        mut noise: Noise<'_>,
        mut tap: impl FnMut(BlockOutput),
    ) -> Result<State> {
        noise.check(self.noise_layers())?;
        let mut state = State {
            x: None,
            img: None,
            noisy: 0,
        };
        let mut rest = styles;
        for block in &self.blocks {
            let (own, after) = rest.split_at(block.affines().len());
            rest = after;
            let dtype = self
                .precision
                .dtype(block.is_half(), &self.device, self.dtype);
            state = block.forward(state, own, &mut noise, dtype)?;
            if let Some(x) = &state.x {
                tap(BlockOutput {
                    resolution: block.resolution(),
                    x: x.clone(),
                    img: state.img.clone(),
                });
            }
        }
        Ok(state)
    }
}

/// A layer with its place.
struct StyledLayer<'a> {
    stage: usize,
    resolution: usize,
    name: &'static str,
    affine: &'a crate::dense::Dense,
    row: usize,
}

fn last_picture(state: State) -> Result<Tensor> {
    state
        .img
        .ok_or_else(|| Error::config("synthesis blocks", "none", "at least one"))
}

impl Walk for Synthesis {
    fn walk(&self, path: &str, out: &mut Tensors) {
        for block in &self.blocks {
            block.walk(&join(path, &format!("b{}", block.resolution())), out);
        }
    }
}
