//! The kernels of candle's modules against candle on the CPU, launched as candle launches them.

use candle_core::{DType, Device, Tensor, WithDType};

mod places;

use crate::{
    build::Program,
    data::noise,
    runner::{Host, Raw},
};

const TYPES: [DType; 7] = [
    DType::F32,
    DType::F64,
    DType::F16,
    DType::BF16,
    DType::U8,
    DType::U32,
    DType::I64,
];

/// Small numbers of the type, none zero: whole ones for integers, positive for unsigned.
fn some(dtype: DType, dims: &[usize], seed: u64) -> Tensor {
    let len = dims.iter().product();
    let values = noise(len, seed).into_iter().map(|v| match dtype {
        DType::U8 | DType::U32 => (v.abs() * 9.0).round() + 1.0,
        DType::I64 => (v * 9.0).round() - 0.5 + 0.5_f32.copysign(v),
        _ => 2.0 * v + 0.1_f32.copysign(v),
    });
    let t = Tensor::from_vec(values.collect(), dims, &Device::Cpu).unwrap();
    t.to_dtype(dtype).unwrap()
}

/// The elements as they lie in memory, without the layout.
fn raw(t: &Tensor) -> Vec<u8> {
    fn typed<T: WithDType>(t: &Tensor, bytes: impl Fn(T) -> Vec<u8>) -> Vec<u8> {
        t.flatten_all()
            .unwrap()
            .to_vec1::<T>()
            .unwrap()
            .into_iter()
            .flat_map(bytes)
            .collect()
    }
    match t.dtype() {
        DType::F32 => typed(t, |v: f32| v.to_le_bytes().into()),
        DType::F64 => typed(t, |v: f64| v.to_le_bytes().into()),
        DType::F16 => typed(t, |v: half::f16| v.to_le_bytes().into()),
        DType::BF16 => typed(t, |v: half::bf16| v.to_le_bytes().into()),
        DType::U8 => typed(t, |v: u8| vec![v]),
        DType::U32 => typed(t, |v: u32| v.to_le_bytes().into()),
        DType::I64 => typed(t, |v: i64| v.to_le_bytes().into()),
        other => panic!("{other:?}"),
    }
}

/// Elements of a type from memory, as float64.
fn read(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let words = bytes.chunks(dtype.size_in_bytes());
    let word = |b: &[u8]| match dtype {
        DType::F32 => f64::from(f32::from_le_bytes(b.try_into().unwrap())),
        DType::F64 => f64::from_le_bytes(b.try_into().unwrap()),
        DType::F16 => half::f16::from_le_bytes(b.try_into().unwrap()).to_f64(),
        DType::BF16 => half::bf16::from_le_bytes(b.try_into().unwrap()).to_f64(),
        DType::U8 => f64::from(b[0]),
        DType::U32 => f64::from(u32::from_le_bytes(b.try_into().unwrap())),
        _ => i64::from_le_bytes(b.try_into().unwrap()) as f64,
    };
    words.map(word).collect()
}

/// A launch in the making: buffers, and arguments in order.
#[derive(Default)]
struct Call {
    buffers: Vec<Vec<u8>>,
    args: Vec<Raw>,
}

impl Call {
    fn buffer(mut self, bytes: Vec<u8>) -> Self {
        self.args.push(Raw::Buffer(self.buffers.len()));
        self.buffers.push(bytes);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        self.args.push(Raw::Bytes(eight));
        self
    }

    fn sizes(self, sizes: &[usize]) -> Self {
        sizes
            .iter()
            .fold(self, |call, &s| call.bytes(&(s as u64).to_le_bytes()))
    }

    /// Count, rank, and dimensions with strides; null where all are contiguous.
    fn layout(self, of: &[&Tensor]) -> Self {
        let call = self.sizes(&[of[0].elem_count(), of[0].rank()]);
        if of.iter().all(|t| t.is_contiguous()) {
            return call.sizes(&[0]);
        }
        let lists = std::iter::once(of[0].dims()).chain(of.iter().map(|t| t.stride()));
        call.buffer(
            lists
                .flatten()
                .flat_map(|&v| (v as u64).to_le_bytes())
                .collect(),
        )
    }

    /// The last buffer after a launch.
    fn launch(mut self, host: &mut Host, kernel: &str, [blocks, threads]: [usize; 2]) -> Vec<u8> {
        let shape = [[blocks as u32, 1, 1], [threads as u32, 0, 0]];
        host.launch(kernel, shape, false, &mut self.buffers, &self.args);
        self.buffers.pop().unwrap()
    }

