//! The tensors of a generator, scaled as its forward pass scales them.
//!
//! A checkpoint stores weights as they are trained, and the network multiplies them by constants in each pass. In the graph
//! they are multiplied once.

use candle_core::Tensor;
use domex_stylegan2::Tensors;

use crate::graph::{Graph, Value};
use crate::{Error, Result};

/// How a constant is stored: [`Graph::constant`] or [`Graph::weight`].
pub(crate) type Store = fn(&mut Graph, &str, &Tensor) -> Result<Value>;

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Weights(pub Tensors);

impl Weights {
    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        let names = || domex_stylegan2::Error::Names {
            network: "generator".to_owned(),
            missing: vec![name.to_owned()],
            unexpected: Vec::new(),
        };
        self.0.get(name).ok_or_else(|| Error::from(names()))
    }

    /// A fully connected layer at `path`: `x: [n, i]` to `[n, o]`, with no activation.
    pub fn dense(
        &self,
        graph: &mut Graph,
        path: &str,
        x: &Value,
        lr_multiplier: f64,
        store: Store,
    ) -> Result<Value> {
        let (weight, bias) = (format!("{path}.weight"), format!("{path}.bias"));
        let stored = self.get(&weight)?;
        let gain = lr_multiplier / (stored.dim(1)? as f64).sqrt();
        let scaled = (stored * gain)?;
        let shift = (self.get(&bias)? * lr_multiplier)?;
        let (weight, bias) = (
            store(graph, &weight, &scaled)?,
            graph.constant(&bias, &shift)?,
        );
        Ok(graph.linear(x, &weight, &bias))
    }
}

/// `1/sqrt(i k²)` of a weight `[o, i, k, k]`.
pub(crate) fn fan_in_gain(weight: &Tensor) -> Result<f64> {
    let (_, inputs, kh, kw) = weight.dims4()?;
    Ok(1.0 / ((inputs * kh * kw) as f64).sqrt())
}
