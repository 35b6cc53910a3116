// Vectors of DISPR_LANES floats for the sources that are compiled once per instruction set.
//
// Written with the compilers' own vector type, so one text serves SSE, AVX2, NEON and what comes later. Everything
// lives in an unnamed namespace: the linker must never take one instruction set's copy of a function for another's.
#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#if defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#include "parallel.h"

// The compiler writes the body of the next loop out four times, so that independent vectors fill each other's waiting
// times; or as often as the loop runs, so that arrays of vectors stay in registers.
#if defined(__clang__)
#define DISPR_UNROLL _Pragma("clang loop unroll_count(4)")
#define DISPR_UNROLL_FULLY _Pragma("clang loop unroll(full)")
#else
#define DISPR_UNROLL _Pragma("GCC unroll 4")
#define DISPR_UNROLL_FULLY _Pragma("GCC unroll 16")
#endif

// For functions whose vectors must not travel through memory.
#define DISPR_INLINE inline __attribute__((always_inline))

namespace dispr {
namespace DISPR_ISA {
namespace {

typedef float FloatVector __attribute__((vector_size(4 * DISPR_LANES)));
typedef int32_t IntVector __attribute__((vector_size(4 * DISPR_LANES)));
typedef uint32_t WordVector __attribute__((vector_size(4 * DISPR_LANES)));
typedef uint16_t HalfWordVector __attribute__((vector_size(2 * DISPR_LANES)));

struct Bfloat16 {
  uint16_t bits;
};

// A vector type V is FloatVector, or double as a vector of one lane (for gradcheck, where speed is no matter).
template <class V>
struct Lanes {
  using Scalar = float;
  static constexpr int64_t count = DISPR_LANES;
};
template <>
struct Lanes<double> {
  using Scalar = double;
  static constexpr int64_t count = 1;
};
template <class V>
using ScalarOf = typename Lanes<V>::Scalar;

template <class To, class From>
inline To bit_cast(const From& from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast keeps the size");
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }
inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// --- what the vector type alone does not give in one instruction ---------------------------------------------------

#if defined(__AVX512F__) && DISPR_LANES == 16
inline FloatVector at_least(FloatVector low, FloatVector x) { return (FloatVector)_mm512_max_ps((__m512)low, (__m512)x); }
inline FloatVector at_most(FloatVector high, FloatVector x) { return (FloatVector)_mm512_min_ps((__m512)high, (__m512)x); }
inline WordVector widened(HalfWordVector v) { return (WordVector)_mm512_cvtepu16_epi32((__m256i)v); }
inline HalfWordVector narrowed(WordVector v) { return (HalfWordVector)_mm512_cvtepi32_epi16((__m512i)v); }
#elif defined(__AVX2__) && DISPR_LANES == 8
inline FloatVector at_least(FloatVector low, FloatVector x) { return (FloatVector)_mm256_max_ps((__m256)low, (__m256)x); }
inline FloatVector at_most(FloatVector high, FloatVector x) { return (FloatVector)_mm256_min_ps((__m256)high, (__m256)x); }
inline WordVector widened(HalfWordVector v) { return (WordVector)_mm256_cvtepu16_epi32((__m128i)v); }
inline HalfWordVector narrowed(WordVector v) {  // of numbers below 2^16
  const __m256i packed = _mm256_packus_epi32((__m256i)v, (__m256i)v);
  return (HalfWordVector)_mm256_castsi256_si128(_mm256_permute4x64_epi64(packed, 0xd8));
}
#elif defined(__SSE2__) && DISPR_LANES == 4
inline FloatVector at_least(FloatVector low, FloatVector x) { return (FloatVector)_mm_max_ps((__m128)low, (__m128)x); }
inline FloatVector at_most(FloatVector high, FloatVector x) { return (FloatVector)_mm_min_ps((__m128)high, (__m128)x); }
inline WordVector widened(HalfWordVector v) { return __builtin_convertvector(v, WordVector); }
inline HalfWordVector narrowed(WordVector v) { return __builtin_convertvector(v, HalfWordVector); }
#else
inline FloatVector at_least(FloatVector low, FloatVector x) { return low > x ? low : x; }
inline FloatVector at_most(FloatVector high, FloatVector x) { return high < x ? high : x; }
inline WordVector widened(HalfWordVector v) { return __builtin_convertvector(v, WordVector); }
inline HalfWordVector narrowed(WordVector v) { return __builtin_convertvector(v, HalfWordVector); }
#endif

// --- loading and storing: storage formats become float lanes -------------------------------------------------------

inline FloatVector load_lanes(const float* p, FloatVector*) {
  FloatVector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
inline double load_lanes(const double* p, double*) { return *p; }

inline FloatVector load_lanes(const Bfloat16* p, FloatVector*) {
  HalfWordVector half;
  __builtin_memcpy(&half, p, sizeof half);
  return bit_cast<FloatVector>(widened(half) << 16);
}

inline void store_lanes(float* p, FloatVector v) { __builtin_memcpy(p, &v, sizeof v); }
inline void store_lanes(double* p, double v) { *p = v; }

// Round to nearest, ties to even; NaN stays NaN.
#if defined(__AVX512BF16__) && DISPR_LANES == 16
inline void store_lanes(Bfloat16* p, FloatVector v) {
  const auto half = _mm512_cvtneps_pbh((__m512)v);
  __builtin_memcpy(p, &half, sizeof half);
}
#else
inline void store_lanes(Bfloat16* p, FloatVector v) {
  const WordVector word = bit_cast<WordVector>(v);
  const WordVector rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
  const WordVector nan = WordVector{} + 0x7fc0u;
  const HalfWordVector half = narrowed(v == v ? rounded : nan);
  __builtin_memcpy(p, &half, sizeof half);
}
#endif

// A whole vector, or the first `count` lanes of one at the end of a row (the others read as zero).
struct Whole {};
struct Part {
  int64_t count;
};

template <class V, class S>
inline V load(const S* p, Whole) {
  return load_lanes(p, static_cast<V*>(nullptr));
}
template <class V, class S>
inline V load(const S* p, Part part) {
  S lanes[Lanes<V>::count] = {};
  for (int64_t i = 0; i < part.count; ++i) lanes[i] = p[i];
  return load_lanes(lanes, static_cast<V*>(nullptr));
}
template <class V, class S>
inline void store(S* p, V v, Whole) {
  store_lanes(p, v);
}
template <class V, class S>
inline void store(S* p, V v, Part part) {
  S lanes[Lanes<V>::count];
  store_lanes(lanes, v);
  for (int64_t i = 0; i < part.count; ++i) p[i] = lanes[i];
}

// Calls f(offset, Whole or Part) over `count` elements.
template <class V, class F>
inline void for_each_vector(int64_t count, F&& f) {
  int64_t i = 0;
  DISPR_UNROLL
  for (; i + Lanes<V>::count <= count; i += Lanes<V>::count) f(i, Whole{});
  if (i < count) f(i, Part{count - i});
}

// Calls f(strip, offset, Whole or Part) over `count` neighbouring columns: strips of two vectors, then of one.
template <class V, class F>
inline void for_each_strip(int64_t count, F&& f) {
  constexpr int64_t L = Lanes<V>::count;
  int64_t c = 0;
  for (; c + 2 * L <= count; c += 2 * L) f(std::integral_constant<int, 2>{}, c, Whole{});
  for (; c + L <= count; c += L) f(std::integral_constant<int, 1>{}, c, Whole{});
  if (c < count) f(std::integral_constant<int, 1>{}, c, Part{count - c});
}

template <class V>
inline double sum_of_lanes(V v) {
  ScalarOf<V> lanes[Lanes<V>::count];
  __builtin_memcpy(lanes, &v, sizeof v);
  double sum = 0;
  for (int64_t i = 0; i < Lanes<V>::count; ++i) sum += lanes[i];
  return sum;
}

// --- exponential and reciprocal ------------------------------------------------------------------------------------

// 2^t = 2^n 2^r with n whole; 2^r within a unit in the last place by the polynomial through 1 that is minimax in
// relative error (2e-9). Outside [-126, 125] it stays at the ends of float's normal range; NaN stays NaN.
#if defined(__AVX512F__) && defined(__AVX512DQ__) && DISPR_LANES == 16
template <bool kNeverPositive = false>
inline FloatVector exp2_lanes(FloatVector t) {  // 0 <= r < 1: one instruction takes it, and one puts 2^n in again
  t = at_least(FloatVector{} - 126.0f, t);
  if (!kNeverPositive) t = at_most(FloatVector{} + 125.0f, t);
  const FloatVector r = (FloatVector)_mm512_reduce_ps((__m512)t, 0x09);
  FloatVector p = r * 2.16114681e-4f + 1.24682308e-3f;
  p = p * r + 9.67541471e-3f;
  p = p * r + 5.54852960e-2f;
  p = p * r + 2.40229303e-1f;
  p = p * r + 6.93147045e-1f;
  p = p * r + 1.0f;
  return (FloatVector)_mm512_scalef_ps((__m512)p, (__m512)t);
}
#else
template <bool kNeverPositive = false>
inline FloatVector exp2_lanes(FloatVector t) {  // |r| <= 1/2
  t = at_least(FloatVector{} - 126.0f, t);
  if (!kNeverPositive) t = at_most(FloatVector{} + 125.0f, t);
  // Adding 1.5 · 2^23 rounds to an integer in the low bits; 127 more makes those bits the exponent of 2^n.
  const FloatVector shifted = t + (0x1.8p23f + 127);
  const FloatVector r = t - (shifted - (0x1.8p23f + 127));
  FloatVector p = r * 1.47721414e-4f + 1.33656735e-3f;
  p = p * r + 9.61950912e-3f;
  p = p * r + 5.55041194e-2f;
  p = p * r + 2.40226507e-1f;
  p = p * r + 6.93147181e-1f;
  p = p * r + 1.0f;
  return p * bit_cast<FloatVector>(bit_cast<WordVector>(shifted) << 23);
}
#endif
template <bool kNeverPositive = false>
inline double exp2_lanes(double t) {
  return std::exp2(t);
}

// exp(x) by way of 2^(x / ln 2), to be added to 1: relative error 1e-7 + |x| 2^-24, so that silu's absolute error stays
// below a rounding of 1. Anything below 2^-126 may come out as 0.
#if defined(__AVX512F__) && defined(__AVX512DQ__) && DISPR_LANES == 16
inline FloatVector exp_beside_one(FloatVector x) {  // as exp2_lanes, with one coefficient and one bound less
  const FloatVector t = at_most(FloatVector{} + 125.0f, x * 1.44269504f);
  const FloatVector r = (FloatVector)_mm512_reduce_ps((__m512)t, 0x09);
  FloatVector p = r * 1.86713007e-3f + 9.01703032e-3f;
  p = p * r + 5.57999131e-2f;
  p = p * r + 2.40164450e-1f;
  p = p * r + 6.93151312e-1f;
  p = p * r + 1.0f;
  return (FloatVector)_mm512_scalef_ps((__m512)p, (__m512)t);
}
#else
inline FloatVector exp_beside_one(FloatVector x) { return exp2_lanes(x * 1.44269504f); }
#endif
inline double exp_beside_one(double x) { return std::exp(x); }
inline double at_least(double low, double x) { return low > x ? low : x; }
inline double at_most(double high, double x) { return high < x ? high : x; }

// 1 / d for 1 <= d <= 2^125, to the last place or the one before: where a division takes long, by an estimate and a step
// of Newton's.
#if defined(__AVX512F__) && DISPR_LANES == 16
inline FloatVector reciprocal(FloatVector d) {
  const FloatVector y = (FloatVector)_mm512_rcp14_ps((__m512)d);
  return y + y * (1.0f - d * y);
}
#else
inline FloatVector reciprocal(FloatVector d) { return 1.0f / d; }
#endif
inline double reciprocal(double d) { return 1 / d; }

template <class V>
inline V sigmoid(V u) {
  return reciprocal(ScalarOf<V>(1) + exp_beside_one(-u));
}
template <class V>
inline V silu(V u) {
  return u * sigmoid(u);
}

// For results that are stored in bfloat16: relative errors of 1e-4, a fortieth of the rounding.
#if defined(__AVX512F__) && defined(__AVX512DQ__) && DISPR_LANES == 16
inline FloatVector exp2_bf16(FloatVector t) {  // 0 far below -126
  const FloatVector r = (FloatVector)_mm512_reduce_ps((__m512)t, 0x09);
  FloatVector p = r * 7.80245233e-2f + 2.26067155e-1f;
  p = p * r + 6.95833541e-1f;
  p = p * r + 9.99925219e-1f;
  return (FloatVector)_mm512_scalef_ps((__m512)p, (__m512)t);
}
inline FloatVector silu_bf16(FloatVector u) {
  const FloatVector e = exp2_bf16(at_most(FloatVector{} + 125.0f, u * -1.44269504f));
  return u * (FloatVector)_mm512_rcp14_ps((__m512)(1.0f + e));
}
#else
inline FloatVector silu_bf16(FloatVector u) { return silu(u); }
#endif

// silu to the precision of the format S its result is stored in.
template <class S, class V>
inline V silu_for(V u) {
  if constexpr (std::is_same_v<S, Bfloat16>) return silu_bf16(u);
  else return silu(u);
}

// --- threads --------------------------------------------------------------------------------------------------------

// Runs f(task) for every task. `work` is the number of elements a task handles: few of them share one thread.
template <class F>
inline void parallel_for(const Parallel& parallel, int64_t tasks, int64_t work, F&& f) {
  if (tasks <= 0) return;
  const int64_t grain = larger(1, 32768 / larger(1, work));
  parallel.run(
      tasks, grain,
      [](int64_t begin, int64_t end, void* context) {
        auto& body = *static_cast<std::remove_reference_t<F>*>(context);
        for (int64_t task = begin; task < end; ++task) body(task);
      },
      &f);
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
