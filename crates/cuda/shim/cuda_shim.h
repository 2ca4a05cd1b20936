// Just enough of CUDA for any C++17 compiler, so that the kernels' own sources run on a machine without a GPU, under sanitizers.
//
// The threads of a block are fibres (ucontext) on one thread of the system. A fibre runs until it waits at a barrier or a warp
// shuffle, then the next one runs: every barrier is real, one that some threads never reach is an error, and shared memory starts
// as NaN in every block. Run in rising and in falling order of the threads, a missing barrier shows as different results.
// Not imitated: speed, warps in lockstep, the order of memory between blocks.
#pragma once
#define DOMEX_HOST_SHIM

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <map>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define SHIM_LEAVE(save, to) __sanitizer_start_switch_fiber(save, (to).bottom, (to).size)
#define SHIM_ARRIVE(save, from) __sanitizer_finish_switch_fiber(save, (from) ? &(from)->bottom : nullptr, (from) ? &(from)->size : nullptr)
#else
#define SHIM_LEAVE(save, to) ((void)(save))
#define SHIM_ARRIVE(save, from) ((void)(from))
#endif

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define SHARED(type, name, dims)                                                                                         \
    static type name dims;                                                                                               \
    shim::fresh(name, sizeof name)
#define DYNAMIC_SHARED(type, name) type *name = (type *)shim::dynamic_shared

struct dim3 {
    unsigned x, y, z;
};

namespace shim {

enum State { READY, AT_BARRIER, AT_SHUFFLE, DONE };

struct Stack {
    const void *bottom;
    size_t size;
};

struct Fibre {
    ucontext_t context;
    Stack stack;
    void *fake = nullptr; // What the address sanitizer keeps of a fibre that waits.
    State state = READY;
    dim3 thread;
    uint64_t published[2][3];
    unsigned shuffles = 0;
};

inline dim3 block_index, block_size, grid_size;
inline char *dynamic_shared;
inline std::vector<Fibre> fibres;
inline Fibre *me;
inline ucontext_t scheduler;
inline Stack scheduler_stack;
inline void *scheduler_fake;
inline uint64_t block_serial;
inline void (*body)(void *const *);
inline void *const *arguments;

[[noreturn]] inline void fail(const char *why) {
    fprintf(stderr, "cuda_shim: %s (block %u %u %u, thread %u)\n", why, block_index.x, block_index.y, block_index.z,
            me ? me->thread.x : 0);
    abort();
}

// Shared memory of this block that nobody has written: NaN for every float type.
inline void fresh(void *memory, size_t size) {
    static std::map<void *, uint64_t> last;
    uint64_t &serial = last[memory];
    if (serial != block_serial) memset(memory, 0xff, size);
    serial = block_serial;
}

inline void wait(State why) {
    me->state = why;
    SHIM_LEAVE(&me->fake, scheduler_stack);
    swapcontext(&me->context, &scheduler);
    SHIM_ARRIVE(me->fake, (Stack *)nullptr);
}

inline void run_thread() {
    SHIM_ARRIVE(nullptr, &scheduler_stack);
    body(arguments);
    me->state = DONE;
    SHIM_LEAVE(nullptr, scheduler_stack);
    swapcontext(&me->context, &scheduler);
}

inline void resume(Fibre &fibre) {
    me = &fibre;
    SHIM_LEAVE(&scheduler_fake, fibre.stack);
    swapcontext(&scheduler, &fibre.context);
    SHIM_ARRIVE(scheduler_fake, (Stack *)nullptr);
    me = nullptr;
}

// Lets those go on whose barrier or shuffle all threads have reached. Returns whether there is anything left to run.
inline bool release() {
    size_t done = 0, at_barrier = 0;
    bool released = false;
    for (size_t warp = 0; warp < fibres.size(); warp += 32) {
        size_t end = warp + 32 < fibres.size() ? warp + 32 : fibres.size(), at_shuffle = 0, gone = 0;
        for (size_t i = warp; i < end; i++) {
            at_shuffle += fibres[i].state == AT_SHUFFLE;
            gone += fibres[i].state == DONE;
            at_barrier += fibres[i].state == AT_BARRIER;
        }
        done += gone;
        if (at_shuffle == 0) continue;
        if (at_shuffle != 32) fail("a shuffle of all lanes that some lanes of the warp do not reach");
        for (size_t i = warp; i < end; i++) fibres[i].state = READY;
        released = true;
    }
    if (released) return true;
    if (done == fibres.size()) return false;
    if (at_barrier != fibres.size()) fail("a barrier that some threads of the block do not reach");
    for (Fibre &fibre : fibres) fibre.state = READY;
    return true;
}

inline void prepare(Fibre &fibre, unsigned thread) {
    fibre.state = READY;
    fibre.shuffles = 0;
    fibre.thread = {thread, 0, 0};
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = (void *)fibre.stack.bottom;
    fibre.context.uc_stack.ss_size = fibre.stack.size;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, run_thread, 0);
}

