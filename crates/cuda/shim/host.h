// The program around the kernels: takes launches from stdin, answers with the buffers' contents on stdout. The test writes the list of
// kernels, KERNELS, as {name, entry} pairs.
#pragma once
#include <string>

struct Kernel {
    const char *name;
    void (*call)(void *const *);
};
#define KERNEL(name) {#name, shim::Entry<decltype(&name)>::call<name>}

template <class T> static T take() {
    T value;
    if (fread(&value, sizeof value, 1, stdin) != 1) exit(0); // The test has closed the pipe.
    return value;
}

static void serve(const Kernel *kernels, size_t count) {
    for (;;) {
        std::string name(take<uint32_t>(), ' ');
        for (char &c : name) c = take<char>();
        dim3 grid{};
        grid.x = take<uint32_t>(), grid.y = take<uint32_t>(), grid.z = take<uint32_t>();
        uint32_t threads = take<uint32_t>(), shared = take<uint32_t>(), falling = take<uint32_t>();
        // Each buffer is an allocation of its own, so that the address sanitizer sees the first byte beyond it.
        std::vector<std::pair<char *, size_t>> buffers(take<uint32_t>());
        for (auto &[data, size] : buffers) {
            size = take<uint64_t>();
            data = (char *)malloc(size ? size : 1);
            if (size && fread(data, 1, size, stdin) != size) exit(2);
        }
        // An argument is a buffer's number, or eight bytes that begin with its value.
        std::vector<uint64_t> slots(take<uint32_t>());
        for (uint64_t &slot : slots) {
            uint32_t is_buffer = take<uint32_t>();
            slot = take<uint64_t>();
            if (is_buffer) slot = (uint64_t)buffers.at(slot).first;
        }
        std::vector<void *> args;
        for (uint64_t &slot : slots) args.push_back(&slot);
        const Kernel *kernel = nullptr;
        for (size_t i = 0; i < count; i++)
            if (name == kernels[i].name) kernel = &kernels[i];
        if (!kernel) {
            fprintf(stderr, "no kernel %s\n", name.c_str());
            exit(2);
        }
        shim::launch(kernel->call, args.data(), grid, threads, shared, falling);
        for (auto &[data, size] : buffers) {
            fwrite(data, 1, size, stdout);
            free(data);
        }
        fflush(stdout);
    }
}
