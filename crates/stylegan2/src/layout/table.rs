//! A conversion written down as a table: a name here, a name there, and what happens to the
//! elements between.

use domex_checkpoint::TensorData;

use super::Weights;
use crate::{Error, Result};

/// What happens to a tensor on its way from the foreign layout to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// The same elements, but with dimensions of size 1 added or dropped. Holds the foreign shape,
    /// in which `None` stands for our dimensions, in order.
    Shape(&'static [Option<usize>]),
    /// `[in, out]` to `[out, in]`.
    Transpose,
    /// `[kh, kw, in, out]` to `[out, in, kh, kw]`.
    Kernel,
    /// The same, and turned by half a turn.
    TurnedKernel,
    /// One is added: TensorFlow's style bias starts at 0, ours at 1.
    PlusOne,
}

use Change::Shape;

/// No change at all.
pub(super) const SAME: Change = Shape(&[]);
/// `[1, ...]` to `[...]`, where ours has four dimensions.
pub(super) const UNBATCH4: Change = Shape(&[Some(1), None, None, None, None]);
/// The same, where ours has three.
pub(super) const UNBATCH3: Change = Shape(&[Some(1), None, None, None]);
/// `[1, 1, h, w]` to `[h, w]`.
pub(super) const PLANE: Change = Shape(&[Some(1), Some(1), None, None]);
/// `[1, c, 1, 1]` to `[c]`.
pub(super) const CHANNELS: Change = Shape(&[Some(1), None, Some(1), Some(1)]);
/// `[1]` to a scalar.
pub(super) const SCALAR: Change = Shape(&[Some(1)]);
/// `[1, n]` to `[n]`.
pub(super) const ROW: Change = Shape(&[Some(1), None]);

impl Change {
    /// From the foreign layout to ours.
    pub fn forward(self, tensor: &TensorData) -> Result<TensorData> {
        Ok(match self {
            SAME => tensor.clone(),
            Shape(pattern) => {
                let shape = tensor.shape();
                let fits = shape.len() == pattern.len()
                    && shape
                        .iter()
                        .zip(pattern)
                        .all(|(n, p)| p.is_none_or(|p| p == *n));
                // Some programs drop the dimensions of size 1 themselves.
                let bare = pattern.iter().filter(|p| p.is_none()).count();
                if !fits && shape.len() != bare {
                    return Err(shape_error(shape, pattern));
                }
                if !fits {
                    return Ok(tensor.clone());
                }
                let kept = shape.iter().zip(pattern).filter(|(_, p)| p.is_none());
                tensor.reshape(kept.map(|(&n, _)| n).collect())?
            }
            Self::Transpose => tensor.permute(&[1, 0])?,
            Self::Kernel => tensor.permute(&[3, 2, 0, 1])?,
            Self::TurnedKernel => tensor.flip(&[0, 1])?.permute(&[3, 2, 0, 1])?,
            Self::PlusOne => plus_one(tensor)?,
        })
    }

    /// From our layout to the foreign one.
    ///
    /// Only reshapes go back: no table with another change is used in that direction.
    pub fn backward(self, tensor: &TensorData) -> Result<TensorData> {
        Ok(match self {
            SAME => tensor.clone(),
            Shape(pattern) => {
                let bare = pattern.iter().filter(|p| p.is_none()).count();
                if tensor.shape().len() != bare {
                    return Err(shape_error(tensor.shape(), pattern));
                }
                let mut ours = tensor.shape().iter().copied();
                let shape = pattern
                    .iter()
                    .map(|p| p.or_else(|| ours.next()).unwrap_or(1))
                    .collect();
                tensor.reshape(shape)?
            }
            Self::Transpose | Self::Kernel | Self::TurnedKernel | Self::PlusOne => {
                return Err(Error::NotAModel {
                    problem: "this layout is only read".to_owned(),
                });
            }
        })
    }
}

fn shape_error(found: &[usize], pattern: &[Option<usize>]) -> Error {
    let expected: Vec<String> = pattern
        .iter()
        .map(|p| p.map_or_else(|| "_".to_owned(), |n| n.to_string()))
        .collect();
    Error::Shape {
        what: "tensor".to_owned(),
        expected: format!("[{}]", expected.join(", ")),
        found: found.to_vec(),
    }
}

#[allow(clippy::cast_possible_truncation)] // Back to the 32 bits it came from.
fn plus_one(tensor: &TensorData) -> Result<TensorData> {
    // In 32 bits, as the published converter does it.
    let values: Vec<f32> = tensor
        .to_f64_vec()
        .iter()
        .map(|&v| v as f32 + 1.0)
        .collect();
    Ok(TensorData::from_f32(tensor.shape().to_vec(), &values)?)
}

