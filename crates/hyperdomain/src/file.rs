//! A hypernetwork in one container (kind `hyperdomain`): its tensors under their published names, its configuration, and what it
//! is for: the hash of the generator whose convolutions it modulates, and the CLIP model whose embeddings it reads.

use std::path::Path;

use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use domex_checkpoint::container::{Overwrite, network};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::network::{Config, Hypernetwork, Tensors};

/// The kind of such a container.
pub const KIND: &str = "hyperdomain";

/// What a network is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// Hash of the generator's names and numbers.
    pub generator: String,
    /// Hash of the CLIP model's file.
    pub clip: String,
    /// The text that stands for the generator's own pictures.
    pub source: String,
    /// The texts it was trained on.
    pub texts: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    network: Config,
    purpose: Purpose,
}

/// Writes a network in half precision.
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
        network: config.clone(),
        purpose: purpose.clone(),
    };
    let writer = network::half(KIND, &document, tensors, provenance)?;
    Ok(writer.write(path, overwrite)?)
}

/// Reads a network and what it is for.
///
/// # Errors
///
/// A file of another kind, one that is damaged, NaN or infinity in it, a missing tensor or a wrong shape.
pub fn read(path: &Path, device: &Device) -> Result<(Hypernetwork, Purpose)> {
    let (document, tensors) = network::read(path, KIND, device)?;
    let Document { network, purpose } = document;
    network.validate()?;
    let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
    Ok((Hypernetwork::new(&vb, &network)?, purpose))
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;
    use domex_random::Streams;

    use super::*;
    use crate::modulation::{Convolution, ModulationKind, Part};
    use crate::network::init;

    #[test]
    fn a_written_network_makes_the_same_domains() {
        let layer = Convolution {
            name: "b4.conv1".into(),
            inputs: 4,
            outputs: 4,
        };
        let config = Config::new(ModulationKind::CinMult, 6, &[layer]);
        let tensors: Tensors = init(&config, &mut Streams::new(1).stream("network"))
            .unwrap()
            .into_iter()
            .map(|(name, tensor)| {
                (
                    name,
                    tensor
                        .to_dtype(DType::F16)
                        .unwrap()
                        .to_dtype(DType::F32)
                        .unwrap(),
                )
            })
            .collect();
        let purpose = Purpose {
            generator: "a".into(),
            clip: "b".into(),
            source: "photo".into(),
            texts: vec!["sketch".into()],
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.safetensors");
        write(
            &path,
            &config,
            &purpose,
            &tensors,
            &Json::Null,
            Overwrite::Refuse,
        )
        .unwrap();
        let (network, read) = read(&path, &Device::Cpu).unwrap();
        assert_eq!(read, purpose);
        let vb = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu);
        let own = Hypernetwork::new(&vb, &config).unwrap();
        let e = Tensor::new(&[[0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6]], &Device::Cpu).unwrap();
        let values = |network: &Hypernetwork| {
            let domain = network
                .forward(&e)
                .unwrap()
                .remove(0)
                .remove(&Part::In)
                .unwrap();
            domain.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(values(&network), values(&own));
    }
}
