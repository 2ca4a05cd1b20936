// Kernels with the mistakes that the shim is there to find.
#include "common.cuh"

// Reads a neighbour's element of shared memory without waiting for it.
extern "C" __global__ void no_barrier(float *y) {
    SHARED(float, tile, [64]);
    tile[threadIdx.x] = threadIdx.x;
    y[threadIdx.x] = tile[(threadIdx.x + 1) % 64];
}

extern "C" __global__ void some_barrier(float *y) {
    if (threadIdx.x < 10) __syncthreads();
    y[threadIdx.x] = 0.0f;
}

extern "C" __global__ void some_shuffle(float *y) {
    if (threadIdx.x != 5) y[threadIdx.x] = __shfl_xor_sync(ALL_LANES, 1.0f, 1);
}

extern "C" __global__ void beyond_buffer(float *y) { y[threadIdx.x + 1] = 0.0f; }

extern "C" __global__ void beyond_shared(float *y) {
    SHARED(float, tile, [64]);
    tile[threadIdx.x * 2] = 1.0f;
    __syncthreads();
    y[threadIdx.x] = tile[threadIdx.x];
}

extern "C" __global__ void overflow(float *y) { y[threadIdx.x] = (int)(threadIdx.x + 0x7fffffff - 31) * 2; }

// None: all lanes get the sum of the warp.
extern "C" __global__ void right(float *y) { y[threadIdx.x] = warp_sum((float)threadIdx.x); }
