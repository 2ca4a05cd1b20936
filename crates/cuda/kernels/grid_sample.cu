// Pictures sampled at any positions, bilinearly, with zeros outside, and the adjoint. x [n, c, h, w], points [n, samples, 2] in
// pixels (x first), y [n, c, samples].
#include "element.cuh"

// The four neighbours of a position; one outside has weight zero.
struct Corners {
    int at[4];
    float weight[4];

    __device__ Corners(float px, float py, int h, int w) {
        for (int i = 0; i < 4; i++) at[i] = 0, weight[i] = 0.0f;
        // Also false where a position is not a number.
        if (!(px > -1.0f && px < w && py > -1.0f && py < h)) return;
        int left = (int)floorf(px), top = (int)floorf(py);
        float fx = px - left, fy = py - top;
        for (int i = 0; i < 4; i++) {
            int col = left + i % 2, row = top + i / 2;
            if (col < 0 || col >= w || row < 0 || row >= h) continue;
            at[i] = row * w + col;
            weight[i] = (i % 2 ? fx : 1.0f - fx) * (i / 2 ? fy : 1.0f - fy);
        }
    }
};

template <class T> __device__ void grid_sample(const T *x, const float *points, T *y, int n, int c, int h, int w, int samples) {
    for (i64 e = first_element(); e < (i64)n * samples; e += element_step()) {
        Corners corners(points[2 * e], points[2 * e + 1], h, w);
        i64 image = e / samples, sample = e % samples;
        for (i64 plane = image * c; plane < (image + 1) * c; plane++) {
            float sum = 0.0f;
            for (int i = 0; i < 4; i++) sum += corners.weight[i] * wide(x[plane * h * w + corners.at[i]]);
            y[plane * samples + sample] = Narrow<T>::of(sum);
        }
    }
}

// The adjoint adds where samples fall. Atomic additions of floats would come in another order each time; integers do not care: the
// gradients are scaled so that the largest is 2^30, which leaves room for 2^33 of them, rounded to whole numbers, and added as such.
// Where one is not finite there is no such scale, and all that comes out is NaN: no step is taken of it.
template <class T> __device__ void largest_magnitude(const T *g, float *parts, i64 len) {
    float most = 0.0f;
    for (i64 e = first_element(); e < len; e += element_step()) {
        float size = fabsf(wide(g[e]));
        most = size < INFINITY ? fmaxf(most, size) : INFINITY; // Which fmaxf does not do for a NaN.
    }
    most = block_max(most);
    if (threadIdx.x == 0) parts[blockIdx.x] = most;
}

// NaN where a gradient is not finite.
__device__ inline float scale_of(const float *parts, int count) {
    float most = 0.0f;
    for (int i = 0; i < count; i++) most = fmaxf(most, parts[i]);
    if (most == INFINITY) return NAN;
    return most > 0.0f ? 1073741824.0f / most : 0.0f;
}

template <class T>
__device__ void grid_sample_scatter(const T *g, const float *points, const float *parts, int count, u64 *sums, int n, int c, int h,
                                    int w, int samples) {
    float scale = scale_of(parts, count);
    if (!(scale > 0.0f)) return;
    for (i64 e = first_element(); e < (i64)n * samples; e += element_step()) {
        Corners corners(points[2 * e], points[2 * e + 1], h, w);
        i64 image = e / samples, sample = e % samples;
        for (i64 plane = image * c; plane < (image + 1) * c; plane++)
            for (int i = 0; i < 4; i++) {
                float part = wide(g[plane * samples + sample]) * corners.weight[i] * scale;
                if (part != 0.0f) atomicAdd(sums + plane * h * w + corners.at[i], (u64)llrintf(part));
            }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) clear(u64 *sums, i64 len) {
    for (i64 e = first_element(); e < len; e += element_step()) sums[e] = 0;
}

template <class T> __device__ void grid_sample_finish(const u64 *sums, const float *parts, int count, T *gx, i64 len) {
    float scale = scale_of(parts, count);
    for (i64 e = first_element(); e < len; e += element_step())
        gx[e] = Narrow<T>::of(scale == 0.0f ? 0.0f : (float)(i64)sums[e] / scale);
}

#define GRID_SAMPLE(T, name)                                                                                             \
    extern "C" __global__ void __launch_bounds__(THREADS) grid_sample_##name(                                           \
        const T *x, const float *points, T *y, int n, int c, int h, int w, int samples) {                                \
        grid_sample(x, points, y, n, c, h, w, samples);                                                                  \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) largest_magnitude_##name(                                     \
        const T *g, float *parts, i64 len) {                                                                             \
        largest_magnitude(g, parts, len);                                                                                \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) grid_sample_scatter_##name(                                   \
        const T *g, const float *points, const float *parts, int count, u64 *sums, int n, int c, int h, int w,           \
        int samples) {                                                                                                   \
        grid_sample_scatter(g, points, parts, count, sums, n, c, h, w, samples);                                         \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) grid_sample_finish_##name(                                    \
        const u64 *sums, const float *parts, int count, T *gx, i64 len) {                                                \
        grid_sample_finish(sums, parts, count, gx, len);                                                                 \
    }

EACH_ELEMENT(GRID_SAMPLE)
