//! Synthesis network: latents, one row per layer, to pictures.
//!
//! Rows of `ws: [n, rows, w_dim]`: the 4×4 block's `conv1` takes row 0 and its `torgb` row 1;
//! block `k >= 1` takes rows `2k - 1` (`conv0`), `2k` (`conv1`) and `2k + 1` (`torgb`), so a
//! `torgb` shares its row with the next block's `conv0`.
//!
//! The pass has two halves, and both can be had alone: latents to styles (the StyleSpace of
//! arXiv 2011.12799), and styles to a picture. Follows `SynthesisNetwork` of stylegan2-ada-pytorch,
//! `training/networks.py`.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_latent::ActingMatrix;
use domex_latent::basis::BasisKinds;
use domex_latent::modulation::{Layer, Modulations, Modulator, modulations};

use crate::activations::Activations;
use crate::block::{Block, State};
use crate::config::SynthesisConfig;
use crate::error::expect_dims;
use crate::layer::check_style;
use crate::modulation::{Style, check_rows};
use crate::noise::Noise;
use crate::precision::Precision;
use crate::weights::{Tensors, Walk, join};
use crate::{Error, Result};

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Synthesis {
    blocks: Vec<Block>,
    precision: Precision,
    activations: Activations,
    dtype: DType,
    device: Device,
    cfg: SynthesisConfig,
    /// Asked in every pass what they change of the layers.
    modulators: Vec<Arc<dyn Modulator>>,
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
            activations: Activations::Kept,
            dtype: vb.dtype(),
            device: vb.device().clone(),
            cfg: cfg.clone(),
            modulators: Vec::new(),
        })
    }

    /// Sets the number type of the highest resolutions.
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Sets what a pass keeps for the pass back.
    pub fn set_activations(&mut self, activations: Activations) {
        self.activations = activations;
    }

    /// What a pass keeps for the pass back.
    pub fn activations(&self) -> Activations {
        self.activations
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
        last_picture(self.run(&self.modulated_styles(ws)?, noise, |_| ())?)
    }

    /// Like [`forward`](Self::forward), with some of the layers changed, beside what the network's own modulators change; with none, the same
    /// bits.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward); a name that is none of [`style_names`](Self::style_names), an
    /// offset or a factor of the wrong shape.
    pub fn forward_modulated(
        &self,
        ws: &Tensor,
        modulations: &Modulations,
        noise: Noise<'_>,
    ) -> Result<Tensor> {
        let given: Arc<dyn Modulator> = Arc::new(Given(modulations.clone()));
        let all = [&self.modulators[..], &[given]].concat();
        let styles = self.styles_with(ws, &domex_latent::modulation::modulations(&all, ws)?)?;
        last_picture(self.run(&styles, noise, |_| ())?)
    }

    /// Like [`forward`](Self::forward), but what there is of the picture after the block of `resolution`: sooner, and without the fine parts.
    /// An architecture that has no picture so early goes on until it has.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_to(&self, ws: &Tensor, resolution: usize, noise: Noise<'_>) -> Result<Tensor> {
        let styles = self.modulated_styles(ws)?;
        let enough = |reached: usize, state: &mut State| {
            Ok(match state.img {
                Some(_) if reached >= resolution => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
        };
        last_picture(self.run_until(&styles, noise, enough)?)
    }

    /// Like [`forward`](Self::forward), with what leaves each block, from 4×4 upwards. The last
    /// entry's `img` is the picture.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_blocks(&self, ws: &Tensor, noise: Noise<'_>) -> Result<Vec<BlockOutput>> {
        let styles = self.modulated_styles(ws)?;
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
        let codes = self
            .modulated_styles(ws)?
            .into_iter()
            .map(|style| style.code);
        Ok(self.style_names().into_iter().zip(codes).collect())
    }

    /// Names of the styles, in the order of [`styles`](Self::styles).
    pub fn style_names(&self) -> Vec<String> {
        self.layers().map(|layer| layer.path()).collect()
    }

    /// The layers that have a style, in the order of [`styles`](Self::styles).
    pub fn modulated_layers(&self) -> Vec<Layer> {
        self.layers()
            .map(|layer| Layer {
                name: layer.path(),
                channels: layer.affine.outputs(),
                outputs: layer.outputs,
                kernel: if layer.name == "torgb" { 1 } else { 3 },
                resolution: layer.resolution,
                row: layer.row,
            })
            .collect()
    }

    /// Lets `modulator` change the layers in every pass, beside those that do already.
    pub fn add_modulator(&mut self, modulator: Arc<dyn Modulator>) {
        self.modulators.push(modulator);
    }

    /// What changes the layers in every pass.
    pub fn modulators(&self) -> &[Arc<dyn Modulator>] {
        &self.modulators
    }

    /// Pictures from styles as [`styles`](Self::styles) gives them, changed or not.
    ///
    /// # Errors
    ///
    /// A style that is missing, out of order or of the wrong shape; a network that [modulators](Self::modulators) change, of which styles say
    /// a part only.
    pub fn forward_styles(&self, styles: &[(String, Tensor)], noise: Noise<'_>) -> Result<Tensor> {
        if !self.modulators.is_empty() {
            let expected = "latents: modulators change more of a layer than its style";
            return Err(Error::config("input of the network", "styles", expected));
        }
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
        let styles = plain(styles.iter().map(|(_, style)| style.clone()));
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
                name: join(path, &format!("{}.affine.weight", layer.path())),
                kinds: basis_kinds(layer.name, layer.stage, self.blocks.len()),
                weight: layer.affine.weight().clone(),
            })
            .collect()
    }

    fn layers(&self) -> impl Iterator<Item = StyledLayer<'_>> {
        self.blocks.iter().enumerate().flat_map(|(stage, block)| {
            // Two convolutions per block, but one in the first.
            let first = (2 * stage).saturating_sub(1);
            let layers = block.affines().into_iter().enumerate();
            layers.map(move |(index, (name, affine, outputs))| StyledLayer {
                stage,
                resolution: block.resolution(),
                name,
                affine,
                outputs,
                row: first + index,
            })
        })
    }

    /// What leaves the affine maps, where `modulations` move what they read.
    fn style_tensors(&self, ws: &Tensor, modulations: &Modulations) -> Result<Vec<Tensor>> {
        let rows = self.cfg.num_ws();
        expect_dims("ws", ws, &[None, Some(rows), Some(self.cfg.w_dim)])?;
        // Neighbouring layers share a row: it is taken out once.
        let rows = (0..rows)
            .map(|row| Ok(ws.narrow(1, row, 1)?.squeeze(1)?.contiguous()?))
            .collect::<Result<Vec<_>>>()?;
        self.layers()
            .map(|layer| {
                let (row, name) = (&rows[layer.row], layer.path());
                let offset = modulations
                    .get(&name)
                    .and_then(|m| m.latent_offset.as_ref());
                let Some(offset) = offset else {
                    return layer.affine.forward(row);
                };
                check_rows(&format!("latent offset of {name}"), offset, row)?;
                layer.affine.forward(&row.broadcast_add(offset)?)
            })
            .collect()
    }

    /// Styles as the network's own modulators change them.
    pub(crate) fn modulated_styles(&self, ws: &Tensor) -> Result<Vec<Style>> {
        match self.modulators.is_empty() {
            true => Ok(plain(self.style_tensors(ws, &Modulations::new())?)),
            false => self.styles_with(ws, &modulations(&self.modulators, ws)?),
        }
    }

    fn styles_with(&self, ws: &Tensor, modulations: &Modulations) -> Result<Vec<Style>> {
        let names = self.style_names();
        if let Some(unknown) = modulations.keys().find(|name| !names.contains(name)) {
            return Err(Error::config("modulated layer", unknown, names.join(", ")));
        }
        let styles = names.iter().zip(self.style_tensors(ws, modulations)?);
        styles
            .map(|(name, code)| match modulations.get(name) {
                Some(modulation) => Style::modulated(name, code, modulation),
                None => Ok(code.into()),
            })
            .collect()
    }

    /// Styles in the order of [`layers`](Self::layers) through all blocks.
    fn run(
        &self,
        styles: &[Style],
        noise: Noise<'_>,
        mut tap: impl FnMut(BlockOutput),
    ) -> Result<State> {
        self.run_until(styles, noise, |resolution, state| {
            if let Some(x) = &state.x {
                tap(BlockOutput {
                    resolution,
                    x: x.clone(),
                    img: state.img.clone(),
                });
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The same, until `each` has enough. It is given what leaves a block, by the block's resolution, and may change it.
    pub(crate) fn run_until(
        &self,
        styles: &[Style],
        mut noise: Noise<'_>,
        mut each: impl FnMut(usize, &mut State) -> Result<ControlFlow<()>>,
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
            state = block.forward(state, own, &mut noise, dtype, self.activations)?;
            if each(block.resolution(), &mut state)?.is_break() {
                break;
            }
        }
        Ok(state)
    }
}

/// The kinds of basis that stack the affine map of `layer` (`conv0`, `conv1` or `torgb`) in block `stage`, counted from 0,
/// of `blocks`: every convolution; of the `torgb`, Domain Expansion takes the first block's, genforce the last block's.
pub fn basis_kinds(layer: &str, stage: usize, blocks: usize) -> BasisKinds {
    let is_conv = layer != "torgb";
    BasisKinds {
        domain_expansion: is_conv || stage == 0,
        genforce: is_conv || stage + 1 == blocks,
    }
}

/// The same changes for all latents.
#[derive(Debug)]
struct Given(Modulations);

impl Modulator for Given {
    fn modulate(&self, _: &Tensor) -> domex_latent::Result<Modulations> {
        Ok(self.0.clone())
    }
}

/// A layer with its place.
struct StyledLayer<'a> {
    stage: usize,
    resolution: usize,
    name: &'static str,
    affine: &'a crate::dense::Dense,
    outputs: usize,
    row: usize,
}

impl StyledLayer<'_> {
    /// Such as `b8.conv0`.
    fn path(&self) -> String {
        format!("b{}.{}", self.resolution, self.name)
    }
}

/// Styles as they leave the affine maps.
fn plain(styles: impl IntoIterator<Item = Tensor>) -> Vec<Style> {
    styles.into_iter().map(Style::from).collect()
}

pub(crate) fn last_picture(state: State) -> Result<Tensor> {
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
