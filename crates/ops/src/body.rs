//! Which body computes an operator: the one place that looks at devices and element types.
//!
//! An operator states which bodies of its own it has ([`Bodies`]) and asks once per call which one takes the operands
//! ([`Body`]). Where none does, it is composed of candle's operations, as its `reference` is.
//!
//! A body for another device is a kernel, the method of the operator's custom op that runs it (candle calls `cpu_fwd` or
//! `cuda_fwd` by the device), and an entry in the operator's `Bodies`. Nothing else changes: backward passes are made of operators,
//! which ask for themselves, and a kernel that computes all gradients in one pass asks [`Bodies::gradients_in_one_pass`].

use candle_core::{DType, Tensor};

use crate::autograd::keeps_graph;

/// What computes an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// A kernel on slices, on the CPU.
    Cpu,
    /// A kernel on a CUDA device.
    Cuda,
    /// candle's operations: any float type, on any device that has them. For CUDA candle's convolutions and pooling are not
    /// compiled, so float64 has none there.
    Composed,
}

/// The bodies of its own that an operator has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bodies {
    /// The element types of its CPU kernel.
    cpu: &'static [DType],
    /// The element types of its CUDA kernel.
    cuda: &'static [DType],
}

impl Bodies {
    /// A CPU kernel for float32 and float64.
    pub(crate) const CPU: Self = Self {
        cpu: &[DType::F32, DType::F64],
        cuda: &[],
    };
    /// A CPU kernel for float32 alone.
    pub(crate) const CPU_F32: Self = Self {
        cpu: &[DType::F32],
        cuda: &[],
    };
    /// A CUDA kernel for float32 and the half types.
    pub(crate) const CUDA: Self = Self {
        cpu: &[],
        cuda: if cfg!(feature = "cuda") {
            &[DType::F32, DType::F16, DType::BF16]
        } else {
            &[]
        },
    };
    /// A CPU kernel for float32 and float64, and a CUDA kernel for float32 and the half types.
    pub(crate) const CPU_AND_CUDA: Self = Self {
        cuda: Self::CUDA.cuda,
        ..Self::CPU
    };
    /// A CPU kernel for float32 and float64, and a CUDA kernel for float32 alone.
    pub(crate) const NO_HALF: Self = Self {
        cuda: if cfg!(feature = "cuda") {
            &[DType::F32]
        } else {
            &[]
        },
        ..Self::CPU
    };
    /// A CPU and a CUDA kernel for float32 alone.
    pub(crate) const F32: Self = Self {
        cuda: Self::NO_HALF.cuda,
        ..Self::CPU_F32
    };

    /// The body that can take all of `operands`.
    pub(crate) fn of(self, operands: &[&Tensor]) -> Body {
        let cpu = |t: &&Tensor| t.device().is_cpu() && self.cpu.contains(&t.dtype());
        let cuda = |t: &&Tensor| t.device().is_cuda() && self.cuda.contains(&t.dtype());
        if operands.iter().all(cpu) {
            Body::Cpu
        } else if operands.iter().all(cuda) {
            Body::Cuda
        } else {
            Body::Composed
        }
    }

    /// Whether `operands` are of one half precision for which there is no kernel, and a float32 kernel could take them: what is composed
    /// of operations that candle lacks for half precision, or that add up in it, converts them instead, and rounds the result once.
    pub(crate) fn widens(self, operands: &[&Tensor]) -> bool {
        let Some(first) = operands.first() else {
            return false;
        };
        let kernels = match first.device().is_cuda() {
            true => self.cuda,
            false => self.cpu,
        };
        let alike =
            |t: &&Tensor| t.dtype() == first.dtype() && t.device().same_device(first.device());
        matches!(first.dtype(), DType::F16 | DType::BF16)
            && kernels.contains(&DType::F32)
            && !kernels.contains(&first.dtype())
            && operands.iter().all(alike)
    }

    /// The body that computes all gradients of a backward pass at once. Where the graph of the gradients is kept there is none:
    /// they are made of operators, which can be differentiated again.
    pub(crate) fn gradients_in_one_pass(self, operands: &[&Tensor]) -> Body {
        if keeps_graph() {
            return Body::Composed;
        }
        self.of(operands)
    }