    /// The same over `len` elements.
    fn elements(self, host: &mut Host, kernel: &str, len: usize) -> Vec<u8> {
        self.launch(host, kernel, [len.div_ceil(1024), 1024])
    }
}

fn fresh(dtype: DType, len: usize) -> Vec<u8> {
    vec![0xff; len * dtype.size_in_bytes()]
}

#[track_caller]
fn close(got: &[u8], want: &Tensor, what: &str) {
    let tolerance = match want.dtype() {
        DType::F32 => 3e-6,
        DType::F64 => 1e-13,
        DType::F16 => 2e-3,
        DType::BF16 => 1.6e-2,
        _ => 0.0,
    };
    let (got, want) = (
        read(want.dtype(), got),
        read(want.dtype(), &raw(&want.contiguous().unwrap())),
    );
    let scale = want.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(&want) {
        assert!(
            g == w || (g - w).abs() <= tolerance * scale,
            "{what}: {g} instead of {w}"
        );
    }
}

/// The tensor as it lies, and turned, with strides.
fn both_ways(t: &Tensor) -> [(Tensor, Vec<u8>); 2] {
    [(t.clone(), raw(t)), (t.t().unwrap(), raw(t))]
}

#[test]
fn arithmetic_and_comparisons() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    type Op = fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>;
    let ops: [(&str, Op); 12] = [
        ("badd", |a, b| a + b),
        ("bsub", |a, b| a - b),
        ("bmul", |a, b| a * b),
        ("bdiv", |a, b| a / b),
        ("bminimum", |a, b| a.minimum(b)),
        ("bmaximum", |a, b| a.maximum(b)),
        ("eq", |a, b| a.eq(b)),
        ("ne", |a, b| a.ne(b)),
        ("lt", |a, b| a.lt(b)),
        ("le", |a, b| a.le(b)),
        ("gt", |a, b| a.gt(b)),
        ("ge", |a, b| a.ge(b)),
    ];
    for dtype in TYPES {
        // The second never larger, so that no difference of unsigned ones is negative.
        let a = some(dtype, &[5, 3], 1);
        let b = a.minimum(&some(dtype, &[5, 3], 2)).unwrap();
        for (name, op) in ops {
            for ((a, a_raw), (b, b_raw)) in both_ways(&a).into_iter().zip(both_ways(&b)) {
                let want = op(&a, &b).unwrap();
                let kernel = format!("{name}_{}", dtype.as_str());
                let call = Call::default()
                    .layout(&[&a, &b])
                    .buffer(a_raw)
                    .buffer(b_raw);
                let got = call
                    .buffer(fresh(want.dtype(), 15))
                    .elements(&mut host, &kernel, 15);
                close(&got, &want, &kernel);
            }
        }
    }
}

#[test]
fn functions_of_one_element() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    type Op = fn(&Tensor) -> candle_core::Result<Tensor>;
    let ops: [(&str, Op); 20] = [
        ("uneg", Tensor::neg),
        ("urecip", Tensor::recip),
        ("usqr", Tensor::sqr),
        ("uexp", Tensor::exp),
        ("usin", Tensor::sin),
        ("ucos", Tensor::cos),
        ("utanh", Tensor::tanh),
        ("uerf", Tensor::erf),
        ("uabs", Tensor::abs),
        ("uceil", Tensor::ceil),
        ("ufloor", Tensor::floor),
        ("uround", Tensor::round),
        ("usign", Tensor::sign),
        ("urelu", Tensor::relu),
        ("usilu", Tensor::silu),
        ("ugelu", Tensor::gelu),
        ("ugelu_erf", Tensor::gelu_erf),
        ("usqrt", |t| t.sqrt()),
        ("ulog", |t| t.log()),
        ("ucopy", Tensor::contiguous),
    ];
    for dtype in TYPES {
        for (name, op) in ops {
            if name != "ucopy" && !dtype.is_float() {
                continue;
            }
            let x = some(dtype, &[5, 3], 1);
            let x = if ["usqrt", "ulog"].contains(&name) {
                x.abs().unwrap()
            } else {
                x
            };
            for (x, x_raw) in both_ways(&x) {
                let want = op(&x).unwrap();
                let kernel = format!("{name}_{}", dtype.as_str());
                let call = Call::default()
                    .layout(&[&x])
                    .buffer(x_raw)
                    .buffer(fresh(dtype, 15));
                close(&call.elements(&mut host, &kernel, 15), &want, &kernel);
            }
        }
    }
    for dtype in &TYPES[..4] {
        let x = some(*dtype, &[4, 7], 1).abs().unwrap();
        // 1 / (1 + e⁻ˣ)
        let sigmoid = ((x.neg().unwrap().exp().unwrap() + 1.0).unwrap())
            .recip()
            .unwrap();
        let kernel = format!("usigmoid_{}", dtype.as_str());
        let call = Call::default()
            .layout(&[&x])
            .buffer(raw(&x))
            .buffer(fresh(*dtype, 28));
        close(&call.elements(&mut host, &kernel, 28), &sigmoid, &kernel);
        let parameter = raw(&Tensor::new(&[1.5f32], &Device::Cpu)
            .unwrap()
            .to_dtype(*dtype)
            .unwrap());
        for (name, x, want) in [
            ("upowf", x.clone(), x.powf(1.5).unwrap()),
            ("uelu", x.neg().unwrap(), x.neg().unwrap().elu(1.5).unwrap()),
        ] {
            let kernel = format!("{name}_{}", dtype.as_str());
            let call = Call::default()
                .layout(&[&x])
                .bytes(&parameter)
                .buffer(raw(&x))
                .buffer(fresh(*dtype, 28));
            close(&call.elements(&mut host, &kernel, 28), &want, &kernel);
        }
    }
}

