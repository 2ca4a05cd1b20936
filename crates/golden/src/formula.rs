//! Weights that a case gives by a formula instead of storing them.
//!
//! Each tensor comes from its own key: `s = fnv1a32(key) + seed · 0x9E3779B9`, the flat index is
//! mixed with it as in MurmurHash3's finaliser, and the upper 24 bits make `u` in `[0, 1)`. Every
//! step is exact in f32.

use std::collections::{BTreeMap, HashMap};

use candle_core::Tensor;
use serde::Deserialize;

use crate::{Case, Result};

/// The part of a case's config that describes its weights.
#[derive(Deserialize)]
struct Config {
    seed: u32,
    /// Name patterns (`*.bias`, `lin<k>.model.1.weight`) and the kind of value they stand for.
    kinds: BTreeMap<String, String>,
}

/// The names and shapes of a network's tensors.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// All weights of a case whose config lists their shapes.
pub(crate) fn weights(case: &Case) -> Result<HashMap<String, Tensor>> {
    #[derive(Deserialize)]
    struct Listed {
        tensor_shapes: Shapes,
    }
    weights_of(case, &case.config::<Listed>()?.tensor_shapes)
}

/// The weights of these names and shapes, checked against the samples that the case stores.
pub(crate) fn weights_of(case: &Case, shapes: &Shapes) -> Result<HashMap<String, Tensor>> {
    let config: Config = case.config()?;
    let mut weights = HashMap::new();
    for (name, shape) in shapes {
        let kind = kind(&config.kinds, name)
            .ok_or_else(|| case.malformed(format!("`kinds` says nothing about `{name}`")))?;
        let values = values(case, config.seed, name, shape, kind)?;
        let check = format!("formula_check.{name}");
        if case.get(&format!("in.{check}")).is_some() {
            let stored = case.input(&check)?.to_vec1::<f32>()?;
            if !values.starts_with(&stored) {
                return Err(case.malformed(format!("the formula does not give `in.{check}`")));
            }
        }
        weights.insert(
            name.clone(),
            Tensor::from_vec(values, shape.as_slice(), case.device())?,
        );
    }
    Ok(weights)
}

/// The kind of the longest pattern that fits: `lin<k>.…` before `*.weight`.
fn kind<'a>(kinds: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    let fits = |pattern: &str| match pattern.split_once('*') {
        Some((head, tail)) => name.starts_with(head) && name.ends_with(tail),
        None => match pattern.split_once("<k>") {
            Some((head, tail)) => name
                .strip_prefix(head)
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit())),
            None => name == pattern,
        },
    };
    let fitting = kinds.iter().filter(|(pattern, _)| fits(pattern));
    fitting
        .max_by_key(|(pattern, _)| pattern.len())
        .map(|(_, kind)| kind.as_str())
}

fn values(case: &Case, seed: u32, name: &str, shape: &[usize], kind: &str) -> Result<Vec<f32>> {
    let count = shape
        .iter()
        .try_fold(1usize, |n, &side| n.checked_mul(side))
        .filter(|&n| n < 1 << 28);
    let count =
        count.ok_or_else(|| case.malformed(format!("`{name}` of shape {shape:?} is too large")))?;
    let fan_in: usize = shape.iter().skip(1).product();
    let he = (6.0 / fan_in as f64).sqrt() as f32;
    let value: Box<dyn Fn(f32) -> f32> = match kind {
        "weight" => Box::new(move |u| (2.0 * u - 1.0) * he),
        "bias" => Box::new(|u| (2.0 * u - 1.0) * 0.1),
        "lin" => Box::new(|u| u * 0.5),
        "bn_scale" => Box::new(|u| u + 0.5),
        "bn_shift" => Box::new(|u| (2.0 * u - 1.0) * 0.2),
        other => {
            return Err(case.malformed(format!("unknown kind of value `{other}` for `{name}`")));
        }
    };
    let salt = fnv1a32(name).wrapping_add(seed.wrapping_mul(0x9E37_79B9));
    Ok((0..count as u32)
        .map(|index| value(unit(index, salt)))
        .collect())
}

fn fnv1a32(key: &str) -> u32 {
    key.bytes().fold(0x811C_9DC5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// `u` in `[0, 1)`: 24 bits, exact in f32.
fn unit(index: u32, salt: u32) -> f32 {
    let mut x = index.wrapping_mul(0x9E37_79B1).wrapping_add(salt);
    x = (x ^ (x >> 16)).wrapping_mul(0x85EB_CA6B);
    x = (x ^ (x >> 13)).wrapping_mul(0xC2B2_AE35);
    x ^= x >> 16;
    (x >> 8) as f32 / (1 << 24) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the reference cases' page: seed 3, AlexNet's first weight, fan-in 363.
    #[test]
    fn the_published_test_vector() {
        let salt = fnv1a32("net.slice1.0.weight").wrapping_add(3u32.wrapping_mul(0x9E37_79B9));
        let he = (6.0f64 / 363.0).sqrt() as f32;
        let first: Vec<f32> = (0..4)
            .map(|index| (2.0 * unit(index, salt) - 1.0) * he)
            .collect();
        let expected = [0.080_461_75, -0.107_815_44, 0.083_588_95, 0.114_147_41];
        for (got, want) in first.iter().zip(expected) {
            assert!((got - want).abs() < 1e-8, "{got} {want}");
        }
    }

    #[test]
    fn the_longest_pattern_wins() {
        let pairs = [
            ("*.weight", "weight"),
            ("*.bias", "bias"),
            ("lin<k>.model.1.weight", "lin"),
        ];
        let kinds = pairs
            .iter()
            .map(|(p, k)| ((*p).to_owned(), (*k).to_owned()))
            .collect();
        assert_eq!(kind(&kinds, "lin12.model.1.weight"), Some("lin"));
        assert_eq!(kind(&kinds, "net.slice1.0.weight"), Some("weight"));
        assert_eq!(kind(&kinds, "other"), None);
    }
}
