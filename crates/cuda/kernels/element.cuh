// The half types of memory, and the way from there to what is computed in, float, and back.
#pragma once
#include "common.cuh"

struct half_t { unsigned short bits; };
struct bfloat_t { unsigned short bits; };

#ifndef DOMEX_HOST_SHIM
__device__ inline float half_to_float(unsigned short bits) {
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
    return v;
}
__device__ inline unsigned short float_to_half(float v) {
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return bits;
}
__device__ inline u32 float_bits(float v) { return __float_as_uint(v); }
__device__ inline float bits_float(u32 v) { return __uint_as_float(v); }
#endif

// In the type that is computed in: float for the half ones.
__device__ inline float wide(half_t v) { return half_to_float(v.bits); }
__device__ inline float wide(bfloat_t v) { return bits_float((u32)v.bits << 16); }
template <class T> __device__ T wide(T v) { return v; }

template <class T> struct Narrow {
    template <class W> static __device__ T of(W v) { return (T)v; }
};
template <> struct Narrow<half_t> {
    template <class W> static __device__ half_t of(W v) { return {float_to_half((float)v)}; }
};
template <> struct Narrow<bfloat_t> {
    // To the nearest, ties to even; a NaN stays one.
    template <class W> static __device__ bfloat_t of(W value) {
        float v = (float)value;
        u32 bits = float_bits(v);
        if (v != v) return {(unsigned short)(bits >> 16 | 0x40)};
        return {(unsigned short)((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
    }
};

// X(T, name) for each type of memory; kernels have the name at the end of theirs.
#define EACH_ELEMENT(X) X(float, f32) X(half_t, f16) X(bfloat_t, bf16)
