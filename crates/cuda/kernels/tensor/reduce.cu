// Sums and extremes over dimensions. The caller puts the dimensions that are reduced last: result r takes elements r count .. (r + 1)
// count of the tensor that `info` describes. One block of a power of two of threads for each result.
#include "types.cuh"

// The value and where it was; the first of equals wins.
template <class W> struct Found {
    W value;
    size at;
};

struct Least { template <class W> static __device__ bool better(W a, W b) { return a < b; } };
struct Most { template <class W> static __device__ bool better(W a, W b) { return a > b; } };

template <class T> __device__ void sum_block(size count, size rank, const size *info, const T *x, T *y) {
    typedef decltype(wide(T())) W;
    SHARED(W, parts, [1024]);
    W sum = 0;
    for (size i = threadIdx.x; i < count; i += blockDim.x) sum += wide(x[place(blockIdx.x * count + i, rank, info, 0)]);
    parts[threadIdx.x] = sum;
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
    }
    if (threadIdx.x == 0) y[blockIdx.x] = Narrow<T>::of(parts[0]);
}

template <class Order, class T> __device__ Found<decltype(wide(T()))> find_block(size count, size rank, const size *info, const T *x) {
    typedef decltype(wide(T())) W;
    SHARED(W, values, [1024]);
    SHARED(size, places, [1024]);
    // Threads beyond the elements repeat the first one.
    W best = wide(x[place(blockIdx.x * count, rank, info, 0)]);
    size at = 0;
    for (size i = threadIdx.x; i < count; i += blockDim.x) {
        W v = wide(x[place(blockIdx.x * count + i, rank, info, 0)]);
        if (Order::better(v, best)) best = v, at = i;
    }
    values[threadIdx.x] = best, places[threadIdx.x] = at;
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x >= half) continue;
        W other = values[threadIdx.x + half];
        size where = places[threadIdx.x + half];
        if (Order::better(other, best) || (other == best && where < at)) best = other, at = where;
        values[threadIdx.x] = best, places[threadIdx.x] = at;
    }
    return {best, at};
}

#define REDUCE(T, name, ...)                                                                                             \
    TENSOR_KERNEL fast_sum_##name(size, size count, size rank, const size *info, const T *x, T *y) {                     \
        sum_block(count, rank, info, x, y);                                                                              \
    }                                                                                                                    \
    TENSOR_KERNEL fast_sum_small_##name(size results, size count, size rank, const size *info, const T *x, T *y) {       \
        FOR_ELEMENTS(r, results) {                                                                                       \
            decltype(wide(T())) sum = 0;                                                                                 \
            for (size i = 0; i < count; i++) sum += wide(x[place(r * count + i, rank, info, 0)]);                        \
            y[r] = Narrow<T>::of(sum);                                                                                   \
        }                                                                                                                \
    }                                                                                                                    \
    FIND(T, name, min, Least)                                                                                            \
    FIND(T, name, max, Most)
#define FIND(T, name, op, Order)                                                                                         \
    TENSOR_KERNEL fast_##op##_##name(size, size count, size rank, const size *info, const T *x, T *y) {                  \
        auto found = find_block<Order>(count, rank, info, x);                                                            \
        if (threadIdx.x == 0) y[blockIdx.x] = Narrow<T>::of(found.value);                                                \
    }                                                                                                                    \
    TENSOR_KERNEL fast_arg##op##_##name(size, size count, size rank, const size *info, const T *x, u32 *y) {             \
        auto found = find_block<Order>(count, rank, info, x);                                                            \
        if (threadIdx.x == 0) y[blockIdx.x] = (u32)found.at;                                                             \
    }
EACH_TYPE(REDUCE, )
