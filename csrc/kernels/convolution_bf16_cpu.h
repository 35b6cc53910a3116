// The 3 x 3 x 3 convolution in bfloat16 on AMX: as products of tiles, a row of a tile for each voxel, summed over 27
// shifts of the volume and all channels before a sum leaves the tile registers.
//
// A shift is a place to read from: volumes are first copied with a border of zeros. A tile's 16 voxels must lie evenly
// spaced; where a line of the volume is not a multiple of 16 long they run on into the next line, so the border along the
// width is left out and three copies stand for the three shifts along it.
#pragma once

#include "bf16_products_cpu.h"
#include "buffer.h"
#include "convolution.h"
#include "group_norm_cpu.h"

#ifdef DISPR_HAS_BF16_PRODUCTS

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kTaps = 27, kTileRows = 16;
constexpr int64_t kBorderedElements = 1 << 18;  // of the copies worked on at once: they, x and weights stay in a level-2 cache

// The copies of one volume: `copies` of (depth + 2) planes of (height + 2) lines of `line` voxels of `channels`.
struct Bordered {
  int64_t depth, height, width, given, channels, copies, line;

  explicit Bordered(const Bf16Convolution& a)
      : depth(a.depth), height(a.height), width(a.width), given(a.in_channels),
        channels(round_up(a.in_channels, kDepthStep)), copies(a.width % kTileRows == 0 ? 1 : 3),
        line(copies == 1 ? a.width + 2 : a.width) {}

  int64_t plane() const { return (height + 2) * line * channels; }
  int64_t copy() const { return (depth + 2) * plane(); }
  // Tiles that are not full read on behind the last voxel.
  int64_t elements() const { return copies * copy() + (kSide + 2 * line) * channels; }
  // Where the values of the voxels from number i of a plane on begin, seen from the plane's first line.
  int64_t tile(int64_t i) const { return (copies == 1 ? i / width * line + i % width : i) * channels; }
  int64_t shift(int64_t w) const { return w * (copies == 1 ? channels : copy()); }
};

inline void set_zero(Bfloat16* from, int64_t count) { __builtin_memset(from, 0, size_t(count) * 2); }

// Writes plane d of the planes within a border, of all copies. put(voxel, count, to) writes neighbouring voxels of the
// volume; the copies moved to either side take them from the one that is not.
template <class Put>
inline void border_plane(const Bordered& b, int64_t d, Bfloat16* to, Put&& put) {
  const int64_t line = b.line * b.channels, voxel = b.channels;
  for (int64_t h = 0; h < b.height + 2; ++h) {
    Bfloat16* at[3];
    for (int64_t i = 0; i < b.copies; ++i) at[i] = to + i * b.copy() + d * b.plane() + h * line;
    if (d == 0 || d > b.depth || h == 0 || h > b.height) {
      for (int64_t i = 0; i < b.copies; ++i) set_zero(at[i], line);
      continue;
    }
    const int64_t first = ((d - 1) * b.height + h - 1) * b.width;
    if (b.copies == 1) {
      set_zero(at[0], voxel);
      put(first, b.width, at[0] + voxel);
      set_zero(at[0] + line - voxel, voxel);
    } else {
      put(first, b.width, at[1]);
      set_zero(at[0], voxel);
      __builtin_memcpy(at[0] + voxel, at[1], size_t(line - voxel) * 2);
      __builtin_memcpy(at[2], at[1] + voxel, size_t(line - voxel) * 2);
      set_zero(at[2] + line - voxel, voxel);
    }
  }
}

// Neighbouring voxels as they are, each filled up with zeros.
inline void copy_voxels(const Bordered& b, const Bfloat16* from, int64_t count, Bfloat16* to) {
  if (b.given == b.channels) return void(__builtin_memcpy(to, from, size_t(count * b.channels) * 2));
  for (int64_t i = 0; i < count; ++i) {
    __builtin_memcpy(to + i * b.channels, from + i * b.given, size_t(b.given) * 2);
    set_zero(to + i * b.channels + b.given, b.channels - b.given);
  }
}

// Sums of 32 voxels from number `first` of a plane on, by 32 outputs; `b` are the two panels of these.
DISPR_INLINE void convolve_block(const Bordered& from, const Bfloat16* plane, int64_t first, const Bfloat16* b,
                                 float* sums) {
  const int64_t upper = from.tile(first), lower = from.tile(first + kTileRows), step = kTaps * from.channels * kPanelColumns;
  asm volatile("" ::: "memory");  // as in multiply_block
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t d = 0; d < 3; ++d)
    for (int64_t h = 0; h < 3; ++h)
      for (int64_t w = 0; w < 3; ++w) {
        const Bfloat16* a = plane + d * from.plane() + h * from.line * from.channels + from.shift(w);
        for (int64_t k = 0; k < from.channels; k += kDepthStep, b += kDepthStep * kPanelColumns) {
          _tile_loadd(4, a + upper + k, from.channels * 2);
          _tile_loadd(6, b, 64);
          _tile_loadd(7, b + step, 64);
          _tile_dpbf16ps(0, 4, 6);
          _tile_dpbf16ps(1, 4, 7);
          _tile_loadd(5, a + lower + k, from.channels * 2);
          _tile_dpbf16ps(2, 5, 6);
          _tile_dpbf16ps(3, 5, 7);
        }
      }
  _tile_stored(0, sums, kSide * 4);
  _tile_stored(1, sums + kTileRows, kSide * 4);
  _tile_stored(2, sums + kTileRows * kSide, kSide * 4);
  _tile_stored(3, sums + kTileRows * kSide + kTileRows, kSide * 4);
  asm volatile("" ::: "memory");
}

