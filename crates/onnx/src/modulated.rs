//! Modulated convolution: the shared weight for the whole batch, on scaled inputs, with scaled outputs.
//!
//! `y = d ⊙ conv(x ⊙ s, W)` with `d = g / sqrt(s² · Σ_k W² + 1e-8)`: the form of `domex_ops::modulated_conv` that makes no weight for
//! each sample, and so leaves the size of the batch open.

use candle_core::Tensor;

use crate::Result;
use crate::graph::{Attribute, Conv, Graph, Value};
use crate::upfirdn::Filter;

/// Keeps the demodulation finite for a weight of zeros.
const EPSILON: f64 = 1e-8;

/// A 3×3 layer.
pub(crate) struct Modulated<'a> {
    /// Where it stands in the checkpoint.
    pub path: &'a str,
    /// `[o, i, 3, 3]`, as demodulation sees it.
    pub weight: &'a Tensor,
    /// Of a layer that doubles the size.
    pub filter: Option<&'a Filter>,
    /// Multiplies the output.
    pub gain: f64,
}

/// `x: [n, i, h, w]`, scaled already, to `[n, o, h, w]` or twice the size. `style: [n, i]` is what demodulation sees.
pub(crate) fn modulated_conv(
    graph: &mut Graph,
    layer: &Modulated<'_>,
    x: &Value,
    style: &Value,
) -> Result<Value> {
    let name = format!("{}.weight", layer.path);
    let (y, weight) = match layer.filter {
        None => {
            let weight = graph.weight(&name, layer.weight)?;
            (graph.conv(&Conv::same(3), &[x, &weight]), weight)
        }
        Some(filter) => {
            // The operator wants inputs first.
            let weight = graph.weight(&name, &layer.weight.transpose(0, 1)?.contiguous()?)?;
            (doubled(graph, layer, filter, x, &weight)?, weight)
        }
    };
    let is_turned = i64::from(layer.filter.is_none());
    let factors = demodulation(graph, style, &weight, is_turned, layer.gain);
    let factors = graph.as_channels(&factors);
    Ok(graph.mul(&y, &factors))
}

/// Transposed convolution of stride 2 and the filter.
fn doubled(
    graph: &mut Graph,
    layer: &Modulated<'_>,
    filter: &Filter,
    x: &Value,
    weight: &Value,
) -> Result<Value> {
    let padding = filter.padding_after_convolution();
    // Rows too many are not computed at all.
    let how = Conv {
        padding: padding.map(|rows| (-rows).max(0)),
        doubles: true,
        ..Conv::same(3)
    };
    let y = graph.conv(&how, &[x, weight]);
    let name = format!("{}.resample_filter", layer.path);
    let padding = padding.map(|rows| rows.max(0));
    filter.filter(graph, &name, &y, layer.weight.dim(0)?, padding)
}

/// `g / sqrt(s² · Σ_k W² + 1e-8)`, `[n, o]`; the weight is `[o, i, k, k]` where it `is_turned`, else `[i, o, k, k]`.
fn demodulation(
    graph: &mut Graph,
    style: &Value,
    weight: &Value,
    is_turned: i64,
    gain: f64,
) -> Value {
    let squares = graph.mul(weight, weight);
    let axes = graph.ints(&[2, 3]);
    let along = [("keepdims", Attribute::Int(0))];
    let powers = graph.op("ReduceSum", &[&squares, &axes], &along);
    let styles = graph.mul(style, style);
    let epsilon = graph.scalar(EPSILON);
    let how = [("transB", Attribute::Int(is_turned))];
    let sums = graph.op("Gemm", &[&styles, &powers, &epsilon], &how);
    let length = graph.op("Sqrt", &[&sums], &[]);
    let gain = graph.scalar(gain);
    graph.op("Div", &[&gain, &length], &[])
}
