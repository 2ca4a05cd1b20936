// Setting to a value, and copying rows of one pitch to rows of another.
#include "types.cuh"

#define SET(T, name, ...)                                                                                                \
    TENSOR_KERNEL const_set_##name(size len, size rank, const size *info, T value, T *y) {                               \
        FOR_ELEMENTS(e, len) y[place(e, rank, info, 0)] = value;                                                         \
    }
#define COPY2D(T, name, ...)                                                                                             \
    TENSOR_KERNEL copy2d_##name(const T *x, T *y, u32 rows, u32 cols, u32 pitch_x, u32 pitch_y) {                        \
        FOR_ELEMENTS(e, (size)rows * cols) y[e / cols * pitch_y + e % cols] = x[e / cols * pitch_x + e % cols];          \
    }
EACH_TYPE(SET, )
EACH_TYPE(COPY2D, )