    /// The body that computes a whole layer at once, of which no gradient will be asked: none of `operands` tracks.
    #[cfg(any(test, feature = "cuda"))]
    pub(crate) fn without_graph(self, operands: &[Option<&Tensor>]) -> Body {
        let operands: Vec<&Tensor> = operands.iter().copied().flatten().collect();
        if operands.iter().any(|t| t.track_op()) {
            return Body::Composed;
        }
        self.of(&operands)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Var};

    use super::*;
    use crate::autograd::backward_with_graph;

    fn zeros(dtype: DType) -> Tensor {
        Tensor::zeros(1, dtype, &Device::Cpu).unwrap()
    }

    #[test]
    fn kernels_take_their_own_types() {
        for (dtype, both, single) in [
            (DType::F32, Body::Cpu, Body::Cpu),
            (DType::F64, Body::Cpu, Body::Composed),
            (DType::F16, Body::Composed, Body::Composed),
            (DType::BF16, Body::Composed, Body::Composed),
        ] {
            let t = zeros(dtype);
            assert_eq!(Bodies::CPU.of(&[&t]), both, "{dtype:?}");
            assert_eq!(Bodies::CPU_F32.of(&[&t]), single, "{dtype:?}");
        }
    }

    #[test]
    fn only_operands_of_one_half_precision_are_widened() {
        let [single, half, brain] = [DType::F32, DType::F16, DType::BF16].map(zeros);
        for alike in [&half, &brain] {
            assert!(Bodies::CPU.widens(&[alike, alike]));
        }
        assert!(!Bodies::CPU.widens(&[&half, &brain]));
        assert!(!Bodies::CPU.widens(&[&half, &single]));
        assert!(!Bodies::CPU.widens(&[&single]));
        assert!(!Bodies::CPU.widens(&[]));
    }

    /// The identity, which notes what its backward pass may use.
    #[derive(Clone, Default)]
    struct Noting(Arc<Mutex<Option<Body>>>);

    impl CustomOp1 for Noting {
        fn name(&self) -> &'static str {
            "noting"
        }

        fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
            Ok((crate::cpu::copy(s, l)?, l.shape().clone()))
        }

        fn bwd(&self, x: &Tensor, _: &Tensor, g: &Tensor) -> candle_core::Result<Option<Tensor>> {
            *self.0.lock().unwrap() = Some(Bodies::CPU.gradients_in_one_pass(&[x]));
            Ok(Some(g.clone()))
        }
    }

    #[test]
    fn where_the_graph_is_kept_gradients_are_made_of_operators() {
        let noting = Noting::default();
        let x = Var::from_tensor(&zeros(DType::F32)).unwrap();
        let y = x.apply_op1(noting.clone()).unwrap().sum_all().unwrap();
        y.backward().unwrap();
        assert_eq!(noting.0.lock().unwrap().take(), Some(Body::Cpu));
        backward_with_graph(&y).unwrap();
        assert_eq!(noting.0.lock().unwrap().take(), Some(Body::Composed));
    }

    #[test]
    fn an_operand_that_tracks_keeps_the_layer_apart() {
        let (constant, half) = (zeros(DType::F32), zeros(DType::F16));
        let var = Var::from_tensor(&constant).unwrap();
        let body = |operands: &[Option<&Tensor>]| Bodies::CPU.without_graph(operands);
        assert_eq!(body(&[Some(&constant), None, Some(&constant)]), Body::Cpu);
        assert_eq!(body(&[Some(&constant), None, Some(&var)]), Body::Composed);
        assert_eq!(body(&[Some(&constant), Some(&half)]), Body::Composed);
        let made = (var.as_tensor() * 2.0).unwrap();
        assert_eq!(body(&[Some(&made)]), Body::Composed);
        assert_eq!(body(&[Some(&made.detach())]), Body::Cpu);
    }

    #[test]
    fn one_operand_that_does_not_fit_decides() {
        let (single, half) = (zeros(DType::F32), zeros(DType::F16));
        assert_eq!(Bodies::CPU.of(&[&single, &half]), Body::Composed);
        assert_eq!(Bodies::CPU.of(&[&single, &single]), Body::Cpu);
    }
}
