// The first half of group_norm.cu, which attention.cu needs too: moments of every group, and from them the numbers
// that normalise and modulate every channel.
#pragma once

#include <initializer_list>

#include "group_norm.h"
#include "lanes.cuh"

namespace dispr {
namespace cuda {

// partial[block · groups + g]: moments of the block's share of group g; `per_group` columns make a group.
template <class S, int W>
__global__ void __launch_bounds__(kThreads)
    partial_moments(const S* x, View view, int64_t groups, int64_t per_group, Moments<Sum<S>>* partial) {
  using T = Sum<S>;
  __shared__ Moments<T> all[kThreads];
  const Walk way = walk(view, blockIdx.x, threadIdx.x, kThreads);
  Moments<T> mine{0, 0, 0};
  if (way.active)
    for (int64_t row = way.row; row < way.last; row += way.step) {
      T values[W];
      load<W>(x + view.offset(way.sample, row, way.column), values);
      mine = merge(mine, moments_of(values));
    }
  all[threadIdx.x] = mine;
  join_rows(all, int(view.tile), int(way.step), [](Moments<T> a, Moments<T> b) { return merge(a, b); });
  const int64_t first = blockIdx.x % view.tiles * view.tile, last = least(view.columns, first + view.tile);
  for (int64_t g = threadIdx.x; g < groups; g += kThreads) {
    Moments<T> share{0, 0, 0};
    for (int64_t c = most(first, g * per_group); c < least(last, (g + 1) * per_group); ++c)
      share = merge(share, all[c - first]);
    partial[int64_t(blockIdx.x) * groups + g] = share;
  }
}

// One warp per (sample, group): joins its parts and sets the numbers of its channels.
template <class S>
__global__ void join_moments(GroupNormForward args, const Moments<Sum<S>>* partial, int64_t parts,
                             Affine<Sum<S>>* affine) {
  using T = Sum<S>;
  const GroupNormShape& s = args.shape;
  const int64_t n = blockIdx.x / s.groups, g = blockIdx.x % s.groups, per_group = s.channels / s.groups;
  Moments<T> mine{0, 0, 0};
  for (int64_t p = threadIdx.x; p < parts; p += 32)
    mine = merge(mine, partial[s.channels_last ? (n * parts + p) * s.groups + g : int64_t(blockIdx.x) * parts + p]);
  const Moments<T> all = merge_lanes(mine);
  const T rstd = T(1) / sqrt(all.m2 / all.count + T(args.eps));
  if (threadIdx.x == 0) {
    static_cast<T*>(args.mean)[blockIdx.x] = all.mean;
    static_cast<T*>(args.rstd)[blockIdx.x] = rstd;
  }
  for (int64_t c = g * per_group + threadIdx.x; c < (g + 1) * per_group; c += 32)
    affine[n * s.channels + c] =
        affine_of(all.mean, rstd, static_cast<const T*>(args.weight)[c], static_cast<const T*>(args.bias)[c],
                  at_or_zero(static_cast<const T*>(args.scale), n * s.channels + c),
                  at_or_zero(static_cast<const T*>(args.shift), n * s.channels + c));
}

template <class S, int W>
void launch_affine(const GroupNormForward& args, Affine<Sum<S>>* affine, cudaStream_t stream) {
  const GroupNormShape& s = args.shape;
  auto* partial = reinterpret_cast<Moments<Sum<S>>*>(affine + s.samples * s.channels);
  const View view = moments_view(s, W, kThreads);
  const int64_t groups = s.channels_last ? s.groups : 1;
  const int64_t per_group = s.channels_last ? s.channels / s.groups / W : 1;
  partial_moments<S, W>
      <<<unsigned(view.blocks()), kThreads, 0, stream>>>(static_cast<const S*>(args.x), view, groups, per_group, partial);
  join_moments<S>
      <<<unsigned(s.samples * s.groups), 32, 0, stream>>>(args, partial, view.blocks_per_sample(), affine);
}

// Writes mean and rstd, and returns the (N, C) numbers, which stand at the beginning of the workspace.
template <class S>
const Affine<Sum<S>>* group_norm_affine(const GroupNormForward& args, void* workspace, cudaStream_t stream) {
  constexpr int W = 16 / sizeof(S);
  const GroupNormShape& s = args.shape;
  auto* affine = static_cast<Affine<Sum<S>>*>(workspace);
  if (can_move_packs<S>(s.channels_last ? s.channels / s.groups : s.voxels, {args.x}))
    launch_affine<S, W>(args, affine, stream);
  else
    launch_affine<S, 1>(args, affine, stream);
  return affine;
}

}  // namespace cuda
}  // namespace dispr
