// y = condition ? a : b.
#include "types.cuh"

#define WHERE(T, name, I, condition_name)                                                                                \
    TENSOR_KERNEL where_##condition_name##_##name(size len, size rank, const size *info, const I *condition, const T *a, \
                                                  const T *b, T *y) {                                                    \
        FOR_ELEMENTS(e, len)                                                                                             \
        y[e] = condition[place(e, rank, info, 0)] ? a[place(e, rank, info, 1)] : b[place(e, rank, info, 2)];             \
    }
EACH_TYPE(WHERE, u8, u8)
EACH_TYPE(WHERE, u32, u32)
EACH_TYPE(WHERE, i64, i64)
