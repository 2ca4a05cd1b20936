//! The published files made one: heads from the authors of LPIPS, the backbone from torchvision.
//!
//! The heads are `lin0.model.1.weight: [1, c, 1, 1]`, one for each depth; how many channels each depth has says which
//! backbone they were learned on. The backbone is torchvision's classifier, whose features alone are taken.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_checkpoint::TensorData;
use domex_checkpoint::container::Writer;
use domex_checkpoint::foreign;
use serde_json::json;

use crate::{Backbone, Config, Error, Lpips, Result, file, layout};

/// The backbones that were published.
const BACKBONES: [(Backbone, &str); 3] = [
    (Backbone::Alex, "AlexNet"),
    (Backbone::Vgg, "VGG-16"),
    (Backbone::Squeeze, "SqueezeNet 1.1"),
];

/// A container that [`Lpips::load`] reads, of a file of heads and a file of the backbone, each of any kind that
/// [`foreign`] reads.
///
/// # Errors
///
/// A file that cannot be read or holds something else, or a backbone that is not the heads'.
pub fn join(heads: &Path, backbone: &Path) -> Result<Writer> {
    let mut tensors = weights(heads)?;
    let (kind, name) = owner(heads, &tensors)?;
    // The package's own state has them a second time, as `lins.0.…`, and its backbone.
    tensors.retain(|name, _| name.starts_with("lin") && !name.starts_with("lins."));
    let wrong = |problem: String| {
        let heads = heads.display();
        let problem = format!("is not the {name} that the heads in {heads} belong to: {problem}");
        Error::file(backbone.display().to_string(), problem)
    };
    for (name, data) in weights(backbone)? {
        let ours = layout::from_torchvision(kind, &name);
        if let Some(ours) = ours.map_err(|error| wrong(error.to_string()))? {
            tensors.insert(ours, data);
        }
    }
    let config = Config::new(kind);
    let tensors = tensors
        .iter()
        .map(|(name, data)| Ok((name.clone(), data.to_tensor(&Device::Cpu)?)))
        .collect::<Result<BTreeMap<String, Tensor>>>()?;
    // Every tensor is there, and of the right shape: the network can be built.
    let all: HashMap<String, Tensor> = tensors.clone().into_iter().collect();
    let vb = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
    Lpips::new(&vb, &config).map_err(|error| wrong(error.to_string()))?;
    let source = |path: &Path| -> Result<_> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(json!({ "file": name, "sha256": domex_checkpoint::sha256_file(path)? }))
    };
    let provenance = json!({ "heads": source(heads)?, "backbone": source(backbone)? });
    file::writer(&tensors, &config, &provenance)
}

/// How the two are joined.
const JOIN: &str =
    "join them with `domex convert HEADS.pth --backbone BACKBONE.pth --out lpips.safetensors`";

/// What a file is that is no container but one of the two published parts, and what to do; `None` for any other.
#[must_use]
pub fn part(path: &Path) -> Option<Error> {
    let tensors = weights(path).ok()?;
    let problem = if tensors.contains_key("lin0.model.1.weight") {
        let (_, name) = owner(path, &tensors).ok()?;
        match tensors.contains_key("net.slice1.0.weight") {
            true => format!(
                "this is the state of the package lpips, heads with their {name}, of which only heads are read; {JOIN}"
            ),
            false => {
                format!("these are LPIPS heads, without the {name} that they belong to; {JOIN}")
            }
        }
    } else if tensors.contains_key("features.0.weight") {
        format!(
            "this is torchvision's backbone of a perceptual network, without LPIPS heads; {JOIN}"
        )
    } else {
        return None;
    };
    Some(Error::file(path.display().to_string(), problem))
}

fn weights(path: &Path) -> Result<BTreeMap<String, TensorData>> {
    let file = foreign::read(path)?;
    Ok(file.weights(&file.value)?)
}

