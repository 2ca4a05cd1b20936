// Stands for cuDNN 9, as far as our operators call it; driver.cc, whose memory it looks at, includes it. Sums are made in float64, and factors are
// rounded where cuDNN may round them.
//
// What should not be used it offers before what should, and stops at it: algorithms of other bits each time, those that fail, need too much memory, or
// round operands more than was allowed. It stops, too, at descriptors that do not fit each other, and at a workspace that is too small.
// Gradients of weights with a stride of 3 it computes with other bits each time only; gradients of inputs with a stride of 3 it declines when it should run.
#pragma once
#include <set>

// Of a tensor or a filter.
struct Described {
    int type = -1, sizes[4];

    size_t count() const { return (size_t)sizes[0] * sizes[1] * sizes[2] * sizes[3]; }
    size_t bytes() const { return count() * (type == FLOAT ? 4 : 2); }
};

struct Convolution {
    int padding[2], step[2], math = 0;
};

struct Perf {
    int algorithm, status;
    float time;
    size_t memory;
    int determinism, math, reserved[3];
};

enum Operator { FORWARD, OF_INPUT, OF_WEIGHTS };
enum Math { AS_ALWAYS, CORES, CONVERTING, NO_CORES };
enum Code { DONE = 0, BAD_PARAMETER = 2000, NOT_SUPPORTED = 3000 };
static const int GOOD = 1;

static std::set<const void *> described;

template <class T> static const T &live(const T *what) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (!described.count(what)) stop("a descriptor that there is not", (size_t)what);
    return *what;
}

template <class T> static int describe(T **what) {
    std::lock_guard<std::recursive_mutex> held(lock);
    described.insert(*what = new T);
    return DONE;
}

template <class T> static int forget(const T *what) {
    std::lock_guard<std::recursive_mutex> held(lock);
    live(what), described.erase(what);
    return delete what, DONE;
}

static int set_sizes(Described *what, int format, int type, std::initializer_list<int> sizes) {
    live(what);
    if (format != 0 || (type != FLOAT && type != HALF && type != 9)) return BAD_PARAMETER;
    what->type = type == 9 ? BRAIN : type;
    std::copy(sizes.begin(), sizes.end(), what->sizes);
    for (int size : sizes)
        if (size <= 0) return BAD_PARAMETER;
    return DONE;
}

struct Cudnn {
    void *stream = (void *)2;
};

extern "C" size_t cudnnGetVersion() { return 90100; }
extern "C" const char *cudnnGetErrorString(int code) { return code == NOT_SUPPORTED ? "the stand-in does not do this" : "an error of the stand-in"; }
API cudnnCreate(Cudnn **handle) { return *handle = new Cudnn, DONE; }
API cudnnDestroy(Cudnn *handle) { return delete handle, DONE; }
API cudnnSetStream(Cudnn *handle, void *stream) { return handle->stream = stream, DONE; }
API cudnnCreateTensorDescriptor(Described **what) { return describe(what); }
API cudnnCreateFilterDescriptor(Described **what) { return describe(what); }
API cudnnCreateConvolutionDescriptor(Convolution **what) { return describe(what); }
API cudnnDestroyTensorDescriptor(Described *what) { return forget(what); }
API cudnnDestroyFilterDescriptor(Described *what) { return forget(what); }
API cudnnDestroyConvolutionDescriptor(Convolution *what) { return forget(what); }
API cudnnSetTensor4dDescriptor(Described *what, int format, int type, int n, int c, int h, int w) {
    return set_sizes(what, format, type, {n, c, h, w});
}
API cudnnSetFilter4dDescriptor(Described *what, int type, int format, int k, int c, int h, int w) {
    return set_sizes(what, format, type, {k, c, h, w});
}
API cudnnSetConvolution2dDescriptor(Convolution *what, int pad_h, int pad_w, int step_h, int step_w, int dilation_h, int dilation_w, int mode,
                                    int sums) {
    live(what);
    if (dilation_h != 1 || dilation_w != 1 || mode != 1 || sums != FLOAT) return BAD_PARAMETER; // No others are asked for.
    what->padding[0] = pad_h, what->padding[1] = pad_w, what->step[0] = step_h, what->step[1] = step_w;
    return DONE;
}
API cudnnSetConvolutionMathType(Convolution *what, int math) { return live(what), what->math = math, DONE; }

// A convolution with the sizes of all that takes part in it.
struct Problem {
    Operator which;
    const Described &x, &w, &y;
    const Convolution &how;

    Problem(Operator which, const Described *a, const Described *b, const Convolution *how, const Described *result)
        : which(which), x(live(which == OF_INPUT ? result : a)), w(live(which == FORWARD ? b : which == OF_INPUT ? a : result)),
          y(live(which == FORWARD ? result : b)), how(live(how)) {
        bool fits = x.type == w.type && x.type == y.type && x.sizes[0] == y.sizes[0] && x.sizes[1] == w.sizes[1] && w.sizes[0] == y.sizes[1];
        for (int side = 0; side < 2; side++)
            fits &= y.sizes[2 + side] == (x.sizes[2 + side] + 2 * how->padding[side] - w.sizes[2 + side]) / how->step[side] + 1;
        if (!fits) stop("descriptors that do not fit each other", which);
    }

    bool half() const { return x.type != FLOAT; }
    size_t workspace() const { return 256 + 4 * (size_t)w.sizes[1]; }
};

