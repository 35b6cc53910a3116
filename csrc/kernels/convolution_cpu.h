// The 3 x 3 x 3 convolution on the CPU by Winograd's minimal filtering: the text compiled once per instruction set.
//
// Lavin & Gray, Fast algorithms for convolutional neural networks (CVPR 2016), with F(2, 3) along each axis: 2 x 2 x 2
// outputs from 4 x 4 x 4 inputs take 64 products for each pair of channels in place of 216. The weights are transformed
// first. Then block of tiles by block of tiles, and for each of the four points along the depth, so that all of it stays
// in the level-2 cache: inputs are transformed, multiplied by the weights (16 matrix products over the channels),
// transformed back and added up. A tile's arithmetic depends on nothing but its own voxels.
#pragma once

#include "buffer.h"
#include "convolution.h"
#include "matmul_cpu.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int kDepthPoints = 4, kPlanePoints = 16;
constexpr int64_t kTiles = 4 * kRows;  // tiles of one task
constexpr int64_t kInputs = 8;         // inputs whose weights are transformed together
// The matrices of the points lie one cache line further apart than they are long: at a multiple of 4096 bytes all would
// fall into the same few places of the cache.
constexpr int64_t kApart = 16;

// Where everything lies. A tile's number counts the tiles of all samples.
struct Tiling {
  int64_t along_height, along_width, per_sample, tiles, columns, weights, inputs, outputs;

  template <class V>
  static Tiling of(const ConvolutionForward& a) {
    Tiling t;
    t.along_height = ceil_div(a.height, 2), t.along_width = ceil_div(a.width, 2);
    t.per_sample = ceil_div(a.depth, 2) * t.along_height * t.along_width;
    t.tiles = a.samples * t.per_sample;
    t.columns = round_up(a.out_channels, kColumns<V>);
    t.weights = t.columns * a.in_channels + kApart;
    t.inputs = kTiles * a.in_channels + kApart;
    t.outputs = kTiles * t.columns + kApart;
    return t;
  }
};

// The first output voxel of a tile.
struct Corner {
  int64_t sample, d, h, w;

  Corner(const Tiling& t, int64_t tile)
      : sample(tile / t.per_sample), d(tile % t.per_sample / (t.along_height * t.along_width) * 2),
        h(tile / t.along_width % t.along_height * 2), w(tile % t.along_width * 2) {}
};

// Bᵀ v, G v and Aᵀ v of F(2, 3), along an axis whose values are `step` apart.
template <class V>
DISPR_INLINE void transform_input(V* v, int step) {
  const V v0 = v[0], v1 = v[step], v2 = v[2 * step], v3 = v[3 * step];
  v[0] = v0 - v2, v[step] = v1 + v2, v[2 * step] = v2 - v1, v[3 * step] = v1 - v3;
}
template <class V>
DISPR_INLINE void transform_weight(const V* from, int from_step, V* to, int step) {
  const ScalarOf<V> half(0.5);
  const V ends = (from[0] + from[2 * from_step]) * half, middle = from[from_step] * half;
  to[0] = from[0], to[step] = ends + middle, to[2 * step] = ends - middle, to[3 * step] = from[2 * from_step];
}
template <class V>
DISPR_INLINE void transform_output(const V* from, int from_step, V* to, int step) {
  const V sum = from[from_step] + from[2 * from_step], difference = from[from_step] - from[2 * from_step];
  to[0] = from[0] + sum, to[step] = difference - from[3 * from_step];
}

// The same for one point along the depth at a time: which two of the four inputs it takes, the second with which sign;
// and the share it has in the two outputs.
struct DepthPoint {
  int first, second;
  float sign, near, far;
};
constexpr DepthPoint depth_points[kDepthPoints] = {{0, 2, -1, 1, 0}, {1, 2, 1, 1, 1}, {2, 1, -1, 1, -1}, {1, 3, -1, 0, -1}};

