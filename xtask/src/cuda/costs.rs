//! What each kernel must move and compute, and the operator of ours that runs it.
//!
//! Bytes are those that must come from memory or go there once, whatever the kernel: operands and results. Operations
//! count a multiplication and an addition as two. A row of a gradient calls a backward pass that begins from ones, which are
//! written besides: a sixth to a third of its bytes, that the bound does not count.

mod convolutions;

use candle_core::{DType, Device, Tensor, Var};
use domex_error::Result;
use domex_ops::{
    Activation, BiasAct, Mask, Pool, Resize, UnitLength, UpFirDn, attention, bias_act, grid_sample,
    layer_norm, max_pool2d, minibatch_std, pixel_norm, resize, setup_filter, softmax,
    unit_distance, upfirdn2d,
};
use domex_train::{
    Parameters,
    adam::{Adam, AdamConfig},
    ema::{Ema, EmaConfig},
};

use crate::bench::work::{Run, noise};

/// Sets the operator up on a device.
pub type Call = Box<dyn Fn(&Device) -> Result<Run>>;

/// One kernel at one size.
pub struct Cost {
    pub kernel: &'static str,
    pub size: String,
    /// Values read and written.
    pub values: f64,
    /// What they are.
    pub dtype: DType,
    pub operations: f64,
    /// None where no operator alone runs the kernel.
    pub call: Option<Call>,
}

impl Cost {
    /// Bytes read and written.
    pub fn bytes(&self) -> f64 {
        self.dtype.size_in_bytes() as f64 * self.values
    }

    /// Whether cuDNN computes it, too: a convolution, and nothing around it.
    pub fn by_cudnn(&self) -> bool {
        self.kernel.starts_with("conv_")
    }

    /// Whether tensor cores multiply: in convolutions where no float32 number would lose bits by it.
    pub fn by_tensor_cores(&self) -> bool {
        self.dtype != DType::F32 && self.kernel.starts_with("conv_")
    }
}

/// The sizes of the rows.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Samples of the generator.
    n: usize,
    /// Sides of its maps, with their channels.
    maps: [(usize, usize); 4],
    /// Samples of CLIP.
    clip: usize,
    /// The side of pooled and of warped maps.
    side: usize,
    /// Trained weights, in tensors of so many.
    weights: [usize; 2],
}

impl Sizes {
    /// StyleGAN2 configuration F at 1024² (channels 512 up to 64², then halved), batch 4, and CLIP ViT-B/32, batch 16.
    pub const PUBLISHED: Self = Self {
        n: 4,
        maps: [(16, 512), (64, 512), (256, 128), (1024, 32)],
        clip: 16,
        side: 256,
        weights: [60, 500_000],
    };

    /// Small ones, for a rehearsal on a CPU.
    pub const SMALL: Self = Self {
        n: 1,
        maps: [(8, 64), (16, 64), (32, 32), (64, 8)],
        clip: 1,
        side: 32,
        weights: [6, 5_000],
    };
}

/// Every row.
pub fn all(sizes: &Sizes) -> Vec<Cost> {
    let mut rows = Rows(Vec::new());
    for (side, c) in sizes.maps {
        convolutions::add(&mut rows, sizes.n, side, c);
        epilogues(&mut rows, [sizes.n, c, side, side]);
    }
    resampling(&mut rows, sizes);
    rows.add(
        "demodulation",
        "n4 512 × 512 × 9",
        [
            512.0 * 512.0 * 9.0,
            2.0 * 512.0 * (512.0 * 9.0 + 4.0 * 512.0),
        ],
        None,
    );
    transformer(&mut rows, sizes);
    pictures(&mut rows, sizes);
    optimizer(&mut rows, sizes);
    rows.0
}

struct Rows(Vec<Cost>);

impl Rows {
    fn add(
        &mut self,
        kernel: &'static str,
        size: impl Into<String>,
        [values, operations]: [f64; 2],
        call: Option<Call>,
    ) {
        self.add_of(DType::F32, kernel, size, [values, operations], call);
    }

