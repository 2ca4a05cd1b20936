// Convolution as a matrix product whose operands are gathered on the way into shared memory (implicit GEMM), and its gradients.
//   y[n, o, i, j] = sum over c, a, b of w[o, c, a, b] x[n, c, i stride + a - padding, j stride + b - padding]
// x [n, c_in, h, w], weights [c_out, c_in, kh, kw], y [n, c_out, oh, ow]. The gradient of the input is also the transposed convolution.
//
// A block of 256 threads makes a tile of results from slices of 16 terms. While it multiplies one slice, the next one is on its way into
// registers. The kernels are templates of T, which is what memory holds, and of a Tile, which is who multiplies; sums are float's.
#pragma once
#include "element.cuh"
#include "epilogue.cuh"

#define SLICE 16

struct Conv {
    int n, c_in, h, w, c_out, kh, kw, stride, padding, oh, ow;
};

#define CONV_PARAMS                                                                                                      \
    int n, int c_in, int h, int w, int c_out, int kh, int kw, int stride, int padding, int oh, int ow
#define CONV Conv{n, c_in, h, w, c_out, kh, kw, stride, padding, oh, ow}

// How the threads share a slice's values out when they gather: each has one lane, and every so many-th term of it.
template <class Tile> struct ByTerms {
    static const int LEFT = Tile::ROWS * SLICE / THREADS, RIGHT = Tile::COLS * SLICE / THREADS;

    static __device__ int left_lane(int) { return threadIdx.x % Tile::ROWS; }
    static __device__ int left_term(int q) { return threadIdx.x / Tile::ROWS + q * (THREADS / Tile::ROWS); }
    static __device__ int right_lane(int) { return threadIdx.x % Tile::COLS; }
    static __device__ int right_term(int q) { return threadIdx.x / Tile::COLS + q * (THREADS / Tile::COLS); }
};

// The same with one term, and every so many-th lane.
template <class Tile> struct ByLanes {
    static const int LEFT = Tile::ROWS * SLICE / THREADS, RIGHT = Tile::COLS * SLICE / THREADS;

    static __device__ int left_lane(int q) { return threadIdx.x / SLICE + q * (THREADS / SLICE); }
    static __device__ int left_term(int) { return threadIdx.x % SLICE; }
    static __device__ int right_lane(int q) { return left_lane(q); }
    static __device__ int right_term(int) { return threadIdx.x % SLICE; }
};

// Adds to the tile's sums all slices that `source` gathers.
template <class Tile, class Source> __device__ void accumulate(Tile &tile, Source &source) {
    typedef typename Source::Share Share;
    SHARED(float, a, [SLICE][Tile::ROWS + Tile::PAD]);
    SHARED(float, b, [SLICE][Tile::COLS + Tile::PAD]);
    float left[Share::LEFT], right[Share::RIGHT];
    bool more = source.gather(left, right);
    while (more) {
        __syncthreads(); // The last slice's readers are done.
#pragma unroll
        for (int q = 0; q < Share::LEFT; q++) a[Share::left_term(q)][Share::left_lane(q)] = Tile::operand(left[q]);
#pragma unroll
        for (int q = 0; q < Share::RIGHT; q++) b[Share::right_term(q)][Share::right_lane(q)] = Tile::operand(right[q]);
        __syncthreads();
        more = source.gather(left, right); // Arrives while this slice is multiplied.
        tile.multiply(a, b);
    }
}

// What a convolution and the gradient of its input gather. Rows: output channels, or input channels. Columns: pixels of all images.
// Terms: the other channels, one tap of the kernel after the other; weights come as [taps, terms, rows], as conv_pack makes them.
template <class T, class Tile> struct Window {
    typedef ByTerms<Tile> Share;

    const T *weights, *planes; // [n, terms, height, width]
    const float *style;        // [n, terms], or null
    int rows, terms, height, width;
    // Taps that this block visits: from `tap` on, so many each way, which are `step` apart in the kernel; `kw` is its width.
    int tap, taps_y, taps_x, step, kw;
    // Where the first of them meets the planes, and whether the next one does so above or below.
    int top, left, way;
    bool there; // Whether the thread has a column.
    int image, row;
    // The slice that comes next.
    int y, x, first;

    // This thread's row and column of those that the block has from `first_row` on, and of all images' `columns`.
    __device__ void begin(int first_row, i64 column, i64 columns, i64 pixels) {
        row = first_row + Share::left_lane(0);
        there = column < columns;
        image = there ? (int)(column / pixels) : 0;
    }

    __device__ bool gather(float *left_values, float *right_values) {
        if (taps_x == 0 || y == taps_y) return false;
        const T *w = weights + (i64)(tap + (y * kw + x) * step) * terms * rows + row;
        int i = top + way * y, j = left + way * x;
        bool inside = there && i >= 0 && i < height && j >= 0 && j < width;
        i64 plane = (i64)height * width;
        const T *from = planes + (i64)image * terms * plane + (inside ? (i64)i * width + j : 0);
#pragma unroll
        for (int q = 0; q < Share::LEFT; q++) {
            int k = first + Share::left_term(q);
            left_values[q] = row < rows && k < terms ? wide(w[(i64)k * rows]) : 0.0f;
        }
#pragma unroll
        for (int q = 0; q < Share::RIGHT; q++) {
            int k = first + Share::right_term(q);
            float value = inside && k < terms ? wide(from[k * plane]) : 0.0f;
            if (style && inside && k < terms) value *= style[(i64)image * terms + k];
            right_values[q] = value;
        }
        first += SLICE;
        if (first >= terms) {
            first = 0;
            if (++x == taps_x) x = 0, y++;
        }
        return true;
    }
};

