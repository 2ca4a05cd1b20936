//! Element types, and their names in each format.

use std::fmt;

/// Element type of a tensor. All are little-endian in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // The names say it.
pub enum Dtype {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

impl Dtype {
    /// Every type, for tables and messages.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::U64,
        Self::I64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
    ];

    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// Whether the elements are floating-point numbers.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// The name in a safetensors header.
    pub fn safetensors_name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::U16 => "U16",
            Self::I16 => "I16",
            Self::U32 => "U32",
            Self::I32 => "I32",
            Self::U64 => "U64",
            Self::I64 => "I64",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
        }
    }

    /// The type of that name in a safetensors header.
    pub fn from_safetensors_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.safetensors_name() == name)
    }

    /// Names in a safetensors header, for messages.
    pub(crate) fn safetensors_names() -> String {
        Self::ALL.map(Self::safetensors_name).join(", ")
    }

    /// The type of a torch storage class or of a `torch.dtype`: `FloatStorage`, `float32`.
    pub(crate) fn from_torch_name(name: &str) -> Option<Self> {
        Some(match name {
            "BoolStorage" | "bool" => Self::Bool,
            "ByteStorage" | "uint8" | "UntypedStorage" => Self::U8,
            "CharStorage" | "int8" => Self::I8,
            "ShortStorage" | "int16" | "short" => Self::I16,
            "IntStorage" | "int32" | "int" => Self::I32,
            "LongStorage" | "int64" | "long" => Self::I64,
            "HalfStorage" | "float16" | "half" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::BF16,
            "FloatStorage" | "float32" | "float" => Self::F32,
            "DoubleStorage" | "float64" | "double" => Self::F64,
            "uint16" => Self::U16,
            "uint32" => Self::U32,
            "uint64" => Self::U64,
            _ => return None,
        })
    }

    /// The type of a NumPy type code without its byte order: `f4`, `i8`, `b1`.
    pub(crate) fn from_numpy_code(code: &str) -> Option<Self> {
        Some(match code {
            "b1" | "?" => Self::Bool,
            "u1" | "B" => Self::U8,
            "i1" | "b" => Self::I8,
            "u2" => Self::U16,
            "i2" => Self::I16,
            "u4" => Self::U32,
            "i4" => Self::I32,
            "u8" => Self::U64,
            "i8" => Self::I64,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        })
    }

    /// NumPy's code, little-endian, of a type that NumPy and every torch have.
    pub(crate) fn numpy_code(self) -> Option<&'static str> {
        Some(match self {
            Self::Bool => "|b1",
            Self::U8 => "|u1",
            Self::I8 => "|i1",
            Self::I16 => "<i2",
            Self::I32 => "<i4",
            Self::I64 => "<i8",
            Self::F16 => "<f2",
            Self::F32 => "<f4",
            Self::F64 => "<f8",
            Self::U16 | Self::U32 | Self::U64 | Self::BF16 => return None,
        })
    }

    /// The candle type that holds these elements exactly, if they need no conversion.
    pub(crate) fn candle(self) -> Option<candle_core::DType> {
        use candle_core::DType as C;
        Some(match self {
            Self::Bool | Self::U8 => C::U8,
            Self::I16 => C::I16,
            Self::U32 => C::U32,
            Self::I32 => C::I32,
            Self::I64 => C::I64,
            Self::F16 => C::F16,
            Self::BF16 => C::BF16,
            Self::F32 => C::F32,
            Self::F64 => C::F64,
            Self::I8 | Self::U16 | Self::U64 => return None,
        })
    }

    pub(crate) fn from_candle(dtype: candle_core::DType) -> Option<Self> {
        use candle_core::DType as C;
        Some(match dtype {
            C::U8 => Self::U8,
            C::I16 => Self::I16,
            C::U32 => Self::U32,
            C::I32 => Self::I32,
            C::I64 => Self::I64,
            C::F16 => Self::F16,
            C::BF16 => Self::BF16,
            C::F32 => Self::F32,
            C::F64 => Self::F64,
            _ => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.safetensors_name().to_ascii_lowercase())
    }
}