// The weights from up to kInputs inputs, from c on, to one vector of outputs, from `first` on, at all points. `to` is
// their place at the first point.
template <class V>
inline void weights_at_points(const ConvolutionForward& a, int64_t c, int64_t first, ScalarOf<V>* to, int64_t apart) {
  using T = ScalarOf<V>;
  constexpr int64_t L = Lanes<V>::count;
  const int64_t inputs = smaller(kInputs, a.in_channels - c), outputs = smaller(L, a.out_channels - first);
  const T* weight = static_cast<const T*>(a.weight) + first * a.out_stride + c * a.in_stride;
  T taps[kInputs][27][L] = {};
  for (int64_t k = 0; k < outputs; ++k)
    for (int tap = 0; tap < 27; ++tap)
      for (int64_t i = 0; i < inputs; ++i)
        taps[i][tap][k] = weight[k * a.out_stride + i * a.in_stride + tap * a.tap_stride];
  V along_depth[kInputs][9][kDepthPoints];
  for (int64_t i = 0; i < inputs; ++i)
    for (int tap = 0; tap < 9; ++tap) {
      const V line[3] = {load<V>(taps[i][tap], Whole{}), load<V>(taps[i][9 + tap], Whole{}),
                         load<V>(taps[i][18 + tap], Whole{})};
      transform_weight(line, 1, along_depth[i][tap], 1);
    }
  for (int d = 0; d < kDepthPoints; ++d)
    for (int64_t i = 0; i < inputs; ++i) {
      V plane[12], points[kPlanePoints];
      DISPR_UNROLL_FULLY
      for (int w = 0; w < 3; ++w) {
        const V line[3] = {along_depth[i][w][d], along_depth[i][3 + w][d], along_depth[i][6 + w][d]};
        transform_weight(line, 1, plane + w, 3);
      }
      DISPR_UNROLL_FULLY
      for (int h = 0; h < 4; ++h) transform_weight(plane + 3 * h, 1, points + 4 * h, 1);
      DISPR_UNROLL_FULLY
      for (int p = 0; p < kPlanePoints; ++p)
        store(to + (d * kPlanePoints + p) * apart + i * kColumns<V>, points[p], Whole{});
    }
}

// Transforms the inputs of `count` tiles that follow one another along the width, at the points of one depth;
// neighbours share two columns. `to` is the first tile's row at the first point.
template <class V, class S>
inline void inputs_at_points(const ConvolutionForward& a, const DepthPoint& depth, const Corner& at, int64_t count,
                             const S* zeros, ScalarOf<V>* to, int64_t apart) {
  const S* voxels[2 * kTiles + 2][8];  // of each column the four of the first plane, then of the second
  for (int64_t column = 0; column < 2 * count + 2; ++column)
    for (int i = 0; i < 8; ++i) {
      const int64_t d = at.d + (i < 4 ? depth.first : depth.second) - 1, h = at.h + i % 4 - 1, w = at.w + column - 1;
      const bool inside = d >= 0 && d < a.depth && h >= 0 && h < a.height && w >= 0 && w < a.width;
      const int64_t voxel = ((at.sample * a.depth + d) * a.height + h) * a.width + w;
      voxels[column][i] = inside ? static_cast<const S*>(a.x) + voxel * a.in_channels : zeros;
    }
  const ScalarOf<V> sign(depth.sign);
  const auto channels = [&](int64_t c, auto width) {
    const auto column = [&](int64_t w, V* v) {
      DISPR_UNROLL_FULLY
      for (int h = 0; h < 4; ++h)
        v[h] = load<V>(voxels[w][h] + c, width) + sign * load<V>(voxels[w][4 + h] + c, width);
      transform_input(v, 1);
    };
    V columns[4][4];  // of w modulo 4
    column(0, columns[0]);
    column(1, columns[1]);
    for (int64_t tile = 0; tile < count; ++tile) {
      V *before = columns[2 * tile % 4], *after = columns[2 - 2 * tile % 4];
      column(2 * tile + 2, after);
      column(2 * tile + 3, after + 4);
      ScalarOf<V>* row = to + tile * a.in_channels + c;
      DISPR_UNROLL_FULLY
      for (int h = 0; h < 4; ++h) {
        V v[4] = {before[h], before[4 + h], after[h], after[4 + h]};
        transform_input(v, 1);
        DISPR_UNROLL_FULLY
        for (int w = 0; w < 4; ++w) store(row + (4 * h + w) * apart, v[w], width);
      }
    }
  };
  int64_t c = 0;
  for (; c + Lanes<V>::count <= a.in_channels; c += Lanes<V>::count) channels(c, Whole{});
  if (c < a.in_channels) channels(c, Part{a.in_channels - c});
}

// Transforms one tile's products back and adds them to its eight sums, which lie `columns` apart.
template <class V>
inline void add_outputs(const DepthPoint& depth, const ScalarOf<V>* from, int64_t apart, int64_t columns,
                        ScalarOf<V>* sums) {
  const ScalarOf<V> near(depth.near), far(depth.far);
  for (int64_t k = 0; k < columns; k += Lanes<V>::count) {
    V points[kPlanePoints], rows[8], voxels[4];
    DISPR_UNROLL_FULLY
    for (int p = 0; p < kPlanePoints; ++p) points[p] = load<V>(from + p * apart + k, Whole{});
    DISPR_UNROLL_FULLY
    for (int w = 0; w < 4; ++w) transform_output(points + w, 4, rows + w, 4);
    DISPR_UNROLL_FULLY
    for (int h = 0; h < 2; ++h) transform_output(rows + 4 * h, 1, voxels + 2 * h, 1);
    DISPR_UNROLL_FULLY
    for (int i = 0; i < 4; ++i) {
      ScalarOf<V>*first = sums + i * columns + k, *second = first + 4 * columns;
      store(first, load<V>(first, Whole{}) + near * voxels[i], Whole{});
      store(second, load<V>(second, Whole{}) + far * voxels[i], Whole{});
    }
  }
}

