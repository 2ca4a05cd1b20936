//! Which weights are trained, and which row of a latent they read.

/// Whether a parameter of this name, such as `synthesis.L3_52_512.weight`, is trained.
pub(crate) fn trains(name: &str) -> bool {
    name.starts_with("synthesis.")
}

/// The row of a latent that the layer of this weight reads, among `rows`; nothing for the Fourier features, of row 0, and to RGB, of the last: as the
/// constant and to RGB of a StyleGAN2, adaptive layers do not choose them.
pub(crate) fn row_of(name: &str, rows: usize) -> Option<usize> {
    let layer = name.strip_prefix("synthesis.L")?;
    let (number, _) = layer.split_once('_')?;
    let row = number.parse::<usize>().ok()? + 1;
    (row + 1 < rows).then_some(row)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domex_stylegan3::{Generator, GeneratorConfig};

    use super::*;

    #[test]
    fn every_row_belongs_to_a_layer_but_the_first_and_the_last() {
        let config = GeneratorConfig::tiny();
        let (rows, spec) = (config.num_ws(), Generator::spec(&config).unwrap());
        let found: BTreeSet<usize> = spec
            .parameters()
            .filter_map(|name| row_of(name, rows))
            .collect();
        assert!(found.iter().copied().eq(1..rows - 1), "{found:?}");
        for name in ["synthesis.input.weight", "mapping.fc0.weight"] {
            assert_eq!(row_of(name, rows), None, "{name}");
        }
    }

    #[test]
    fn the_mapping_network_is_not_trained() {
        let spec = Generator::spec(&GeneratorConfig::tiny()).unwrap();
        let (trained, rest): (Vec<_>, Vec<_>) = spec.parameters().partition(|name| trains(name));
        assert!(trained.contains(&"synthesis.input.affine.weight"));
        assert!(!rest.is_empty() && rest.iter().all(|name| name.starts_with("mapping.")));
    }
}
