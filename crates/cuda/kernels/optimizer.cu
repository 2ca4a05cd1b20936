// A step of Adam, and of an exponential average of weights, over flat buffers.
#include "common.cuh"

// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p = keep p - size m / (sqrt(v) root + eps), with the corrections of the
// step's number in size and root, and the decoupled decay in keep.
extern "C" __global__ void __launch_bounds__(THREADS)
adam(float *p, float *m, float *v, const float *g, i64 len, float beta1, float beta2, float rest1, float rest2, float size,
     float root, float eps, float keep) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        m[e] = beta1 * m[e] + rest1 * g[e];
        v[e] = beta2 * v[e] + rest2 * g[e] * g[e];
        p[e] = keep * p[e] - size * m[e] / (sqrtf(v[e]) * root + eps);
    }
}

// average = value + beta (average - value).
extern "C" __global__ void __launch_bounds__(THREADS) average(float *average, const float *value, i64 len, float beta) {
    for (i64 e = first_element(); e < len; e += element_step()) average[e] = value[e] + beta * (average[e] - value[e]);
}