// `style`, if given, multiplies the input: with the demodulation as the epilogue's scale this is StyleGAN2's modulated convolution.
template <class T, class Tile>
__device__ void conv_forward(const T *x, const T *packed, const float *style, T *y, const Conv &s, const Epilogue &epilogue) {
    i64 pixels = (i64)s.oh * s.ow, columns = s.n * pixels;
    i64 first_col = (i64)blockIdx.x * Tile::COLS, column = first_col + Window<T, Tile>::Share::right_lane(0);
    int first_row = blockIdx.y * Tile::ROWS;
    int i = column % pixels / s.ow, j = column % pixels % s.ow;
    Window<T, Tile> window = {};
    window.weights = packed, window.planes = x, window.style = style;
    window.rows = s.c_out, window.terms = s.c_in, window.height = s.h, window.width = s.w;
    window.taps_y = s.kh, window.taps_x = window.kw = s.kw, window.step = 1;
    window.top = i * s.stride - s.padding, window.left = j * s.stride - s.padding, window.way = 1;
    window.begin(first_row, column, columns, pixels);
    Tile tile;
    tile.clear();
    accumulate(tile, window);
#pragma unroll
    for (int e = 0; e < Tile::EACH; e++) {
        int channel = first_row + tile.row(e);
        i64 at = first_col + tile.col(e);
        if (channel >= s.c_out || at >= columns) continue;
        i64 p = at % pixels;
        int from = at / pixels;
        float value = epilogue.apply(tile.sums[e], from, channel, s.c_out, p, pixels);
        y[((i64)from * s.c_out + channel) * pixels + p] = Narrow<T>::of(value);
    }
}

// Columns: the input pixels of one phase, that is, of one remainder of (row + padding, column + padding) by the stride: the same taps meet
// an output pixel for all of them, and no others are visited. `style`, if given, multiplies gy.
template <class T, class Tile, class Out>
__device__ void conv_grad_input(const T *packed, const T *gy, const float *style, Out *gx, const Conv &s) {
    int phase_y = blockIdx.z / s.stride, phase_x = blockIdx.z % s.stride;
    // The first row of the input in this phase, and how many there are.
    int top = ((phase_y - s.padding) % s.stride + s.stride) % s.stride;
    int left = ((phase_x - s.padding) % s.stride + s.stride) % s.stride;
    int rows = top < s.h ? (s.h - top + s.stride - 1) / s.stride : 0;
    int cols = left < s.w ? (s.w - left + s.stride - 1) / s.stride : 0;
    i64 pixels = (i64)rows * cols, columns = s.n * pixels;
    i64 first_col = (i64)blockIdx.x * Tile::COLS, column = first_col + Window<T, Tile>::Share::right_lane(0);
    int first_row = blockIdx.y * Tile::ROWS;
    if (first_col >= columns) return; // The whole block: phases differ in size.
    int i = top + s.stride * (int)(column % pixels / cols), j = left + s.stride * (int)(column % pixels % cols);
    Window<T, Tile> window = {};
    window.weights = packed, window.planes = gy, window.style = style;
    window.rows = s.c_in, window.terms = s.c_out, window.height = s.oh, window.width = s.ow;
    window.tap = phase_y * s.kw + phase_x, window.step = s.stride, window.kw = s.kw;
    window.taps_y = phase_y < s.kh ? (s.kh - phase_y + s.stride - 1) / s.stride : 0;
    window.taps_x = phase_x < s.kw ? (s.kw - phase_x + s.stride - 1) / s.stride : 0;
    window.top = (i + s.padding - phase_y) / s.stride, window.left = (j + s.padding - phase_x) / s.stride, window.way = -1;
    window.begin(first_row, column, columns, pixels);
    Tile tile;
    tile.clear();
    accumulate(tile, window);
#pragma unroll
    for (int e = 0; e < Tile::EACH; e++) {
        int channel = first_row + tile.row(e);
        i64 at = first_col + tile.col(e);
        if (channel >= s.c_in || at >= columns) continue;
        int to_row = top + s.stride * (int)(at % pixels / cols), to_col = left + s.stride * (int)(at % pixels % cols);
        gx[((at / pixels * s.c_in + channel) * s.h + to_row) * s.w + to_col] = Narrow<Out>::of(tile.sums[e]);
    }
}