// Adds bias and residual to one tile's sums and writes the voxels that exist.
template <class V, class S>
inline void write_outputs(const ConvolutionForward& a, const Corner& at, const ScalarOf<V>* sums, int64_t columns) {
  for (int i = 0; i < 8; ++i) {
    const int64_t d = at.d + i / 4, h = at.h + i / 2 % 2, w = at.w + i % 2;
    if (d >= a.depth || h >= a.height || w >= a.width) continue;
    const int64_t voxel = (((at.sample * a.depth + d) * a.height + h) * a.width + w) * a.out_channels;
    for_each_vector<V>(a.out_channels, [&](int64_t k, auto width) {
      V value = load<V>(sums + i * columns + k, width);
      if (a.bias) value += load<V>(static_cast<const ScalarOf<V>*>(a.bias) + k, width);
      if (a.residual) value += load<V>(static_cast<const S*>(a.residual) + voxel + k, width);
      store(static_cast<S*>(a.y) + voxel + k, value, width);
    });
  }
}

// At each point of one depth: (tiles x inputs) · (inputs x outputs).
template <class V>
inline void multiply_points(const Tiling& t, int64_t rows, int64_t in_channels, const ScalarOf<V>* inputs,
                            const ScalarOf<V>* weights, ScalarOf<V>* outputs) {
  for (int p = 0; p < kPlanePoints; ++p)
    for (int64_t column = 0; column < t.columns; column += kColumns<V>)
      for (int64_t row = 0; row < rows; row += kRows) {
        Tile<V> tile{};
        multiply(tile, inputs + p * t.inputs + row * in_channels, in_channels,
                 weights + p * t.weights + column * in_channels, in_channels);
        store_tile(tile, outputs + p * t.outputs + row * t.columns + column, t.columns);
      }
}

// Tiles [first, first + count), at most kTiles.
template <class V, class S>
inline void convolve_tiles(const ConvolutionForward& a, const Tiling& t, int64_t first, int64_t count, const S* zeros,
                           const ScalarOf<V>* weights) {
  using T = ScalarOf<V>;
  const int64_t rows = round_up(count, kRows), sums_step = 8 * t.columns;
  const Buffer<T> inputs(kPlanePoints * t.inputs), outputs(kPlanePoints * t.outputs), sums(count * sums_step);
  for (int64_t i = 0; i < count * sums_step; ++i) sums[i] = 0;
  for (int p = 0; p < kPlanePoints; ++p)
    for (int64_t i = count * a.in_channels; i < rows * a.in_channels; ++i) inputs[p * t.inputs + i] = 0;
  for (int d = 0; d < kDepthPoints; ++d) {
    for (int64_t i = 0, run; i < count; i += run) {
      const Corner at(t, first + i);
      run = smaller(count - i, t.along_width - at.w / 2);
      inputs_at_points<V, S>(a, depth_points[d], at, run, zeros, inputs + i * a.in_channels, t.inputs);
    }
    multiply_points<V>(t, rows, a.in_channels, inputs + 0, weights + d * kPlanePoints * t.weights, outputs + 0);
    for (int64_t i = 0; i < count; ++i)
      add_outputs<V>(depth_points[d], outputs + i * t.columns, t.outputs, t.columns, sums + i * sums_step);
  }
  for (int64_t i = 0; i < count; ++i) write_outputs<V, S>(a, Corner(t, first + i), sums + i * sums_step, t.columns);
}

template <class V, class S>
void convolution_forward_as(const ConvolutionForward& a, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const Tiling t = Tiling::of<V>(a);
  const Buffer<T> weights(kDepthPoints * kPlanePoints * t.weights);
  const Buffer<S> zeros(a.in_channels);
  for (int64_t c = 0; c < a.in_channels; ++c) zeros[c] = S{};

  const int64_t blocks = ceil_div(a.in_channels, kInputs);
  parallel_for(parallel, t.columns / kColumns<V> * blocks, 256 * kInputs * kColumns<V>, [&](int64_t task) {
    const int64_t first = task / blocks * kColumns<V>, c = task % blocks * kInputs;
    T* to = weights + (first * a.in_channels + c * kColumns<V>);
    for (int64_t half = 0; half < kColumns<V>; half += Lanes<V>::count)
      weights_at_points<V>(a, c, first + half, to + half, t.weights);
  });
  parallel_for(parallel, ceil_div(t.tiles, kTiles), kTiles * 64 * a.out_channels, [&](int64_t task) {
    const int64_t first = task * kTiles;
    convolve_tiles<V, S>(a, t, first, smaller(kTiles, t.tiles - first), zeros + 0, weights + 0);
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