/// One tensor of a network.
#[derive(Debug)]
pub(super) struct Row {
    pub foreign: String,
    pub ours: String,
    pub change: Change,
    /// Some files leave it out.
    pub optional: bool,
}

impl Row {
    pub fn new(foreign: impl Into<String>, ours: impl Into<String>, change: Change) -> Self {
        Self {
            foreign: foreign.into(),
            ours: ours.into(),
            change,
            optional: false,
        }
    }
}

/// Takes every row's tensor out of `tensors` and converts it. What is left over, and `ignored`
/// does not excuse, is an error.
pub(super) fn convert(
    network: &str,
    mut tensors: Weights,
    rows: &[Row],
    direction: Direction,
    ignored: impl Fn(&str) -> bool,
) -> Result<Weights> {
    let mut out = Weights::new();
    let mut missing = Vec::new();
    for row in rows {
        let (from, to) = match direction {
            Direction::ToOurs => (&row.foreign, &row.ours),
            Direction::ToForeign => (&row.ours, &row.foreign),
        };
        match tensors.remove(from) {
            Some(tensor) => {
                let converted = match direction {
                    Direction::ToOurs => row.change.forward(&tensor),
                    Direction::ToForeign => row.change.backward(&tensor),
                };
                let converted = converted.map_err(|error| match error {
                    Error::Shape {
                        expected, found, ..
                    } => Error::Shape {
                        what: format!("{network}: tensor {from}"),
                        expected,
                        found,
                    },
                    other => other,
                })?;
                out.insert(to.clone(), converted);
            }
            None if row.optional => {}
            None => missing.push(from.clone()),
        }
    }
    let unexpected: Vec<String> = tensors.into_keys().filter(|name| !ignored(name)).collect();
    if !missing.is_empty() || !unexpected.is_empty() {
        return Err(Error::Names {
            network: network.to_owned(),
            missing,
            unexpected,
        });
    }
    Ok(out)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToOurs,
    ToForeign,
}

/// Resolutions of the blocks: 4, 8, ... `top`.
pub(super) fn resolutions(top: usize) -> impl DoubleEndedIterator<Item = usize> {
    let blocks = top.max(4).ilog2() - 1;
    (0..blocks).map(|block| 4 << block)
}

/// A filter with every tap multiplied. Powers of two leave the values exact.
pub(super) fn scaled(filter: &TensorData, factor: f32) -> Result<TensorData> {
    #[allow(clippy::cast_possible_truncation)] // Filters are stored in 32 bits.
    let values: Vec<f32> = filter
        .to_f64_vec()
        .iter()
        .map(|&v| v as f32 * factor)
        .collect();
    Ok(TensorData::from_f32(filter.shape().to_vec(), &values)?)
}

/// The resampling filter that all published networks use: `[1, 3, 3, 1]`, as its outer product,
/// with sum 1.
pub(super) fn binomial() -> Result<TensorData> {
    let taps = [1.0f32, 3.0, 3.0, 1.0];
    let values: Vec<f32> = taps
        .iter()
        .flat_map(|y| taps.iter().map(move |x| x * y / 64.0))
        .collect();
    Ok(TensorData::from_f32(vec![4, 4], &values)?)
}

/// Adds the filter buffers that stylegan2-ada-pytorch keeps in a generator's state: one per block
/// and one per convolution.
pub(super) fn add_generator_filters(tensors: &mut Weights, filter: &TensorData) {
    add_filters(tensors, filter, |name| {
        let rest = name.strip_prefix("synthesis.b")?;
        let node = rest.strip_suffix(".weight")?;
        let (block, layer) = node.split_once('.')?;
        let block_node = format!("synthesis.b{block}");
        match layer {
            "conv0" | "conv1" | "skip" => Some(vec![format!("{block_node}.{layer}"), block_node]),
            _ => None,
        }
    });
}

/// The same of a discriminator; its last block has none of its own.
pub(super) fn add_discriminator_filters(tensors: &mut Weights, filter: &TensorData) {
    add_filters(tensors, filter, |name| {
        let node = name.strip_suffix(".weight")?;
        let (block, layer) = node.strip_prefix('b')?.split_once('.')?;
        match layer {
            "fromrgb" | "conv0" | "conv1" | "skip" | "conv" => {
                let mut nodes = vec![node.to_owned()];
                if block != "4" {
                    nodes.push(format!("b{block}"));
                }
                Some(nodes)
            }
            _ => None,
        }
    });
}

fn add_filters(
    tensors: &mut Weights,
    filter: &TensorData,
    nodes: impl Fn(&str) -> Option<Vec<String>>,
) {
    let nodes: Vec<String> = tensors
        .keys()
        .filter_map(|name| nodes(name))
        .flatten()
        .collect();
    for node in nodes {
        tensors.insert(format!("{node}.resample_filter"), filter.clone());
    }
}
