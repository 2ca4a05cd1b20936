// Convolutions and their gradients by plain products of float, for every card; and what goes with them.
#include "conv.cuh"

// 64 x 64 results, 4 x 4 in each thread: rows t / 16 + 16 u and columns t % 16 + 16 v. The products of a slice are added up by themselves
// first: a long sum rounds less where it is one of short ones.
struct PlainTile {
    static const int ROWS = 64, COLS = 64, PAD = 0, EACH = 16;
    float sums[EACH];

    __device__ int row(int e) const { return threadIdx.x / 16 + 16 * (e / 4); }
    __device__ int col(int e) const { return threadIdx.x % 16 + 16 * (e % 4); }

    static __device__ float operand(float v) { return v; }

    __device__ void clear() {
        for (int e = 0; e < EACH; e++) sums[e] = 0.0f;
    }

    __device__ void multiply(float (*a)[ROWS], float (*b)[COLS]) {
        float part[EACH] = {};
#pragma unroll
        for (int k = 0; k < SLICE; k++) {
            float left[4], right[4];
            for (int u = 0; u < 4; u++) left[u] = a[k][row(4 * u)];
            for (int v = 0; v < 4; v++) right[v] = b[k][col(v)];
            for (int e = 0; e < EACH; e++) part[e] += left[e / 4] * right[e % 4];
        }
        for (int e = 0; e < EACH; e++) sums[e] += part[e];
    }
};

CONV_KERNELS(float, PlainTile, f32)
CONV_KERNELS(half_t, PlainTile, f16)
CONV_KERNELS(bfloat_t, PlainTile, bf16)

// From weights [c_out, c_in, taps] what Window reads: [taps, c_in, c_out], or, for the gradient of the input, [taps, c_out, c_in]. A
// thread takes all taps of a pair of channels, which lie side by side; its neighbour's results do.
template <class T> __device__ void conv_pack(const T *weights, T *packed, int c_in, int c_out, int taps, int for_input) {
    int rows = for_input ? c_in : c_out;
    i64 pairs = (i64)c_in * c_out;
    for (i64 e = first_element(); e < pairs; e += element_step()) {
        i64 row = e % rows, term = e / rows;
        const T *from = weights + (for_input ? term * c_in + row : row * c_in + term) * taps;
        for (int tap = 0; tap < taps; tap++) packed[tap * pairs + e] = from[tap];
    }
}

// sums[e] = the sum of parts[:, e], in a fixed order.
template <class T> __device__ void sum_parts(const float *parts, T *sums, int count, i64 len) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        float sum = 0.0f;
        for (int i = 0; i < count; i++) sum += parts[i * len + e];
        sums[e] = Narrow<T>::of(sum);
    }
}

#define WEIGHT_KERNELS(T, name)                                                                                          \
    extern "C" __global__ void __launch_bounds__(THREADS) conv_pack_##name(                                             \
        const T *weights, T *packed, int c_in, int c_out, int taps, int for_input) {                                     \
        conv_pack(weights, packed, c_in, c_out, taps, for_input);                                                        \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) sum_parts_##name(                                             \
        const float *parts, T *sums, int count, i64 len) {                                                               \
        sum_parts(parts, sums, count, len);                                                                              \
    }

WEIGHT_KERNELS(float, f32)
WEIGHT_KERNELS(half_t, f16)
WEIGHT_KERNELS(bfloat_t, bf16)

// The factors of demodulation: factors[n, o] = 1 / sqrt(sum over c of style[n, c]^2 (sum over taps of w[o, c]^2) + 1e-8).
// One block for each output channel; its sums over taps stand in shared memory, c_in floats.
extern "C" __global__ void __launch_bounds__(THREADS)
demodulation(const float *weights, const float *style, float *factors, int n, int c_in, int c_out, int taps) {
    DYNAMIC_SHARED(float, squares);
    int o = blockIdx.x;
    for (int c = threadIdx.x; c < c_in; c += THREADS) {
        float sum = 0.0f;
        for (int k = 0; k < taps; k++) {
            float w = weights[((i64)o * c_in + c) * taps + k];
            sum += w * w;
        }
        squares[c] = sum;
    }
    __syncthreads();
    for (int image = 0; image < n; image++) {
        float sum = 0.0f;
        for (int c = threadIdx.x; c < c_in; c += THREADS) {
            float s = style[(i64)image * c_in + c];
            sum += s * s * squares[c];
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) factors[(i64)image * c_out + o] = 1.0f / sqrtf(sum + 1e-8f);
    }
}
