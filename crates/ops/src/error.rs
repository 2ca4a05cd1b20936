//! What can be wrong with a call of an operator.

use candle_core::{DType, DeviceLocation};
use domex_error::UserError;

/// Result of every operator in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can be wrong with a call of an operator. Each variant names the operator and the operand.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operand has a shape that the operator cannot take.
    #[error("{op}: {tensor} has shape {got:?}, expected {expected}")]
    Shape {
        /// The operator that was called.
        op: &'static str,
        /// The operand at fault.
        tensor: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape that would fit, in words or numbers.
        expected: String,
    },
    /// An operand has an element type that the operator cannot take.
    #[error("{op}: {tensor} has dtype {got:?}, expected {expected}")]
    DType {
        /// The operator that was called.
        op: &'static str,
        /// The operand at fault.
        tensor: &'static str,
        /// Its element type.
        got: DType,
        /// The element type that would fit.
        expected: String,
    },
    /// An operand lies on another device than the first one.
    #[error("{op}: {tensor} is on {got:?}, expected {expected:?}")]
    Device {
        /// The operator that was called.
        op: &'static str,
        /// The operand at fault.
        tensor: &'static str,
        /// Where it is.
        got: DeviceLocation,
        /// Where the first operand is.
        expected: DeviceLocation,
    },
    /// A number or option is outside its range.
    #[error("{op}: {name} is {got}, expected {expected}")]
    Parameter {
        /// The operator that was called.
        op: &'static str,
        /// The parameter at fault.
        name: &'static str,
        /// Its value.
        got: String,
        /// The values that are allowed.
        expected: String,
    },
    /// A backward pass cannot keep the graph of its gradients: the thread for such passes could not be started, or this
    /// version of candle does not offer it any more.
    #[error(
        "backward_with_graph: no thread keeps the graph of gradients; it is started with the program and needs 256 MiB of \
         address space and a candle that reads CANDLE_GRAD_DO_NOT_DETACH"
    )]
    NoGraph,
    /// The CPU kernel refused the sizes.
    #[error(transparent)]
    Kernel(#[from] domex_kernels::Error),
    /// candle refused a step of the computation.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Shape`] about `tensor`.
    pub fn shape(
        op: &'static str,
        tensor: &'static str,
        got: &[usize],
        expected: impl Into<String>,
    ) -> Self {
        Self::Shape {
            op,
            tensor,
            got: got.to_vec(),
            expected: expected.into(),
        }
    }

    /// An [`Error::Parameter`] about `name`.
    // Numbers by value: `&` in front of each would only be noise at the call.
    #[allow(clippy::needless_pass_by_value)]
    pub fn parameter(
        op: &'static str,
        name: &'static str,
        got: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            op,
            name,
            got: got.to_string(),
            expected: expected.into(),
        }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(inner) => inner,
            other => Self::wrap(other),
        }
    }
}

impl UserError for Error {
    fn is_user_error(&self) -> bool {
        match self {
            Self::Shape { .. }
            | Self::DType { .. }
            | Self::Device { .. }
            | Self::Parameter { .. }
            | Self::Kernel(_)
            | Self::NoGraph
            | Self::Candle(_) => false,
        }
    }
}
