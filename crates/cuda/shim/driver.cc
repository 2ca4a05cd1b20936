// Stands for CUDA's driver, NVRTC, cuBLAS, cuRAND, cuDNN and NCCL, as far as candle's CUDA backend and ours call them on one stream: memory is the
// host's, and a launch runs the kernel behind the shim. So the code that calls kernels on a device runs on a machine without one. There are two
// devices of different names.
//
// It watches what a device would not tell: memory that nobody has written is NaN, and what is written outside of a buffer, copied
// from outside of one, or launched beyond a card's limits stops the program.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "stand_in.h"

#define API extern "C" int

// Compute capability 9.0; CUDA 12.8. No memory pools, so that each buffer is an allocation.
static const int MAJOR = 75, MULTIPROCESSORS = 16, VERSION = 12080;
static const size_t MEMORY = (size_t)8 << 30;
// Bytes on either side of a buffer that nobody may write.
static const size_t GUARD = 256;

static std::recursive_mutex lock;
static std::map<char *, size_t> buffers;

[[noreturn]] static void stop(const char *why, size_t number) {
    fprintf(stderr, "stand-in for CUDA: %s (%zu)\n", why, number);
    abort();
}

static void check_guards(char *buffer, size_t size) {
    for (size_t i = 0; i < GUARD; i++)
        if (buffer[-1 - (long)i] != 0x55 || buffer[size + i] != 0x55) stop("a kernel wrote outside of a buffer of so many bytes", size);
}

// That these bytes lie in one buffer.
static void inside(uint64_t address, size_t size) {
    std::lock_guard<std::recursive_mutex> held(lock);
    auto next = buffers.upper_bound((char *)address);
    if (next == buffers.begin()) stop("a copy from or to what is no buffer", address);
    auto [buffer, length] = *--next;
    if ((char *)address + size > buffer + length) stop("a copy beyond a buffer of so many bytes", length);
}

API cuInit(unsigned) { return 0; }
API cuDriverGetVersion(int *version) { return *version = VERSION, 0; }
API cuDeviceGetCount(int *count) { return *count = 2, 0; }
API cuDeviceGetUuid_v2(char *uuid, int device) { return memset(uuid, device + 1, 16), 0; }
API cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }
API cuDeviceGet(int *device, int index) { return *device = index, 0; }
API cuDeviceGetName(char *name, int size, int) { return snprintf(name, size, "the CPU behind the shim"), 0; }
API cuDeviceTotalMem_v2(size_t *size, int) { return *size = MEMORY, 0; }
API cuDeviceGetAttribute(int *value, int which, int) {
    *value = which == MAJOR ? 9 : which == MULTIPROCESSORS ? 4 : 0;
    return 0;
}

#include "copies.h"

// All work goes onto one stream. Each thread's own, of which one thread does not wait for another's, is nobody's here.
static void on(void *stream) {
    if (stream == (void *)2) stop("work on each thread's own stream", 2);
    catch_up();
}

// One context, one stream: each call is done when it returns, but for copies from page-locked memory.
API cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, 0; }
API cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API cuCtxGetCurrent(void **context) { return *context = (void *)1, 0; }
API cuCtxSetCurrent(void *) { return 0; }
API cuCtxSynchronize() { return known(asked), 0; }
API cuStreamCreate(void **stream, unsigned) { return *stream = (void *)1, 0; }
API cuStreamDestroy_v2(void *) { return 0; }
API cuStreamSynchronize(void *) { return known(asked), 0; }
API cuStreamWaitEvent(void *, void *, unsigned) { return 0; }
API cuStreamIsCapturing(void *, int *status) { return *status = 0, 0; }
API cuGetErrorName(int, const char **name) { return *name = "an error of the stand-in", 0; }
API cuGetErrorString(int code, const char **text) { return cuGetErrorName(code, text); }

API cuMemGetInfo_v2(size_t *left, size_t *total) { return *left = *total = MEMORY, 0; }
API cuMemAlloc_v2(uint64_t *address, size_t size) {
    if (size == 0) return 1; // As the driver: an invalid value.
    std::lock_guard<std::recursive_mutex> held(lock);
    char *memory = (char *)malloc(size + 2 * GUARD);
    memset(memory, 0x55, size + 2 * GUARD);
    memset(memory + GUARD, 0xff, size);
    buffers[memory + GUARD] = size;
    *address = (uint64_t)(memory + GUARD);
    return 0;
}
API cuMemFree_v2(uint64_t address) {
    std::lock_guard<std::recursive_mutex> held(lock);
    catch_up();
    auto found = buffers.find((char *)address);
    if (found == buffers.end()) stop("what is freed is no buffer", address);
    check_guards(found->first, found->second);
    memset(found->first, 0xff, found->second);
    free(found->first - GUARD);
    buffers.erase(found);
    return 0;
}
API cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) {
    on(stream), inside(to, size);
    return ask(to, from, size), 0;
}
API cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
    on(stream), inside(from, size);
    // To memory that is not page-locked: the call returns when all is done.
    known(asked);
    return memcpy(to, (void *)from, size), 0;
}
API cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) {
    on(stream), inside(to, size), inside(from, size);
    return memmove((void *)to, (void *)from, size), 0;
}
API cuMemsetD8Async(uint64_t to, unsigned char value, size_t size, void *stream) {
    on(stream), inside(to, size);
    return memset((void *)to, value, size), 0;
}

