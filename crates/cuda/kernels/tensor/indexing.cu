// Selecting along a dimension, and its adjoints. Tensors are seen as [left, dim, right]. An index of the type's largest value means
// none: it selects zero, and adds nothing. A thread of the adjoints owns what it adds to: same input, same bits.
#include "types.cuh"

template <class I> __device__ bool none(I id) { return id == (I) ~(I(0)); }
template <> __device__ inline bool none(i64 id) { return id == 0x7fffffffffffffffLL; }

#define SELECT(T, name, I, ids_name)                                                                                     \
    TENSOR_KERNEL is_##ids_name##_##name(size len, size rank, const size *info, const I *ids, const T *x, T *y, size,   \
                                         size dim, size count, size right) {                                             \
        FOR_ELEMENTS(e, len) {                                                                                           \
            I id = ids[place(e / right % count, rank, info, 0)];                                                         \
            y[e] = none(id) ? T() : x[(e / (count * right) * dim + id) * right + e % right];                             \
        }                                                                                                                \
    }                                                                                                                    \
    TENSOR_KERNEL gather_##ids_name##_##name(size len, const I *ids, const T *x, T *y, size, size dim, size count,       \
                                             size right) {                                                               \
        FOR_ELEMENTS(e, len) y[e] = none(ids[e]) ? T() : x[(e / (count * right) * dim + ids[e]) * right + e % right];    \
    }
#define ADD(T, name, I, ids_name)                                                                                        \
    TENSOR_KERNEL ia_##ids_name##_##name(const I *ids, size count, const T *x, T *y, size left, size, size dim,          \
                                         size right) {                                                                   \
        FOR_ELEMENTS(e, left * right) for (size j = 0; j < count; j++) {                                                 \
            if (none(ids[j])) continue;                                                                                  \
            T &to = y[(e / right * dim + ids[j]) * right + e % right];                                                   \
            to = Narrow<T>::of(wide(to) + wide(x[(e / right * count + j) * right + e % right]));                         \
        }                                                                                                                \
    }
#define SCATTER(T, name, I, ids_name)                                                                                    \
    TENSOR_KERNEL s_##ids_name##_##name(const I *ids, const T *x, T *y, size left, size count, size dim, size right) {   \
        FOR_ELEMENTS(e, left * right) for (size j = 0; j < count; j++) {                                                 \
            size from = (e / right * count + j) * right + e % right;                                                     \
            if (!none(ids[from])) y[(e / right * dim + ids[from]) * right + e % right] = x[from];                        \
        }                                                                                                                \
    }                                                                                                                    \
    TENSOR_KERNEL sa_##ids_name##_##name(const I *ids, const T *x, T *y, size left, size count, size dim, size right) {  \
        FOR_ELEMENTS(e, left * right) for (size j = 0; j < count; j++) {                                                 \
            size from = (e / right * count + j) * right + e % right;                                                     \
            if (none(ids[from])) continue;                                                                               \
            T &to = y[(e / right * dim + ids[from]) * right + e % right];                                                \
            to = Narrow<T>::of(wide(to) + wide(x[from]));                                                                \
        }                                                                                                                \
    }
#define BY_INDEX(X) EACH_TYPE(X, u8, u8) EACH_TYPE(X, u32, u32) EACH_TYPE(X, i64, i64)
BY_INDEX(SELECT)
BY_INDEX(ADD)
BY_INDEX(SCATTER)
