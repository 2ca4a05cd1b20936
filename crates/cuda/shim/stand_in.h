// The kernels behind the shim as two libraries, whose types and kernels of one name do not meet: the operators', and those of candle's
// operations. `find` gives the kernel of a name, or null; `launch` runs one.
#pragma once
#include "cuda_shim.h"

#define SEEN __attribute__((visibility("default")))

extern "C" {
SEEN const void *find_operators(const char *name);
SEEN const void *find_tensors(const char *name);
SEEN void launch_operators(const void *kernel, void *const *args, unsigned x, unsigned y, unsigned z, unsigned threads, size_t shared);
SEEN void launch_tensors(const void *kernel, void *const *args, unsigned x, unsigned y, unsigned z, unsigned threads, size_t shared);
}

// The two functions of a library, over its table KERNELS.
#define LIBRARY(which)                                                                                                   \
    const void *find_##which(const char *name) {                                                                         \
        for (const Kernel &kernel : KERNELS)                                                                             \
            if (!strcmp(kernel.name, name)) return &kernel;                                                              \
        return nullptr;                                                                                                  \
    }                                                                                                                    \
    void launch_##which(const void *kernel, void *const *args, unsigned x, unsigned y, unsigned z, unsigned threads,     \
                        size_t shared) {                                                                                 \
        shim::launch(((const Kernel *)kernel)->call, args, {x, y, z}, threads, shared, false);                           \
    }
