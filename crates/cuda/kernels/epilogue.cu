// The epilogue of a convolution, forward and backward: see epilogue.cuh. x, y [n, channels, pixels].
#include "epilogue.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_forward(const float *x, float *y, i64 len, int channels, i64 pixels, EPILOGUE_PARAMS) {
    Epilogue epilogue = EPILOGUE;
    for (i64 e = first_element(); e < len; e += element_step()) {
        i64 plane = e / pixels;
        y[e] = epilogue.apply(x[e], plane / channels, plane % channels, channels, e % pixels, pixels);
    }
}

// gz, the gradient of the argument of the activation.
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_slope(const float *x, const float *gy, float *gz, i64 len, int channels, i64 pixels, EPILOGUE_PARAMS) {
    Epilogue epilogue = EPILOGUE;
    for (i64 e = first_element(); e < len; e += element_step()) {
        i64 plane = e / pixels;
        gz[e] = epilogue.back(epilogue.argument(x[e], plane / channels, plane % channels, channels, e % pixels, pixels), gy[e]);
    }
}

// One block for each plane: gx, and where wanted the plane's sums of gz x (the gradient of its scale) and of gz. z is computed anew.
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_backward(const float *x, const float *gy, float *gx, float *g_scale, float *gz_sum, int channels, i64 pixels,
                  EPILOGUE_PARAMS) {
    Epilogue epilogue = EPILOGUE;
    int plane = blockIdx.x, n = plane / channels, c = plane % channels;
    float with_x = 0.0f, alone = 0.0f;
    for (i64 p = threadIdx.x; p < pixels; p += THREADS) {
        i64 e = plane * pixels + p;
        float gz = epilogue.back(epilogue.argument(x[e], n, c, channels, p, pixels), gy[e]);
        gx[e] = scale ? gz * scale[plane] : gz;
        with_x += gz * x[e];
        alone += gz;
    }
    if (g_scale) {
        float sum = block_sum(with_x);
        if (threadIdx.x == 0) g_scale[plane] = sum;
    }
    if (gz_sum) {
        float sum = block_sum(alone);
        if (threadIdx.x == 0) gz_sum[plane] = sum;
    }
}

// The gradient of the bias from the sums of the planes: summed over the images.
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_bias_grad(const float *gz_sum, float *g_bias, int n, int channels) {
    int c = first_element();
    if (c >= channels) return;
    float sum = 0.0f;
    for (int i = 0; i < n; i++) sum += gz_sum[(i64)i * channels + c];
    g_bias[c] = sum;
}

// The gradient of the noise: gz summed over the channels, and over the images where they share it. One thread for each element.
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_noise_grad(const float *x, const float *gy, float *g_noise, int n, int channels, i64 pixels, EPILOGUE_PARAMS) {
    Epilogue epilogue = EPILOGUE;
    i64 len = shared_noise ? pixels : n * pixels;
    for (i64 q = first_element(); q < len; q += element_step()) {
        i64 p = q % pixels;
        int from = q / pixels, to = shared_noise ? n : from + 1;
        float sum = 0.0f;
        for (int i = from; i < to; i++)
            for (int c = 0; c < channels; c++) {
                i64 e = ((i64)i * channels + c) * pixels + p;
                sum += epilogue.back(epilogue.argument(x[e], i, c, channels, p, pixels), gy[e]);
            }
        g_noise[q] = sum;
    }
}
