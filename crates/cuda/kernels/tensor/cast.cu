// From one element type to another. A float beyond the range of an integer becomes its nearest end, NaN becomes 0, as in Rust.
#include "types.cuh"

// The smallest and the largest whole number of a type.
template <class T> struct Range;
template <> struct Range<u8> { enum : u8 { LOW = 0, HIGH = 0xff }; };
template <> struct Range<u32> { enum : u32 { LOW = 0, HIGH = 0xffffffff }; };
template <> struct Range<i64> { enum : i64 { LOW = -0x7fffffffffffffffLL - 1, HIGH = 0x7fffffffffffffffLL }; };

template <class T, class W> __device__ T saturated(W v) {
    if (v != v) return 0;
    if (v <= (W)Range<T>::LOW) return T(Range<T>::LOW);
    return v >= (W)Range<T>::HIGH ? T(Range<T>::HIGH) : (T)v;
}

template <class From, class To> struct Cast {
    static __device__ To of(From v) { return Narrow<To>::of(wide(v)); }
};
#define FROM_FLOAT(From, To)                                                                                             \
    template <> struct Cast<From, To> {                                                                                  \
        static __device__ To of(From v) { return saturated<To>(wide(v)); }                                               \
    };
#define FROM_FLOATS(To) FROM_FLOAT(float, To) FROM_FLOAT(double, To) FROM_FLOAT(half_t, To) FROM_FLOAT(bfloat_t, To)
FROM_FLOATS(u8)
FROM_FLOATS(u32)
FROM_FLOATS(i64)

#define CAST(From, from, To, to)                                                                                         \
    TENSOR_KERNEL cast_##from##_##to(size len, size rank, const size *info, const From *x, To *y) {                      \
        FOR_ELEMENTS(e, len) y[e] = Cast<From, To>::of(x[place(e, rank, info, 0)]);                                      \
    }
EACH_TYPE(CAST, float, f32)
EACH_TYPE(CAST, double, f64)
EACH_TYPE(CAST, half_t, f16)
EACH_TYPE(CAST, bfloat_t, bf16)
EACH_TYPE(CAST, u8, u8)
EACH_TYPE(CAST, u32, u32)
EACH_TYPE(CAST, i64, i64)
