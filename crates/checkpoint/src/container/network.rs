//! A network beside a generator, such as a judge or an encoder, as a container: its configuration, and its tensors under the names
//! of its key tree.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::{Container, Writer};
use crate::tensor::candle;
use crate::{Error, Problem, Result};

/// A network's configuration and tensors, from a container of this kind whose numbers are all finite.
///
/// # Errors
/// A file that is no container, or one of another kind; NaN or infinity in it; a configuration that does not fit.
pub fn read<C: DeserializeOwned>(
    path: impl AsRef<Path>,
    kind: &str,
    device: &Device,
) -> Result<(C, HashMap<String, Tensor>)> {
    let container = Container::open(path)?;
    if container.kind() != kind {
        let problem = Problem::Kind {
            found: container.kind().to_owned(),
            expected: kind.to_owned(),
        };
        return Err(problem.in_file(container.path()));
    }
    container.check_finite()?;
    let tensors = container.tensors().iter().map(|(name, data)| {
        let tensor = data.to_tensor(device);
        let tensor = tensor.map_err(|error| error.of_file(container.path()))?;
        Ok((name.clone(), tensor))
    });
    let tensors = tensors.collect::<Result<_>>()?;
    Ok((container.config_as()?, tensors))
}

/// A container with a network's configuration, its tensors in half precision, and where they come from.
///
/// # Errors
/// A configuration that JSON cannot hold; a tensor of a type that no file holds.
pub fn half<C: Serialize>(
    kind: &str,
    config: &C,
    tensors: &BTreeMap<String, Tensor>,
    provenance: &Json,
) -> Result<Writer> {
    let config = serde_json::to_value(config).map_err(|error| {
        Error::Value(Problem::Malformed {
            what: format!("configuration of the {kind}"),
            reason: error.to_string(),
        })
    })?;
    let mut writer = Writer::new(kind, &config).provenance(provenance);
    for (name, tensor) in tensors {
        let tensor = tensor.to_dtype(DType::F16).map_err(candle)?;
        writer.tensor(name, &tensor)?;
    }
    Ok(writer)
}
