// The epilogue of a convolution, forward and backward: see epilogue.cuh. x, y [n, channels, pixels].
#include "epilogue.cuh"

template <class T>
__device__ void epilogue_forward(const T *x, T *y, i64 len, int channels, i64 pixels, const EpilogueOf<T> &epilogue) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        i64 plane = e / pixels;
        y[e] = Narrow<T>::of(epilogue.apply(wide(x[e]), plane / channels, plane % channels, channels, e % pixels, pixels));
    }
}

// gz, the gradient of the argument of the activation.
template <class T>
__device__ void epilogue_slope(const T *x, const T *gy, T *gz, i64 len, int channels, i64 pixels, const EpilogueOf<T> &epilogue) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        i64 plane = e / pixels;
        float z = epilogue.argument(wide(x[e]), plane / channels, plane % channels, channels, e % pixels, pixels);
        gz[e] = Narrow<T>::of(epilogue.back(z, wide(gy[e])));
    }
}

// gx, and where wanted sums of gz x (for the gradient of the scale) and of gz. A block has `share` pixels of a plane, and its sums go to
// [parts, n, channels]. z is computed anew.
template <class T>
__device__ void epilogue_backward(const T *x, const T *gy, T *gx, float *gz_x_sum, float *gz_sum, i64 share, int channels, i64 pixels,
                                  const EpilogueOf<T> &epilogue) {
    int plane = blockIdx.x, n = plane / channels, c = plane % channels;
    i64 from = blockIdx.y * share, to = from + share < pixels ? from + share : pixels;
    float with_x = 0.0f, alone = 0.0f, scale = epilogue.scale ? wide(epilogue.scale[plane]) : 1.0f;
    for (i64 p = from + threadIdx.x; p < to; p += THREADS) {
        i64 e = plane * pixels + p;
        float v = wide(x[e]), gz = epilogue.back(epilogue.argument(v, n, c, channels, p, pixels), wide(gy[e]));
        gx[e] = Narrow<T>::of(gz * scale);
        with_x += gz * v;
        alone += gz;
    }
    i64 at = (i64)blockIdx.y * gridDim.x + plane;
    if (gz_x_sum) {
        float sum = block_sum(with_x);
        if (threadIdx.x == 0) gz_x_sum[at] = sum;
    }
    if (gz_sum) {
        float sum = block_sum(alone);
        if (threadIdx.x == 0) gz_sum[at] = sum;
    }
}

// The gradient of scale or bias from the sums of the blocks: those of [rows, len] over the rows, in a fixed order.
template <class T> __device__ void epilogue_sum_grad(const float *sums, T *grad, int rows, int len) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        float sum = 0.0f;
        for (int i = 0; i < rows; i++) sum += sums[(i64)i * len + e];
        grad[e] = Narrow<T>::of(sum);
    }
}

// The gradient of the noise: gz summed over the channels, and over the images where they share it. One thread for each element.
template <class T>
__device__ void epilogue_noise_grad(const T *x, const T *gy, T *g_noise, int n, int channels, i64 pixels,
                                    const EpilogueOf<T> &epilogue) {
    int shared_noise = epilogue.shared_noise;
    i64 len = shared_noise ? pixels : n * pixels;
    for (i64 q = first_element(); q < len; q += element_step()) {
        i64 p = q % pixels;
        int from = q / pixels, to = shared_noise ? n : from + 1;
        float sum = 0.0f;
        for (int i = from; i < to; i++)
            for (int c = 0; c < channels; c++) {
                i64 e = ((i64)i * channels + c) * pixels + p;
                sum += epilogue.back(epilogue.argument(wide(x[e]), i, c, channels, p, pixels), wide(gy[e]));
            }
        g_noise[q] = Narrow<T>::of(sum);
    }
}

#define EPILOGUE_KERNELS(T, name)                                                                                        \
    extern "C" __global__ void __launch_bounds__(THREADS) epilogue_forward_##name(                                      \
        const T *x, T *y, i64 len, int channels, i64 pixels, EPILOGUE_PARAMS_OF(T)) {                                    \
        epilogue_forward(x, y, len, channels, pixels, EPILOGUE_OF(T));                                                   \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) epilogue_slope_##name(                                        \
        const T *x, const T *gy, T *gz, i64 len, int channels, i64 pixels, EPILOGUE_PARAMS_OF(T)) {                      \
        epilogue_slope(x, gy, gz, len, channels, pixels, EPILOGUE_OF(T));                                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) epilogue_backward_##name(                                     \
        const T *x, const T *gy, T *gx, float *gz_x_sum, float *gz_sum, i64 share, int channels, i64 pixels,             \
        EPILOGUE_PARAMS_OF(T)) {                                                                                         \
        epilogue_backward(x, gy, gx, gz_x_sum, gz_sum, share, channels, pixels, EPILOGUE_OF(T));                         \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) epilogue_sum_grad_##name(                                     \
        const float *sums, T *grad, int rows, int len) {                                                                 \
        epilogue_sum_grad(sums, grad, rows, len);                                                                        \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) epilogue_noise_grad_##name(                                   \
        const T *x, const T *gy, T *g_noise, int n, int channels, i64 pixels, EPILOGUE_PARAMS_OF(T)) {                   \
        epilogue_noise_grad(x, gy, g_noise, n, channels, pixels, EPILOGUE_OF(T));                                        \
    }

EACH_ELEMENT(EPILOGUE_KERNELS)
