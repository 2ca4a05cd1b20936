// Convolution as a matrix product whose operands are gathered on the way into shared memory (implicit GEMM), and its gradients.
//   y[n, o, i, j] = sum over c, a, b of w[o, c, a, b] x[n, c, i stride + a - padding, j stride + b - padding]
// x [n, c_in, h, w], weights [c_out, c_in, kh, kw], y [n, c_out, oh, ow]. The gradient of the input is also the transposed convolution.
//
// A block of 256 threads makes a tile of 64 x 64 results, 4 x 4 in each thread, from slices of 16 terms.
#include "epilogue.cuh"

#define TILE 64
#define SLICE 16
#define EACH 4

struct Conv {
    int n, c_in, h, w, c_out, kh, kw, stride, padding, oh, ow;
};

#define CONV_PARAMS                                                                                                      \
    int n, int c_in, int h, int w, int c_out, int kh, int kw, int stride, int padding, int oh, int ow
#define CONV Conv{n, c_in, h, w, c_out, kh, kw, stride, padding, oh, ow}

// sums[u][v] += the product of two slices, added up by itself first: a long sum rounds less where it is one of short ones. Thread t
// holds rows t / 16 + 16 u and columns t % 16 + 16 v.
struct Tile {
    float (*a)[TILE], (*b)[TILE]; // [SLICE][TILE]
    float sums[EACH][EACH];

    __device__ int row(int u) const { return threadIdx.x / 16 + 16 * u; }
    __device__ int col(int v) const { return threadIdx.x % 16 + 16 * v; }

    __device__ void clear() {
        for (int u = 0; u < EACH; u++)
            for (int v = 0; v < EACH; v++) sums[u][v] = 0.0f;
    }

    __device__ void multiply() {
        float part[EACH][EACH] = {};
        __syncthreads();
#pragma unroll
        for (int k = 0; k < SLICE; k++) {
            float left[EACH], right[EACH];
            for (int u = 0; u < EACH; u++) left[u] = a[k][row(u)];
            for (int v = 0; v < EACH; v++) right[v] = b[k][col(v)];
            for (int u = 0; u < EACH; u++)
                for (int v = 0; v < EACH; v++) part[u][v] += left[u] * right[v];
        }
        for (int u = 0; u < EACH; u++)
            for (int v = 0; v < EACH; v++) sums[u][v] += part[u][v];
        __syncthreads();
    }
};

#define NEW_TILE(name)                                                                                                   \
    SHARED(float, tile_a, [SLICE][TILE]);                                                                                \
    SHARED(float, tile_b, [SLICE][TILE]);                                                                                \
    Tile name = {tile_a, tile_b, {}};                                                                                    \
    name.clear()

// Rows: output channels. Columns: output pixels of all images. Terms: input channels, one tap of the kernel after the other.
// `style` [n, c_in], if given, multiplies the input: with the demodulation as the epilogue's scale this is StyleGAN2's modulated
// convolution.
extern "C" __global__ void __launch_bounds__(THREADS)
conv_forward(const float *x, const float *weights, const float *style, float *y, CONV_PARAMS, EPILOGUE_PARAMS) {
    Conv s = CONV;
    Epilogue epilogue = EPILOGUE;
    NEW_TILE(tile);
    i64 pixels = (i64)s.oh * s.ow, columns = s.n * pixels;
    i64 first_col = (i64)blockIdx.x * TILE;
    int first_row = blockIdx.y * TILE;
    // This thread gathers column t % 64, terms t / 64 + 4 q, of the input, and row t % 64, the same terms, of the weights.
    int lane = threadIdx.x % TILE, term = threadIdx.x / TILE;
    i64 column = first_col + lane;
    int image = column / pixels, i = column % pixels / s.ow, j = column % pixels % s.ow;
    int o = first_row + lane;
    for (int a = 0; a < s.kh; a++)
        for (int b = 0; b < s.kw; b++) {
            int row = i * s.stride + a - s.padding, col = j * s.stride + b - s.padding;
            bool inside = column < columns && row >= 0 && row < s.h && col >= 0 && col < s.w;
            for (int c0 = 0; c0 < s.c_in; c0 += SLICE) {
                for (int k = term; k < SLICE; k += THREADS / TILE) {
                    int c = c0 + k;
                    float value = 0.0f, weight = 0.0f;
                    if (inside && c < s.c_in) {
                        value = x[(((i64)image * s.c_in + c) * s.h + row) * s.w + col];
                        if (style) value *= style[(i64)image * s.c_in + c];
                    }
                    if (o < s.c_out && c < s.c_in) weight = weights[(((i64)o * s.c_in + c) * s.kh + a) * s.kw + b];
                    tile.a[k][lane] = weight;
                    tile.b[k][lane] = value;
                }
                tile.multiply();
            }
        }
    for (int u = 0; u < EACH; u++)
        for (int v = 0; v < EACH; v++) {
            int channel = first_row + tile.row(u);
            i64 at = first_col + tile.col(v);
            if (channel >= s.c_out || at >= columns) continue;
            i64 p = at % pixels;
            int from = at / pixels;
            float value = epilogue.apply(tile.sums[u][v], from, channel, s.c_out, p, pixels);
            y[((i64)from * s.c_out + channel) * pixels + p] = value;
        }
}

