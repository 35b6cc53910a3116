// Products of bfloat16 matrices with sums of float in AMX's tile registers: blocks of 32 x 32 sums.
//
// They want the right-hand matrix in panels of 16 columns: for each pair of rows, column by column, the upper value and
// the lower one. A panel of `depth` rows is 16 · depth elements long, and depth is a multiple of kDepthStep.
#pragma once

#include "simd.h"

#if defined(__AMX_BF16__) && DISPR_LANES == 16
#define DISPR_HAS_BF16_PRODUCTS

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kPanelColumns = 16, kDepthStep = 32;
constexpr int64_t kSide = 32;  // rows, and columns, of a block of sums

// The tile registers, while this lives: eight tiles of 16 rows of 64 bytes. Whoever else uses them sets them up anew.
class Tiles {
 public:
  Tiles() {
    alignas(64) static constexpr struct {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    _tile_loadconfig(&config);
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
  ~Tiles() { _tile_release(); }
};

// c = a · b, or c += a · b: 32 rows of a, `a_step` apart, and two panels of b, `b_step` apart. Tiles must be set up.
DISPR_INLINE void multiply_block(const Bfloat16* a, int64_t a_step, const Bfloat16* b, int64_t b_step, int64_t depth,
                                 float* c, int64_t c_step, bool add) {
  constexpr int64_t half = kSide / 2;
  asm volatile("" ::: "memory");  // what the tiles read has been written: the compiler does not see them read it
  if (add) {
    _tile_loadd(0, c, c_step * 4);
    _tile_loadd(1, c + half, c_step * 4);
    _tile_loadd(2, c + half * c_step, c_step * 4);
    _tile_loadd(3, c + half * c_step + half, c_step * 4);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (int64_t k = 0; k < depth; k += kDepthStep) {
    _tile_loadd(4, a + k, a_step * 2);
    _tile_loadd(6, b + k * kPanelColumns, 64);
    _tile_loadd(7, b + b_step + k * kPanelColumns, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + half * a_step + k, a_step * 2);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_step * 4);
  _tile_stored(1, c + half, c_step * 4);
  _tile_stored(2, c + half * c_step, c_step * 4);
  _tile_stored(3, c + half * c_step + half, c_step * 4);
  asm volatile("" ::: "memory");
}

// Two rows of a panel: column by column a value of `upper` and one of `lower`, rounded to bfloat16.
inline void store_pair(Bfloat16* to, FloatVector upper, FloatVector lower) {
  alignas(64) static constexpr uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  const __m512i sides = (__m512i)_mm512_cvtne2ps_pbh((__m512)lower, (__m512)upper);
  _mm512_storeu_si512(to, _mm512_permutexvar_epi16(_mm512_load_si512(order), sides));
}

// Thirty-two neighbouring values, rounded to bfloat16.
inline void store_side_by_side(Bfloat16* to, FloatVector first, FloatVector second) {
  _mm512_storeu_si512(to, (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first));
}

// Which lanes of two rows, `step` apart, meet at a step of a transposition: lanes whose bit `step` is set come from the
// second row. `near` keeps the first row's lane 0, `far` the second row's last.
struct Exchange {
  int32_t near[4][16], far[4][16];
  constexpr Exchange() : near{}, far{} {
    for (int s = 0; s < 4; ++s)
      for (int lane = 0; lane < 16; ++lane) {
        const int step = 8 >> s, odd = lane & step;
        near[s][lane] = odd ? 16 + lane - step : lane;
        far[s][lane] = odd ? 16 + lane : lane + step;
      }
  }
};
alignas(64) constexpr Exchange kExchange;

DISPR_INLINE FloatVector near_lanes(int s, FloatVector a, FloatVector b) {
  return (FloatVector)_mm512_permutex2var_ps((__m512)a, _mm512_load_si512(kExchange.near[s]), (__m512)b);
}
DISPR_INLINE FloatVector far_lanes(int s, FloatVector a, FloatVector b) {
  return (FloatVector)_mm512_permutex2var_ps((__m512)a, _mm512_load_si512(kExchange.far[s]), (__m512)b);
}

// Rows become columns: halves change places, then quarters, eighths and neighbours.
DISPR_INLINE void transpose(FloatVector (&rows)[16]) {
  DISPR_UNROLL_FULLY
  for (int s = 0; s < 4; ++s)
    DISPR_UNROLL_FULLY
    for (int i = 0; i < 16; ++i) {
      const int step = 8 >> s;
      if (i & step) continue;
      const FloatVector a = rows[i], b = rows[i + step];
      rows[i] = near_lanes(s, a, b);
      rows[i + step] = far_lanes(s, a, b);
    }
}

// Joins the lanes of each of 16 rows by `join`; lane r of the result is that of row r.
template <class Join>
DISPR_INLINE FloatVector join_lanes(FloatVector (&rows)[16], Join&& join) {
  DISPR_UNROLL_FULLY
  for (int s = 0; s < 4; ++s)
    DISPR_UNROLL_FULLY
    for (int i = 0; i < 8; ++i) {
      const int step = 8 >> s;
      if (i < step) rows[i] = join(near_lanes(s, rows[i], rows[i + step]), far_lanes(s, rows[i], rows[i + step]));
    }
  return rows[0];
}

// Packs the rows of a weight matrix (outputs x inputs, float) as the panels of their transpose: inputs are rows of the
// panels, zeros up to `depth`; missing outputs are zero too.
inline void pack_panels(const float* weight, int64_t outputs, int64_t inputs, int64_t panels, int64_t depth, Bfloat16* to) {
  for (int64_t panel = 0; panel < panels; ++panel)
    for (int64_t k = 0; k < depth; k += kPanelColumns, to += kPanelColumns * kPanelColumns) {
      FloatVector rows[kPanelColumns] = {};
      const int64_t first = panel * kPanelColumns, here = smaller(kPanelColumns, inputs - k);
      if (here > 0)
        for (int64_t r = 0; r < smaller(kPanelColumns, outputs - first); ++r) {
          const float* from = weight + (first + r) * inputs + k;
          rows[r] = here == kPanelColumns ? load<FloatVector>(from, Whole{}) : load<FloatVector>(from, Part{here});
        }
      transpose(rows);
      for (int64_t r = 0; r < kPanelColumns; r += 2) store_pair(to + r * kPanelColumns, rows[r], rows[r + 1]);
    }
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr

#endif
