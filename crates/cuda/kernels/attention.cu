// Attention, y = softmax(q k^T / sqrt(depth)) v for each head, without the weights ever being in memory: keys come in tiles of a warp's
// width, and the sum is rescaled when a larger score comes (Milakov and Gimelshein 2018; Dao et al. 2022).
// q, y [n, queries, heads, depth], k, v [n, keys, heads, depth]. `level` [n, heads, queries]: log(sum(exp(score))) of each query.
//
// A block of four warps has an image and a head; a warp has a query, or in the last kernel a key. Depths up to 128.
#include "element.cuh"

#define WARPS 4
#define EACH_LANE 4 // depth / 32 at most
#define DEEPEST (EACH_LANE * WARP)

struct Heads {
    int queries, keys, heads, depth, causal;
    float scale;

    __device__ int head() const { return blockIdx.y % heads; }
    __device__ int image() const { return blockIdx.y / heads; }
    __device__ i64 row(int tokens, int token) const { return (((i64)image() * tokens + token) * heads + head()) * depth; }
    __device__ i64 line(int query) const { return ((i64)image() * heads + head()) * queries + query; }
    __device__ bool sees(int query, int key) const { return key < keys && !(causal && key > query); }
};

#define HEADS_PARAMS int queries, int keys, int heads, int depth, int causal, float scale
#define HEADS Heads{queries, keys, heads, depth, causal, scale}

// A row of `depth` values, spread over the lanes of a warp, times a factor.
template <class T> __device__ void store_row(const float (&mine)[EACH_LANE], T *row, int depth, float factor) {
    for (int u = 0; u < EACH_LANE; u++) {
        int d = u * WARP + threadIdx.x % WARP;
        if (d < depth) row[d] = Narrow<T>::of(mine[u] * factor);
    }
}

// Rows first.. of k or v or the like, a warp's width of them, zeros beyond `count`. The odd stride keeps the lanes off each
// other's banks.
#define STRIDE (DEEPEST + 1)
template <class T> __device__ void load_tile(float (*tile)[STRIDE], const T *from, const Heads &s, int first, int count) {
    for (int e = threadIdx.x; e < WARP * s.depth; e += WARPS * WARP) {
        int token = first + e / s.depth, d = e % s.depth;
        tile[e / s.depth][d] = token < count ? wide(from[s.row(count, token) + d]) : 0.0f;
    }
}

// The product of a row held in shared memory with this lane's row of a tile.
__device__ inline float dot_lane(const float *row, const float (*tile)[STRIDE], int depth) {
    float sum = 0.0f;
    for (int d = 0; d < depth; d++) sum += row[d] * tile[threadIdx.x % WARP][d];
    return sum;
}

// sums += the rows of a tile, each times the weight that its lane holds.
__device__ inline void add_rows(float (&sums)[EACH_LANE], float weight, const float (*tile)[STRIDE], int depth) {
    for (int j = 0; j < WARP; j++) {
        float w = __shfl_sync(ALL_LANES, weight, j);
        for (int u = 0; u < EACH_LANE; u++) {
            int d = u * WARP + threadIdx.x % WARP;
            if (d < depth) sums[u] += w * tile[j][d];
        }
    }
}

template <class T>
__device__ void attention_forward(const T *q, const T *k, const T *v, T *y, float *level, const Heads &s) {
    SHARED(float, keys_tile, [WARP][STRIDE]);
    SHARED(float, values_tile, [WARP][STRIDE]);
    SHARED(float, rows, [WARPS][DEEPEST]);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int query = blockIdx.x * WARPS + warp;
    bool real = query < s.queries; // A warp without a query works on zeros: it must reach the barriers.
    for (int d = lane; d < s.depth; d += WARP) rows[warp][d] = real ? wide(q[s.row(s.queries, query) + d]) * s.scale : 0.0f;
    float sums[EACH_LANE] = {}, most = -INFINITY, total = 0.0f;
    for (int first = 0; first < s.keys; first += WARP) {
        __syncthreads();
        load_tile(keys_tile, k, s, first, s.keys);
        load_tile(values_tile, v, s, first, s.keys);
        __syncthreads();
        bool seen = real && s.sees(query, first + lane);
        float score = dot_lane(rows[warp], keys_tile, s.depth);
        float above = fmaxf(most, warp_max(seen ? score : -INFINITY));
        if (above == -INFINITY) continue; // Nothing seen yet, by the whole warp alike.
        float weight = seen ? expf(score - above) : 0.0f, shrink = expf(most - above);
        total = total * shrink + warp_sum(weight);
        for (int u = 0; u < EACH_LANE; u++) sums[u] *= shrink;
        add_rows(sums, weight, values_tile, s.depth);
        most = above;
    }
    if (!real) return;
    store_row(sums, y + s.row(s.queries, query), s.depth, 1.0f / total);
    if (lane == 0) level[s.line(query)] = most + logf(total);
}