inline void run_block(bool falling) {
    block_serial++;
    for (size_t i = 0; i < fibres.size(); i++) prepare(fibres[i], i);
    do {
        for (size_t i = 0; i < fibres.size(); i++) {
            Fibre &fibre = fibres[falling ? fibres.size() - 1 - i : i];
            if (fibre.state == READY) resume(fibre);
        }
    } while (release());
}

// Runs a kernel of one-dimensional blocks. `shared`: bytes of dynamic shared memory.
inline void launch(void (*kernel)(void *const *), void *const *args, dim3 grid, unsigned threads, size_t shared, bool falling) {
    const size_t STACK = 128 << 10;
    body = kernel, arguments = args, grid_size = grid, block_size = {threads, 1, 1};
    while (fibres.size() > threads) {
        free((void *)fibres.back().stack.bottom);
        fibres.pop_back();
    }
    while (fibres.size() < threads) {
        fibres.emplace_back();
        fibres.back().stack = {malloc(STACK), STACK};
    }
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                block_index = {x, y, z};
                dynamic_shared = (char *)malloc(shared ? shared : 1);
                memset(dynamic_shared, 0xff, shared);
                run_block(falling);
                free(dynamic_shared);
            }
}

// Shows `value` to the lanes of this warp, and gives what each of them shows.
template <class T> struct Shown {
    static_assert(sizeof(T) <= sizeof Fibre::published[0], "a lane shows no more");
    // Two places in turn: nobody publishes again before all have read.
    unsigned place = me->shuffles++ % 2, warp = me->thread.x / 32 * 32;

    explicit Shown(const T &value) {
        memcpy(me->published[place], &value, sizeof value);
        wait(AT_SHUFFLE);
    }

    T by(unsigned lane) const {
        T value;
        memcpy(&value, fibres[warp + lane % 32].published[place], sizeof value);
        return value;
    }
};

// A kernel that takes its arguments as CUDA's own launch does: as pointers to them.
template <class F> struct Entry;
template <class... A> struct Entry<void (*)(A...)> {
    template <void (*KERNEL)(A...)> static void call(void *const *args) { unpack<KERNEL>(args, std::index_sequence_for<A...>()); }

    template <void (*KERNEL)(A...), size_t... I> static void unpack(void *const *args, std::index_sequence<I...>) {
        KERNEL(*(A *)args[I]...);
    }
};

} // namespace shim

#define threadIdx (shim::me->thread)
#define blockIdx shim::block_index
#define blockDim shim::block_size
#define gridDim shim::grid_size

inline void __syncthreads() { shim::wait(shim::AT_BARRIER); }
template <class T> T __shfl_xor_sync(unsigned, T value, int step) { return shim::Shown<T>(value).by((threadIdx.x % 32) ^ step); }
template <class T> T __shfl_sync(unsigned, T value, int lane) { return shim::Shown<T>(value).by(lane); }
template <class T> T atomicAdd(T *to, T value) {
    T before = *to;
    *to += value;
    return before;
}

inline uint32_t float_bits(float v) {
    uint32_t bits;
    memcpy(&bits, &v, sizeof v);
    return bits;
}

inline float bits_float(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

// IEEE half precision, as the processor's own conversions on a GPU.
inline float half_to_float(unsigned short half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float v = exponent == 31 ? (fraction ? NAN : INFINITY)
              : exponent     ? ldexpf(1024 + fraction, exponent - 25)
                             : ldexpf(fraction, -24);
    return half >> 15 ? -v : v;
}

inline unsigned short float_to_half(float v) {
    unsigned short sign = float_bits(v) >> 16 & 0x8000;
    float size = fabsf(v);
    if (v != v) return sign | 0x7e00;
    if (size >= 65520.0f) return sign | 0x7c00;
    // In units of 2^-24 below the smallest normal number, else of which 1024 make up the power of two below.
    int step = size < 6.103515625e-5f ? -24 : ilogbf(size) - 10;
    unsigned units = (unsigned)lrintf(ldexpf(size, -step)); // ties to even
    return sign | ((unsigned)(step + 24) * 1024 + units);
}

// As the conversion to TF32 and the product of a warp in kernels/conv_tensor.cu, where they are explained.
inline float to_tf32(float v) { return isfinite(v) ? bits_float((float_bits(v) + 0x1000) & ~0x1fffu) : v; }

inline void warp_multiply(float *sums, const float *a, const float *b) {
    struct Operands {
        float a[4], b[2];
    };
    shim::Shown<Operands> shown({{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
    unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (unsigned e = 0; e < 4; e++) {
        double sum = sums[e];
        for (unsigned k = 0; k < 8; k++) {
            float left = shown.by(4 * g + k % 4).a[k / 4 * 2 + e / 2], right = shown.by(4 * (2 * t + e % 2) + k % 4).b[k / 4];
            for (float factor : {left, right}) // The cores would not look at the rest.
                if (isfinite(factor) && factor != to_tf32(factor)) shim::fail("a factor that is no TF32 number");
            sum += (double)left * right;
        }
        sums[e] = (float)sum;
    }
}
