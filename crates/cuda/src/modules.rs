//! The kernels' sources, and the names of the kernels in each.

/// A source that is compiled alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the file of its name")]
pub enum Module {
    Upfirdn2d,
    Epilogue,
    Conv,
    ConvTensor,
    Norm,
    Softmax,
    Attention,
    Pool,
    Resample,
    GridSample,
    MinibatchStd,
    Optimizer,
    Channels,
    UnitDistance,
    Affine,
    Binary,
    Cast,
    Fill,
    Indexing,
    Reduce,
    Ternary,
    Unary,
}

/// Every module.
pub const ALL: &[Module] = &[
    Module::Upfirdn2d,
    Module::Epilogue,
    Module::Conv,
    Module::ConvTensor,
    Module::Norm,
    Module::Softmax,
    Module::Attention,
    Module::Pool,
    Module::Resample,
    Module::GridSample,
    Module::MinibatchStd,
    Module::Optimizer,
    Module::Channels,
    Module::UnitDistance,
    Module::Affine,
    Module::Binary,
    Module::Cast,
    Module::Fill,
    Module::Indexing,
    Module::Reduce,
    Module::Ternary,
    Module::Unary,
];

/// The files that sources include: names as they are included, and texts.
pub const HEADERS: &[(&str, &str)] = &[
    ("common.cuh", include_str!("../kernels/common.cuh")),
    ("conv.cuh", include_str!("../kernels/conv.cuh")),
    ("element.cuh", include_str!("../kernels/element.cuh")),
    ("epilogue.cuh", include_str!("../kernels/epilogue.cuh")),
    ("types.cuh", include_str!("../kernels/tensor/types.cuh")),
];

impl Module {
    /// The file's name without its extension, and its text.
    fn file(self) -> (&'static str, &'static str) {
        macro_rules! file {
            ($folder:literal, $name:literal) => {
                (
                    $name,
                    include_str!(concat!("../kernels/", $folder, $name, ".cu")),
                )
            };
        }
        match self {
            Self::Upfirdn2d => file!("", "upfirdn2d"),
            Self::Epilogue => file!("", "epilogue"),
            Self::Conv => file!("", "conv"),
            Self::ConvTensor => file!("", "conv_tensor"),
            Self::Norm => file!("", "norm"),
            Self::Softmax => file!("", "softmax"),
            Self::Attention => file!("", "attention"),
            Self::Pool => file!("", "pool"),
            Self::Resample => file!("", "resample"),
            Self::GridSample => file!("", "grid_sample"),
            Self::MinibatchStd => file!("", "minibatch_std"),
            Self::Optimizer => file!("", "optimizer"),
            Self::Channels => file!("", "channels"),
            Self::UnitDistance => file!("", "unit_distance"),
            Self::Affine => file!("tensor/", "affine"),
            Self::Binary => file!("tensor/", "binary"),
            Self::Cast => file!("tensor/", "cast"),
            Self::Fill => file!("tensor/", "fill"),
            Self::Indexing => file!("tensor/", "indexing"),
            Self::Reduce => file!("tensor/", "reduce"),
            Self::Ternary => file!("tensor/", "ternary"),
            Self::Unary => file!("tensor/", "unary"),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.file().0
    }

    /// Its text.
    #[must_use]
    pub fn source(self) -> &'static str {
        self.file().1
    }

    /// Whether cards of this compute capability can run it.
    #[must_use]
    pub fn runs_on(self, capability: (u32, u32)) -> bool {
        self != Self::ConvTensor || capability >= TENSOR_CORES
    }