// Every module has all kernels.
struct Function {
    const void *kernel;
    decltype(&launch_operators) launch;
};
API cuModuleLoadData(void **module, const void *) { return *module = (void *)1, 0; }
API cuModuleUnload(void *) { return 0; }
API cuModuleGetFunction(void **function, void *, const char *name) {
    std::lock_guard<std::recursive_mutex> held(lock);
    static std::map<const void *, Function> known;
    const void *kernel = find_operators(name);
    auto launch = kernel ? launch_operators : launch_tensors;
    if (!kernel) kernel = find_tensors(name);
    if (!kernel) return 500; // As the driver: not found.
    known[kernel] = {kernel, launch};
    return *function = &known[kernel], 0;
}
API cuLaunchKernel(const Function *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned threads_y, unsigned threads_z,
                   unsigned shared, void *stream, void **args, void **) {
    // As the driver: an invalid value. No kernel here has blocks of more than one dimension.
    bool blocks = x && y && z && x <= 0x7fffffff && y <= 65535 && z <= 65535;
    if (!blocks || threads == 0 || threads > 1024 || threads_y != 1 || threads_z != 1 || shared > 48 << 10) return 1;
    std::lock_guard<std::recursive_mutex> held(lock);
    on(stream);
    function->launch(function->kernel, args, x, y, z, threads, shared);
    return 0;
}

// NVRTC: what it makes is looked at by nobody.
API nvrtcVersion(int *major, int *minor) { return *major = 12, *minor = 8, 0; }
API nvrtcCreateProgram(void **program, const char *, const char *, int, const char *const *, const char *const *) {
    return *program = (void *)1, 0;
}
API nvrtcDestroyProgram(void **) { return 0; }
API nvrtcCompileProgram(void *, int, const char *const *) { return 0; }
API nvrtcGetPTXSize(void *, size_t *size) { return *size = 3, 0; }
API nvrtcGetPTX(void *, char *text) { return strcpy(text, "//"), 0; }
API nvrtcGetProgramLogSize(void *, size_t *size) { return *size = 1, 0; }
API nvrtcGetProgramLog(void *, char *text) { return *text = 0, 0; }
extern "C" const char *nvrtcGetErrorString(int) { return "an error of the stand-in"; }

// cuRAND: opened with a device, and never drawn from.
API curandCreateGenerator(void **generator, int) { return *generator = (void *)1, 0; }
API curandDestroyGenerator(void *) { return 0; }
API curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
API curandSetStream(void *, void *) { return 0; }

// cuBLAS: matrix products, in the order of columns, added up in float64.
API cublasCreate_v2(void **handle) { return *handle = (void *)1, 0; }
API cublasDestroy_v2(void *) { return 0; }
API cublasSetStream_v2(void *, void *stream) { return on(stream), 0; }

enum Type { FLOAT = 0, DOUBLE = 1, HALF = 2, BRAIN = 14 };

static double get(const void *from, int type, long at) {
    switch (type) {
    case FLOAT: return ((const float *)from)[at];
    case DOUBLE: return ((const double *)from)[at];
    case HALF: return half_to_float(((const uint16_t *)from)[at]);
    case BRAIN: return bits_float((uint32_t)((const uint16_t *)from)[at] << 16);
    default: stop("a matrix of this type", type);
    }
}

static void put(void *to, int type, long at, double value) {
    switch (type) {
    case FLOAT: ((float *)to)[at] = (float)value; break;
    case DOUBLE: ((double *)to)[at] = value; break;
    case HALF: ((uint16_t *)to)[at] = float_to_half((float)value); break;
    default: {
        uint32_t bits = float_bits((float)value);
        ((uint16_t *)to)[at] = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; // ties to even
    }
    }
}

struct Matrix {
    const void *data;
    int type;
    bool turned;
    long lead, stride;

    double at(long batch, long row, long col) const {
        return get(data, type, batch * stride + (turned ? row * lead + col : col * lead + row));
    }
};

