// Functions of one element.
#include "types.cuh"

// In float for the half types, else in the type itself.
#define BY_PRECISION(name)                                                                                               \
    __device__ inline float name##_of(float v) { return name##f(v); }                                                    \
    __device__ inline double name##_of(double v) { return name(v); }
BY_PRECISION(exp)
BY_PRECISION(expm1)
BY_PRECISION(log)
BY_PRECISION(sin)
BY_PRECISION(cos)
BY_PRECISION(tanh)
BY_PRECISION(sqrt)
BY_PRECISION(erf)
BY_PRECISION(fabs)
BY_PRECISION(ceil)
BY_PRECISION(floor)
BY_PRECISION(round)
__device__ inline float pow_of(float v, float by) { return powf(v, by); }
__device__ inline double pow_of(double v, double by) { return pow(v, by); }

#define UNARY(T, name, op, expression)                                                                                   \
    TENSOR_KERNEL op##_##name(size len, size rank, const size *info, const T *x, T *y) {                                 \
        FOR_ELEMENTS(e, len) {                                                                                           \
            auto v = wide(x[place(e, rank, info, 0)]);                                                                   \
            typedef decltype(v) W;                                                                                       \
            y[e] = Narrow<T>::of((W)(expression));                                                                       \
        }                                                                                                                \
    }
#define UNARY_WITH(T, name, op, expression)                                                                              \
    TENSOR_KERNEL op##_##name(size len, size rank, const size *info, T parameter, const T *x, T *y) {                    \
        auto p = wide(parameter);                                                                                        \
        FOR_ELEMENTS(e, len) {                                                                                           \
            auto v = wide(x[place(e, rank, info, 0)]);                                                                   \
            y[e] = Narrow<T>::of(expression);                                                                            \
        }                                                                                                                \
    }
#define COPY(T, name, ...)                                                                                               \
    TENSOR_KERNEL ucopy_##name(size len, size rank, const size *info, const T *x, T *y) {                                \
        FOR_ELEMENTS(e, len) y[e] = x[place(e, rank, info, 0)];                                                          \
    }

EACH_TYPE(COPY, )
EACH_FLOAT(UNARY, uneg, -v)
EACH_FLOAT(UNARY, urecip, W(1) / v)
EACH_FLOAT(UNARY, usqr, v * v)
EACH_FLOAT(UNARY, usqrt, sqrt_of(v))
EACH_FLOAT(UNARY, uexp, exp_of(v))
EACH_FLOAT(UNARY, ulog, log_of(v))
EACH_FLOAT(UNARY, usin, sin_of(v))
EACH_FLOAT(UNARY, ucos, cos_of(v))
EACH_FLOAT(UNARY, utanh, tanh_of(v))
EACH_FLOAT(UNARY, uerf, erf_of(v))
EACH_FLOAT(UNARY, uabs, fabs_of(v))
EACH_FLOAT(UNARY, uceil, ceil_of(v))
EACH_FLOAT(UNARY, ufloor, floor_of(v))
EACH_FLOAT(UNARY, uround, round_of(v))
EACH_FLOAT(UNARY, usign, W((v > W(0)) - (v < W(0))))
EACH_FLOAT(UNARY, urelu, v < W(0) ? W(0) : v)
EACH_FLOAT(UNARY, usilu, v / (W(1) + exp_of(-v)))
EACH_FLOAT(UNARY, usigmoid, W(1) / (W(1) + exp_of(-v)))
EACH_FLOAT(UNARY, ugelu_erf, W(0.5) * v * (W(1) + erf_of(v * W(0.70710678118654752))))
EACH_FLOAT(UNARY, ugelu, W(0.5) * v * (W(1) + tanh_of(W(0.79788456080286536) * (v + W(0.044715) * v * v * v))))
EACH_FLOAT(UNARY_WITH, uelu, v > 0 ? v : p * expm1_of(v))
EACH_FLOAT(UNARY_WITH, upowf, pow_of(v, p))