    /// The same in float32 and in float16, by the names of the two.
    fn add_both(
        &mut self,
        kernels: [&'static str; 2],
        size: &str,
        cost: [f64; 2],
        call: impl Fn(DType) -> Option<Call>,
    ) {
        for (kernel, dtype) in kernels.into_iter().zip([DType::F32, DType::F16]) {
            self.add_of(dtype, kernel, size, cost, call(dtype));
        }
    }

    fn add_of(
        &mut self,
        dtype: DType,
        kernel: &'static str,
        size: impl Into<String>,
        [values, operations]: [f64; 2],
        call: Option<Call>,
    ) {
        self.0.push(Cost {
            kernel,
            size: size.into(),
            values,
            dtype,
            operations,
            call,
        });
    }
}

/// An operator on operands of these shapes.
fn forward(
    shapes: &[&[usize]],
    f: impl Fn(&[Tensor]) -> domex_ops::Result<Tensor> + Clone + 'static,
) -> Option<Call> {
    forward_of(DType::F32, shapes, f)
}

fn forward_of(
    dtype: DType,
    shapes: &[&[usize]],
    f: impl Fn(&[Tensor]) -> domex_ops::Result<Tensor> + Clone + 'static,
) -> Option<Call> {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    Some(Box::new(move |device| {
        let operands = shapes
            .iter()
            .map(|s| Ok(noise(s, device)?.to_dtype(dtype)?))
            .collect::<Result<Vec<_>>>()?;
        let f = f.clone();
        Ok(Box::new(move || {
            f(&operands)?;
            Ok(())
        }))
    }))
}

/// The names of a kernel in float32 and in float16.
macro_rules! both {
    ($kernel:literal) => {
        [$kernel, concat!($kernel, ", float16")]
    };
}

/// Its backward pass, for the gradient of one operand alone.
fn gradient(
    shapes: &[&[usize]],
    of: usize,
    f: impl Fn(&[Tensor]) -> domex_ops::Result<Tensor> + 'static,
) -> Option<Call> {
    gradient_of(DType::F32, shapes, of, f)
}

fn gradient_of(
    dtype: DType,
    shapes: &[&[usize]],
    of: usize,
    f: impl Fn(&[Tensor]) -> domex_ops::Result<Tensor> + 'static,
) -> Option<Call> {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    Some(Box::new(move |device| {
        let mut operands = shapes
            .iter()
            .map(|s| Ok(noise(s, device)?.to_dtype(dtype)?))
            .collect::<Result<Vec<_>>>()?;
        operands[of] = Var::from_tensor(&operands[of])?.into_inner();
        let y = f(&operands)?;
        Ok(Box::new(move || {
            // A tensor's own backward pass begins with ones, whatever its shape.
            y.backward()?;
            Ok(())
        }))
    }))
}

fn epilogues(rows: &mut Rows, map: [usize; 4]) {
    let len = map.iter().product::<usize>() as f64;
    let size = format!("n{} c{} {}²", map[0], map[1], map[2]);
    let shapes: [&[usize]; 2] = [&map, &[map[1]]];
    let f = |t: &[Tensor]| bias_act(&t[0], Some(&t[1]), &BiasAct::new(Activation::Lrelu));
    let cost = |values: f64, operations: f64| [values * len, operations * len];
    rows.add_both(both!("epilogue_forward"), &size, cost(2.0, 7.0), |dtype| {
        forward_of(dtype, &shapes, f)
    });
    rows.add_both(both!("epilogue_slope"), &size, cost(3.0, 9.0), |dtype| {
        gradient_of(dtype, &shapes, 0, f)
    });
    rows.add_both(
        both!("epilogue_backward"),
        &size,
        cost(3.0, 13.0),
        |dtype| gradient_of(dtype, &shapes, 1, f),
    );
}

fn resampling(rows: &mut Rows, sizes: &Sizes) {
    let (n, [.., (side, c)]) = (sizes.n, sizes.maps);
    let filtered = |t: &[Tensor], up: usize, padding: [i64; 4]| {
        let filter = setup_filter(&[1.0, 3.0, 3.0, 1.0], None, t[0].device(), DType::F32)?;
        let how = UpFirDn {
            up: [up, up],
            padding,
            ..UpFirDn::default()
        };
        upfirdn2d(&t[0], Some(&filter), &how)
    };
    let (from, to) = (
        (n * c * (side + 1) * (side + 1)) as f64,
        (n * c * side * side) as f64,
    );
    let size = format!("n{n} c{c} {}² to {side}², 4×4 taps", side + 1);
    let cost = [from + to, 2.0 * 16.0 * to];
    rows.add_both(both!("upfirdn2d"), &size, cost, |dtype| {
        forward_of(dtype, &[&[n, c, side + 1, side + 1]], move |t| {
            filtered(t, 1, [1; 4])
        })
    });
    rows.add(
        "upfirdn2d_epilogue",
        size,
        [from + to, (2.0 * 16.0 + 7.0) * to],
        None,
    );
    let (half, rgb) = (side / 2, (n * 3 * side * side) as f64);
    let call = forward(&[&[n, 3, half, half]], move |t| {
        filtered(t, 2, [2, 1, 2, 1])
    });
    let size = format!("n{n} c3 {half}² to {side}², up 2");
    rows.add("upfirdn2d", size, [1.25 * rgb, 2.0 * 4.0 * rgb], call);
}

fn transformer(rows: &mut Rows, sizes: &Sizes) {
    let (n, tokens, width, heads) = (sizes.clip, 50, 768, 12);
    let row = (n * tokens * width) as f64;
    let line: [&[usize]; 3] = [&[n, tokens, width], &[width], &[width]];
    let norm = |t: &[Tensor]| layer_norm(&t[0], Some(&t[1]), Some(&t[2]), 1e-5);
    let size = format!("{n}·{tokens} rows of {width}");
    let cost = |values: f64, operations: f64| [values * row, operations * row];
    rows.add_both(both!("norm_rows"), &size, cost(2.0, 8.0), |dtype| {
        forward_of(dtype, &line, norm)
    });
    rows.add_both(
        both!("norm_rows_backward"),
        &size,
        cost(3.0, 16.0),
        |dtype| gradient_of(dtype, &line, 0, norm),
    );
    let z = (sizes.n * 512) as f64;
    let call = forward(&[&[sizes.n, 512]], |t| pixel_norm(&t[0], 1, 1e-8));
    rows.add(
        "norm_lines",
        format!("pixel norm of n{} 512", sizes.n),
        [2.0 * z, 4.0 * z],
        call,
    );
    let scores = (n * heads * tokens * tokens) as f64;
    let size = format!("{n}·{heads}·{tokens} rows of {tokens}");
    let cost = [2.0 * scores, 6.0 * scores];
    rows.add_both(both!("softmax_rows"), &size, cost, |dtype| {
        let shape: &[usize] = &[n * heads * tokens, tokens];
        forward_of(dtype, &[shape], |t| softmax(&t[0], 1))
    });
    let part: &[usize] = &[n, tokens, width];
    let all = move |t: &[Tensor]| attention(&t[0], &t[1], &t[2], heads, Mask::None);
    let size = format!("n{n} {tokens} tokens, {heads} heads of 64");
    let cost = [4.0 * row, 4.0 * scores * 64.0 + 6.0 * scores];
    rows.add_both(both!("attention_forward"), &size, cost, |dtype| {
        forward_of(dtype, &[part; 3], all)
    });
    // What the forward pass made is made anew.
    rows.add_both(
        both!("attention_forward + _grad_queries + _grad_keys"),
        &size,
        [16.0 * row, 18.0 * scores * 64.0 + 6.0 * scores],
        |dtype| gradient_of(dtype, &[part; 3], 0, all),
    );
}

fn pictures(rows: &mut Rows, sizes: &Sizes) {
    let (n, side, [.., (large, _)]) = (sizes.n, sizes.side, sizes.maps);
    let pooled = (n * 64 * side * side) as f64;
    let map: [&[usize]; 1] = [&[n, 64, side, side]];
    let pool = |t: &[Tensor]| max_pool2d(&t[0], &Pool::new(2, 2));
    let size = format!("n{n} c64 {side}² 2×2 s2");
    let cost = [1.25 * pooled, pooled];
    rows.add_both(both!("max_pool"), &size, cost, |dtype| {
        forward_of(dtype, &map, pool)
    });
    let cost = [1.5 * pooled, pooled];
    rows.add_both(both!("max_pool_backward"), &size, cost, |dtype| {
        gradient_of(dtype, &map, 0, pool)
    });
    let maps = [map[0]; 2];
    let length = UnitLength {
        eps: 1e-10,
        floor: 0.0,
    };
    let apart = move |t: &[Tensor]| unit_distance(&t[0], &t[1], None, length);
    let size = format!("n{n} c64 {side}²");
    let cost = [(2.0 + 1.0 / 64.0) * pooled, 8.0 * pooled];
    rows.add_both(both!("unit_distance"), &size, cost, |dtype| {
        forward_of(dtype, &maps, apart)
    });
    let cost = [(3.0 + 1.0 / 64.0) * pooled, 17.0 * pooled];
    rows.add_both(both!("unit_distance_backward"), &size, cost, |dtype| {
        gradient_of(dtype, &maps, 0, apart)
    });
    let small = (n * 3 * 224 * 224) as f64;
    let rgb = (n * 3 * large * large) as f64;
    let call = forward(&[&[n, 3, large, large]], |t| {
        resize(&t[0], 224, 224, Resize::Bicubic { antialias: true })
    });
    let size = format!("n{n} c3 {large}² to 224², bicubic with antialiasing");
    rows.add(
        "resample",
        size,
        [rgb + small, 2.0 * 19.0 * 19.0 * small],
        call,
    );
    let warped = (n * 3 * side * side) as f64;
    let grid = 2.0 * (n * side * side) as f64;
    let shapes: [&[usize]; 2] = [&[n, 3, side, side], &[n, side, side, 2]];
    let sample = |t: &[Tensor]| grid_sample(&t[0], &t[1]);
    let size = format!("n{n} c3 {side}²");
    rows.add(
        "grid_sample",
        size.clone(),
        [2.0 * warped + grid, 14.0 * warped],
        forward(&shapes, sample),
    );
    let cost = [9.0 * warped, 16.0 * warped];
    rows.add(
        "grid_sample_scatter and around it",
        size,
        cost,
        gradient(&shapes, 0, sample),
    );
    let last = (n * 512 * 16) as f64;
    let map: [&[usize]; 1] = [&[n, 512, 4, 4]];
    let std = |t: &[Tensor]| minibatch_std(&t[0], None, 1);
    let size = format!("n{n} c512 4²");
    rows.add(
        "minibatch_std",
        size.clone(),
        [2.0 * last, 6.0 * last],
        forward(&map, std),
    );
    rows.add(
        "minibatch_std_backward",
        size,
        [3.0 * last, 8.0 * last],
        gradient(&map, 0, std),
    );
}

fn optimizer(rows: &mut Rows, sizes: &Sizes) {
    let [tensors, each] = sizes.weights;
    let weights = (tensors * each) as f64;
    let size = format!("{} weights in {tensors} tensors", tensors * each);
    let variables = move |device: &Device| -> Result<Parameters> {
        let vars = (0..tensors).map(|i| {
            Ok((
                format!("{i:03}"),
                Var::from_tensor(&noise(&[each], device)?)?,
            ))
        });
        Ok(Parameters::new(vars.collect::<Result<_>>()?))
    };
    let adam: Call = Box::new(move |device| {
        let parameters = variables(device)?;
        let mut adam = Adam::new(&parameters, AdamConfig::default())?;
        let squares = parameters.iter().map(|(_, v)| v.sqr()?.sum_all());
        let loss = Tensor::stack(&squares.collect::<candle_core::Result<Vec<_>>>()?, 0)?;
        let grads = loss.backward()?;
        Ok(Box::new(move || {
            let _ = adam.step(&grads)?;
            Ok(())
        }))
    });
    let average: Call = Box::new(move |device| {
        let parameters = variables(device)?;
        let config = EmaConfig {
            kimg: 10.0,
            ramp_up: None,
        };
        let ema = Ema::new(&parameters, config)?;
        Ok(Box::new(move || Ok(ema.update(4, 0)?)))
    });
    rows.add(
        "adam",
        size.clone(),
        [7.0 * weights, 12.0 * weights],
        Some(adam),
    );
    rows.add(
        "average",
        size,
        [3.0 * weights, 3.0 * weights],
        Some(average),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_runs_and_every_row_costs() {
        for cost in all(&Sizes::SMALL) {
            assert!(
                cost.bytes() > 0.0 && cost.operations > 0.0,
                "{}",
                cost.kernel
            );
            if let Some(call) = cost.call {
                let mut run = call(&Device::Cpu).unwrap_or_else(|e| panic!("{}: {e}", cost.kernel));
                run().unwrap_or_else(|e| panic!("{} {}: {e}", cost.kernel, cost.size));
            }
        }
    }

    #[test]
    fn cost_of_a_known_row() {
        let rows = all(&Sizes::PUBLISHED);
        assert_eq!(rows[0].size, "n4 c512 16² 3×3");
        assert_eq!(rows.iter().filter(|row| row.by_cudnn()).count(), 4 * 2 * 3);
        assert_eq!(rows[0].operations, 2.0 * 4.0 * 512.0 * 512.0 * 9.0 * 256.0);
        assert_eq!(rows[0].values, f64::from(2 * 4 * 512 * 256 + 512 * 512 * 9));
    }
}
