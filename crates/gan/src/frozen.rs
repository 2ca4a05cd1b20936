//! Networks that no gradient is computed for, while the optimizer goes on writing their weights.
//!
//! In a generator's step the discriminator only passes gradients on to the pictures, and in a
//! discriminator's step the generator only makes pictures. A frozen network shares the memory of
//! the one it was made from: it follows every write to that one's variables, and need not be made
//! again. Buffers that are replaced instead of written (the running mean of w) stay as they were.

use domex_stylegan2::{Discriminator, Generator, Spec, Tensors};

use crate::Result;

/// `network` without variables, on the same memory. Precision is the default one.
///
/// # Errors
///
/// When the network cannot be built, which its own tensors do not cause.
pub fn discriminator(network: &Discriminator) -> Result<Discriminator> {
    let tensors = detached(network.tensors());
    Ok(network.with_tensors(&tensors)?)
}

/// `network` without variables, on the same memory. Precision is the default one.
///
/// # Errors
///
/// When the network cannot be built, which its own tensors do not cause.
pub fn generator(network: &Generator) -> Result<Generator> {
    let tensors = detached(network.tensors());
    Ok(network.with_tensors(&tensors)?)
}

/// Names of a discriminator's parameters in its first `layers` layers, counted from the highest resolution: fromrgb, conv0,
/// conv1, skip of each block. Left as they are, they let it learn another domain from few pictures (freeze-D, Mo et al. 2020,
/// arXiv 2002.10964). The epilogue is never among them.
#[must_use]
pub fn first_layers(spec: &Spec, layers: usize) -> Vec<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut names = Vec::new();
    for name in spec.parameters() {
        let Some((layer, _)) = name.rsplit_once('.') else {
            continue;
        };
        if layer.starts_with("b4.") || !layer.starts_with('b') {
            continue;
        }
        if !seen.contains(&layer) {
            seen.push(layer);
        }
        if seen.len() <= layers {
            names.push(name.to_string());
        }
    }
    names
}

fn detached(tensors: Tensors) -> Tensors {
    let detach = |(name, tensor): (String, candle_core::Tensor)| (name, tensor.detach());
    tensors.into_iter().map(detach).collect()
}

#[cfg(test)]
mod tests {
    use domex_stylegan2::{DiscriminatorConfig, config::channels};

    use super::*;

    #[test]
    fn frozen_layers_are_counted_from_the_top() {
        let config = DiscriminatorConfig::new(64, 3, channels(64, 1024, 16).unwrap());
        let spec = Discriminator::spec(&config).unwrap();
        assert!(first_layers(&spec, 0).is_empty());
        let expected = [
            "b64.fromrgb.bias",
            "b64.fromrgb.weight",
            "b64.conv0.bias",
            "b64.conv0.weight",
            "b64.conv1.bias",
            "b64.conv1.weight",
            "b64.skip.weight",
            "b32.conv0.bias",
            "b32.conv0.weight",
        ];
        assert_eq!(first_layers(&spec, 5), expected);
        assert!(
            first_layers(&spec, 100)
                .iter()
                .all(|name| !name.starts_with("b4."))
        );
    }
}