/// The backbone whose channels these heads weigh.
fn owner(path: &Path, heads: &BTreeMap<String, TensorData>) -> Result<(Backbone, &'static str)> {
    let channels: Vec<usize> = (0..)
        .map_while(|depth| heads.get(&format!("lin{depth}.model.1.weight")))
        .map(|head| head.shape().get(1).copied().unwrap_or(0))
        .collect();
    let known = BACKBONES
        .iter()
        .find(|(kind, _)| kind.channels() == channels);
    known.copied().ok_or_else(|| {
        let known = BACKBONES.map(|(kind, name)| format!("{:?} of {name}", kind.channels()));
        Error::file(
            path.display().to_string(),
            format!(
                "holds heads lin0.model.1.weight, … for {channels:?} channels, expected {}",
                known.join(", ")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use domex_checkpoint::container::Overwrite;

    use super::*;

    /// A network's tensors as they are published: heads, and a classifier.
    fn publish(folder: &Path, backbone: Backbone) -> (Lpips, [std::path::PathBuf; 2]) {
        let (own, tensors) = file::tests::network(backbone);
        let (mut heads, mut network) = (HashMap::new(), HashMap::new());
        for (name, tensor) in tensors {
            match name.strip_prefix("net.slice") {
                None => heads.insert(name, tensor),
                Some(rest) => {
                    let (_, rest) = rest.split_once('.').unwrap();
                    network.insert(format!("features.{rest}"), tensor)
                }
            };
        }
        let bias = Tensor::zeros(10, DType::F32, &Device::Cpu).unwrap();
        network.insert("classifier.6.bias".to_owned(), bias);
        let files =
            ["heads", "network"].map(|name| folder.join(format!("{backbone:?}-{name}.pth")));
        candle_core::safetensors::save(&heads, &files[0]).unwrap();
        candle_core::safetensors::save(&network, &files[1]).unwrap();
        (own, files)
    }

    #[test]
    fn heads_and_backbone_become_a_file_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (own, [heads, network]) = publish(folder.path(), Backbone::Squeeze);
        let out = folder.path().join("squeeze.safetensors");
        let writer = join(&heads, &network).unwrap();
        writer.write(&out, Overwrite::Refuse).unwrap();
        let read = Lpips::load(&out, DType::F32, &Device::Cpu).unwrap();
        let picture = |shift: f32| {
            let values: Vec<f32> = (0..3 * 1024)
                .map(|i| (i as f32 * 0.37 + shift).sin())
                .collect();
            Tensor::from_vec(values, (1, 3, 32, 32), &Device::Cpu).unwrap()
        };
        let distance = |lpips: &Lpips| {
            let distance = lpips.distance(&picture(0.0), &picture(1.0)).unwrap();
            distance.to_vec1::<f32>().unwrap()[0]
        };
        assert!(distance(&own) > 1e-3);
        assert_eq!(distance(&read), distance(&own));
    }

    #[test]
    fn a_part_alone_is_named_with_the_way_to_join_it() {
        let folder = tempfile::tempdir().unwrap();
        let (_, [heads, network]) = publish(folder.path(), Backbone::Squeeze);
        for (file, words) in [
            (heads, "LPIPS heads, without the SqueezeNet"),
            (network, "without LPIPS heads"),
        ] {
            let error = Lpips::load(&file, DType::F32, &Device::Cpu)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains(words) && error.contains("--backbone"),
                "{error}"
            );
        }
        let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/heads-alex.pth");
        let error = Lpips::load(published, DType::F32, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(error.contains("without the AlexNet"), "{error}");
    }

    #[test]
    fn the_state_of_the_package_is_told_from_heads_and_gives_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let (_, tensors) = file::tests::network(Backbone::Squeeze);
        let twice = tensors.iter().filter_map(|(name, tensor)| {
            let rest = name.strip_prefix("lin")?;
            Some((format!("lins.{rest}"), tensor.clone()))
        });
        let all: HashMap<String, Tensor> = tensors.clone().into_iter().chain(twice).collect();
        let state = folder.path().join("state.pth");
        candle_core::safetensors::save(&all, &state).unwrap();
        let error = Lpips::load(&state, DType::F32, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("package lpips"), "{error}");
        let (_, [_, network]) = publish(folder.path(), Backbone::Squeeze);
        let out = folder.path().join("squeeze.safetensors");
        let writer = join(&state, &network).unwrap();
        writer.write(&out, Overwrite::Refuse).unwrap();
        let written = domex_checkpoint::container::Container::open(&out).unwrap();
        assert!(written.names().eq(tensors.keys()));
    }

    #[test]
    fn files_that_do_not_belong_together_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, [alex, alexnet]) = publish(folder.path(), Backbone::Alex);
        let (_, [squeeze, squeezenet]) = publish(folder.path(), Backbone::Squeeze);
        let refused = |heads: &Path, backbone: &Path, words: &[&str]| {
            let error = join(heads, backbone).unwrap_err().to_string();
            for word in words {
                assert!(error.contains(word), "{word:?} is not in: {error}");
            }
        };
        refused(
            &alex,
            &squeezenet,
            &["Squeeze-network.pth", "AlexNet", "Alex-heads.pth"],
        );
        refused(&squeeze, &alexnet, &["Alex-network.pth", "SqueezeNet 1.1"]);
        refused(
            &alexnet,
            &alex,
            &["Alex-network.pth", "lin0.model.1.weight"],
        );
        refused(&alex, &squeeze, &["Squeeze-heads.pth", "AlexNet"]);
        refused(&alex, &folder.path().join("absent.pth"), &["absent.pth"]);
    }
}
