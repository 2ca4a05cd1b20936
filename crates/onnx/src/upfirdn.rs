//! Resampling by the filter of a checkpoint: true convolution with it, and zeros between the pixels first where the size doubles.
//!
//! `domex_ops::upfirdn2d` is the definition. A filter is the same for all channels, so it is a convolution of one group a channel.

use candle_core::{Device, Tensor};

use crate::graph::{Conv, Graph, Value, floats};
use crate::{Error, Result};

/// Doubling the size leaves a quarter of the light: the filter makes up for it.
const GAIN: f32 = 4.0;

/// A filter with the gain of doubling the size.
#[derive(Debug)]
pub(crate) struct Filter {
    /// `[size, size]`, row by row.
    taps: Vec<f32>,
    size: usize,
}

impl Filter {
    /// Of `[k, k]`, or of `[k]` for the separable one.
    pub fn new(stored: &Tensor) -> Result<Self> {
        let values = floats(stored)?;
        let (taps, size): (Vec<f32>, usize) = match *stored.dims() {
            [k, same] if k == same && k > 0 => (values, k),
            [k] if k > 0 => {
                let outer = values
                    .iter()
                    .flat_map(|a| values.iter().map(move |b| a * b));
                (outer.collect(), k)
            }
            _ => {
                return Err(Error::Shape {
                    what: "resample_filter".to_owned(),
                    found: stored.dims().to_vec(),
                    expected: "[k, k] or [k]".to_owned(),
                });
            }
        };
        Ok(Self {
            taps: taps.into_iter().map(|tap| tap * GAIN).collect(),
            size,
        })
    }

    /// Zeros that a convolution with the filter wants before and after a picture that a transposed 3×3 convolution of stride 2
    /// doubled in size, so that the size is doubled exactly. Where they are negative, so many rows are too many.
    pub fn padding_after_convolution(&self) -> [i64; 2] {
        let n = self.size as i64;
        // Of the filter at the doubled size, and of the convolution; less what the transposed convolution adds.
        [(n + 1).div_euclid(2) + 1 - 2, (n - 2).div_euclid(2) + 1 - 1]
    }

    /// `x: [n, channels, h, w]` filtered, with this padding before and after on both axes.
    pub fn filter(
        &self,
        graph: &mut Graph,
        name: &str,
        x: &Value,
        channels: usize,
        padding: [i64; 2],
    ) -> Result<Value> {
        // The operator correlates.
        let reversed: Vec<f32> = self.taps.iter().rev().copied().collect();
        let kernel = kernel(graph, name, reversed, self.size, channels)?;
        let how = Conv {
            kernel: self.size as i64,
            padding,
            groups: channels as i64,
            doubles: false,
        };
        Ok(graph.conv(&how, &[x, &kernel]))
    }

    /// `x: [n, channels, h, w]` at twice the size.
    pub fn double(
        &self,
        graph: &mut Graph,
        name: &str,
        x: &Value,
        channels: usize,
    ) -> Result<Value> {
        // Zeros first: a kernel of one tap would begin before the picture.
        let grown = self.size.max(2);
        let mut taps = vec![0.0; grown * grown];
        let missing = grown - self.size;
        for (row, values) in self.taps.chunks(self.size).enumerate() {
            let at = (row + missing) * grown + missing;
            taps[at..at + self.size].copy_from_slice(values);
        }
        let kernel = kernel(graph, name, taps, grown, channels)?;
        // A transposed convolution is a true one over the pixels with zeros between them; of its 2 (h - 1) + n rows
        // upfirdn takes 2 h from here on.
        let n = grown as i64;
        let before = n - 1 - (n + 1).div_euclid(2);
        let after = n - 2 - before;
        let how = Conv {
            kernel: n,
            padding: [before, after],
            groups: channels as i64,
            doubles: true,
        };
        Ok(graph.conv(&how, &[x, &kernel]))
    }
}

/// The same taps `[size, size]` for every channel: `[channels, 1, size, size]`.
fn kernel(
    graph: &mut Graph,
    name: &str,
    taps: Vec<f32>,
    size: usize,
    channels: usize,
) -> Result<Value> {
    let taps = Tensor::from_vec(taps, (1, 1, size, size), &Device::Cpu)?;
    let taps = graph.constant(name, &taps)?;
    let size = size as i64;
    let shape = graph.ints(&[channels as i64, 1, size, size]);
    Ok(graph.op("Expand", &[&taps, &shape], &[]))
}
