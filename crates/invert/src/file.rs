//! A latent as a file: safetensors with `w: [1, num_ws, D]`, the name that the projector of stylegan2-ada-pytorch gives
//! it, and the pixel noise of each layer as `noise.b8.conv0: [1, 1, h, w]`, where there is any.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use domex_checkpoint::safetensors::{self, Overwrite};
use domex_checkpoint::{TensorData, Value, check_finite, foreign};
use domex_latent::subspace::to_w_plus;
use domex_stylegan2::Generator;

use crate::noise::layers;
use crate::{Error, Inversion, Result, Subject};

/// What stands before the name of a layer.
const NOISE: &str = "noise.";

impl Inversion {
    /// Writes what was found for picture number `picture`, whole or not at all.
    ///
    /// # Errors
    ///
    /// No such picture, a file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn write(&self, picture: usize, path: &Path, overwrite: Overwrite) -> Result<()> {
        let count = self.latents.dim(0)?;
        if picture >= count {
            let expected = format!("0 to {}", count.saturating_sub(1));
            return Err(Error::setting("number of a picture", picture, expected));
        }
        let one = |tensor: &Tensor| -> Result<TensorData> {
            Ok(TensorData::from_tensor(&tensor.narrow(0, picture, 1)?)?)
        };
        let mut tensors = BTreeMap::from([("w".to_owned(), one(&self.latents)?)]);
        for (name, map) in &self.noise {
            tensors.insert(format!("{NOISE}{name}"), one(map)?);
        }
        Ok(safetensors::write(
            path,
            &BTreeMap::new(),
            &tensors,
            overwrite,
        )?)
    }
}

/// A latent and its pixel noise, as they were read.
#[derive(Debug, Clone)]
pub struct Code {
    /// `[1, num_ws, D]`.
    pub latent: Tensor,
    /// `[1, 1, h, w]` for each layer that adds noise, in the generator's order; empty where the file has none.
    pub noise: Vec<Tensor>,
}

impl Code {
    /// Reads one latent for `generator`: what [`Inversion::write`] wrote, or what other programs write in W or W+, a tensor
    /// alone or under the name `w` in a safetensors, torch or NumPy file. W is repeated for all rows.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds something else, a latent or noise of another generator, NaN or infinity.
    pub fn read<'a>(path: &Path, generator: impl Into<Subject<'a>>) -> Result<Self> {
        let subject = generator.into();
        let file = foreign::read(path)?;
        let tensor = match (&file.value, file.value.get("w")) {
            (Value::Tensor(tensor), _) | (_, Some(Value::Tensor(tensor))) => tensor,
            (other, _) => {
                let found = other.kind();
                let expected = "a tensor, alone or under the name w";
                return Err(Error::setting(path.display().to_string(), found, expected));
            }
        };
        check_finite(path, [(&"w".to_owned(), &**tensor)])?;
        let generator = subject.generator();
        let (rows, dim) = (generator.layers(), generator.latent_dim());
        let shaped = match *tensor.shape() {
            [d] | [1, d] | [1, 1, d] | [1, 1, 1, d] if d == dim => Some(vec![1, dim]),
            [l, d] | [1, l, d] | [1, 1, l, d] if (l, d) == (rows, dim) => Some(vec![1, rows, dim]),
            _ => None,
        };
        let Some(shaped) = shaped else {
            let found = format!("a latent of shape {:?}", tensor.shape());
            let expected =
                format!("[1, {dim}] or [1, {rows}, {dim}]; was it made with another generator?");
            return Err(Error::setting(path.display().to_string(), found, expected));
        };
        let load = |tensor: &TensorData| -> Result<Tensor> {
            let tensor = tensor.to_tensor(generator.device())?;
            Ok(tensor.to_dtype(generator.dtype())?)
        };
        let latent = to_w_plus(&load(tensor)?.reshape(shaped)?, rows)?;
        let noise = match subject {
            Subject::StyleGan2(generator) => Self::noise(path, &file.value, generator)?,
            Subject::Latent(_) => Vec::new(),
        };
        let noise = noise.iter().map(load).collect::<Result<_>>()?;
        Ok(Self { latent, noise })
    }

    /// The maps of all layers, or none.
    fn noise(path: &Path, value: &Value, generator: &Generator) -> Result<Vec<TensorData>> {
        let mut maps = Vec::new();
        let layers = layers(generator);
        for (name, side) in &layers {
            let name = format!("{NOISE}{name}");
            let Some(Value::Tensor(map)) = value.get(&name) else {
                continue;
            };
            if map.shape() != [1, 1, *side, *side] || !map.dtype().is_float() {
                let found = format!("{name} of shape {:?}", map.shape());
                let expected =
                    format!("[1, 1, {side}, {side}]; was it made with another generator?");
                return Err(Error::setting(path.display().to_string(), found, expected));
            }
            check_finite(path, [(&name, &**map)])?;
            maps.push((**map).clone());
        }
        if maps.is_empty() || maps.len() == layers.len() {
            return Ok(maps);
        }
        let found = format!("pixel noise of {} layers", maps.len());
        let expected = format!("of all {}, or of none", layers.len());
        Err(Error::setting(path.display().to_string(), found, expected))
    }
}
