// Arithmetic and comparisons of two tensors of one shape.
#include "types.cuh"

#define BINARY(T, name, op, result, expression)                                                                          \
    TENSOR_KERNEL op##_##name(size len, size rank, const size *info, const T *left, const T *right, result *y) {         \
        FOR_ELEMENTS(e, len) {                                                                                           \
            auto a = wide(left[place(e, rank, info, 0)]);                                                                \
            auto b = wide(right[place(e, rank, info, 1)]);                                                               \
            y[e] = Narrow<result>::of(expression);                                                                       \
        }                                                                                                                \
    }
#define SAME(T, name, op, expression) BINARY(T, name, op, T, expression)
#define TRUTH(T, name, op, expression) BINARY(T, name, op, u8, expression)

EACH_TYPE(SAME, badd, a + b)
EACH_TYPE(SAME, bsub, a - b)
EACH_TYPE(SAME, bmul, a * b)
EACH_TYPE(SAME, bdiv, a / b)
EACH_TYPE(SAME, bminimum, a > b ? b : a)
EACH_TYPE(SAME, bmaximum, a < b ? b : a)
EACH_TYPE(TRUTH, eq, a == b)
EACH_TYPE(TRUTH, ne, a != b)
EACH_TYPE(TRUTH, lt, a < b)
EACH_TYPE(TRUTH, le, a <= b)
EACH_TYPE(TRUTH, gt, a > b)
EACH_TYPE(TRUTH, ge, a >= b)
