// y = x mul + add.
#include "types.cuh"

#define AFFINE(T, name, ...)                                                                                             \
    TENSOR_KERNEL affine_##name(size len, size rank, const size *info, const T *x, T *y, T mul, T add) {                 \
        FOR_ELEMENTS(e, len) y[e] = Narrow<T>::of(wide(x[place(e, rank, info, 0)]) * wide(mul) + wide(add));             \
    }
EACH_TYPE(AFFINE, )
