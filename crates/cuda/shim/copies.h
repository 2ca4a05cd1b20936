// Copies from page-locked memory, for the stand-in of the driver; driver.cc includes it. A device makes such a copy when its work has come so far, and
// the host goes on meanwhile. Here the copy is made as late as it can be: before whatever else the device does. What the host wrote there before it
// could know of the copy stops the program, and so does freeing it.
#pragma once
#include <list>

struct Copy {
    uint64_t to;
    const char *from;
    // What was there when the copy was asked for.
    std::vector<char> was;
    uint64_t number;
    bool made;

    void check() const {
        if (memcmp(from, was.data(), was.size())) stop("page-locked memory was written before the device had fetched it", was.size());
    }
};

// The buffers of page-locked memory; the copies of which the host does not know yet that they are made, by number; the last number.
static std::map<const char *, size_t> locked;
static std::list<Copy> copies;
static uint64_t asked;

static bool is_locked(const void *from, size_t size) {
    auto next = locked.upper_bound((const char *)from);
    if (next == locked.begin()) return false;
    auto [buffer, length] = *--next;
    return (const char *)from + size <= buffer + length;
}

// The device does what it was asked for: before anything else that it is asked for.
static void catch_up() {
    std::lock_guard<std::recursive_mutex> held(lock);
    for (Copy &copy : copies) {
        copy.check();
        if (!copy.made) memcpy((void *)copy.to, copy.from, copy.was.size());
        copy.made = true;
    }
}

// From now on the host knows that the device has come so far.
static void known(uint64_t number) {
    std::lock_guard<std::recursive_mutex> held(lock);
    catch_up();
    copies.remove_if([&](const Copy &copy) { return copy.number <= number; });
}

static void ask(uint64_t to, const void *from, size_t size) {
    std::lock_guard<std::recursive_mutex> held(lock);
    catch_up();
    if (!is_locked(from, size)) return (void)memcpy((void *)to, from, size);
    const char *bytes = (const char *)from;
    copies.push_back({to, bytes, {bytes, bytes + size}, ++asked, false});
}

struct Event {
    uint64_t after = 0;
};

API cuEventCreate(Event **event, unsigned) { return *event = new Event, 0; }
API cuEventDestroy_v2(Event *event) { return delete event, 0; }
API cuEventRecord(Event *event, void *) { return event->after = asked, 0; }
API cuEventSynchronize(Event *event) { return known(event->after), 0; }
API cuEventQuery(Event *event) {
    std::lock_guard<std::recursive_mutex> held(lock);
    // As the driver: not ready. It never is until somebody waits for something that comes later.
    return copies.empty() || copies.front().number > event->after ? 0 : 600;
}
API cuMemHostAlloc(void **memory, size_t size, unsigned) {
    if (size == 0) return 1; // As the driver: an invalid value.
    std::lock_guard<std::recursive_mutex> held(lock);
    *memory = malloc(size);
    memset(*memory, 0xff, size);
    locked[(const char *)*memory] = size;
    return 0;
}
API cuMemFreeHost(void *memory) {
    std::lock_guard<std::recursive_mutex> held(lock);
    auto found = locked.find((const char *)memory);
    if (found == locked.end()) stop("what is freed is no page-locked memory", (size_t)memory);
    for (const Copy &copy : copies)
        if (copy.from >= found->first && copy.from < found->first + found->second)
            stop("page-locked memory was freed before the device had fetched it", found->second);
    locked.erase(found);
    return free(memory), 0;
}
