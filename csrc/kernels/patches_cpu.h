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

  // Number of a token's first voxel; of `side` neighbouring voxels in its row (d, h), the first is `row` further.
  int64_t corner(const PatchProjection& a, int64_t token) const {
    const int64_t w = token % a.width, at_h = token / a.width % a.height, at_d = token / (a.width * a.height) % a.depth;
    const int64_t n = token / (a.width * a.height * a.depth);
    return ((n * depth + at_d * side) * height + at_h * side) * width + w * side;
  }
  int64_t row(int64_t d, int64_t h) const { return (d * height + h) * width; }
};

// Copies between the formats of tensors, factors and sums.
template <class V, class From, class To>
inline void copy_run(const From* from, To* to, int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    __builtin_memcpy(to, from, size_t(count) * sizeof(To));
  } else {
    for_each_vector<V>(count, [&](int64_t i, auto width) { store(to + i, load<V>(from + i, width), width); });
  }
}

// Moves runs of values from places `from_step` apart to places `to_step` apart; runs of four are what a volume is cut into.
template <class T>
inline void move_runs(const T* from, int64_t from_step, T* to, int64_t to_step, int64_t run, int64_t count) {
  if (run == 4)
    for (int64_t i = 0; i < count; ++i) __builtin_memcpy(to + i * to_step, from + i * from_step, 4 * sizeof(T));
  else
    for (int64_t i = 0; i < count; ++i) __builtin_memcpy(to + i * to_step, from + i * from_step, size_t(run) * sizeof(T));
}

// Gathers `count` tokens from `first` on into rows of factors, `step` apart. Tokens side by side share lines of voxels.
template <class V, class S, class Factor>
inline void gather_tokens(const PatchProjection& a, const PatchGrid& grid, int64_t first, int64_t count, Factor* to,
                          int64_t step) {
  const int64_t channels = a.values / (a.gather * a.gather * a.gather), run = a.gather * channels;
  const Buffer<Factor> rounded(a.width * run);
  for (int64_t i = 0, here; i < count; i += here) {
    here = smaller(count - i, a.width - (first + i) % a.width);
    const S* corner = static_cast<const S*>(a.x) + grid.corner(a, first + i) * channels;
    Factor* piece = to + i * step;
    for (int64_t d = 0; d < a.gather; ++d)
      for (int64_t h = 0; h < a.gather; ++h, piece += run) {
        const S* line = corner + grid.row(d, h) * channels;
        if constexpr (std::is_same_v<S, Factor>) {
          move_runs(line, run, piece, step, run, here);
        } else {
          copy_run<V>(line, rounded + 0, here * run);
          move_runs(rounded + 0, run, piece, step, run, here);
        }
      }
  }
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
template <class V, class To>
inline void write_run(const PatchProjection& a, const ScalarOf<V>* values, int64_t at, int64_t count) {
  To* y = static_cast<To*>(a.y) + at;
  if (!a.residual) return copy_run<V>(values, y, count);
  const To* residual = static_cast<const To*>(a.residual) + at;
  const ScalarOf<V> bound(a.bound);
  for_each_vector<V>(count, [&](int64_t i, auto width) {
    V value = load<V>(values + i, width) + load<V>(residual + i, width);
    if (a.bound >= 0) value = at_most(V{} + bound, at_least(V{} - bound, value));
    store(y + i, value, width);
  });
}

// Writes the finished sums of `count` tokens from `first` on, `step` apart, line of voxels by line.
template <class V, class To>
inline void scatter_tokens(const PatchProjection& a, const PatchGrid& grid, int64_t first, int64_t count,
                           const ScalarOf<V>* sums, int64_t step) {
  const int64_t side = a.scatter, channels = a.repeat ? a.outputs : a.outputs / (side * side * side);
  const int64_t run = side * channels;
  const Buffer<ScalarOf<V>> line(a.width * run);
  for (int64_t i = 0, here; i < count; i += here) {
    here = smaller(count - i, a.width - (first + i) % a.width);
    const int64_t corner = grid.corner(a, first + i);
    const ScalarOf<V>* piece = sums + i * step;
    for (int64_t d = 0; d < side; ++d)
      for (int64_t h = 0; h < side; ++h) {
        if constexpr (std::is_same_v<To, ScalarOf<V>>)
          if (!a.repeat && !a.residual) {  // straight to their place
            To* y = static_cast<To*>(a.y) + (corner + grid.row(d, h)) * channels;
            move_runs(piece + (d * side + h) * run, step, y, run, run, here);
            continue;
          }
        if (!a.repeat) move_runs(piece + (d * side + h) * run, step, line + 0, run, run, here);
        else if (d + h == 0)
          for (int64_t w = 0; w < side; ++w) move_runs(piece, step, line + w * channels, run, channels, here);
        write_run<V, To>(a, line + 0, (corner + grid.row(d, h)) * channels, here * run);
      }
  }
}

template <class V, class S, class To>
void patch_projection_as(const PatchProjection& a, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const int64_t tokens = a.samples * a.depth * a.height * a.width, columns = round_up(a.outputs, kColumns<V>);
  const PatchGrid from = PatchGrid::of(a, a.gather), to = PatchGrid::of(a, a.scatter);
  const Buffer<T> panels(columns * a.values);
  pack_outputs<V>(static_cast<const T*>(a.weight), a.outputs, a.values, panels + 0);
  parallel_for(parallel, ceil_div(tokens, kPatches), kPatches * (a.values + a.outputs), [&](int64_t task) {
    const int64_t first = task * kPatches, count = smaller(kPatches, tokens - first), rows = round_up(count, kRows);
    const Buffer<T> patches(rows * a.values), sums(rows * columns);
    gather_tokens<V, S>(a, from, first, count, patches + 0, a.values);
    for (int64_t i = count * a.values; i < rows * a.values; ++i) patches[i] = 0;
    for (int64_t column = 0; column < columns; column += kColumns<V>)
      for (int64_t row = 0; row < rows; row += kRows) {
        Tile<V> tile{};
        multiply(tile, patches + row * a.values, a.values, panels + column * a.values, a.values);
        store_tile(tile, sums + row * columns + column, columns);
      }
    for (int64_t i = 0; i < count; ++i) finish_sums<V>(a, first + i, sums + i * columns);
    scatter_tokens<V, To>(a, to, first, count, sums + 0, columns);
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
