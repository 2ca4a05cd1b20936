// Softmax along the middle of [outer, len, inner], and its gradient gx = y (g - sum(g y)).
#include "element.cuh"

__device__ inline i64 line_start(i64 line, i64 len, i64 inner) { return line / inner * len * inner + line % inner; }

// One block for each line of contiguous elements.
template <class T> __device__ void softmax_row(const T *x, T *y, i64 len) {
    float most = -INFINITY, sum = 0.0f;
    for (i64 i = threadIdx.x; i < len; i += THREADS) most = fmaxf(most, wide(x[i]));
    most = block_max(most);
    for (i64 i = threadIdx.x; i < len; i += THREADS) sum += expf(wide(x[i]) - most);
    sum = block_sum(sum);
    for (i64 i = threadIdx.x; i < len; i += THREADS) y[i] = Narrow<T>::of(expf(wide(x[i]) - most) / sum);
}

template <class T> __device__ void softmax_row_backward(const T *y, const T *g, T *gx, i64 len) {
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < len; i += THREADS) sum += wide(g[i]) * wide(y[i]);
    sum = block_sum(sum);
    for (i64 i = threadIdx.x; i < len; i += THREADS) gx[i] = Narrow<T>::of(wide(y[i]) * (wide(g[i]) - sum));
}

// One thread for each line, where lines lie side by side.
template <class T> __device__ void softmax_lines(const T *x, T *y, i64 lines, i64 len, i64 inner) {
    for (i64 line = first_element(); line < lines; line += element_step()) {
        i64 start = line_start(line, len, inner);
        float most = -INFINITY, sum = 0.0f;
        for (i64 i = 0; i < len; i++) most = fmaxf(most, wide(x[start + i * inner]));
        for (i64 i = 0; i < len; i++) sum += expf(wide(x[start + i * inner]) - most);
        for (i64 i = 0; i < len; i++) {
            i64 e = start + i * inner;
            y[e] = Narrow<T>::of(expf(wide(x[e]) - most) / sum);
        }
    }
}

template <class T> __device__ void softmax_lines_backward(const T *y, const T *g, T *gx, i64 lines, i64 len, i64 inner) {
    for (i64 line = first_element(); line < lines; line += element_step()) {
        i64 start = line_start(line, len, inner);
        float sum = 0.0f;
        for (i64 i = 0; i < len; i++) sum += wide(g[start + i * inner]) * wide(y[start + i * inner]);
        for (i64 i = 0; i < len; i++) {
            i64 e = start + i * inner;
            gx[e] = Narrow<T>::of(wide(y[e]) * (wide(g[e]) - sum));
        }
    }
}

#define SOFTMAX_KERNELS(T, name)                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) softmax_rows_##name(const T *x, T *y, i64 len) {              \
        softmax_row(x + blockIdx.x * len, y + blockIdx.x * len, len);                                                    \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) softmax_rows_backward_##name(                                 \
        const T *y, const T *g, T *gx, i64 len) {                                                                        \
        softmax_row_backward(y + blockIdx.x * len, g + blockIdx.x * len, gx + blockIdx.x * len, len);                    \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) softmax_lines_##name(                                         \
        const T *x, T *y, i64 lines, i64 len, i64 inner) {                                                               \
        softmax_lines(x, y, lines, len, inner);                                                                          \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) softmax_lines_backward_##name(                                \
        const T *y, const T *g, T *gx, i64 lines, i64 len, i64 inner) {                                                  \
        softmax_lines_backward(y, g, gx, lines, len, inner);                                                             \
    }

EACH_ELEMENT(SOFTMAX_KERNELS)