#[test]
fn affine_fill_and_copies() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    for dtype in TYPES {
        let scalar = |v: f32| {
            raw(&Tensor::new(&[v], &Device::Cpu)
                .unwrap()
                .to_dtype(dtype)
                .unwrap())
        };
        let x = some(dtype, &[5, 3], 1);
        for (x, x_raw) in both_ways(&x) {
            let want = x.affine(3.0, 2.0).unwrap();
            let kernel = format!("affine_{}", dtype.as_str());
            let call = Call::default()
                .layout(&[&x])
                .buffer(x_raw.clone())
                .buffer(fresh(dtype, 15));
            let got = call
                .bytes(&scalar(3.0))
                .bytes(&scalar(2.0))
                .elements(&mut host, &kernel, 15);
            close(&got, &want, &kernel);

            let kernel = format!("const_set_{}", dtype.as_str());
            let call = Call::default()
                .layout(&[&x])
                .bytes(&scalar(7.0))
                .buffer(fresh(dtype, 15));
            let want = (x.ones_like().unwrap() * 7.0).unwrap();
            close(&call.elements(&mut host, &kernel, 15), &want, &kernel);
        }
        // Rows of 3 of 5 into rows of 4.
        let kernel = format!("copy2d_{}", dtype.as_str());
        let to = some(dtype, &[3, 4], 2);
        let from = some(dtype, &[3, 5], 3);
        let narrow = |t: &Tensor, at, len| t.narrow(1, at, len).unwrap();
        let want = Tensor::cat(&[&narrow(&from, 0, 3), &narrow(&to, 3, 1)], 1).unwrap();
        let mut call = Call::default().buffer(raw(&from)).buffer(raw(&to));
        for v in [3u32, 3, 5, 4] {
            call = call.bytes(&v.to_le_bytes());
        }
        close(&call.elements(&mut host, &kernel, 9), &want, &kernel);
    }
}

#[test]
fn casts() {
    let Some(mut host) = Host::start(Program::Tensors) else {
        return;
    };
    for from in TYPES {
        for to in TYPES {
            let x = some(from, &[5, 3], 1);
            let want = x.t().unwrap().to_dtype(to).unwrap();
            let kernel = format!("cast_{}_{}", from.as_str(), to.as_str());
            let call = Call::default()
                .layout(&[&x.t().unwrap()])
                .buffer(raw(&x))
                .buffer(fresh(to, 15));
            let got = call.elements(&mut host, &kernel, 15);
            assert_eq!(got, raw(&want.contiguous().unwrap()), "{kernel}");
        }
    }
    // The edges of each format.
    let edges = [
        0.0f32,
        -0.0,
        1e-8,
        6e-8,
        65504.0,
        65519.9,
        65520.0,
        1e30,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        1.000_976_5,
        3e-5,
        1.001_464_8,
    ];
    let x = Tensor::new(&edges, &Device::Cpu).unwrap();
    for to in [DType::F16, DType::BF16, DType::U8, DType::U32, DType::I64] {
        let kernel = format!("cast_f32_{}", to.as_str());
        let call = Call::default()
            .layout(&[&x])
            .buffer(raw(&x))
            .buffer(fresh(to, edges.len()));
        let (got, want) = (
            call.elements(&mut host, &kernel, edges.len()),
            raw(&x.to_dtype(to).unwrap()),
        );
        let (got, want) = (read(to, &got), read(to, &want));
        for ((g, w), v) in got.iter().zip(&want).zip(edges) {
            assert!(
                g == w || (g.is_nan() && w.is_nan()),
                "{kernel} of {v}: {g} instead of {w}"
            );
        }
    }
}
