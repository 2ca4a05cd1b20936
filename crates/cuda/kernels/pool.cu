// Max pooling with windows of any size, stride and padding; average pooling is a resampling, see resample.cu.
// x [planes, h, w], y [planes, oh, ow]. The padding never wins; of equal elements the first does; a NaN is a maximum.
#include "element.cuh"

struct Pool {
    int h, w, oh, ow, kernel, stride, padding;

    // The place in the plane of the largest key of window (i, j).
    template <class T> __device__ int largest(const T *keys, int i, int j) const {
        int top = i * stride - padding, left = j * stride - padding;
        int best = -1;
        float most = 0.0f;
        for (int row = top < 0 ? 0 : top; row < h && row < top + kernel; row++)
            for (int col = left < 0 ? 0 : left; col < w && col < left + kernel; col++) {
                float key = wide(keys[(i64)row * w + col]);
                if (best < 0 || key > most || key != key) best = row * w + col, most = key;
            }
        return best;
    }
};

#define POOL_PARAMS int h, int w, int oh, int ow, int kernel, int stride, int padding
#define POOL Pool{h, w, oh, ow, kernel, stride, padding}

// y = of `values` those at the largest `keys` of each window; `places`, if given, says where they were.
template <class T> __device__ void max_pool(const T *keys, const T *values, T *y, int *places, i64 len, const Pool &p) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        int j = e % p.ow, i = e / p.ow % p.oh;
        i64 plane = e / ((i64)p.oh * p.ow) * p.h * p.w;
        int place = p.largest(keys + plane, i, j);
        if (y) y[e] = values[plane + place];
        if (places) places[e] = place;
    }
}

// Back: each element of the input gathers the gradients of the windows that took it, in a fixed order.
template <class T> __device__ void max_pool_backward(const T *gy, const int *places, T *gx, i64 len, const Pool &p) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        int place = e % ((i64)p.h * p.w), row = place / p.w + p.padding, col = place % p.w + p.padding;
        i64 plane = e / ((i64)p.h * p.w) * p.oh * p.ow;
        // Windows i with i stride <= row < i stride + kernel.
        int first_i = row < p.kernel ? 0 : (row - p.kernel) / p.stride + 1;
        int first_j = col < p.kernel ? 0 : (col - p.kernel) / p.stride + 1;
        float sum = 0.0f;
        for (int i = first_i; i < p.oh && i * p.stride <= row; i++)
            for (int j = first_j; j < p.ow && j * p.stride <= col; j++) {
                i64 window = plane + (i64)i * p.ow + j;
                if (places[window] == place) sum += wide(gy[window]);
            }
        gx[e] = Narrow<T>::of(sum);
    }
}

#define POOL_KERNELS(T, name)                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS) max_pool_##name(                                              \
        const T *keys, const T *values, T *y, int *places, i64 len, POOL_PARAMS) {                                       \
        max_pool(keys, values, y, places, len, POOL);                                                                    \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) max_pool_backward_##name(                                     \
        const T *gy, const int *places, T *gx, i64 len, POOL_PARAMS) {                                                   \
        max_pool_backward(gy, places, gx, len, POOL);                                                                    \
    }

EACH_ELEMENT(POOL_KERNELS)
