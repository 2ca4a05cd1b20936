// What follows a convolution, for one element: z = x scale[n, c] + noise[n, p] + bias[c], y = clamp(gain act(z), +- limit).
#pragma once
#include "element.cuh"

// The activations, numbered as in the crate's `epilogue` module.
enum Act { LINEAR, LRELU, SWISH, GELU, QUICK_GELU };

__device__ inline float sigmoid(float z) { return 1.0f / (1.0f + expf(-z)); }

__device__ inline float act_value(int act, float alpha, float z) {
    switch (act) {
    case LINEAR: return z;
    // Not z * 0 for a slope of zero: that is NaN for minus infinity.
    case LRELU: return z > 0.0f ? z : (alpha == 0.0f && z <= 0.0f ? 0.0f : z * alpha);
    case SWISH: return z * sigmoid(z);
    case GELU: return 0.5f * z * (1.0f + erff(z * 0.70710678118654752f));
    default: return z * sigmoid(1.702f * z);
    }
}

// The derivative at z; at a kink, that from below.
__device__ inline float act_slope(int act, float alpha, float z) {
    switch (act) {
    case LINEAR: return 1.0f;
    case LRELU: return z > 0.0f ? 1.0f : alpha;
    case SWISH: { float s = sigmoid(z); return s * (1.0f + z * (1.0f - s)); }
    case GELU: return 0.5f * (1.0f + erff(z * 0.70710678118654752f)) + z * 0.39894228040143268f * expf(-0.5f * z * z);
    default: { float s = sigmoid(1.702f * z); return s * (1.0f + 1.702f * z * (1.0f - s)); }
    }
}

// Null for a part that is absent; a part's memory holds S. `shared_noise`: one plane of noise for all images.
template <class S> struct EpilogueOf {
    const S *scale, *noise, *bias;
    int shared_noise, act;
    float alpha, gain, limit;

    __device__ float argument(float x, int n, int c, int channels, i64 p, i64 pixels) const {
        float z = scale ? x * wide(scale[(i64)n * channels + c]) : x;
        if (noise) z += wide(noise[(shared_noise ? 0 : n * pixels) + p]);
        return bias ? z + wide(bias[c]) : z;
    }

    __device__ float apply(float x, int n, int c, int channels, i64 p, i64 pixels) const {
        float y = gain * act_value(act, alpha, argument(x, n, c, channels, p, pixels));
        return y > limit ? limit : (y < -limit ? -limit : y); // A NaN stays one.
    }

    // The gradient of z from that of y: zero beyond the limit, and where the slope is zero also for an infinite gy.
    __device__ float back(float z, float gy) const {
        float y = gain * act_value(act, alpha, z), slope = act_slope(act, alpha, z);
        return y > limit || y < -limit || slope == 0.0f ? 0.0f : gy * gain * slope;
    }
};

// An Epilogue's fields as kernel parameters, and the value made of them.
#define EPILOGUE_PARAMS_OF(S)                                                                                            \
    const S *scale, const S *noise, const S *bias, int shared_noise, int act, float alpha, float gain, float limit
#define EPILOGUE_OF(S) EpilogueOf<S>{scale, noise, bias, shared_noise, act, alpha, gain, limit}

typedef EpilogueOf<float> Epilogue;
#define EPILOGUE_PARAMS EPILOGUE_PARAMS_OF(float)
#define EPILOGUE EPILOGUE_OF(float)
