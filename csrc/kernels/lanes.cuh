// Storage formats, vectors of them, and reductions within a block, for the kernels on CUDA devices.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "moments.h"
#include "walk.h"

namespace dispr {
namespace cuda {

constexpr int kThreads = 256;

inline void check(cudaError_t error, const char* what) {
  if (error != cudaSuccess)
    throw std::runtime_error(std::string("dispr kernels: ") + what + ": " + cudaGetErrorString(error));
}

// The type of sums and parameters that goes with a storage format.
template <class S>
struct SumOf {
  using Type = float;
};
template <>
struct SumOf<double> {
  using Type = double;
};
template <class S>
using Sum = typename SumOf<S>::Type;

__device__ inline float widen(float v) { return v; }
__device__ inline double widen(double v) { return v; }
__device__ inline float widen(__half v) { return __half2float(v); }
__device__ inline float widen(__nv_bfloat16 v) { return __bfloat162float(v); }

template <class S>
__device__ inline S narrow(Sum<S> v);
template <>
__device__ inline float narrow<float>(float v) { return v; }
template <>
__device__ inline double narrow<double>(double v) { return v; }
template <>
__device__ inline __half narrow<__half>(float v) { return __float2half_rn(v); }
template <>
__device__ inline __nv_bfloat16 narrow<__nv_bfloat16>(float v) { return __float2bfloat16_rn(v); }

// W neighbouring elements, moved in one instruction.
template <class S, int W>
struct alignas(sizeof(S) * W) Pack {
  S v[W];
};

template <int W, class S>
__device__ inline void load(const S* from, Sum<S> (&to)[W]) {
  const Pack<S, W> pack = *reinterpret_cast<const Pack<S, W>*>(from);
#pragma unroll
  for (int j = 0; j < W; ++j) to[j] = widen(pack.v[j]);
}

template <int W, class S>
__device__ inline void store(S* to, const Sum<S> (&from)[W]) {
  Pack<S, W> pack;
#pragma unroll
  for (int j = 0; j < W; ++j) pack.v[j] = narrow<S>(from[j]);
  *reinterpret_cast<Pack<S, W>*>(to) = pack;
}

__device__ inline float sigmoid(float u) { return __fdividef(1.0f, 1.0f + expf(-u)); }
__device__ inline double sigmoid(double u) { return 1.0 / (1.0 + exp(-u)); }
__device__ inline float silu(float u) { return __fdividef(u, 1.0f + expf(-u)); }
__device__ inline double silu(double u) { return u / (1.0 + exp(-u)); }

// Moments of W numbers, by the mean first and the deviations from it second.
template <int W, class T>
__device__ inline Moments<T> moments_of(const T (&values)[W]) {
  T sum = 0, squares = 0;
#pragma unroll
  for (int j = 0; j < W; ++j) sum += values[j];
  const T mean = sum / W;
#pragma unroll
  for (int j = 0; j < W; ++j) squares += (values[j] - mean) * (values[j] - mean);
  return {T(W), mean, squares};
}

// Joins what the `rows` rows of threads hold for each of `columns` columns, in the order of a fixed tree; the results
// stand in values[0, columns). Every thread of the block must call this.
template <class Value, class Join>
__device__ inline void join_rows(Value* values, int columns, int rows, Join join) {
  int step = 1;
  while (step < rows) step *= 2;
  for (step /= 2; step > 0; step /= 2) {
    __syncthreads();
    const int row = threadIdx.x / columns;
    if (row < step && row + step < rows)
      values[threadIdx.x] = join(values[threadIdx.x], values[threadIdx.x + step * columns]);
  }
  __syncthreads();
}

template <class T>
__device__ inline Moments<T> merge_lanes(Moments<T> mine) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    mine = merge(mine, Moments<T>{__shfl_down_sync(~0u, mine.count, step), __shfl_down_sync(~0u, mine.mean, step),
                                  __shfl_down_sync(~0u, mine.m2, step)});
  return {__shfl_sync(~0u, mine.count, 0), __shfl_sync(~0u, mine.mean, 0), __shfl_sync(~0u, mine.m2, 0)};
}

template <class T>
__device__ inline T sum_lanes(T mine) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) mine += __shfl_down_sync(~0u, mine, step);
  return __shfl_sync(~0u, mine, 0);
}

// u = (x − centre) · gain + offset per channel, as on the CPU: subtracting first keeps the digits of a small spread
// about a large mean.
template <class T>
struct Affine {
  T centre, gain, offset;
};

template <class T>
__device__ inline Affine<T> affine_of(T mean, T rstd, T weight, T bias, T scale, T shift) {
  return {mean, rstd * weight * (1 + scale), bias * (1 + scale) + shift};
}

template <class T>
__device__ inline T at_or_zero(const T* values, int64_t i) {
  return values ? values[i] : T(0);
}

// How many elements one instruction may move: 16 bytes' worth where every row starts on such a border, else one.
template <class S>
inline bool can_move_packs(int64_t divisible, std::initializer_list<const void*> pointers) {
  if (divisible % (16 / sizeof(S)) != 0) return false;
  for (const void* pointer : pointers)
    if (reinterpret_cast<uintptr_t>(pointer) % 16 != 0) return false;
  return true;
}

}  // namespace cuda
}  // namespace dispr
