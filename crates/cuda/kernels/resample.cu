// Resizing and average pooling: any separable resampling that tables of weights describe. Output o of an axis is the sum of
// weights[offset[o] .. offset[o + 1]] times the inputs from first[o] on. Its gradient is the same with transposed tables.
// x [planes, h, w], y [planes, oh, ow].
#include "element.cuh"

template <class T>
__device__ void resample(const T *x, T *y, i64 len, int h, int w, int oh, int ow, const int *row_first, const int *row_offset,
                         const float *row_weights, const int *col_first, const int *col_offset, const float *col_weights) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        int j = e % ow, i = e / ow % oh;
        const T *plane = x + e / ((i64)oh * ow) * h * w;
        float sum = 0.0f;
        for (int a = row_offset[i]; a < row_offset[i + 1]; a++) {
            const T *line = plane + (i64)(row_first[i] + a - row_offset[i]) * w;
            float part = 0.0f;
            for (int b = col_offset[j]; b < col_offset[j + 1]; b++)
                part += col_weights[b] * wide(line[col_first[j] + b - col_offset[j]]);
            sum += row_weights[a] * part;
        }
        y[e] = Narrow<T>::of(sum);
    }
}

#define RESAMPLE(T, name)                                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) resample_##name(                                              \
        const T *x, T *y, i64 len, int h, int w, int oh, int ow, const int *row_first, const int *row_offset,            \
        const float *row_weights, const int *col_first, const int *col_offset, const float *col_weights) {               \
        resample(x, y, len, h, w, oh, ow, row_first, row_offset, row_weights, col_first, col_offset, col_weights);       \
    }

EACH_ELEMENT(RESAMPLE)
