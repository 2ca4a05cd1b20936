//! What a pass keeps for the pass back.

use candle_core::Tensor;
use domex_ops::recompute;

use crate::Result;

/// What becomes of a network's activations until a backward pass needs them. Results and gradients are the same to the bit;
/// gradients of gradients to rounding, as a weight's parts are added up layer by layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// They are kept.
    #[default]
    Kept,
    /// Each layer keeps what goes in and comes out, and computes [the rest again](domex_ops::recompute()).
    Recomputed,
}

impl Activations {
    /// `layer(inputs)`. What tracks gradients and is no variable has to be among the inputs.
    pub(crate) fn of(
        self,
        inputs: &[Tensor],
        layer: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        match self {
            Self::Kept => layer(inputs),
            Self::Recomputed => recompute(inputs, layer),
        }
    }
}