// One plane of y.
inline void convolve_plane(const Bf16Convolution& a, const Bordered& from, const Bfloat16* plane, int64_t first_voxel) {
  const int64_t voxels = a.height * a.width;
  const Tiles tiles;
  const Buffer<float> sums(kSide * kSide);
  for (int64_t first = 0; first < voxels; first += kSide)
    for (int64_t k = 0; k < a.out_channels; k += kSide) {
      convolve_block(from, plane, first, static_cast<const Bfloat16*>(a.panels) + k * kTaps * from.channels, sums + 0);
      for (int64_t r = 0; r < smaller(kSide, voxels - first); ++r)
        for_each_vector<FloatVector>(smaller(kSide, a.out_channels - k), [&](int64_t c, auto width) {
          const int64_t at = (first_voxel + first + r) * a.out_channels + k + c;
          FloatVector value = load<FloatVector>(sums + (r * kSide + c), Whole{});
          if (a.bias) value += load<FloatVector>(static_cast<const float*>(a.bias) + k + c, width);
          if (a.residual) value += load<FloatVector>(static_cast<const Bfloat16*>(a.residual) + at, width);
          store(static_cast<Bfloat16*>(a.y) + at, value, width);
        });
    }
}

void convolution_bf16(const Bf16Convolution& a, const Parallel& parallel) {
  const Bordered b(a);
  const int64_t volume = a.depth * a.height * a.width, planes = a.depth + 2;
  const int64_t together = smaller(a.samples, larger(1, kBorderedElements / larger(1, b.elements())));
  const Buffer<Bfloat16> bordered(together * b.elements());
  const GroupNormShape shape{a.samples, a.in_channels, volume, a.norm ? a.norm->shape.groups : 1, true};
  const Cut cut(shape, Lanes<FloatVector>::count);
  const int64_t normed = a.norm ? 1 : 0;
  const Buffer<double> mean(normed * cut.partials()), m2(normed * cut.partials());
  const Affine<float> affine(normed * a.samples * cut.stride);

  for (int64_t start = 0; start < a.samples; start += together) {
    const int64_t here = smaller(together, a.samples - start);
    if (a.norm) prepare<FloatVector, Bfloat16>(*a.norm, cut, start, here, affine, mean, m2, parallel);
    parallel_for(parallel, here * planes, b.plane() * (1 + 4 * normed), [&](int64_t task) {
      const int64_t n = task / planes;
      const Bfloat16* x = static_cast<const Bfloat16*>(a.x) + (start + n) * volume * a.in_channels;
      border_plane(b, task % planes, bordered + n * b.elements(), [&](int64_t voxel, int64_t count, Bfloat16* to) {
        const Bfloat16* from = x + voxel * a.in_channels;
        if (!a.norm) return copy_voxels(b, from, count, to);
        if (b.given < b.channels) set_zero(to, count * b.channels);
        activate_rows<FloatVector, Bfloat16>(b.given, from, nullptr, to, b.channels, count, affine,
                                             cut.table(start + n));
      });
    });
    parallel_for(parallel, here * a.depth, a.height * a.width * a.out_channels * 4, [&](int64_t task) {
      const int64_t n = task / a.depth, d = task % a.depth;
      convolve_plane(a, b, bordered + (n * b.elements() + d * b.plane()),
                     (start + n) * volume + d * a.height * a.width);
    });
  }
}

// Packs weights as panels: for each 16 outputs tap by tap, with inputs as rows and outputs as columns; zeros fill up.
void pack_convolution(const ConvolutionWeights& a, const Parallel& parallel) {
  const int64_t depth = round_up(a.in_channels, kDepthStep), panels = round_up(a.out_channels, kSide) / kPanelColumns;
  parallel_for(parallel, panels * kTaps, depth * kPanelColumns, [&](int64_t task) {
    const int64_t panel = task / kTaps, tap = task % kTaps;
    Bfloat16* to = static_cast<Bfloat16*>(a.panels) + task * depth * kPanelColumns;
    const float* from = static_cast<const float*>(a.weight) + panel * kPanelColumns * a.out_stride + tap * a.tap_stride;
    const int64_t outputs = smaller(kPanelColumns, a.out_channels - panel * kPanelColumns);
    for (int64_t c = 0; c < depth; c += 2, to += kDepthStep) {
      float pair[2][kPanelColumns] = {};
      for (int64_t i = 0; i < smaller(2, a.in_channels - c); ++i)
        for (int64_t k = 0; k < outputs; ++k) pair[i][k] = from[k * a.out_stride + (c + i) * a.in_stride];
      store_pair(to, load<FloatVector>(pair[0], Whole{}), load<FloatVector>(pair[1], Whole{}));
    }
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr

#endif
