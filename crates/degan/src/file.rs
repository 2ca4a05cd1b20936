//! An encoder in one container (kind `degan`): its tensors under their published names, its configuration, and what it is for.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Overwrite, network};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::layout::Tensors;
use crate::{Config, Encoder, Error, Result};

/// The kind of such a container.
pub const KIND: &str = "degan";

/// What an encoder is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Hash of the names and numbers of the generator whose styles it moves.
    pub generator: String,
    /// Hashes of the files of the CLIP models that guided its training.
    pub clip: Vec<String>,
    /// The pictures that it was trained on, in words.
    pub styles: String,
    /// What its offsets are multiplied with: less than 1 where a training stopped while they came in.
    pub multiplier: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    encoder: Config,
    purpose: Purpose,
}

/// Writes an encoder in half precision.
///
/// # Errors
///
/// A file that cannot be written.
pub fn write(
    path: &Path,
    config: &Config,
    purpose: &Purpose,
    tensors: &Tensors,
    provenance: &Json,
    overwrite: Overwrite,
) -> Result<()> {
    let document = Document {
        encoder: config.clone(),
        purpose: purpose.clone(),
    };
    let writer = network::half(KIND, &document, tensors, provenance)?;
    Ok(writer.write(path, overwrite)?)
}

/// Reads an encoder and what it is for.
///
/// # Errors
///
/// A file of another kind, one that is damaged, NaN or infinity in it, a missing tensor or a wrong shape.
pub fn read(path: &Path, device: &Device) -> Result<(Encoder, Purpose)> {
    let (document, tensors) = network::read(path, KIND, device)?;
    let Document { encoder, purpose } = document;
    if !purpose.multiplier.is_finite() {
        let what = format!("multiplier of {}", path.display());
        return Err(Error::config(what, purpose.multiplier, "a finite number"));
    }
    // The builder brings half precision to single.
    let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
    Ok((Encoder::new(&vb, &encoder)?, purpose))
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use candle_nn::VarMap;
    use domex_checkpoint::container::Writer;
    use domex_ops::testing::randn;

    use super::*;

    fn config() -> Config {
        Config {
            image_size: 16,
            patch_size: 8,
            num_layers: 2,
            num_heads: 2,
            hidden_dim: 8,
            mlp_dim: 8,
            domain_dims_per_resolution: vec![vec![4], vec![3, 2]],
        }
    }

    fn purpose() -> Purpose {
        Purpose {
            generator: "a".into(),
            clip: vec!["b".into()],
            styles: "sketches".into(),
            multiplier: 0.5,
        }
    }

    /// Tensors of numbers that half precision holds.
    fn tensors() -> Tensors {
        let map = VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        Encoder::new(&vb, &config()).unwrap();
        let data = map.data().lock().unwrap();
        let draw = |(at, (name, var)): (usize, (&String, &candle_core::Var))| {
            let numbers = randn(var.dims(), at as u64).to_dtype(DType::F16).unwrap();
            (name.clone(), numbers.to_dtype(DType::F32).unwrap())
        };
        data.iter().enumerate().map(draw).collect()
    }

    fn written(folder: &Path, tensors: &Tensors) -> std::path::PathBuf {
        let path = folder.join("encoder.safetensors");
        let overwrite = Overwrite::Refuse;
        write(
            &path,
            &config(),
            &purpose(),
            tensors,
            &Json::Null,
            overwrite,
        )
        .unwrap();
        path
    }

    fn offsets(encoder: &Encoder) -> Vec<Vec<f32>> {
        let pixels = Tensor::ones((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
        let offsets = encoder.forward(&pixels).unwrap().into_iter();
        offsets
            .map(|offset| offset.flatten_all().unwrap().to_vec1().unwrap())
            .collect()
    }

    #[test]
    fn a_written_encoder_makes_the_same_offsets() {
        let (folder, tensors) = (tempfile::tempdir().unwrap(), tensors());
        let (encoder, read) = read(&written(folder.path(), &tensors), &Device::Cpu).unwrap();
        assert_eq!((read, encoder.config()), (purpose(), &config()));
        let vb = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu);
        assert_eq!(
            offsets(&encoder),
            offsets(&Encoder::new(&vb, &config()).unwrap())
        );
    }

    #[test]
    fn a_file_without_a_tensor_is_refused() {
        let (folder, mut tensors) = (tempfile::tempdir().unwrap(), tensors());
        tensors.remove("class_token");
        let refused = read(&written(folder.path(), &tensors), &Device::Cpu);
        assert!(refused.unwrap_err().to_string().contains("class_token"));
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("judge.safetensors");
        let writer = Writer::new("judge", &Json::Null);
        writer.write(&path, Overwrite::Refuse).unwrap();
        let error = read(&path, &Device::Cpu).unwrap_err().to_string();
        assert!(
            error.contains("judge.safetensors") && error.contains("expected a degan"),
            "{error}"
        );
    }
}
