// What happens per channel around a convolution: y = x s by rows, its gradients, and sums.
#include "element.cuh"

// y = x s[row] for x [rows, inner].
template <class T> __device__ void scale_rows(const T *x, const T *s, T *y, i64 len, i64 inner) {
    for (i64 e = first_element(); e < len; e += element_step()) y[e] = Narrow<T>::of(wide(x[e]) * wide(s[e / inner]));
}

// y[row] = the sum of a b over the row. One block for each row.
template <class T> __device__ void dot_rows(const T *a, const T *b, T *y, i64 inner) {
    a += blockIdx.x * inner, b += blockIdx.x * inner;
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < inner; i += THREADS) sum += wide(a[i]) * wide(b[i]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = Narrow<T>::of(sum);
}

// y[channel] = the sum of x [outer, channels, inner] over the others. One block for each channel.
template <class T> __device__ void channel_sum(const T *x, T *y, i64 outer, i64 channels, i64 inner) {
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < outer * inner; i += THREADS)
        sum += wide(x[(i / inner * channels + blockIdx.x) * inner + i % inner]);
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = Narrow<T>::of(sum);
}

// y[n, i] = the sum of x [n, rows, inner] over the rows.
template <class T> __device__ void plane_sum(const T *x, T *y, i64 len, i64 rows, i64 inner) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        const T *from = x + e / inner * rows * inner + e % inner;
        float sum = 0.0f;
        for (i64 row = 0; row < rows; row++) sum += wide(from[row * inner]);
        y[e] = Narrow<T>::of(sum);
    }
}

// y = a, then b.
template <class T> __device__ void join(const T *a, const T *b, T *y, i64 first, i64 len) {
    for (i64 e = first_element(); e < len; e += element_step()) y[e] = e < first ? a[e] : b[e - first];
}

#define CHANNEL_KERNELS(T, name)                                                                                         \
    extern "C" __global__ void __launch_bounds__(THREADS) scale_rows_##name(                                            \
        const T *x, const T *s, T *y, i64 len, i64 inner) {                                                              \
        scale_rows(x, s, y, len, inner);                                                                                 \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) dot_rows_##name(const T *a, const T *b, T *y, i64 inner) {    \
        dot_rows(a, b, y, inner);                                                                                        \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) channel_sum_##name(                                           \
        const T *x, T *y, i64 outer, i64 channels, i64 inner) {                                                          \
        channel_sum(x, y, outer, channels, inner);                                                                       \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) plane_sum_##name(                                             \
        const T *x, T *y, i64 len, i64 rows, i64 inner) {                                                                \
        plane_sum(x, y, len, rows, inner);                                                                               \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) join_##name(                                                  \
        const T *a, const T *b, T *y, i64 first, i64 len) {                                                              \
        join(a, b, y, first, len);                                                                                       \
    }

EACH_ELEMENT(CHANNEL_KERNELS)
