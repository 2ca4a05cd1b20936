// Convolutions and their gradients by tensor cores, from compute capability 8.0 on. Products are of TF32 numbers, which have float's
// exponent and half's fraction: half_t and bfloat_t lose nothing by it, not even where a style multiplies them beyond what they can
// hold, and float is rounded to eleven bits, as PyTorch does where TF32 is allowed. Sums are float's.
#include "conv.cuh"

#ifndef DOMEX_HOST_SHIM
// To eleven bits, the nearest, ties away from zero.
__device__ inline float to_tf32(float v) {
    u32 bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(v));
    return bits_float(bits);
}

// sums += a b by a warp, for 16 x 8 results and 8 terms. Lane l = 4 g + t holds of a, by rows and terms, (g, t), (g + 8, t), (g, t + 4)
// and (g + 8, t + 4); of b, by terms and columns, (t, g) and (t + 4, g); of the sums (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
__device__ inline void warp_multiply(float *sums, const float *a, const float *b) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(float_bits(a[0])), "r"(float_bits(a[1])), "r"(float_bits(a[2])), "r"(float_bits(a[3])), "r"(float_bits(b[0])),
                   "r"(float_bits(b[1])));
}
#endif

// 64 x 128 results: two rows of four warps, each with 32 x 32. Lines of shared memory are 8 longer, so that the lanes of a warp, which
// read four terms of eight rows or columns, meet no bank twice.
struct TensorTile {
    static const int ROWS = 64, COLS = 128, PAD = 8, EACH = 32;
    float sums[EACH]; // For each 16 rows and each 8 columns of the warp the four of warp_multiply.

    __device__ static int first_row() { return threadIdx.x / WARP / 4 * 32; }
    __device__ static int first_col() { return threadIdx.x / WARP % 4 * 32; }
    __device__ static int g() { return threadIdx.x % WARP / 4; }
    __device__ static int t() { return threadIdx.x % 4; }

    __device__ int row(int e) const { return first_row() + e / 16 * 16 + g() + e % 4 / 2 * 8; }
    __device__ int col(int e) const { return first_col() + e / 4 % 4 * 8 + 2 * t() + e % 2; }

    static __device__ float operand(float v) { return to_tf32(v); }

    __device__ void clear() {
        for (int e = 0; e < EACH; e++) sums[e] = 0.0f;
    }

    __device__ void multiply(float (*a)[ROWS + PAD], float (*b)[COLS + PAD]) {
#pragma unroll
        for (int k = 0; k < SLICE; k += 8) {
            const float *low = a[k + t()] + first_row() + g(), *high = a[k + t() + 4] + first_row() + g();
            float left[2][4];
            for (int u = 0; u < 2; u++) {
                left[u][0] = low[16 * u], left[u][1] = low[16 * u + 8];
                left[u][2] = high[16 * u], left[u][3] = high[16 * u + 8];
            }
            for (int v = 0; v < 4; v++) {
                int col = first_col() + 8 * v + g();
                float right[2] = {b[k + t()][col], b[k + t() + 4][col]};
                for (int u = 0; u < 2; u++) warp_multiply(sums + 16 * u + 4 * v, left[u], right);
            }
        }
    }
};

CONV_KERNELS(float, TensorTile, tf32)
CONV_KERNELS(half_t, TensorTile, tensor_f16)
CONV_KERNELS(bfloat_t, TensorTile, tensor_bf16)
