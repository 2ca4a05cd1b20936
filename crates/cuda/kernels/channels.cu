// What happens per channel around a convolution: y = x s by rows, its gradients, and sums.
#include "common.cuh"

// y = x s[row] for x [rows, inner].
extern "C" __global__ void __launch_bounds__(THREADS)
scale_rows(const float *x, const float *s, float *y, i64 len, i64 inner) {
    for (i64 e = first_element(); e < len; e += element_step()) y[e] = x[e] * s[e / inner];
}

// y[row] = the sum of a b over the row. One block for each row.
extern "C" __global__ void __launch_bounds__(THREADS) dot_rows(const float *a, const float *b, float *y, i64 inner) {
    a += blockIdx.x * inner, b += blockIdx.x * inner;
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < inner; i += THREADS) sum += a[i] * b[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

// y[channel] = the sum of x [outer, channels, inner] over the others. One block for each channel.
extern "C" __global__ void __launch_bounds__(THREADS)
channel_sum(const float *x, float *y, i64 outer, i64 channels, i64 inner) {
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < outer * inner; i += THREADS) sum += x[(i / inner * channels + blockIdx.x) * inner + i % inner];
    sum = block_sum(sum);
    if (threadIdx.x == 0) y[blockIdx.x] = sum;
}

// y[n, i] = the sum of x [n, rows, inner] over the rows.
extern "C" __global__ void __launch_bounds__(THREADS)
plane_sum(const float *x, float *y, i64 len, i64 rows, i64 inner) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        const float *from = x + e / inner * rows * inner + e % inner;
        float sum = 0.0f;
        for (i64 row = 0; row < rows; row++) sum += from[row * inner];
        y[e] = sum;
    }
}

// y = a, then b.
extern "C" __global__ void __launch_bounds__(THREADS) join(const float *a, const float *b, float *y, i64 first, i64 len) {
    for (i64 e = first_element(); e < len; e += element_step()) y[e] = e < first ? a[e] : b[e - first];
}
