//! Which of the algorithms that cuDNN names may serve.

use std::ffi::c_int;

use super::{Convolution, MOST_WORKSPACE, Part};
use crate::Element;

/// `cudnnConvolutionFwdAlgoPerf_t`, and those of the gradients, which are alike.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Perf {
    /// One of `cudnnConvolutionFwdAlgo_t`, or of the gradients'.
    pub(super) algorithm: c_int,
    status: c_int,
    time: f32,
    memory: usize,
    determinism: c_int,
    math: c_int,
    reserved: [c_int; 3],
}

impl Perf {
    /// More than there are.
    pub(super) const MOST: usize = 16;

    /// Whether it may compute `convolution`, as far as it says so itself.
    pub(super) fn may_serve(&self, convolution: &Convolution) -> bool {
        self.status == 0
            && self.determinism == DETERMINISTIC
            && self.memory <= MOST_WORKSPACE
            && self.math != CONVERTING
            && (convolution.math(None) != FMA || self.math != TENSOR_CORES)
            && (convolution.element == Element::F32
                || convolution.part.plain().contains(&self.algorithm))
    }
}

/// `CUDNN_DETERMINISTIC`.
const DETERMINISTIC: c_int = 1;

/// `cudnnMathType_t`: as always, which from compute capability 8.0 on is TF32 for float32; by tensor cores; by tensor cores what is rounded to
/// float16 for them; by no tensor cores.
const DEFAULT: c_int = 0;
const TENSOR_CORES: c_int = 1;
const CONVERTING: c_int = 2;
const FMA: c_int = 3;

impl Convolution {
    /// The type of products to ask for, or, of an algorithm, to run it with. What must not be rounded stays with [`FMA`], whatever is answered.
    pub(super) fn math(&self, chosen: Option<&Perf>) -> c_int {
        match (self.element, self.tf32) {
            (Element::F32, false) => FMA,
            (Element::F32, true) => chosen.map_or(DEFAULT, |perf| perf.math),
            _ => chosen.map_or(TENSOR_CORES, |perf| perf.math),
        }
    }
}

impl Part {
    /// The algorithms that multiply operands as they are, without Fourier's or Winograd's transforms.
    fn plain(self) -> &'static [c_int] {
        match self {
            // Implicit products, with indices computed before or not; explicit ones; none.
            Self::Forward => &[0, 1, 2, 3],
            Self::InputGrad => &[0, 1],
            Self::WeightGrad => &[0, 1, 3],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use domex_kernels::conv::ConvShape;

    use super::*;

    const SHAPE: ConvShape = ConvShape {
        n: 1,
        c_in: 1,
        h: 3,
        w: 3,
        c_out: 1,
        kh: 3,
        kw: 3,
        stride: 1,
        padding: 1,
    };

    fn convolution(element: Element, tf32: bool) -> Convolution {
        Convolution {
            part: Part::Forward,
            shape: SHAPE,
            element,
            tf32,
        }
    }

    fn perf(algorithm: c_int, math: c_int) -> Perf {
        Perf {
            algorithm,
            determinism: DETERMINISTIC,
            math,
            ..Perf::default()
        }
    }

    #[test]
    fn the_layout_is_that_of_the_header() {
        assert_eq!(size_of::<Perf>(), 48);
        assert_eq!(offset_of!(Perf, memory), 16);
        assert_eq!(offset_of!(Perf, determinism), 24);
        assert_eq!(offset_of!(Perf, math), 28);
    }

    #[test]
    fn what_gives_other_bits_or_needs_too_much_does_not_serve() {
        let float = convolution(Element::F32, false);
        let good = perf(1, FMA);
        assert!(good.may_serve(&float));
        for bad in [
            Perf { status: 9, ..good },
            Perf {
                determinism: 0,
                ..good
            },
            Perf {
                memory: MOST_WORKSPACE + 1,
                ..good
            },
            Perf {
                math: CONVERTING,
                ..good
            },
        ] {
            assert!(!bad.may_serve(&float), "{bad:?}");
        }
    }

    #[test]
    fn float32_is_rounded_where_it_may_be_only() {
        let (plain, tf32) = (
            convolution(Element::F32, false),
            convolution(Element::F32, true),
        );
        let by_cores = perf(1, TENSOR_CORES);
        assert!(!by_cores.may_serve(&plain) && by_cores.may_serve(&tf32));
        assert_eq!([plain.math(None), tf32.math(None)], [FMA, DEFAULT]);
        assert_eq!(plain.math(Some(&perf(1, DEFAULT))), FMA);
        assert_eq!(tf32.math(Some(&by_cores)), TENSOR_CORES);
    }

    #[test]
    fn half_types_are_multiplied_as_they_are() {
        const WINOGRAD: c_int = 6;
        let winograd = perf(WINOGRAD, TENSOR_CORES);
        assert!(winograd.may_serve(&convolution(Element::F32, true)));
        for element in [Element::F16, Element::Bf16] {
            let half = convolution(element, false);
            assert!(!winograd.may_serve(&half));
            assert!(perf(1, TENSOR_CORES).may_serve(&half));
            assert_eq!(half.math(None), TENSOR_CORES);
        }
    }
}
