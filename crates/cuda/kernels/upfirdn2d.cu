// Up-sampling, padding, FIR filtering and down-sampling (stylegan2-ada-pytorch, torch_utils/ops/upfirdn2d.py), alone or with the
// epilogue that follows. x [planes, h, w], taps [fh, fw] in the order of a correlation with the gain in them, y [planes, oh, ow].
#include "epilogue.cuh"

struct Resampling {
    int h, w, fh, fw, up_x, up_y, down_x, down_y, pad_x, pad_y;

    // y[i, j] of one plane. Only taps that meet a pixel, not one of the zeros between pixels, are visited.
    template <class T> __device__ float at(const T *x, const float *taps, int i, int j) const {
        int top = i * down_y - pad_y, left = j * down_x - pad_x;
        int first_a = ((-top) % up_y + up_y) % up_y, first_b = ((-left) % up_x + up_x) % up_x;
        float sum = 0.0f;
        for (int a = first_a; a < fh; a += up_y) {
            int row = (top + a) / up_y; // Exact, so the sign is right, too.
            if (row < 0 || row >= h) continue;
            for (int b = first_b; b < fw; b += up_x) {
                int col = (left + b) / up_x;
                if (col >= 0 && col < w) sum += taps[a * fw + b] * wide(x[(i64)row * w + col]);
            }
        }
        return sum;
    }
};

#define RESAMPLING_PARAMS int h, int w, int fh, int fw, int up_x, int up_y, int down_x, int down_y, int pad_x, int pad_y
#define RESAMPLING Resampling{h, w, fh, fw, up_x, up_y, down_x, down_y, pad_x, pad_y}

template <class T>
__device__ void resampled(const T *x, const float *taps, T *y, i64 len, int oh, int ow, const Resampling &r) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        int j = e % ow, i = e / ow % oh;
        i64 plane = e / ((i64)oh * ow);
        y[e] = Narrow<T>::of(r.at(x + plane * r.h * r.w, taps, i, j));
    }
}

// The same, and the epilogue of planes [n, channels], after which y is rounded to what memory holds.
template <class S, class T>
__device__ void filtered(const S *x, const float *taps, T *y, i64 len, int oh, int ow, const Resampling &r, int channels,
                         const EpilogueOf<S> &epilogue) {
    i64 pixels = (i64)oh * ow;
    for (i64 e = first_element(); e < len; e += element_step()) {
        int j = e % ow, i = e / ow % oh;
        i64 plane = e / pixels;
        float sum = r.at(x + plane * r.h * r.w, taps, i, j);
        y[e] = Narrow<T>::of(epilogue.apply(sum, plane / channels, plane % channels, channels, e % pixels, pixels));
    }
}

#define UPFIRDN2D(T, name)                                                                                               \
    extern "C" __global__ void __launch_bounds__(THREADS) upfirdn2d_##name(                                             \
        const T *x, const float *taps, T *y, i64 len, int oh, int ow, RESAMPLING_PARAMS) {                               \
        resampled(x, taps, y, len, oh, ow, RESAMPLING);                                                                  \
    }
#define UPFIRDN2D_EPILOGUE(T, name) UPFIRDN2D_EPILOGUE_TO(T, T, name)
#define UPFIRDN2D_EPILOGUE_TO(S, T, name)                                                                                \
    extern "C" __global__ void __launch_bounds__(THREADS) upfirdn2d_epilogue_##name(                                    \
        const S *x, const float *taps, T *y, i64 len, int oh, int ow, RESAMPLING_PARAMS, int channels,                  \
        EPILOGUE_PARAMS_OF(S)) {                                                                                         \
        filtered(x, taps, y, len, oh, ow, RESAMPLING, channels, EPILOGUE_OF(S));                                         \
    }

EACH_ELEMENT(UPFIRDN2D)
EACH_ELEMENT(UPFIRDN2D_EPILOGUE)
UPFIRDN2D_EPILOGUE_TO(float, half_t, f32_f16)
UPFIRDN2D_EPILOGUE_TO(float, bfloat_t, f32_bf16)
