// Softmax along the middle of [outer, len, inner], and its gradient gx = y (g - sum(g y)).
#include "common.cuh"

__device__ inline i64 line_start(i64 line, i64 len, i64 inner) { return line / inner * len * inner + line % inner; }

// One block for each line of contiguous elements.
extern "C" __global__ void __launch_bounds__(THREADS) softmax_rows(const float *x, float *y, i64 len) {
    x += blockIdx.x * len, y += blockIdx.x * len;
    float most = -INFINITY, sum = 0.0f;
    for (i64 i = threadIdx.x; i < len; i += THREADS) most = fmaxf(most, x[i]);
    most = block_max(most);
    for (i64 i = threadIdx.x; i < len; i += THREADS) sum += expf(x[i] - most);
    sum = block_sum(sum);
    for (i64 i = threadIdx.x; i < len; i += THREADS) y[i] = expf(x[i] - most) / sum;
}

extern "C" __global__ void __launch_bounds__(THREADS)
softmax_rows_backward(const float *y, const float *g, float *gx, i64 len) {
    y += blockIdx.x * len, g += blockIdx.x * len, gx += blockIdx.x * len;
    float sum = 0.0f;
    for (i64 i = threadIdx.x; i < len; i += THREADS) sum += g[i] * y[i];
    sum = block_sum(sum);
    for (i64 i = threadIdx.x; i < len; i += THREADS) gx[i] = y[i] * (g[i] - sum);
}

// One thread for each line, where lines lie side by side.
extern "C" __global__ void __launch_bounds__(THREADS) softmax_lines(const float *x, float *y, i64 lines, i64 len, i64 inner) {
    for (i64 line = first_element(); line < lines; line += element_step()) {
        i64 start = line_start(line, len, inner);
        float most = -INFINITY, sum = 0.0f;
        for (i64 i = 0; i < len; i++) most = fmaxf(most, x[start + i * inner]);
        for (i64 i = 0; i < len; i++) sum += expf(x[start + i * inner] - most);
        for (i64 i = 0; i < len; i++) y[start + i * inner] = expf(x[start + i * inner] - most) / sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS)
softmax_lines_backward(const float *y, const float *g, float *gx, i64 lines, i64 len, i64 inner) {
    for (i64 line = first_element(); line < lines; line += element_step()) {
        i64 start = line_start(line, len, inner);
        float sum = 0.0f;
        for (i64 i = 0; i < len; i++) sum += g[start + i * inner] * y[start + i * inner];
        for (i64 i = 0; i < len; i++) {
            i64 e = start + i * inner;
            gx[e] = y[e] * (g[e] - sum);
        }
    }
}
