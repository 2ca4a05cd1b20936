//! The functions of candle's quantised kernels, by name and type.
//!
//! candle-core refers to them, but calls them for quantised tensors only, and domex makes none: that is the whole of each body.

use std::{ffi::c_void, process::abort};

/// Functions of one type, by their names.
macro_rules! quantised {
    ($types:tt $($name:ident)+) => { $(quantised!(@one $name $types);)+ };
    (@one $name:ident ($($arg:ty),+)) => {
        /// For quantised tensors; ends the process.
        ///
        /// # Safety
        ///
        /// It reads and writes nothing.
        #[allow(non_snake_case, clippy::too_many_arguments, reason = "candle's name and type")]
        pub unsafe extern "C" fn $name($(_: $arg),+) {
            eprintln!(concat!(stringify!($name), ": domex has no quantised tensors; this is a mistake in the program"));
            abort()
        }
    };
}

quantised! {
    (*const c_void, *const c_void, *mut c_void, i32, i32, i32, i32, i32, *mut c_void)
    launch_mmvq_gguf_q4_0_bf16_plain
    launch_mmvq_gguf_q4_1_bf16_plain
    launch_mmvq_gguf_q5_0_bf16_plain
    launch_mmvq_gguf_q5_1_bf16_plain
    launch_mmvq_gguf_q8_0_bf16_plain
    launch_mmvq_gguf_q2_k_bf16_plain
    launch_mmvq_gguf_q3_k_bf16_plain
    launch_mmvq_gguf_q4_k_bf16_plain
    launch_mmvq_gguf_q5_k_bf16_plain
    launch_mmvq_gguf_q6_k_bf16_plain
    launch_mmvq_gguf_q4_0_f32_plain
    launch_mmvq_gguf_q4_1_f32_plain
    launch_mmvq_gguf_q5_0_f32_plain
    launch_mmvq_gguf_q5_1_f32_plain
    launch_mmvq_gguf_q8_0_f32_plain
    launch_mmvq_gguf_q2_k_f32_plain
    launch_mmvq_gguf_q3_k_f32_plain
    launch_mmvq_gguf_q4_k_f32_plain
    launch_mmvq_gguf_q5_k_f32_plain
    launch_mmvq_gguf_q6_k_f32_plain
    launch_mmvq_gguf_q4_0_f16_plain
    launch_mmvq_gguf_q4_1_f16_plain
    launch_mmvq_gguf_q5_0_f16_plain
    launch_mmvq_gguf_q5_1_f16_plain
    launch_mmvq_gguf_q8_0_f16_plain
    launch_mmvq_gguf_q2_k_f16_plain
    launch_mmvq_gguf_q3_k_f16_plain
    launch_mmvq_gguf_q4_k_f16_plain
    launch_mmvq_gguf_q5_k_f16_plain
    launch_mmvq_gguf_q6_k_f16_plain
}
quantised! {
    (*const c_void, *mut c_void, i32, i32, i32, *mut c_void)
    launch_mmvq_gguf_quantize_q8_1_bf16
    launch_mmvq_gguf_quantize_q8_1_f16
    launch_mmvq_gguf_quantize_q8_1_f32
}
quantised! {
    (*const c_void, *const i32, *mut c_void, i32, i64, i64, i64, i64, i64, i64, i64, i64, *mut c_void)
    launch_mmq_quantize_q8_1_D4
    launch_mmq_quantize_q8_1_DS4
    launch_mmq_quantize_q8_1_D2S6
}
quantised! {
    (*mut c_void, *const c_void, *const c_void, *mut c_void, i64, i64, i64, i64, i64, i32, i32, i64, i32, *mut c_void)
    launch_mmq_gguf_q4_0
    launch_mmq_gguf_q4_1
    launch_mmq_gguf_q5_0
    launch_mmq_gguf_q5_1
    launch_mmq_gguf_q8_0
    launch_mmq_gguf_q2_k
    launch_mmq_gguf_q3_k
    launch_mmq_gguf_q4_k
    launch_mmq_gguf_q5_k
    launch_mmq_gguf_q6_k
}