// Rows: input channels. Columns: the input pixels of one phase, that is, of one remainder of (row + padding, column + padding) by the
// stride: the same taps meet an output pixel for all of them, and no others are visited. Terms: output channels, tap after tap.
extern "C" __global__ void __launch_bounds__(THREADS)
conv_grad_input(const float *weights, const float *gy, float *gx, CONV_PARAMS) {
    Conv s = CONV;
    NEW_TILE(tile);
    int phase_y = blockIdx.z / s.stride, phase_x = blockIdx.z % s.stride;
    // The first row of the input in this phase, and how many there are.
    int top = ((phase_y - s.padding) % s.stride + s.stride) % s.stride;
    int left = ((phase_x - s.padding) % s.stride + s.stride) % s.stride;
    int rows = top < s.h ? (s.h - top + s.stride - 1) / s.stride : 0;
    int cols = left < s.w ? (s.w - left + s.stride - 1) / s.stride : 0;
    i64 pixels = (i64)rows * cols, columns = s.n * pixels;
    i64 first_col = (i64)blockIdx.x * TILE;
    int first_row = blockIdx.y * TILE;
    if (first_col >= columns) return; // The whole block: phases differ in size.
    int lane = threadIdx.x % TILE, term = threadIdx.x / TILE;
    i64 column = first_col + lane;
    int image = column / pixels;
    int row = top + s.stride * (int)(column % pixels / cols), col = left + s.stride * (int)(column % pixels % cols);
    int c = first_row + lane;
    for (int a = phase_y; a < s.kh; a += s.stride)
        for (int b = phase_x; b < s.kw; b += s.stride) {
            int i = row + s.padding - a, j = col + s.padding - b; // Multiples of the stride.
            bool inside = column < columns && i >= 0 && j >= 0 && i / s.stride < s.oh && j / s.stride < s.ow;
            i /= s.stride, j /= s.stride;
            for (int o0 = 0; o0 < s.c_out; o0 += SLICE) {
                for (int k = term; k < SLICE; k += THREADS / TILE) {
                    int o = o0 + k;
                    bool term_inside = o < s.c_out;
                    tile.a[k][lane] = c < s.c_in && term_inside ? weights[(((i64)o * s.c_in + c) * s.kh + a) * s.kw + b] : 0.0f;
                    tile.b[k][lane] = inside && term_inside ? gy[(((i64)image * s.c_out + o) * s.oh + i) * s.ow + j] : 0.0f;
                }
                tile.multiply();
            }
        }
    for (int u = 0; u < EACH; u++)
        for (int v = 0; v < EACH; v++) {
            int channel = first_row + tile.row(u);
            i64 at = first_col + tile.col(v);
            if (channel >= s.c_in || at >= columns) continue;
            int to_row = top + s.stride * (int)(at % pixels / cols), to_col = left + s.stride * (int)(at % pixels % cols);
            gx[((at / pixels * s.c_in + channel) * s.h + to_row) * s.w + to_col] = tile.sums[u][v];
        }
}

