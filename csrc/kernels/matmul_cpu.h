// Matrix products in registers: a tile of kRows x kColumns sums, fed by rows of a and by packed panels of b.
#pragma once

#include "simd.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

// 6 x 2 sums, 2 of b and 1 of a are fifteen of sixteen registers; 12 x 2 and these are 27 of the 32 of AVX-512.
constexpr int kRows = DISPR_LANES == 16 ? 12 : 6;
template <class V>
constexpr int64_t kColumns = 2 * Lanes<V>::count;

template <class V>
struct Tile {
  V sums[kRows][2];
};

// tile += a · b, with a's rows `stride` apart and b a panel: for each of `depth` steps, kColumns neighbouring values.
template <class V>
DISPR_INLINE void multiply(Tile<V>& tile, const ScalarOf<V>* a, int64_t stride, const ScalarOf<V>* b, int64_t depth) {
  V sums[kRows][2];
  DISPR_UNROLL_FULLY
  for (int r = 0; r < kRows; ++r) {
    sums[r][0] = tile.sums[r][0];
    sums[r][1] = tile.sums[r][1];
  }
  for (int64_t k = 0; k < depth; ++k) {
    const V b0 = load<V>(b + k * kColumns<V>, Whole{}), b1 = load<V>(b + k * kColumns<V> + Lanes<V>::count, Whole{});
    DISPR_UNROLL_FULLY
    for (int r = 0; r < kRows; ++r) {
      sums[r][0] += a[r * stride + k] * b0;
      sums[r][1] += a[r * stride + k] * b1;
    }
  }
  DISPR_UNROLL_FULLY
  for (int r = 0; r < kRows; ++r) {
    tile.sums[r][0] = sums[r][0];
    tile.sums[r][1] = sums[r][1];
  }
}

template <class V>
DISPR_INLINE void load_tile(Tile<V>& tile, const ScalarOf<V>* from, int64_t stride) {
  DISPR_UNROLL_FULLY
  for (int r = 0; r < kRows; ++r) {
    tile.sums[r][0] = load<V>(from + r * stride, Whole{});
    tile.sums[r][1] = load<V>(from + r * stride + Lanes<V>::count, Whole{});
  }
}

template <class V>
DISPR_INLINE void store_tile(const Tile<V>& tile, ScalarOf<V>* to, int64_t stride) {
  DISPR_UNROLL_FULLY
  for (int r = 0; r < kRows; ++r) {
    store(to + r * stride, tile.sums[r][0], Whole{});
    store(to + r * stride + Lanes<V>::count, tile.sums[r][1], Whole{});
  }
}

// Packs the rows of a weight matrix (outputs x inputs) into panels of kColumns outputs; missing outputs become zero.
template <class V>
inline void pack_outputs(const ScalarOf<V>* weight, int64_t outputs, int64_t inputs, ScalarOf<V>* panels) {
  constexpr int64_t columns = kColumns<V>;
  for (int64_t first = 0; first < outputs; first += columns)
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t c = 0; c < columns; ++c)
        *panels++ = first + c < outputs ? weight[(first + c) * inputs + k] : ScalarOf<V>(0);
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
