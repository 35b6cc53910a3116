// Normal noise on the CPU: the text compiled once per instruction set. Bits are drawn word by word, which the processor's
// own product of 64-bit numbers does as fast as vectors would; numbers are made of them vector by vector.
#pragma once

#include "noise.h"
#include "random.h"
#include "simd.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kTogether = 32;  // chunks of one task

struct VectorLanes {
  using Float = FloatVector;
  using Int = IntVector;
  using Word = WordVector;
  static Float number(Int v) { return __builtin_convertvector(v, FloatVector); }
  static Int bits(Float v) { return bit_cast<IntVector>(v); }
  static Float from_bits(Int v) { return bit_cast<FloatVector>(v); }
};

inline FloatVector square_root(FloatVector v) {
#if defined(__AVX512F__) && DISPR_LANES == 16
  return (FloatVector)_mm512_sqrt_ps((__m512)v);
#elif defined(__AVX2__) && DISPR_LANES == 8
  return (FloatVector)_mm256_sqrt_ps((__m256)v);
#elif defined(__SSE2__) && DISPR_LANES == 4
  return (FloatVector)_mm_sqrt_ps((__m128)v);
#else
  for (int i = 0; i < DISPR_LANES; ++i) v[i] = std::sqrt(v[i]);
  return v;
#endif
}

// The lower halves, or the upper ones, of as many 64-bit words as there are lanes; the first ones in a, the others in b.
template <bool kUpper>
inline WordVector halves_of(WordVector a, WordVector b) {
#if defined(__AVX512F__) && DISPR_LANES == 16
  alignas(64) static constexpr int32_t order[2][16] = {{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30},
                                                       {1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31}};
  return (WordVector)_mm512_permutex2var_epi32((__m512i)a, _mm512_load_si512(order[kUpper]), (__m512i)b);
#elif defined(__AVX2__) && DISPR_LANES == 8
  const __m256i mixed = (__m256i)_mm256_shuffle_ps((__m256)a, (__m256)b, kUpper ? 0xdd : 0x88);
  return (WordVector)_mm256_permute4x64_epi64(mixed, 0xd8);
#elif defined(__SSE2__) && DISPR_LANES == 4
  return (WordVector)_mm_shuffle_ps((__m128)a, (__m128)b, kUpper ? 0xdd : 0x88);
#else
  WordVector picked;
  for (int i = 0; i < DISPR_LANES; ++i) {
    const int from = 2 * i + kUpper;
    picked[i] = from < DISPR_LANES ? a[from] : b[from - DISPR_LANES];
  }
  return picked;
#endif
}

// Draws `chunks` whole chunks, at most kTogether. All bits first: vectors read them when they have left the store buffer.
inline void draw_chunks(uint64_t key0, uint64_t key1, uint64_t first_block, int64_t chunks, float* y) {
  RandomBlock blocks[kTogether * kChunkBlocks];
  for (int64_t b = 0; b < chunks * kChunkBlocks; ++b) blocks[b] = philox(key0, key1, first_block + uint64_t(b));
  const uint64_t* words = blocks[0].words;
  for (int64_t chunk = 0; chunk < chunks; ++chunk, words += kChunkWords, y += kChunkNormals)
    for (int64_t i = 0; i < kChunkWords; i += DISPR_LANES) {
      WordVector a, b;  // of 64-bit words half as many as lanes
      __builtin_memcpy(&a, words + i, sizeof a);
      __builtin_memcpy(&b, words + i + DISPR_LANES / 2, sizeof b);
      const Polar<VectorLanes> point = polar<VectorLanes>(halves_of<false>(a, b), halves_of<true>(a, b));
      const FloatVector radius = square_root(point.square);
      store(y + i, radius * point.cosine, Whole{});
      store(y + kChunkWords + i, radius * point.sine, Whole{});
    }
}

void normal_noise(const NormalNoise& a, const Parallel& parallel) {
  const int64_t chunks = ceil_div(a.count, kChunkNormals), parts = ceil_div(chunks, kTogether);
  parallel_for(parallel, a.samples * parts, kTogether * kChunkNormals * 4, [&](int64_t task) {
    const int64_t n = task / parts, first = task % parts * kTogether, whole = a.count / kChunkNormals;
    const uint64_t key0 = uint64_t(a.streams[3 * n]), key1 = uint64_t(a.streams[3 * n + 1]);
    const uint64_t block = uint64_t(a.streams[3 * n + 2]);
    const auto draw = [&](int64_t chunk, int64_t count, float* y) {
      draw_chunks(key0, key1, block + uint64_t(chunk * kChunkBlocks), count, y);
    };
    float* y = a.y + n * a.count;
    if (first < whole) draw(first, smaller(kTogether, whole - first), y + first * kChunkNormals);
    if (first + kTogether < chunks || whole == chunks) return;
    float last[kChunkNormals];
    draw(whole, 1, last);
    for (int64_t i = whole * kChunkNormals; i < a.count; ++i) y[i] = last[i - whole * kChunkNormals];
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
