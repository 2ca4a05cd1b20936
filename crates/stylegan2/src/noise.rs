//! Per-pixel noise of the synthesis layers.
//!
//! Every layer adds one map, the same for all its features, times its `noise_strength`, before
//! bias and activation (section 3.2 of arXiv 1812.04948).

use candle_core::{DType, Device, Tensor};
use domex_ops::upload;
use domex_random::Stream;

use crate::{Error, Result};

/// Which noise the layers add, as a user names it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum NoiseMode {
    /// The checkpoint's own maps: equal latents give equal pictures.
    #[default]
    Const,
    /// New maps for every sample, from a seeded stream.
    Random,
    /// None.
    None,
}

impl std::str::FromStr for NoiseMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "const" => Ok(Self::Const),
            "random" => Ok(Self::Random),
            "none" => Ok(Self::None),
            other => Err(Error::config(
                "noise mode",
                format!("{other:?}"),
                "const, random or none",
            )),
        }
    }
}

impl std::fmt::Display for NoiseMode {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Const => "const",
            Self::Random => "random",
            Self::None => "none",
        })
    }
}

/// The noise of one pass through a synthesis network.
#[derive(Debug, Default)]
pub enum Noise<'a> {
    /// The buffers `noise_const: [h, w]`.
    #[default]
    Const,
    /// `[n, 1, h, w]` standard normal maps, drawn layer by layer from the stream.
    Random(&'a mut Stream),
    /// No noise.
    None,
    /// One map per layer, before multiplication by `noise_strength`: `b4.conv1`, `b8.conv0`,
    /// `b8.conv1`, ... Each is `[h, w]`, `[1, 1, h, w]` or `[n, 1, h, w]`.
    Maps(&'a [Tensor]),
}

impl<'a> Noise<'a> {
    /// The noise of a mode; `stream` is only drawn from in [`NoiseMode::Random`].
    pub fn new(mode: NoiseMode, stream: &'a mut Stream) -> Self {
        match mode {
            NoiseMode::Const => Self::Const,
            NoiseMode::Random => Self::Random(stream),
            NoiseMode::None => Self::None,
        }
    }

    /// The map of layer number `index`, whose own buffer is `constant: [h, w]`, for `n` samples.
    pub(crate) fn map(
        &mut self,
        index: usize,
        constant: &Tensor,
        n: usize,
    ) -> Result<Option<Tensor>> {
        let (h, w) = constant.dims2()?;
        match self {
            Self::None => Ok(None),
            Self::Const => Ok(Some(constant.clone())),
            Self::Random(stream) => {
                let mut values = vec![0f32; n * h * w];
                stream.fill_normal(&mut values);
                let map = Tensor::from_vec(values, (n, 1, h, w), &Device::Cpu)?;
                let map = upload(&map, constant.device())?;
                Ok(Some(map.to_dtype(constant.dtype())?))
            }
            Self::Maps(maps) => {
                let map = maps.get(index).ok_or_else(|| {
                    Error::config("noise maps", maps.len(), format!("more than {index}"))
                })?;
                Ok(Some(as_map(map, index, [n, h, w], constant.dtype())?))
            }
        }
    }

    /// Checks the number of explicit maps against the number of layers.
    pub(crate) fn check(&self, layers: usize) -> Result<()> {
        match self {
            Self::Maps(maps) if maps.len() != layers => Err(Error::config(
                "noise maps",
                maps.len(),
                format!("{layers}, one per layer with noise"),
            )),
            _ => Ok(()),
        }
    }
}

fn as_map(map: &Tensor, index: usize, [n, h, w]: [usize; 3], dtype: DType) -> Result<Tensor> {
    let map = match map.dims() {
        dims if *dims == [h, w] => map.clone(),
        dims if *dims == [1, 1, h, w] => map.reshape((h, w))?,
        dims if *dims == [n, 1, h, w] => map.clone(),
        dims => {
            return Err(Error::Shape {
                what: format!("noise map {index}"),
                expected: format!("[{h}, {w}], [1, 1, {h}, {w}] or [{n}, 1, {h}, {w}]"),
                found: dims.to_vec(),
            });
        }
    };
    Ok(map.to_dtype(dtype)?)
}