// c = alpha a b; nobody here asks for a beta.
static int multiply(int m, int n, int k, double alpha, Matrix a, Matrix b, double beta, void *c, int type, long lead, long stride, int count) {
    if (beta != 0.0) stop("a product that is added to something", count);
    catch_up();
    for (long batch = 0; batch < count; batch++)
        for (long col = 0; col < n; col++)
            for (long row = 0; row < m; row++) {
                double sum = 0.0;
                for (long i = 0; i < k; i++) sum += a.at(batch, row, i) * b.at(batch, i, col);
                put(c, type, batch * stride + col * lead + row, alpha * sum);
            }
    return 0;
}

API cublasGemmStridedBatchedEx(void *, int turn_a, int turn_b, int m, int n, int k, const void *alpha, const void *a, int type_a, int lead_a,
                               long long stride_a, const void *b, int type_b, int lead_b, long long stride_b, const void *beta, void *c,
                               int type_c, int lead_c, long long stride_c, int count, int compute, int) {
    int scale = compute == 64 || compute == 65 ? HALF : FLOAT; // CUBLAS_COMPUTE_16F, and pedantic.
    return multiply(m, n, k, get(alpha, scale, 0), {a, type_a, turn_a != 0, lead_a, (long)stride_a}, {b, type_b, turn_b != 0, lead_b, (long)stride_b},
                    get(beta, scale, 0), c, type_c, lead_c, stride_c, count);
}
API cublasDgemmStridedBatched(void *, int turn_a, int turn_b, int m, int n, int k, const double *alpha, const void *a, int lead_a,
                              long long stride_a, const void *b, int lead_b, long long stride_b, const double *beta, void *c, int lead_c,
                              long long stride_c, int count) {
    return multiply(m, n, k, *alpha, {a, DOUBLE, turn_a != 0, lead_a, (long)stride_a}, {b, DOUBLE, turn_b != 0, lead_b, (long)stride_b}, *beta, c,
                    DOUBLE, lead_c, stride_c, count);
}

#include "cudnn.h"

// NCCL among the threads of a process: sums of the last rank first, so that they are not those of another order by chance.
struct Id {
    char bytes[128];
};

struct Clique {
    int size = 0, came = 0, left = 0;
    std::vector<std::vector<float>> parts;
    std::vector<float> total;
    std::condition_variable changed;
};

struct Member {
    Clique *clique;
    int rank;
};

static std::mutex nccl;
static std::map<std::string, Clique> cliques;

// Waits until all have come, of whom the last one does `what`, and until all have gone on.
template <class F> static void together(Clique &clique, std::unique_lock<std::mutex> &held, F what) {
    clique.changed.wait(held, [&] { return clique.left == 0; });
    if (++clique.came == clique.size) what(), clique.left = clique.size, clique.changed.notify_all();
    clique.changed.wait(held, [&] { return clique.left > 0; });
    clique.came--;
    if (--clique.left == 0) clique.changed.notify_all();
}

API ncclGetUniqueId(Id *id) {
    static std::atomic<int> number;
    memset(id, 0, sizeof *id);
    return snprintf(id->bytes, sizeof id->bytes, "clique %d", number++), 0;
}
API ncclCommInitRank(Member **member, int size, Id id, int rank) {
    std::unique_lock<std::mutex> held(nccl);
    Clique &clique = cliques[id.bytes];
    clique.size = size, clique.parts.resize(size);
    *member = new Member{&clique, rank};
    together(clique, held, [] {});
    return 0;
}
API ncclAllReduce(const float *from, float *to, size_t len, int type, int operation, Member *member, void *stream) {
    on(stream);
    if (type != 7 || operation != 0) return 4; // As NCCL: an invalid argument. No other is asked for.
    inside((uint64_t)from, len * sizeof *from), inside((uint64_t)to, len * sizeof *to);
    std::unique_lock<std::mutex> held(nccl);
    Clique &clique = *member->clique;
    clique.parts[member->rank].assign(from, from + len);
    together(clique, held, [&] {
        clique.total = clique.parts.back();
        for (int rank = clique.size - 1; rank-- > 0;)
            for (size_t i = 0; i < clique.total.size() && i < clique.parts[rank].size(); i++) clique.total[i] += clique.parts[rank][i];
    });
    if (clique.total.size() != len) return 5; // As NCCL: an invalid usage.
    memcpy(to, clique.total.data(), len * sizeof *to);
    return 0;
}
API ncclCommAbort(Member *member) { return delete member, 0; }
extern "C" const char *ncclGetErrorString(int) { return "an error of the stand-in"; }