// What the gradient of the weights gathers. Rows: output channels. Columns: input channels and taps. Terms: output pixels of all images.
template <class T, class Tile> struct Pixels {
    typedef ByLanes<Tile> Share;

    const T *x, *gy;
    Conv s;
    int first_row, first_col;
    i64 next, to; // Terms.
    // Of each column that this thread gathers: its tap, and its channel, -1 where there is none.
    int a[Share::RIGHT], b[Share::RIGHT], c[Share::RIGHT];

    __device__ void start() {
        for (int q = 0; q < Share::RIGHT; q++) {
            int column = first_col + Share::right_lane(q);
            b[q] = column % s.kw, a[q] = column / s.kw % s.kh, c[q] = column / (s.kw * s.kh);
            if (c[q] >= s.c_in) c[q] = -1;
        }
    }

    __device__ bool gather(float *left_values, float *right_values) {
        if (next >= to) return false;
        i64 pixels = (i64)s.oh * s.ow, term = next + Share::left_term(0), p = term % pixels;
        bool there = term < to;
        int image = there ? (int)(term / pixels) : 0, i = p / s.ow, j = p % s.ow;
#pragma unroll
        for (int q = 0; q < Share::LEFT; q++) {
            int o = first_row + Share::left_lane(q);
            left_values[q] = there && o < s.c_out ? wide(gy[((i64)image * s.c_out + o) * pixels + p]) : 0.0f;
        }
#pragma unroll
        for (int q = 0; q < Share::RIGHT; q++) {
            int row = i * s.stride + a[q] - s.padding, col = j * s.stride + b[q] - s.padding;
            bool inside = there && c[q] >= 0 && row >= 0 && row < s.h && col >= 0 && col < s.w;
            right_values[q] = inside ? wide(x[(((i64)image * s.c_in + c[q]) * s.h + row) * s.w + col]) : 0.0f;
        }
        next += SLICE;
        return true;
    }
};

// The terms are many: block z takes those from z * share on, and what it sums goes to its own part of [parts, c_out, c_in kh kw].
template <class T, class Tile> __device__ void conv_grad_weight(const T *x, const T *gy, float *parts, i64 share, const Conv &s) {
    i64 terms = (i64)s.n * s.oh * s.ow, from = blockIdx.z * share;
    int columns = s.c_in * s.kh * s.kw, first_col = blockIdx.x * Tile::COLS, first_row = blockIdx.y * Tile::ROWS;
    Pixels<T, Tile> pixels = {x, gy, s, first_row, first_col, from, from + share < terms ? from + share : terms, {}, {}, {}};
    pixels.start();
    Tile tile;
    tile.clear();
    accumulate(tile, pixels);
#pragma unroll
    for (int e = 0; e < Tile::EACH; e++) {
        int o = first_row + tile.row(e), column = first_col + tile.col(e);
        if (o < s.c_out && column < columns) parts[((i64)blockIdx.z * s.c_out + o) * columns + column] = tile.sums[e];
    }
}

// The kernels for what memory holds and who multiplies. conv_transposed is conv_grad_input as a layer that something else follows: with
// a style, and a result that is not rounded yet.
#define CONV_KERNELS(T, TILE, name)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS) conv_forward_##name(                                          \
        const T *x, const T *packed, const float *style, T *y, CONV_PARAMS, EPILOGUE_PARAMS) {                          \
        conv_forward<T, TILE>(x, packed, style, y, CONV, EPILOGUE);                                                      \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) conv_grad_input_##name(                                       \
        const T *packed, const T *gy, T *gx, CONV_PARAMS) {                                                              \
        conv_grad_input<T, TILE>(packed, gy, nullptr, gx, CONV);                                                         \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) conv_transposed_##name(                                       \
        const T *packed, const T *x, const float *style, float *y, CONV_PARAMS) {                                        \
        conv_grad_input<T, TILE>(packed, x, style, y, CONV);                                                             \
    }                                                                                                                    \
    extern "C" __global__ void __launch_bounds__(THREADS) conv_grad_weight_##name(                                      \
        const T *x, const T *gy, float *parts, i64 share, CONV_PARAMS) {                                                 \
        conv_grad_weight<T, TILE>(x, gy, parts, share, CONV);                                                            \
    }
