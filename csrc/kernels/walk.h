// How blocks of threads walk over a tensor. Index arithmetic alone, for CUDA devices and for the test of it on the CPU.
#pragma once

#include <cstdint>

#include "group_norm.h"
#include "host_device.h"

namespace dispr {

constexpr int64_t kPartElements = 8192;  // elements one block walks; fixed, so that no result depends on the batch

DISPR_HOST_DEVICE inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
DISPR_HOST_DEVICE inline int64_t most(int64_t a, int64_t b) { return a < b ? b : a; }
DISPR_HOST_DEVICE inline int64_t quotient_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A tensor as `samples` x `rows` x `columns` vectors of `width` elements. A block takes `part` rows of `tile` columns.
struct View {
  int64_t samples, rows, columns, width, tile, tiles, part, parts;

  DISPR_HOST_DEVICE int64_t blocks_per_sample() const { return parts * tiles; }
  DISPR_HOST_DEVICE int64_t blocks() const { return samples * blocks_per_sample(); }
  DISPR_HOST_DEVICE int64_t offset(int64_t sample, int64_t row, int64_t column) const {
    return ((sample * rows + row) * columns + column) * width;
  }
};

inline View make_view(int64_t samples, int64_t rows, int64_t columns, int64_t width, int64_t threads) {
  View view{samples, rows, columns, width, 1, 1, 1, 1};
  view.tile = most(1, least(columns, threads));
  view.tiles = most(1, quotient_up(columns, view.tile));
  view.part = most(threads / view.tile, kPartElements / most(1, view.tile * width));
  view.parts = most(1, quotient_up(rows, view.part));
  return view;
}

// One thread's way through its block: rows row, row + step, ... below last, all in one column.
struct Walk {
  int64_t sample, column, row, last, step;
  bool active;
};

DISPR_HOST_DEVICE inline Walk walk(const View& view, int64_t block, int64_t thread, int64_t threads) {
  const int64_t tile = block % view.tiles, part = block / view.tiles % view.parts;
  Walk way;
  way.sample = block / view.blocks_per_sample();
  way.step = threads / view.tile;
  way.column = tile * view.tile + thread % view.tile;
  way.row = part * view.part + thread / view.tile;
  way.last = least(view.rows, (part + 1) * view.part);
  way.active = thread / view.tile < way.step && way.column < view.columns;
  return way;
}

// A tensor seen for the moments of its groups, and seen for its channels. Contiguous tensors have a single column, and
// count a group, or a channel, as a sample.
inline View moments_view(const GroupNormShape& s, int64_t width, int64_t threads) {
  if (s.channels_last) return make_view(s.samples, s.voxels, s.channels / width, width, threads);
  return make_view(s.samples * s.groups, s.channels / s.groups * s.voxels / width, 1, width, threads);
}
inline View channels_view(const GroupNormShape& s, int64_t width, int64_t threads) {
  if (s.channels_last) return make_view(s.samples, s.voxels, s.channels / width, width, threads);
  return make_view(s.samples * s.channels, s.voxels / width, 1, width, threads);
}

}  // namespace dispr
