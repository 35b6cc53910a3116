// Projection of patches on the CPU: the text compiled once per instruction set. Tokens are gathered, multiplied and
// written where they belong in one go, so that neither patches nor results are ever rearranged in memory.
#pragma once

#include "buffer.h"
#include "matmul_cpu.h"
#include "patches.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kPatches = 8 * kRows;  // tokens of one task

// Voxels of one side of the projection: `side`³ to each token.
struct PatchGrid {
  int64_t depth, height, width, side;

  static PatchGrid of(const PatchProjection& a, int64_t side) {
    return {a.depth * side, a.height * side, a.width * side, side};
  }

  // Number of the first of `side` neighbouring voxels, in the row (d, h) of a token's patch.
  int64_t voxel(const PatchProjection& a, int64_t token, int64_t d, int64_t h) const {
    const int64_t w = token % a.width, at_h = token / a.width % a.height, at_d = token / (a.width * a.height) % a.depth;
    const int64_t n = token / (a.width * a.height * a.depth);
    return ((n * depth + at_d * side + d) * height + at_h * side + h) * width + w * side;
  }
};

// Copies between the formats of tensors and of sums; runs shorter than a vector are common, so they must not cost more.
template <class V, class From, class To>
inline void copy_run(const From* from, To* to, int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  } else {
    for_each_vector<V>(count, [&](int64_t i, auto width) { store(to + i, load<V>(from + i, width), width); });
  }
}

template <class V, class S>
inline void gather_patch(const PatchProjection& a, const PatchGrid& grid, int64_t token, ScalarOf<V>* to) {
  const int64_t channels = a.values / (a.gather * a.gather * a.gather), run = a.gather * channels;
  for (int64_t d = 0; d < a.gather; ++d)
    for (int64_t h = 0; h < a.gather; ++h, to += run)
      copy_run<V>(static_cast<const S*>(a.x) + grid.voxel(a, token, d, h) * channels, to, run);
}

// Finishes a token's sums where they lie: scale and bias, and the bound unless a residual comes first.
template <class V>
inline void finish_sums(const PatchProjection& a, int64_t token, ScalarOf<V>* sums) {
  using T = ScalarOf<V>;
  const T* bias = static_cast<const T*>(a.bias);
  const T scale = a.scale ? static_cast<const T*>(a.scale)[token / (a.depth * a.height * a.width)] : T(1);
  const T bound(a.bound);
  for_each_vector<V>(a.outputs, [&](int64_t k, auto width) {
    V value = load<V>(sums + k, width) * scale;
    if (bias) value += load<V>(bias + k, width);
    if (a.bound >= 0 && !a.residual) value = at_most(V{} + bound, at_least(V{} - bound, value));
    store(sums + k, value, width);
  });
}

// Writes `count` neighbouring elements of y, the first of which is number `at`.
template <class V, class S>
inline void write_run(const PatchProjection& a, const ScalarOf<V>* values, int64_t at, int64_t count) {
  S* y = static_cast<S*>(a.y) + at;
  if (!a.residual) return copy_run<V>(values, y, count);
  const S* residual = static_cast<const S*>(a.residual) + at;
  const ScalarOf<V> bound(a.bound);
  for_each_vector<V>(count, [&](int64_t i, auto width) {
    V value = load<V>(values + i, width) + load<V>(residual + i, width);
    if (a.bound >= 0) value = at_most(V{} + bound, at_least(V{} - bound, value));
    store(y + i, value, width);
  });
}

template <class V, class S>
inline void scatter_outputs(const PatchProjection& a, const PatchGrid& grid, int64_t token, const ScalarOf<V>* values) {
  const int64_t side = a.scatter, channels = a.repeat ? a.outputs : a.outputs / (side * side * side);
  for (int64_t d = 0; d < side; ++d)
    for (int64_t h = 0; h < side; ++h) {
      const int64_t at = grid.voxel(a, token, d, h) * channels;
      if (a.repeat)
        for (int64_t w = 0; w < side; ++w) write_run<V, S>(a, values, at + w * channels, channels);
      else
        write_run<V, S>(a, values + (d * side + h) * side * channels, at, side * channels);
    }
}

template <class V, class S>
void patch_projection_as(const PatchProjection& a, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const int64_t tokens = a.samples * a.depth * a.height * a.width, columns = round_up(a.outputs, kColumns<V>);
  const PatchGrid from = PatchGrid::of(a, a.gather), to = PatchGrid::of(a, a.scatter);
  const Buffer<T> panels(columns * a.values);
  pack_outputs<V>(static_cast<const T*>(a.weight), a.outputs, a.values, panels + 0);
  parallel_for(parallel, ceil_div(tokens, kPatches), kPatches * (a.values + a.outputs), [&](int64_t task) {
    const int64_t first = task * kPatches, count = smaller(kPatches, tokens - first), rows = round_up(count, kRows);
    const Buffer<T> patches(rows * a.values), sums(rows * columns);
    for (int64_t i = 0; i < count; ++i) gather_patch<V, S>(a, from, first + i, patches + i * a.values);
    for (int64_t i = count * a.values; i < rows * a.values; ++i) patches[i] = 0;
    for (int64_t column = 0; column < columns; column += kColumns<V>)
      for (int64_t row = 0; row < rows; row += kRows) {
        Tile<V> tile{};
        multiply(tile, patches + row * a.values, a.values, panels + column * a.values, a.values);
        store_tile(tile, sums + row * columns + column, columns);
      }
    for (int64_t i = 0; i < count; ++i) {
      finish_sums<V>(a, first + i, sums + i * columns);
      scatter_outputs<V, S>(a, to, first + i, sums + i * columns);
    }
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
