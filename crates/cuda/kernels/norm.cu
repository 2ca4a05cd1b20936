// Layer, group and pixel norm. x is seen as lines [outer, len, inner], each normalised along len:
//   h = (x - mean) r,  r = 1 / sqrt(mean((x - mean)^2) + eps),  y = h weight + bias
// where element e has weight e / repeat % channels; without `centre` nothing is subtracted (pixel norm).
// The derivative along g: J g = r (g - mean(g) - h mean(g h)), with g multiplied by the weight before.
#include "element.cuh"

template <class T> struct Line {
    const T *x, *weight, *bias;
    i64 len, inner, repeat, channels;
    float eps;
    int centre;

    __device__ i64 start(i64 line) const { return line / inner * len * inner + line % inner; }
    __device__ float at(i64 e) const { return wide(x[e]); }
    __device__ float factor(i64 e) const { return weight ? wide(weight[e / repeat % channels]) : 1.0f; }
    __device__ float shift(i64 e) const { return bias ? wide(bias[e / repeat % channels]) : 0.0f; }
};

#define LINE_PARAMS(T)                                                                                                   \
    const T *x, const T *weight, const T *bias, i64 len, i64 inner, i64 repeat, i64 channels, float eps, int centre
#define LINE(T) Line<T>{x, weight, bias, len, inner, repeat, channels, eps, centre}

// How the work is shared out: a block to a line that is contiguous, or a thread to a line whose neighbours are. Sums are over the
// members of a line.
struct ByBlock {
    static __device__ i64 first() { return threadIdx.x; }
    static __device__ i64 step() { return THREADS; }
    static __device__ float sum(float v) { return block_sum(v); }
};

struct ByThread {
    static __device__ i64 first() { return 0; }
    static __device__ i64 step() { return 1; }
    static __device__ float sum(float v) { return v; }
};

template <class By, class T> __device__ void moments(const Line<T> &l, i64 start, float &mean, float &r) {
    mean = 0.0f;
    if (l.centre) {
        for (i64 i = By::first(); i < l.len; i += By::step()) mean += l.at(start + i * l.inner);
        mean = By::sum(mean) / l.len;
    }
    float square = 0.0f;
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        float d = l.at(start + i * l.inner) - mean;
        square += d * d;
    }
    r = 1.0f / sqrtf(By::sum(square) / l.len + l.eps);
}

template <class By, class T> __device__ void forward(const Line<T> &l, i64 line, T *y) {
    i64 start = l.start(line);
    float mean, r;
    moments<By>(l, start, mean, r);
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        y[e] = Narrow<T>::of((l.at(e) - mean) * r * l.factor(e) + l.shift(e));
    }
}

// gx, and where wanted h, of which the gradient of the weight is made.
template <class By, class T> __device__ void backward(const Line<T> &l, i64 line, const T *g, T *gx, float *h) {
    i64 start = l.start(line);
    float mean, r, sum_g = 0.0f, sum_gh = 0.0f;
    moments<By>(l, start, mean, r);
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        float v = wide(g[e]) * l.factor(e);
        sum_g += v;
        sum_gh += v * (l.at(e) - mean) * r;
    }
    float mean_g = l.centre ? By::sum(sum_g) / l.len : 0.0f, mean_gh = By::sum(sum_gh) / l.len;
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        float at = (l.at(e) - mean) * r;
        gx[e] = Narrow<T>::of(r * (wide(g[e]) * l.factor(e) - mean_g - at * mean_gh));
        if (h) h[e] = at;
    }
}

template <class T> __device__ void forward_lines(const Line<T> &l, i64 lines, T *y) {
    for (i64 line = first_element(); line < lines; line += element_step()) forward<ByThread>(l, line, y);
}

template <class T> __device__ void backward_lines(const Line<T> &l, i64 lines, const T *g, T *gx, float *h) {
    for (i64 line = first_element(); line < lines; line += element_step()) backward<ByThread>(l, line, g, gx, h);
}

// The gradients of weight and bias: sums of g h and of g over all elements [outer, channels, repeat] of a channel. One block each.
template <class T>
__device__ void affine_grad(const T *g, const float *h, T *g_weight, T *g_bias, i64 outer, i64 channels, i64 repeat) {
    float with_h = 0.0f, alone = 0.0f;
    for (i64 i = threadIdx.x; i < outer * repeat; i += THREADS) {
        i64 e = (i / repeat * channels + blockIdx.x) * repeat + i % repeat;
        with_h += wide(g[e]) * h[e];
        alone += wide(g[e]);
    }
    with_h = block_sum(with_h);
    alone = block_sum(alone);
    if (threadIdx.x == 0) g_weight[blockIdx.x] = Narrow<T>::of(with_h), g_bias[blockIdx.x] = Narrow<T>::of(alone);
}

#define NORM_KERNELS(T, name)                                                                                            \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_rows_##name(T *y, LINE_PARAMS(T)) {                      \
        forward<ByBlock>(LINE(T), blockIdx.x, y);                                                                        \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_lines_##name(T *y, i64 lines, LINE_PARAMS(T)) {          \
        forward_lines(LINE(T), lines, y);                                                                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_rows_backward_##name(                                    \
        const T *g, T *gx, float *h, LINE_PARAMS(T)) {                                                                   \
        backward<ByBlock>(LINE(T), blockIdx.x, g, gx, h);                                                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_lines_backward_##name(                                   \
        const T *g, T *gx, float *h, i64 lines, LINE_PARAMS(T)) {                                                        \
        backward_lines(LINE(T), lines, g, gx, h);                                                                        \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) norm_affine_grad_##name(                                      \
        const T *g, const float *h, T *g_weight, T *g_bias, i64 outer, i64 channels, i64 repeat) {                       \
        affine_grad(g, h, g_weight, g_bias, outer, channels, repeat);                                                    \
    }

EACH_ELEMENT(NORM_KERNELS)
