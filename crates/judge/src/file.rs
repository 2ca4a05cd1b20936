//! A judge in one container (kind `judge`): its tensors, and [`Config`] as its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Overwrite, network};

use crate::{Config, Judge, Result};

/// The kind of a judge's container.
pub const KIND: &str = "judge";

/// Writes a judge in half precision.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(
    path: &Path,
    config: &Config,
    tensors: &BTreeMap<String, Tensor>,
    provenance: &serde_json::Value,
) -> Result<()> {
    let writer = network::half(KIND, config, tensors, provenance)?;
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Judge {
    /// Reads a judge's container.
    ///
    /// # Errors
    ///
    /// A file of another kind, NaN or infinity in it, a missing tensor or a wrong shape.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let (config, tensors): (Config, _) = network::read(path, KIND, device)?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        Self::new(&vb, &config)
    }
}

#[cfg(test)]
mod tests {
    use domex_checkpoint::container::{Overwrite, Writer};
    use serde_json::json;

    use super::*;
    use crate::{Architecture, Factor, NONE};

    #[test]
    fn a_configuration_without_an_architecture_is_the_plain_one() {
        let read = |widths: usize| -> Config {
            let factors = json!([{ "name": "domain", "classes": ["photo", "elf"] }]);
            let json = json!({ "size": 16, "widths": vec![4; widths], "factors": factors });
            serde_json::from_value(json).unwrap()
        };
        let zeros = VarBuilder::zeros(DType::F32, &Device::Cpu);
        let judge = Judge::new(&zeros, &read(6)).unwrap();
        assert_eq!(judge.config().architecture, Architecture::Plain);
        assert_eq!(judge.none(), None);
        let message = Judge::new(&zeros, &read(4)).unwrap_err().to_string();
        assert!(message.contains('6'), "{message}");
    }

    #[test]
    fn a_judge_of_either_architecture_finds_a_picture_nearest_to_itself() {
        for (architecture, stages) in [(Architecture::Plain, 6), (Architecture::Residual, 4)] {
            let config = Config {
                size: 16,
                architecture,
                widths: vec![4; stages],
                factors: vec![Factor::new("domain", ["photo", NONE])],
            };
            let ones = |shape: &candle_core::Shape, name: &str| {
                let count = shape.elem_count();
                let value = |i: usize| (i as f32 * 2.399 + name.len() as f32).sin();
                let values: Vec<f32> = (0..count).map(value).collect();
                Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
            };
            let map = candle_nn::VarMap::new();
            Judge::new(
                &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
                &config,
            )
            .unwrap();
            let data = map.data().lock().unwrap();
            let tensors = data
                .iter()
                .map(|(name, var)| (name.clone(), ones(var.shape(), name)));
            let vb = VarBuilder::from_tensors(tensors.collect(), DType::F32, &Device::Cpu);
            let judge = Judge::new(&vb, &config).unwrap();
            let a = ones(&(2, 3, 16, 16).into(), "a");
            let b = a.flip(&[3]).unwrap();
            let apart = |a: &Tensor, b: &Tensor| judge.distance(a, b).unwrap().to_vec1::<f32>();
            assert_eq!(apart(&a, &a).unwrap(), [0.0, 0.0]);
            assert!(apart(&a, &b).unwrap()[0] > 1e-3, "{architecture:?}");
            assert_eq!(judge.features(&a).unwrap().dims(), [2, 4]);
            assert_eq!(judge.none(), Some(1));
        }
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.safetensors");
        let writer = Writer::new("clip", &serde_json::Value::Null);
        writer.write(&path, Overwrite::Refuse).unwrap();
        let message = Judge::load(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(
            message.contains("clip") && message.contains("judge"),
            "{message}"
        );
    }
}
