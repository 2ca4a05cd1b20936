//! A network with its heads in one container (kind `lpips`).
//!
//! Tensors stand under the names that [`Lpips::new`] reads; the configuration is [`Config`].

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Writer, network};
use serde_json::Value as Json;

use crate::{Config, Error, Lpips, Result, published};

/// The kind of such a container.
pub const KIND: &str = "lpips";

/// A container with these tensors, ready to be written.
///
/// # Errors
///
/// A tensor of a type that no file holds.
pub fn writer<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
    config: &Config,
    provenance: &Json,
) -> Result<Writer> {
    let json = serde_json::to_value(config).map_err(|error| Error::file("configuration", error))?;
    let mut writer = Writer::new(KIND, &json).provenance(provenance);
    for (name, tensor) in tensors {
        writer.tensor(name, tensor)?;
    }
    Ok(writer)
}

impl Lpips {
    /// Reads such a container, in whatever precision it is, as `dtype`.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, dtype: DType, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let (config, tensors): (Config, _) = network::read(path, KIND, device)
            .map_err(|error| published::part(path).unwrap_or_else(|| error.into()))?;
        let vb = VarBuilder::from_tensors(tensors, dtype, device);
        let shown = path.display().to_string();
        Self::new(&vb, &config).map_err(|error| Error::file(shown, error))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use domex_checkpoint::container::Overwrite;

    use super::*;
    use crate::Backbone;

    /// A network whose features neither vanish nor grow from depth to depth, and its tensors.
    pub(crate) fn network(backbone: Backbone) -> (Lpips, BTreeMap<String, Tensor>) {
        let map = candle_nn::VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        Lpips::new(&vb, &Config::new(backbone)).unwrap();
        let data = map.data().lock().unwrap();
        let tensors = data.iter().map(|(name, var)| {
            let (n, fan_in) = (var.elem_count(), var.elem_count() / var.dims()[0]);
            let scale = (4.0 / fan_in as f32).sqrt();
            let value = |i: usize| match name.starts_with("lin") {
                true => 1.0 / (1 + i % 7) as f32,
                false => scale * (i as f32 * 2.399).sin(),
            };
            let values: Vec<f32> = (0..n).map(value).collect();
            let tensor = Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap();
            (name.clone(), tensor)
        });
        let tensors: BTreeMap<String, Tensor> = tensors.collect();
        let all = tensors.clone().into_iter().collect();
        let vb = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
        (Lpips::new(&vb, &Config::new(backbone)).unwrap(), tensors)
    }

    #[test]
    fn a_written_network_measures_alike() {
        let config = Config::new(Backbone::Small);
        let (own, tensors) = network(config.backbone);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.safetensors");
        writer(&tensors, &config, &Json::Null)
            .unwrap()
            .write(&path, Overwrite::Refuse)
            .unwrap();
        let read = Lpips::load(&path, DType::F32, &Device::Cpu).unwrap();
        let values = |shift: f32| -> Tensor {
            let v: Vec<f32> = (0..3 * 256)
                .map(|i| (i as f32 * 0.37 + shift).sin())
                .collect();
            Tensor::from_vec(v, (1, 3, 16, 16), &Device::Cpu).unwrap()
        };
        let distance = |lpips: &Lpips| {
            lpips
                .distance(&values(0.0), &values(1.0))
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
        };
        assert_eq!(distance(&read), distance(&own));
        assert!(distance(&own)[0] > 1e-3);
        assert_eq!(read.pooled(&values(0.0)).unwrap().dims(), [1, 256]);
    }
}