static int name_algorithms(const Problem &p, int asked, int *count, Perf *to) {
    const size_t TOO_MUCH = (size_t)4 << 30;
    const int winograd = p.which == FORWARD ? 6 : 4, math = p.how.math;
    std::vector<Perf> all = {{0, DONE, 1, 0, 0, math}, {GOOD, NOT_SUPPORTED, -1, 0, 1, math}};
    if (p.which != OF_WEIGHTS || p.how.step[0] != 3) {
        all.push_back({GOOD, DONE, 2, TOO_MUCH, 1, math});
        all.push_back({GOOD, DONE, 2, 0, 1, CONVERTING});
        if (p.half()) all.push_back({winograd, DONE, 3, 0, 1, math});
        if (math == NO_CORES) all.push_back({winograd, DONE, 3, 0, 1, CORES});
        // The same number, but a type of products that needs more than there may be.
        if (p.half()) all.push_back({0, DONE, 3, 0, 1, AS_ALWAYS});
        all.push_back({GOOD, DONE, 4, p.workspace(), 1, math});
    }
    *count = std::min((int)all.size(), asked);
    std::copy(all.begin(), all.begin() + *count, to);
    return DONE;
}

static int workspace_of(const Problem &p, int algorithm, size_t *bytes) {
    if (p.half() && algorithm == 0 && p.how.math == AS_ALWAYS) return *bytes = (size_t)4 << 30, DONE;
    if (algorithm != GOOD) stop("the workspace of an algorithm that must not serve", algorithm);
    return *bytes = p.workspace(), DONE;
}

static std::vector<double> numbers(const Described &of, const void *at, bool rounded) {
    inside((uint64_t)at, of.bytes());
    std::vector<double> all(of.count());
    for (size_t i = 0; i < all.size(); i++) {
        all[i] = get(at, of.type, i);
        if (rounded) all[i] = to_tf32((float)all[i]);
    }
    return all;
}

static void multiply(const Problem &p, const double *x, const double *w, const double *y, double *result) {
    const auto &[n, c, height, width] = p.x.sizes;
    const auto &[filters, c_, kh, kw] = p.w.sizes;
    int out_h = p.y.sizes[2], out_w = p.y.sizes[3];
    for (int image = 0; image < n; image++)
        for (int o = 0; o < filters; o++)
            for (int i = 0; i < out_h * out_w; i++)
                for (int k = 0; k < c * kh * kw; k++) {
                    int row = i / out_w * p.how.step[0] + k / kw % kh - p.how.padding[0];
                    int column = i % out_w * p.how.step[1] + k % kw - p.how.padding[1];
                    if (row < 0 || row >= height || column < 0 || column >= width) continue;
                    size_t in = (((size_t)image * c + k / (kh * kw)) * height + row) * width + column;
                    size_t weight = (size_t)o * c * kh * kw + k, out = ((size_t)image * filters + o) * out_h * out_w + i;
                    if (p.which == FORWARD) result[out] += w[weight] * x[in];
                    if (p.which == OF_INPUT) result[in] += w[weight] * y[out];
                    if (p.which == OF_WEIGHTS) result[weight] += x[in] * y[out];
                }
}

static int run(const Problem &p, const float *alpha, const float *beta, const void *a, const void *b, int algorithm, void *workspace, size_t bytes,
               void *to) {
    std::lock_guard<std::recursive_mutex> held(lock);
    if (p.which == OF_INPUT && p.how.step[0] == 3) return NOT_SUPPORTED;
    if (algorithm != GOOD || p.how.math == CONVERTING) stop("an algorithm that must not serve", algorithm);
    if (*alpha != 1 || *beta != 0) stop("a convolution that is added to something", algorithm);
    if (bytes < p.workspace()) stop("a workspace of so few bytes", bytes);
    inside((uint64_t)workspace, bytes);
    bool rounded = !p.half() && p.how.math != NO_CORES;
    const Described &first = p.which == OF_INPUT ? p.w : p.x, &second = p.which == FORWARD ? p.w : p.y;
    const Described &made = p.which == FORWARD ? p.y : p.which == OF_INPUT ? p.x : p.w;
    auto left = numbers(first, a, rounded), right = numbers(second, b, rounded);
    std::vector<double> sums(made.count());
    const double *x = left.data(), *w = p.which == FORWARD ? right.data() : left.data(), *y = right.data();
    multiply(p, x, w, y, sums.data());
    // What is read of it after this is read of the wrong place.
    memset(workspace, 0xff, bytes);
    inside((uint64_t)to, made.bytes());
    for (size_t i = 0; i < sums.size(); i++) put(to, made.type, i, sums[i]);
    return DONE;
}

#define CUDNN(Name, OPERATOR)                                                                                                                 \
    API cudnnGetConvolution##Name##Algorithm_v7(Cudnn *, const Described *a, const Described *b, const Convolution *how, const Described *to,    \
                                                int asked, int *count, Perf *perf) {                                                             \
        return name_algorithms({OPERATOR, a, b, how, to}, asked, count, perf);                                                                   \
    }                                                                                                                                            \
    API cudnnGetConvolution##Name##WorkspaceSize(Cudnn *, const Described *a, const Described *b, const Convolution *how, const Described *to,   \
                                                 int algorithm, size_t *bytes) {                                                                 \
        return workspace_of({OPERATOR, a, b, how, to}, algorithm, bytes);                                                                        \
    }                                                                                                                                            \
    API cudnnConvolution##Name(Cudnn *handle, const float *alpha, const Described *a, const void *at_a, const Described *b, const void *at_b,    \
                               const Convolution *how, int algorithm, void *workspace, size_t bytes, const float *beta, const Described *to,     \
                               void *at) {                                                                                                       \
        on(handle->stream);                                                                                                                \
        return run({OPERATOR, a, b, how, to}, alpha, beta, at_a, at_b, algorithm, workspace, bytes, at);                                         \
    }
CUDNN(Forward, FORWARD)
CUDNN(BackwardData, OF_INPUT)
CUDNN(BackwardFilter, OF_WEIGHTS)
