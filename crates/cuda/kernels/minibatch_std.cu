// Minibatch standard deviation (Karras et al. 2018, section 3), as MinibatchStdLayer of stylegan2-ada-pytorch: of groups of `group`
// samples, sample i in group i % groups, the deviation over the samples, averaged over the channels and pixels of each of `sets`
// sets of channels, and appended as channels. x [n, c, pixels], y [n, c + sets, pixels].
#include "element.cuh"

struct Groups {
    int n, c, sets, group;
    i64 pixels;

    __device__ int groups() const { return n / group; }
    __device__ i64 members() const { return c / sets * pixels; } // of a set
    // Element m of set f in member g of group i.
    __device__ i64 at(int i, int g, int f, i64 m) const { return (i64)(g * groups() + i) * c * pixels + f * members() + m; }

    template <class T> __device__ void moments(const T *x, int i, int f, i64 m, float &mean, float &deviation) const {
        mean = 0.0f;
        for (int g = 0; g < group; g++) mean += wide(x[at(i, g, f, m)]);
        mean /= group;
        float square = 0.0f;
        for (int g = 0; g < group; g++) {
            float d = wide(x[at(i, g, f, m)]) - mean;
            square += d * d;
        }
        deviation = sqrtf(square / group + 1e-8f);
    }
};

#define GROUPS_PARAMS int n, int c, int sets, int group, i64 pixels
#define GROUPS Groups{n, c, sets, group, pixels}

// One block for each group (x) and set (y): the mean deviation, into the appended channels; block y = 0 also copies its samples.
template <class T> __device__ void minibatch_std(const T *x, T *y, const Groups &s) {
    int i = blockIdx.x, f = blockIdx.y;
    float sum = 0.0f;
    for (i64 m = threadIdx.x; m < s.members(); m += THREADS) {
        float mean, deviation;
        s.moments(x, i, f, m, mean, deviation);
        sum += deviation;
    }
    T average = Narrow<T>::of(block_sum(sum) / s.members());
    for (int g = 0; g < s.group; g++) {
        i64 image = g * s.groups() + i;
        T *to = y + image * (s.c + s.sets) * s.pixels;
        for (i64 p = threadIdx.x; p < s.pixels; p += THREADS) to[(s.c + f) * s.pixels + p] = average;
        for (i64 m = threadIdx.x; m < s.members(); m += THREADS) to[f * s.members() + m] = x[s.at(i, g, f, m)];
    }
}

// gx = gy of the copied channels + (sum of gy over the group's appended pixels) (x - mean) / (deviation group members).
template <class T> __device__ void minibatch_std_backward(const T *x, const T *gy, T *gx, const Groups &s) {
    int i = blockIdx.x, f = blockIdx.y;
    float sum = 0.0f;
    for (i64 q = threadIdx.x; q < s.group * s.pixels; q += THREADS) {
        i64 image = q / s.pixels * s.groups() + i;
        sum += wide(gy[(image * (s.c + s.sets) + s.c + f) * s.pixels + q % s.pixels]);
    }
    float for_each = block_sum(sum) / ((float)s.group * s.members());
    for (i64 m = threadIdx.x; m < s.members(); m += THREADS) {
        float mean, deviation;
        s.moments(x, i, f, m, mean, deviation);
        for (int g = 0; g < s.group; g++) {
            i64 image = g * s.groups() + i, e = s.at(i, g, f, m);
            float copied = wide(gy[image * (s.c + s.sets) * s.pixels + f * s.members() + m]);
            gx[e] = Narrow<T>::of(copied + for_each * (wide(x[e]) - mean) / deviation);
        }
    }
}

#define MINIBATCH_STD(T, name)                                                                                           \
    extern "C" __global__ void __launch_bounds__(THREADS) minibatch_std_##name(const T *x, T *y, GROUPS_PARAMS) {       \
        minibatch_std(x, y, GROUPS);                                                                                     \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) minibatch_std_backward_##name(                                \
        const T *x, const T *gy, T *gx, GROUPS_PARAMS) {                                                                 \
        minibatch_std_backward(x, gy, gx, GROUPS);                                                                       \
    }

EACH_ELEMENT(MINIBATCH_STD)
