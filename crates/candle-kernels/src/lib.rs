//! The kernels of candle's own operations on CUDA, with the interface of the crate of this name on the registry.
//!
//! That crate compiles its kernels by `nvcc` when it is built, and links against the toolkit. This one stands in its place
//! (`[patch.crates-io]` in the workspace's manifest): the kernels are those of `domex-cuda`, which NVRTC compiles on the machine that
//! runs them. What domex has no use for is not here: candle's convolutions, pooling and up-sampling (those of `domex-ops` take their
//! place), sorting, and quantised tensors. A kernel that is looked up there is not found, which candle reports.

pub mod ffi;

use std::sync::OnceLock;

use domex_cuda::{compile, modules};

/// The modules of candle, in the order of their indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Id {
    Affine,
    Binary,
    Cast,
    Conv,
    Fill,
    Indexing,
    Quantized,
    Reduce,
    Sort,
    Ternary,
    Unary,
}

/// Every module.
pub const ALL_IDS: [Id; 11] = [
    Id::Affine,
    Id::Binary,
    Id::Cast,
    Id::Conv,
    Id::Fill,
    Id::Indexing,
    Id::Quantized,
    Id::Reduce,
    Id::Sort,
    Id::Ternary,
    Id::Unary,
];

/// A module without kernels.
const EMPTY: &str = ".version 6.0\n.target sm_70\n.address_size 64\n";

/// A module.
#[derive(Debug)]
pub struct Module {
    id: Id,
    source: Option<modules::Module>,
    ptx: OnceLock<String>,
}

impl Module {
    const fn new(id: Id, source: Option<modules::Module>) -> Self {
        Self {
            id,
            source,
            ptx: OnceLock::new(),
        }
    }

    /// Its place in [`ALL_IDS`].
    pub fn index(&self) -> usize {
        self.id as usize
    }

    /// Its PTX, compiled when it is first asked for. `domex_cuda::compile::open` compiles all before, and says what is wrong where it
    /// cannot; here there is nobody to say it to, and a text that is no PTX makes the driver refuse it.
    pub fn ptx(&self) -> &str {
        self.ptx
            .get_or_init(|| match self.source.map(compile::ptx) {
                None => EMPTY.to_owned(),
                Some(Ok(ptx)) => ptx.to_string(),
                Some(Err(error)) => error.to_string(),
            })
    }
}

/// `NAME` as a module with a source, or without kernels.
macro_rules! modules {
    ($($name:ident: $id:ident = $source:expr),+ $(,)?) => {
        $(#[doc = concat!("candle's `", stringify!($id), "`.")]
        pub static $name: Module = Module::new(Id::$id, $source);)+
    };
}

modules! {
    AFFINE: Affine = Some(modules::Module::Affine),
    BINARY: Binary = Some(modules::Module::Binary),
    CAST: Cast = Some(modules::Module::Cast),
    CONV: Conv = None,
    FILL: Fill = Some(modules::Module::Fill),
    INDEXING: Indexing = Some(modules::Module::Indexing),
    QUANTIZED: Quantized = None,
    REDUCE: Reduce = Some(modules::Module::Reduce),
    SORT: Sort = None,
    TERNARY: Ternary = Some(modules::Module::Ternary),
    UNARY: Unary = Some(modules::Module::Unary),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_places_in_the_list() {
        let all = [
            &AFFINE, &BINARY, &CAST, &CONV, &FILL, &INDEXING, &QUANTIZED, &REDUCE, &SORT, &TERNARY,
            &UNARY,
        ];
        for (i, (module, id)) in all.iter().zip(ALL_IDS).enumerate() {
            assert_eq!((module.index(), module.id), (i, id));
        }
    }

    #[test]
    fn a_module_without_kernels_is_ptx() {
        assert!(QUANTIZED.ptx().starts_with(".version"));
    }
}