    /// The kernels in it. Those of candle's modules have the element types in their names.
    #[must_use]
    pub fn kernels(self) -> Vec<String> {
        let plain = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        match self {
            Self::Upfirdn2d => [
                each(&["upfirdn2d", "upfirdn2d_epilogue"], ELEMENTS),
                each(&["upfirdn2d_epilogue_f32"], &ELEMENTS[1..]),
            ]
            .concat(),
            Self::Epilogue => each(EPILOGUE, ELEMENTS),
            Self::Conv => [
                each(CONV, ELEMENTS),
                each(&["conv_pack", "sum_parts"], ELEMENTS),
                plain(&["demodulation"]),
            ]
            .concat(),
            Self::ConvTensor => each(CONV, &["tf32", "tensor_f16", "tensor_bf16"]),
            Self::Norm => each(NORM, ELEMENTS),
            Self::Softmax => each(SOFTMAX, ELEMENTS),
            Self::Attention => each(ATTENTION, ELEMENTS),
            Self::Pool => each(&["max_pool", "max_pool_backward"], ELEMENTS),
            Self::Resample => each(&["resample"], ELEMENTS),
            Self::GridSample => [each(GRID_SAMPLE, ELEMENTS), plain(&["clear"])].concat(),
            Self::MinibatchStd => each(&["minibatch_std", "minibatch_std_backward"], ELEMENTS),
            Self::Optimizer => plain(&["adam", "average"]),
            Self::Channels => each(CHANNELS, ELEMENTS),
            Self::UnitDistance => each(&["unit_distance", "unit_distance_backward"], ELEMENTS),
            Self::Affine => each(&["affine"], TYPES),
            Self::Binary => each(BINARY, TYPES),
            Self::Cast => each(&each(&["cast"], TYPES), TYPES),
            Self::Fill => each(&["const_set", "copy2d"], TYPES),
            Self::Indexing => each(&each(&["is", "gather", "ia", "s", "sa"], INDICES), TYPES),
            Self::Reduce => each(REDUCE, TYPES),
            Self::Ternary => each(&each(&["where"], INDICES), TYPES),
            Self::Unary => [each(&["ucopy"], TYPES), each(UNARY, &TYPES[..4])].concat(),
        }
    }
}

/// The compute capability from which on cards have tensor cores for TF32: Ampere's.
pub const TENSOR_CORES: (u32, u32) = (8, 0);

/// The elements of operands; see [`Element`](crate::Element).
const ELEMENTS: &[&str] = &["f32", "f16", "bf16"];

const CONV: &[&str] = &[
    "conv_forward",
    "conv_grad_input",
    "conv_transposed",
    "conv_grad_weight",
];
const EPILOGUE: &[&str] = &[
    "epilogue_forward",
    "epilogue_slope",
    "epilogue_backward",
    "epilogue_sum_grad",
    "epilogue_noise_grad",
];
const NORM: &[&str] = &[
    "norm_rows",
    "norm_lines",
    "norm_rows_backward",
    "norm_lines_backward",
    "norm_affine_grad",
];
const SOFTMAX: &[&str] = &[
    "softmax_rows",
    "softmax_rows_backward",
    "softmax_lines",
    "softmax_lines_backward",
];
const ATTENTION: &[&str] = &[
    "attention_forward",
    "attention_grad_queries",
    "attention_grad_keys",
];
const GRID_SAMPLE: &[&str] = &[
    "grid_sample",
    "largest_magnitude",
    "grid_sample_scatter",
    "grid_sample_finish",
];
const CHANNELS: &[&str] = &["scale_rows", "dot_rows", "channel_sum", "plane_sum", "join"];

/// The element types of candle's modules; the floats come first.
const TYPES: &[&str] = &["f32", "f64", "f16", "bf16", "u8", "u32", "i64"];
const BINARY: &[&str] = &[
    "badd", "bsub", "bmul", "bdiv", "bminimum", "bmaximum", "eq", "ne", "lt", "le", "gt", "ge",
];
const REDUCE: &[&str] = &[
    "fast_sum",
    "fast_sum_small",
    "fast_min",
    "fast_max",
    "fast_argmin",
    "fast_argmax",
];
const UNARY: &[&str] = &[
    "uneg",
    "urecip",
    "usqr",
    "usqrt",
    "uexp",
    "ulog",
    "usin",
    "ucos",
    "utanh",
    "uerf",
    "uabs",
    "uceil",
    "ufloor",
    "uround",
    "usign",
    "urelu",
    "usilu",
    "usigmoid",
    "ugelu",
    "ugelu_erf",
    "uelu",
    "upowf",
];

/// The types of indices and conditions.
const INDICES: &[&str] = &["u8", "u32", "i64"];

/// Each operator with each type.
fn each<S: AsRef<str>>(ops: &[S], types: &[&str]) -> Vec<String> {
    ops.iter()
        .flat_map(|op| types.iter().map(move |t| format!("{}_{t}", op.as_ref())))
        .collect()
}
