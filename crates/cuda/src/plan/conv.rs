//! Convolutions, their gradients, and what modulation adds.

use domex_kernels::{conv::ConvShape, epilogue::EpilogueShape};

use super::{Epilogue, operands};
use crate::{
    Arg, Buffer, Element, Launch, Plan, Result,
    launch::{args, int, long},
    modules::Module,
};

/// Terms of a slice: `SLICE` of `kernels/conv.cuh`.
const SLICE: usize = 16;
/// Blocks that a card works on at once, about; the terms of a weight's gradient are shared out among as many.
const BLOCKS: usize = 256;
/// Terms that a block of a weight's gradient should have at least, for its own sum to be worth adding up.
const TERMS: usize = 512;
/// Input channels that the demodulation takes at most: their sums stand in the shared memory that every card grants.
pub const MOST_CHANNELS: usize = 12_000;

/// What the operands of a convolution hold, and who multiplies them. Sums are float32's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Products {
    /// The elements of x, weights and y, and of their gradients; all else is float32.
    pub element: Element,
    /// By tensor cores, of numbers rounded to TF32, which a half type's are already. For cards from
    /// [`TENSOR_CORES`](crate::modules::TENSOR_CORES) on.
    pub tensor_cores: bool,
}

impl Products {
    /// Of float32 numbers as they are.
    pub const FLOAT: Self = Self {
        element: Element::F32,
        tensor_cores: false,
    };

    fn module(self) -> Module {
        match self.tensor_cores {
            true => Module::ConvTensor,
            false => Module::Conv,
        }
    }

    /// Rows and columns of a block's tile, as the kernels have them.
    fn tile(self) -> [usize; 2] {
        match self.tensor_cores {
            true => [64, 128],
            false => [64, 64],
        }
    }