// gq, and slope[n, heads, queries] = sum(gy y), which the weights' gradient p (gy v^T - slope) needs.
template <class T>
__device__ void attention_grad_queries(const T *q, const T *k, const T *v, const T *y, const T *gy, const float *level, T *gq,
                                       float *slope, const Heads &s) {
    SHARED(float, keys_tile, [WARP][STRIDE]);
    SHARED(float, values_tile, [WARP][STRIDE]);
    SHARED(float, rows, [WARPS][DEEPEST]);
    SHARED(float, grads, [WARPS][DEEPEST]);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int query = blockIdx.x * WARPS + warp;
    bool real = query < s.queries;
    float along = 0.0f;
    for (int d = lane; d < s.depth; d += WARP) {
        i64 e = real ? s.row(s.queries, query) + d : 0;
        rows[warp][d] = real ? wide(q[e]) * s.scale : 0.0f;
        grads[warp][d] = real ? wide(gy[e]) : 0.0f;
        along += real ? wide(gy[e]) * wide(y[e]) : 0.0f;
    }
    along = warp_sum(along);
    float sums[EACH_LANE] = {}, at = real ? level[s.line(query)] : 0.0f;
    for (int first = 0; first < s.keys; first += WARP) {
        __syncthreads();
        load_tile(keys_tile, k, s, first, s.keys);
        load_tile(values_tile, v, s, first, s.keys);
        __syncthreads();
        bool seen = real && s.sees(query, first + lane);
        float weight = seen ? expf(dot_lane(rows[warp], keys_tile, s.depth) - at) : 0.0f;
        float g = weight * (dot_lane(grads[warp], values_tile, s.depth) - along);
        add_rows(sums, g, keys_tile, s.depth);
    }
    if (!real) return;
    store_row(sums, gq + s.row(s.queries, query), s.depth, s.scale);
    if (lane == 0) slope[s.line(query)] = along;
}

// gk and gv: the same with the parts of queries and keys exchanged.
template <class T>
__device__ void attention_grad_keys(const T *q, const T *k, const T *v, const T *gy, const float *level, const float *slope, T *gk,
                                    T *gv, const Heads &s) {
    SHARED(float, queries_tile, [WARP][STRIDE]);
    SHARED(float, grads_tile, [WARP][STRIDE]);
    SHARED(float, rows, [WARPS][DEEPEST]);
    SHARED(float, values, [WARPS][DEEPEST]);
    int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    int key = blockIdx.x * WARPS + warp;
    bool real = key < s.keys;
    for (int d = lane; d < s.depth; d += WARP) {
        i64 e = real ? s.row(s.keys, key) + d : 0;
        rows[warp][d] = real ? wide(k[e]) * s.scale : 0.0f;
        values[warp][d] = real ? wide(v[e]) : 0.0f;
    }
    float for_key[EACH_LANE] = {}, for_value[EACH_LANE] = {};
    for (int first = 0; first < s.queries; first += WARP) {
        __syncthreads();
        load_tile(queries_tile, q, s, first, s.queries);
        load_tile(grads_tile, gy, s, first, s.queries);
        __syncthreads();
        int query = first + lane;
        bool seen = real && query < s.queries && s.sees(query, key);
        float weight = seen ? expf(dot_lane(rows[warp], queries_tile, s.depth) - level[s.line(query)]) : 0.0f;
        float g = seen ? weight * (dot_lane(values[warp], grads_tile, s.depth) - slope[s.line(query)]) : 0.0f;
        add_rows(for_value, weight, grads_tile, s.depth);
        add_rows(for_key, g, queries_tile, s.depth);
    }
    if (!real) return;
    store_row(for_key, gk + s.row(s.keys, key), s.depth, s.scale);
    store_row(for_value, gv + s.row(s.keys, key), s.depth, 1.0f);
}

#define ATTENTION_KERNELS(T, name)                                                                                       \
    extern "C" __global__ void __launch_bounds__(WARPS *WARP) attention_forward_##name(                                 \
        const T *q, const T *k, const T *v, T *y, float *level, HEADS_PARAMS) {                                          \
        attention_forward(q, k, v, y, level, HEADS);                                                                     \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(WARPS *WARP) attention_grad_queries_##name(                            \
        const T *q, const T *k, const T *v, const T *y, const T *gy, const float *level, T *gq, float *slope,            \
        HEADS_PARAMS) {                                                                                                  \
        attention_grad_queries(q, k, v, y, gy, level, gq, slope, HEADS);                                                 \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(WARPS *WARP) attention_grad_keys_##name(                               \
        const T *q, const T *k, const T *v, const T *gy, const float *level, const float *slope, T *gk, T *gv,           \
        HEADS_PARAMS) {                                                                                                  \
        attention_grad_keys(q, k, v, gy, level, slope, gk, gv, HEADS);                                                   \
    }

EACH_ELEMENT(ATTENTION_KERNELS)
