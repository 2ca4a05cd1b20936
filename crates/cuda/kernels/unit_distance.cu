// How far apart two maps are at each pixel, with their channels brought to unit length (LPIPS at one depth, Zhang et al. 2018):
//   y[n, p] = sum over c of weight[c] (a sa - b sb)^2,   su = 1 / (|u| + eps),   |u| = sqrt(max(sum over c of u^2, floor))
// a, b [n, channels, pixels], y [n, pixels]; without a weight all are 1.
#include "element.cuh"

// A block has a warp's width of pixels, which lie side by side, and SHARES threads to each, among which the channels are dealt out.
#define SHARES (THREADS / WARP)

// The sum of v over the threads of a pixel, the same in all of them, in a fixed order.
__device__ inline float pixel_sum(float v) {
    SHARED(float, parts, [SHARES][WARP]);
    __syncthreads(); // The last call's readers are done.
    parts[threadIdx.x / WARP][threadIdx.x % WARP] = v;
    __syncthreads();
    float sum = 0.0f;
    for (int i = 0; i < SHARES; i++) sum += parts[i][threadIdx.x % WARP];
    return sum;
}

template <class T> struct Maps {
    const T *a, *b, *weight;
    i64 channels, pixels, count; // count: pixels of all images
    float eps, floor;

    __device__ i64 pixel() const { return (i64)blockIdx.x * WARP + threadIdx.x % WARP; }
    __device__ bool real() const { return pixel() < count; }
    __device__ i64 first() const { return threadIdx.x / WARP; }
    // A thread beyond the pixels goes along for the barriers, on none of the channels.
    __device__ i64 end() const { return real() ? channels : 0; }
    __device__ i64 at(i64 c) const { return (pixel() / pixels * channels + c) * pixels + pixel() % pixels; }
    __device__ float difference(i64 c, float sa, float sb) const { return wide(a[at(c)]) * sa - wide(b[at(c)]) * sb; }
    __device__ float factor(i64 c) const { return weight ? wide(weight[c]) : 1.0f; }

    // 1 / (|u| + eps), and 1 / |u|, or 0 where the floor holds.
    __device__ void lengths(const T *u, float &scale, float &inverse) const {
        float square = 0.0f;
        for (i64 c = first(); c < end(); c += SHARES) {
            float v = wide(u[at(c)]);
            square += v * v;
        }
        square = pixel_sum(square);
        float root = sqrtf(fmaxf(square, floor));
        scale = 1.0f / (root + eps);
        inverse = square >= floor && root > 0.0f ? 1.0f / root : 0.0f;
    }
};

#define MAPS_PARAMS(T) const T *a, const T *b, const T *weight, i64 channels, i64 pixels, i64 count, float eps, float floor
#define MAPS(T) Maps<T>{a, b, weight, channels, pixels, count, eps, floor}

template <class T> __device__ void unit_distance(const Maps<T> &m, T *y) {
    float sa, sb, unused, sum = 0.0f;
    m.lengths(m.a, sa, unused);
    m.lengths(m.b, sb, unused);
    for (i64 c = m.first(); c < m.end(); c += SHARES) {
        float d = m.difference(c, sa, sb);
        sum += m.factor(c) * d * d;
    }
    sum = pixel_sum(sum);
    if (m.real() && threadIdx.x < WARP) y[m.pixel()] = Narrow<T>::of(sum);
}

// With e = 2 gy weight (a sa - b sb): ga = e sa - a (sum of e a) sa^2 / |a|, and gb = -(the same of b). Null for one that nobody wants.
template <class T> __device__ void unit_distance_backward(const Maps<T> &m, const T *gy, T *ga, T *gb) {
    float sa, sb, ia, ib, along_a = 0.0f, along_b = 0.0f;
    m.lengths(m.a, sa, ia);
    m.lengths(m.b, sb, ib);
    float twice = m.real() ? 2.0f * wide(gy[m.pixel()]) : 0.0f;
    for (i64 c = m.first(); c < m.end(); c += SHARES) {
        float e = twice * m.factor(c) * m.difference(c, sa, sb);
        along_a += e * wide(m.a[m.at(c)]);
        along_b += e * wide(m.b[m.at(c)]);
    }
    along_a = pixel_sum(along_a) * sa * sa * ia;
    along_b = pixel_sum(along_b) * sb * sb * ib;
    for (i64 c = m.first(); c < m.end(); c += SHARES) {
        i64 at = m.at(c);
        float e = twice * m.factor(c) * m.difference(c, sa, sb);
        if (ga) ga[at] = Narrow<T>::of(e * sa - wide(m.a[at]) * along_a);
        if (gb) gb[at] = Narrow<T>::of(wide(m.b[at]) * along_b - e * sb);
    }
}

#define UNIT_DISTANCE(T, name)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS) unit_distance_##name(T *y, MAPS_PARAMS(T)) {                  \
        unit_distance(MAPS(T), y);                                                                                       \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) unit_distance_backward_##name(                                \
        const T *gy, T *ga, T *gb, MAPS_PARAMS(T)) {                                                                     \
        unit_distance_backward(MAPS(T), gy, ga, gb);                                                                     \
    }

EACH_ELEMENT(UNIT_DISTANCE)
