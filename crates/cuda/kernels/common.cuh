// What all kernels share. They are compiled by NVRTC for a GPU and, behind shim/cuda_shim.h, by any C++17 compiler for the tests.
// No header of the toolkit is needed.
#pragma once

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned char u8;

#ifndef DOMEX_HOST_SHIM
// Memory that the threads of a block share; dims as in `[4][8]`.
#define SHARED(type, name, dims) __shared__ type name dims
// The same, of as many bytes as the launch says.
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#endif

#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000) // As <math.h>, which NVRTC has not.
#define NAN __int_as_float(0x7fffffff)
#endif

// Threads of every block that reduces; a multiple of the warp.
#define THREADS 256
#define WARP 32
#define ALL_LANES 0xffffffffu

// The first element of this thread, and the step to its next, in a loop over all elements of the grid.
__device__ inline i64 first_element() { return (i64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline i64 element_step() { return (i64)gridDim.x * blockDim.x; }

__device__ inline float warp_sum(float v) {
    for (int step = WARP / 2; step > 0; step /= 2) v += __shfl_xor_sync(ALL_LANES, v, step);
    return v;
}

__device__ inline float warp_max(float v) {
    for (int step = WARP / 2; step > 0; step /= 2) v = fmaxf(v, __shfl_xor_sync(ALL_LANES, v, step));
    return v;
}

// The sum of v over a block of THREADS threads, the same in all of them. The order of the additions is fixed: same input, same bits.
__device__ inline float block_sum(float v) {
    SHARED(float, parts, [THREADS / WARP]);
    v = warp_sum(v);
    __syncthreads(); // The last call's readers are done.
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = v;
    __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < THREADS / WARP; i++) sum += parts[i];
    return sum;
}

// The largest v of a block of THREADS threads, the same in all of them.
__device__ inline float block_max(float v) {
    SHARED(float, parts, [THREADS / WARP]);
    v = warp_max(v);
    __syncthreads();
    if (threadIdx.x % WARP == 0) parts[threadIdx.x / WARP] = v;
    __syncthreads();
    float most = parts[0];
    for (int i = 1; i < THREADS / WARP; i++) most = fmaxf(most, parts[i]);
    return most;
}