    /// The one of a kernel's names that is for these, in the order of elements, first without tensor cores.
    fn of(self, names: [&'static str; 6]) -> &'static str {
        names[self.element as usize + 3 * usize::from(self.tensor_cores)]
    }

    /// Adds the launch that arranges the weights as the kernels read them, and gives the buffer.
    fn pack(
        self,
        plan: &mut Plan,
        weights: Buffer,
        s: &ConvShape,
        for_input: bool,
    ) -> Result<Buffer> {
        let packed = plan.scratch_bytes(self.element.bytes() * s.w_len());
        let kernel = self
            .element
            .of(["conv_pack_f32", "conv_pack_f16", "conv_pack_bf16"]);
        plan.launches.push(
            Launch::elements(Module::Conv, kernel, s.c_in * s.c_out)?.with(args![
                weights,
                packed,
                int("c_in", s.c_in)?,
                int("c_out", s.c_out)?,
                int("taps", s.kh.saturating_mul(s.kw))?,
                i32::from(for_input)
            ]),
        );
        Ok(packed)
    }
}

/// The names of a kernel for [`Products::of`].
macro_rules! names {
    ($kernel:literal) => {
        [
            concat!($kernel, "_f32"),
            concat!($kernel, "_f16"),
            concat!($kernel, "_bf16"),
            concat!($kernel, "_tf32"),
            concat!($kernel, "_tensor_f16"),
            concat!($kernel, "_tensor_bf16"),
        ]
    };
}

/// What is done to input and output of a convolution on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fused {
    /// Factors of the input `[n, c_in]`: StyleGAN2's modulation.
    pub style: Option<Buffer>,
    /// What follows; its `scale` is the demodulation.
    pub epilogue: Epilogue,
}

impl Fused {
    /// Nothing.
    pub const NONE: Self = Self {
        style: None,
        epilogue: Epilogue::NONE,
    };
}

/// Operands: x, weights, y, then those that `fused` names.
///
/// # Errors
///
/// Sizes that do not fit each other, or the kernels' counters.
pub fn conv_forward(s: &ConvShape, fused: &Fused, products: Products) -> Result<Plan> {
    let [x, weights, y] = operands();
    let sizes = sizes(s)?;
    let pixels = s.out_h() * s.out_w();
    let shape = EpilogueShape {
        n: s.n,
        channels: s.c_out,
        pixels,
    };
    fused.epilogue.check(&shape, s.y_len())?;
    let mut plan = Plan::new(3 + usize::from(fused.style.is_some()) + fused.epilogue.operands());
    let packed = products.pack(&mut plan, weights, s, false)?;
    let [rows, columns] = products.tile();
    let grid = [(s.n * pixels).div_ceil(columns), s.c_out.div_ceil(rows), 1];
    let kernel = products.of(names!("conv_forward"));
    plan.launches.push(
        Launch::new(products.module(), kernel, grid)?
            .with(args![x, packed, fused.style, y])
            .with(sizes)
            .with(fused.epilogue.args()),
    );
    Ok(plan)
}

/// The gradient of the input, which is the transposed convolution. Operands: weights, gy, gx.
///
/// # Errors
///
/// As [`conv_forward`].
pub fn conv_grad_input(s: &ConvShape, products: Products) -> Result<Plan> {
    let [weights, gy, gx] = operands();
    let mut plan = Plan::new(3);
    let packed = products.pack(&mut plan, weights, s, true)?;
    let kernel = products.of(names!("conv_grad_input"));
    let launch = by_phases(s, products, kernel)?.with(args![packed, gy, gx]);
    plan.launches.push(launch.with(sizes(s)?));
    Ok(plan)
}

/// The transposed convolution of x times `style`, of the sizes of its adjoint `s`. Operands: weights `[c_out, c_in, kh, kw]`, x
/// `[n, c_out, out_h, out_w]`, y `[n, c_in, h, w]`, which is float32, and the style `[n, c_out]`, if there is one.
///
/// # Errors
///
/// As [`conv_forward`].
pub fn conv_transposed(s: &ConvShape, style: bool, products: Products) -> Result<Plan> {
    let [weights, x, y, factors] = operands();
    let mut plan = Plan::new(3 + usize::from(style));
    let packed = products.pack(&mut plan, weights, s, true)?;
    let kernel = products.of(names!("conv_transposed"));
    let launch =
        by_phases(s, products, kernel)?.with(args![packed, x, style.then_some(factors), y]);
    plan.launches.push(launch.with(sizes(s)?));
    Ok(plan)
}

/// A launch over the input pixels, phase by phase.
fn by_phases(s: &ConvShape, products: Products, kernel: &'static str) -> Result<Launch> {
    s.check()?;
    // The largest phase; see the kernel.
    let pixels = s.n * s.h.div_ceil(s.stride) * s.w.div_ceil(s.stride);
    let [rows, columns] = products.tile();
    let grid = [
        pixels.div_ceil(columns),
        s.c_in.div_ceil(rows),
        s.stride.saturating_mul(s.stride),
    ];
    Launch::new(products.module(), kernel, grid)
}

/// The gradient of the weights. Operands: x, gy, gw.
///
/// # Errors
///
/// As [`conv_forward`].
pub fn conv_grad_weight(s: &ConvShape, products: Products) -> Result<Plan> {
    let [x, gy, gw] = operands();
    let sizes = sizes(s)?;
    int("columns", s.c_in.saturating_mul(s.kh).saturating_mul(s.kw))?;
    let mut plan = Plan::new(3);
    let terms = s.n * s.out_h() * s.out_w();
    let [rows, columns] = products.tile();
    let tiles = [
        (s.c_in * s.kh * s.kw).div_ceil(columns),
        s.c_out.div_ceil(rows),
    ];
    // By the sizes alone, so that the same sizes give the same bits on every card.
    let wanted = BLOCKS.div_ceil(tiles[0] * tiles[1]);
    let parts = wanted.min(terms.div_ceil(TERMS));
    let share = terms.div_ceil(parts).next_multiple_of(SLICE);
    let parts = terms.div_ceil(share);
    // The kernel writes float32.
    let in_parts = parts > 1 || products.element != Element::F32;
    let sums = if in_parts {
        plan.scratch(parts * s.w_len())
    } else {
        gw
    };
    let kernel = products.of(names!("conv_grad_weight"));
    plan.launches.push(
        Launch::new(products.module(), kernel, [tiles[0], tiles[1], parts])?
            .with(args![x, gy, sums, long("terms", share)?])
            .with(sizes),
    );
    if in_parts {
        let kernel = products
            .element
            .of(["sum_parts_f32", "sum_parts_f16", "sum_parts_bf16"]);
        let launch = Launch::elements(Module::Conv, kernel, s.w_len())?;
        plan.launches.push(launch.with(args![
            sums,
            gw,
            int("parts", parts)?,
            long("weights", s.w_len())?
        ]));
    }
    Ok(plan)
}

/// The factors of demodulation. Operands: weights `[c_out, c_in, taps]`, style `[n, c_in]`, factors `[n, c_out]`.
///
/// # Errors
///
/// More input channels than [`MOST_CHANNELS`].
pub fn demodulation(n: usize, c_in: usize, c_out: usize, taps: usize) -> Result<Plan> {
    let [weights, style, factors] = operands();
    if c_in > MOST_CHANNELS {
        return Err(crate::Error::Size {
            name: "c_in",
            found: c_in,
            most: MOST_CHANNELS,
        });
    }
    let mut plan = Plan::new(3);
    let mut launch = Launch::new(Module::Conv, "demodulation", [c_out, 1, 1])?
        .with(args![weights, style, factors])
        .with(args![
            int("n", n)?,
            int("c_in", c_in)?,
            int("c_out", c_out)?,
            int("taps", taps)?
        ]);
    launch.shared = 4 * c_in as u32;
    plan.launches.push(launch);
    Ok(plan)
}

fn sizes(s: &ConvShape) -> Result<[Arg; 11]> {
    s.check()?;
    // What the kernels add up in ints: a padded row or column, and a position in a phase.
    let padded = |size: usize, k: usize| {
        size.saturating_add(s.padding.saturating_mul(2))
            .saturating_add(k)
    };
    int("padded h", padded(s.h, s.kh).saturating_add(s.stride))?;
    int("padded w", padded(s.w, s.kw).saturating_add(s.stride))?;
    int("a plane", s.h.saturating_mul(s.w))?;
    int("a plane of y", s.out_h().saturating_mul(s.out_w()))?;
    Ok(args![
        int("n", s.n)?,
        int("c_in", s.c_in)?,
        int("h", s.h)?,
        int("w", s.w)?,
        int("c_out", s.c_out)?,
        int("kh", s.kh)?,
        int("kw", s.kw)?,
        int("stride", s.stride)?,
        int("padding", s.padding)?,
        int("out_h", s.out_h())?,
        int("out_w", s.out_w())?,
    ])
}
