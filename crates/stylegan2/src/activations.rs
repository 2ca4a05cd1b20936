//! What a pass keeps for the pass back.

use candle_core::Tensor;
use domex_ops::recompute;

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
    ///
    /// # Errors
    ///
    /// Those of the layer.
    pub fn of<E>(
        self,
        inputs: &[Tensor],
        layer: impl Fn(&[Tensor]) -> Result<Tensor, E> + Send + Sync + 'static,
    ) -> Result<Tensor, E>
    where
        E: From<domex_ops::Error> + std::error::Error + Send + Sync + 'static,
    {
        match self {
            Self::Kept => layer(inputs),
            Self::Recomputed => recompute(inputs, layer),
        }
    }
}