// Rows: output channels. Columns: input channels and taps. Terms: output pixels of all images, which are many: block z takes
// those from z * share on, and what it sums goes to its own part of [parts, c_out, c_in kh kw].
extern "C" __global__ void __launch_bounds__(THREADS)
conv_grad_weight(const float *x, const float *gy, float *parts, i64 share, CONV_PARAMS) {
    Conv s = CONV;
    NEW_TILE(tile);
    i64 pixels = (i64)s.oh * s.ow, terms = s.n * pixels;
    i64 from = blockIdx.z * share, to = from + share < terms ? from + share : terms;
    int columns = s.c_in * s.kh * s.kw;
    int first_col = blockIdx.x * TILE, first_row = blockIdx.y * TILE;
    // This thread gathers term t % 16, of rows and columns t / 16 + 16 q: one pixel for all of them.
    int k = threadIdx.x % SLICE;
    for (i64 start = from; start < to; start += SLICE) {
        i64 q = start + k;
        int image = q / pixels, i = q % pixels / s.ow, j = q % pixels % s.ow;
        for (int lane = threadIdx.x / SLICE; lane < TILE; lane += THREADS / SLICE) {
            int o = first_row + lane, column = first_col + lane;
            float left = 0.0f, right = 0.0f;
            if (q < to && o < s.c_out) left = gy[(((i64)image * s.c_out + o) * s.oh + i) * s.ow + j];
            if (q < to && column < columns) {
                int b = column % s.kw, a = column / s.kw % s.kh, c = column / (s.kw * s.kh);
                int row = i * s.stride + a - s.padding, col = j * s.stride + b - s.padding;
                if (row >= 0 && row < s.h && col >= 0 && col < s.w)
                    right = x[(((i64)image * s.c_in + c) * s.h + row) * s.w + col];
            }
            tile.a[k][lane] = left;
            tile.b[k][lane] = right;
        }
        tile.multiply();
    }
    for (int u = 0; u < EACH; u++)
        for (int v = 0; v < EACH; v++) {
            int o = first_row + tile.row(u), column = first_col + tile.col(v);
            if (o < s.c_out && column < columns) parts[((i64)blockIdx.z * s.c_out + o) * columns + column] = tile.sums[u][v];
        }
}

// sums[e] = the sum of parts[:, e], in a fixed order.
extern "C" __global__ void __launch_bounds__(THREADS) sum_parts(const float *parts, float *sums, int count, i64 len) {
    for (i64 e = first_element(); e < len; e += element_step()) {
        float sum = 0.0f;
        for (int i = 0; i < count; i++) sum += parts[i * len + e];
        sums[e] = sum;
    }
}

// The factors of demodulation: factors[n, o] = 1 / sqrt(sum over c of style[n, c]^2 (sum over taps of w[o, c]^2) + 1e-8).
// One block for each output channel; its sums over taps stand in shared memory, c_in floats.
extern "C" __global__ void __launch_bounds__(THREADS)
demodulation(const float *weights, const float *style, float *factors, int n, int c_in, int c_out, int taps) {
    DYNAMIC_SHARED(float, squares);
    int o = blockIdx.x;
    for (int c = threadIdx.x; c < c_in; c += THREADS) {
        float sum = 0.0f;
        for (int k = 0; k < taps; k++) {
            float w = weights[((i64)o * c_in + c) * taps + k];
            sum += w * w;
        }
        squares[c] = sum;
    }
    __syncthreads();
    for (int image = 0; image < n; image++) {
        float sum = 0.0f;
        for (int c = threadIdx.x; c < c_in; c += THREADS) {
            float s = style[(i64)image * c_in + c];
            sum += s * s * squares[c];
        }
        sum = block_sum(sum);
        if (threadIdx.x == 0) factors[(i64)image * c_out + o] = 1.0f / sqrtf(sum + 1e-8f);
    }
}
