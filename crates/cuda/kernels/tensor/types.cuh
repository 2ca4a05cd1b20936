// The element types of tensors, and where elements are. The names and parameters of the kernels in this folder are candle's: it looks
// them up and launches them.
#pragma once
#include "element.cuh"

typedef unsigned long size; // As Rust's usize.

// Where element e of a tensor is. `info`: its dimensions, then one or more lists of strides; null where all are contiguous.
__device__ inline size place(size e, size rank, const size *info, int list) {
    if (!info) return e;
    const size *dims = info, *strides = info + (1 + list) * rank;
    size at = 0;
    for (size d = rank; d-- > 0;) {
        at += e % dims[d] * strides[d];
        e /= dims[d];
    }
    return at;
}

#define FOR_ELEMENTS(e, len) for (size e = first_element(); e < (len); e += element_step())
#define TENSOR_KERNEL extern "C" __global__ void __launch_bounds__(1024)

#define EACH_FLOAT(X, ...)                                                                                               \
    X(float, f32, __VA_ARGS__)                                                                                           \
    X(double, f64, __VA_ARGS__) X(half_t, f16, __VA_ARGS__) X(bfloat_t, bf16, __VA_ARGS__)
#define EACH_TYPE(X, ...)                                                                                                \
    EACH_FLOAT(X, __VA_ARGS__) X(u8, u8, __VA_ARGS__) X(u32, u32, __VA_ARGS__) X(i64, i64, __VA_ARGS__)
