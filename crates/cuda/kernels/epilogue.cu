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

// gx, and where wanted sums of gz x (for the gradient of the scale) and of gz. A block has `share` pixels of a plane, and its sums go to
// [parts, n, channels]. z is computed anew.
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_backward(const float *x, const float *gy, float *gx, float *gz_x_sum, float *gz_sum, i64 share, int channels, i64 pixels,
                  EPILOGUE_PARAMS) {
    Epilogue epilogue = EPILOGUE;
    int plane = blockIdx.x, n = plane / channels, c = plane % channels;
    i64 from = blockIdx.y * share, to = from + share < pixels ? from + share : pixels;
    float with_x = 0.0f, alone = 0.0f;
    for (i64 p = from + threadIdx.x; p < to; p += THREADS) {
        i64 e = plane * pixels + p;
        float gz = epilogue.back(epilogue.argument(x[e], n, c, channels, p, pixels), gy[e]);
        gx[e] = scale ? gz * scale[plane] : gz;
        with_x += gz * x[e];
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
extern "C" __global__ void __launch_bounds__(THREADS)
epilogue_sum_grad(const float *sums, float *grad, int rows, int len) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        float sum = 0.0f;
        for (int i = 0; i < rows; i++) sum += sums[(i64)i * len + e];
        grad[e] = sum;
    }
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
