// Layer, group and pixel norm. x is seen as lines [outer, len, inner], each normalised along len:
//   h = (x - mean) r,  r = 1 / sqrt(mean((x - mean)^2) + eps),  y = h weight + bias
// where element e has weight e / repeat % channels; without `centre` nothing is subtracted (pixel norm).
// The derivative along g: J g = r (g - mean(g) - h mean(g h)), with g multiplied by the weight before.
#include "common.cuh"

struct Line {
    const float *x, *weight, *bias;
    i64 len, inner, repeat, channels;
    float eps;
    int centre;

    __device__ i64 start(i64 line) const { return line / inner * len * inner + line % inner; }
    __device__ float factor(i64 e) const { return weight ? weight[e / repeat % channels] : 1.0f; }
    __device__ float shift(i64 e) const { return bias ? bias[e / repeat % channels] : 0.0f; }
};

#define LINE_PARAMS                                                                                                      \
    const float *x, const float *weight, const float *bias, i64 len, i64 inner, i64 repeat, i64 channels, float eps,    \
        int centre
#define LINE Line{x, weight, bias, len, inner, repeat, channels, eps, centre}

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

template <class By> __device__ void moments(const Line &l, i64 start, float &mean, float &r) {
    mean = 0.0f;
    if (l.centre) {
        for (i64 i = By::first(); i < l.len; i += By::step()) mean += l.x[start + i * l.inner];
        mean = By::sum(mean) / l.len;
    }
    float square = 0.0f;
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        float d = l.x[start + i * l.inner] - mean;
        square += d * d;
    }
    r = 1.0f / sqrtf(By::sum(square) / l.len + l.eps);
}

template <class By> __device__ void forward(const Line &l, i64 line, float *y) {
    i64 start = l.start(line);
    float mean, r;
    moments<By>(l, start, mean, r);
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        y[e] = (l.x[e] - mean) * r * l.factor(e) + l.shift(e);
    }
}

// gx, and where wanted h, of which the gradient of the weight is made.
template <class By> __device__ void backward(const Line &l, i64 line, const float *g, float *gx, float *h) {
    i64 start = l.start(line);
    float mean, r, sum_g = 0.0f, sum_gh = 0.0f;
    moments<By>(l, start, mean, r);
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        float v = g[e] * l.factor(e);
        sum_g += v;
        sum_gh += v * (l.x[e] - mean) * r;
    }
    float mean_g = l.centre ? By::sum(sum_g) / l.len : 0.0f, mean_gh = By::sum(sum_gh) / l.len;
    for (i64 i = By::first(); i < l.len; i += By::step()) {
        i64 e = start + i * l.inner;
        float at = (l.x[e] - mean) * r;
        gx[e] = r * (g[e] * l.factor(e) - mean_g - at * mean_gh);
        if (h) h[e] = at;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) norm_rows(float *y, LINE_PARAMS) {
    forward<ByBlock>(LINE, blockIdx.x, y);
}

extern "C" __global__ void __launch_bounds__(THREADS) norm_lines(float *y, i64 lines, LINE_PARAMS) {
    for (i64 line = first_element(); line < lines; line += element_step()) forward<ByThread>(LINE, line, y);
}

extern "C" __global__ void __launch_bounds__(THREADS) norm_rows_backward(const float *g, float *gx, float *h, LINE_PARAMS) {
    backward<ByBlock>(LINE, blockIdx.x, g, gx, h);
}

extern "C" __global__ void __launch_bounds__(THREADS)
norm_lines_backward(const float *g, float *gx, float *h, i64 lines, LINE_PARAMS) {
    for (i64 line = first_element(); line < lines; line += element_step()) backward<ByThread>(LINE, line, g, gx, h);
}

// The gradients of weight and bias: sums of g h and of g over all elements [outer, channels, repeat] of a channel. One block each.
extern "C" __global__ void __launch_bounds__(THREADS)
norm_affine_grad(const float *g, const float *h, float *g_weight, float *g_bias, i64 outer, i64 channels, i64 repeat) {
    float with_h = 0.0f, alone = 0.0f;
    for (i64 i = threadIdx.x; i < outer * repeat; i += THREADS) {
        i64 e = (i / repeat * channels + blockIdx.x) * repeat + i % repeat;
        with_h += g[e] * h[e];
        alone += g[e];
    }
    with_h = block_sum(with_h);
    alone = block_sum(alone);
    if (threadIdx.x == 0) g_weight[blockIdx.x] = with_h, g_bias[blockIdx.x] = alone;
}
