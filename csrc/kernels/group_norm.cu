// Fused GroupNorm + FiLM + SiLU + residual on CUDA devices, forward.
//
// A group that fits on chip is read once and normalised by one block. Otherwise three kernels: partial moments of
// fixed parts of a sample; their joining, in a fixed order, into a mean and a gain per channel; and the second reading
// that writes y. No atomic sums, so results never change between runs, nor with the batch.
#include <cstdint>
#include <initializer_list>

#include "cuda.h"
#include "lanes.cuh"

namespace dispr {
namespace cuda {
namespace {

constexpr int64_t kOnChip = 80 * 1024;  // bytes of a group that one block of every supported device can hold

// --- statistics ----------------------------------------------------------------------------------------------------

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

// --- kernels -------------------------------------------------------------------------------------------------------

template <int W, class S, class T>
__device__ inline void activate(const S* x, const S* residual, S* y, int64_t at, const Affine<T> (&affine)[W]) {
  T values[W], added[W];
  load<W>(x + at, values);
  if (residual) load<W>(residual + at, added);
#pragma unroll
  for (int j = 0; j < W; ++j) {
    values[j] = silu((values[j] - affine[j].centre) * affine[j].gain + affine[j].offset);
    if (residual) values[j] += added[j];
  }
  store<W>(y + at, values);
}

// Channels-last: a thread keeps its columns' numbers. Contiguous: view.samples counts (sample, channel) pairs.
template <class S, int W, bool kChannelsLast>
__global__ void __launch_bounds__(kThreads)
    apply(const S* x, const S* residual, S* y, View view, const Affine<Sum<S>>* affine) {
  const Walk way = walk(view, blockIdx.x, threadIdx.x, kThreads);
  if (!way.active) return;
  Affine<Sum<S>> of[W];
#pragma unroll
  for (int j = 0; j < W; ++j)
    of[j] = affine[kChannelsLast ? (way.sample * view.columns + way.column) * W + j : way.sample];
  for (int64_t row = way.row; row < way.last; row += way.step)
    activate<W>(x, residual, y, view.offset(way.sample, row, way.column), of);
}

// One block per (sample, group) that fits on chip: `vectors` vectors, `per_row` of them side by side.
template <class S, int W>
__global__ void __launch_bounds__(2 * kThreads) group_on_chip(GroupNormForward args, int64_t vectors, int64_t per_row) {
  using T = Sum<S>;
  extern __shared__ __align__(16) unsigned char memory[];
  S* staged = reinterpret_cast<S*>(memory);
  __shared__ Moments<T> all[2 * kThreads];
  const GroupNormShape& s = args.shape;
  const int64_t n = blockIdx.x / s.groups, g = blockIdx.x % s.groups, per_group = s.channels / s.groups;
  const S *x = static_cast<const S*>(args.x), *residual = static_cast<const S*>(args.residual);
  S* y = static_cast<S*>(args.y);
  const auto place = [&](int64_t i) {
    if (!s.channels_last) return int64_t(blockIdx.x) * vectors * W + i * W;
    return (n * s.voxels + i / per_row) * s.channels + g * per_group + i % per_row * W;
  };
  Moments<T> mine{0, 0, 0};
  for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
    T values[W];
    load<W>(x + place(i), values);
    store<W>(staged + i * W, values);
    mine = merge(mine, moments_of(values));
  }
  all[threadIdx.x] = mine;
  join_rows(all, 1, int(blockDim.x), [](Moments<T> a, Moments<T> b) { return merge(a, b); });
  const T mean = all[0].mean, rstd = T(1) / sqrt(all[0].m2 / all[0].count + T(args.eps));
  if (threadIdx.x == 0) {
    static_cast<T*>(args.mean)[blockIdx.x] = mean;
    static_cast<T*>(args.rstd)[blockIdx.x] = rstd;
  }
  for (int64_t i = threadIdx.x; i < vectors; i += blockDim.x) {
    T values[W], added[W];
    load<W>(staged + i * W, values);
    if (residual) load<W>(residual + place(i), added);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const int64_t c = g * per_group + (s.channels_last ? i % per_row * W + j : (i * W + j) / s.voxels);
      const Affine<T> of =
          affine_of(mean, rstd, static_cast<const T*>(args.weight)[c], static_cast<const T*>(args.bias)[c],
                    at_or_zero(static_cast<const T*>(args.scale), n * s.channels + c),
                    at_or_zero(static_cast<const T*>(args.shift), n * s.channels + c));
      values[j] = silu((values[j] - of.centre) * of.gain + of.offset);
      if (residual) values[j] += added[j];
    }
    store<W>(y + place(i), values);
  }
}

// --- launchers -----------------------------------------------------------------------------------------------------

template <class S, int W>
bool run_on_chip(const GroupNormForward& args, cudaStream_t stream) {
  const GroupNormShape& s = args.shape;
  const int64_t per_group = s.channels / s.groups, elements = per_group * s.voxels;
  const int64_t bytes = elements * int64_t(sizeof(S));
  if (bytes > kOnChip) return false;
  const auto kernel = group_on_chip<S, W>;
  if (bytes > 32 * 1024)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(kOnChip)), "shared memory");
  kernel<<<unsigned(s.samples * s.groups), 2 * kThreads, size_t(bytes), stream>>>(args, elements / W, per_group / W);
  return true;
}

template <class S, int W>
void run(const GroupNormForward& args, void* workspace, cudaStream_t stream) {
  const GroupNormShape& s = args.shape;
  if (run_on_chip<S, W>(args, stream)) return;
  const Affine<Sum<S>>* affine = group_norm_affine<S>(args, workspace, stream);
  const View view = channels_view(s, W, kThreads);
  const auto kernel = s.channels_last ? apply<S, W, true> : apply<S, W, false>;
  kernel<<<unsigned(view.blocks()), kThreads, 0, stream>>>(static_cast<const S*>(args.x),
                                                           static_cast<const S*>(args.residual),
                                                           static_cast<S*>(args.y), view, affine);
}

template <class S>
void run_as(const GroupNormForward& args, void* workspace, cudaStream_t stream) {
  constexpr int W = 16 / sizeof(S);
  const GroupNormShape& s = args.shape;
  const int64_t divisible = s.channels_last ? s.channels / s.groups : s.voxels;
  if (can_move_packs<S>(divisible, {args.x, args.residual, args.y}))
    run<S, W>(args, workspace, stream);
  else
    run<S, 1>(args, workspace, stream);
}

}  // namespace

OnDevice::OnDevice(int device) {
  check(cudaGetDevice(&before_), "current device");
  check(cudaSetDevice(device), "choice of device");
}
OnDevice::~OnDevice() { cudaSetDevice(before_); }

int64_t group_norm_workspace(const GroupNormShape& s, Storage storage) {
  const int64_t number = storage == Storage::float64 ? 8 : 4;
  int64_t blocks = 0;  // the launcher chooses the width once it sees the pointers
  for (int64_t width = 1; width <= 8; width *= 2) blocks = most(blocks, moments_view(s, width, kThreads).blocks());
  return (s.samples * s.channels + blocks * (s.channels_last ? s.groups : 1)) * 3 * number;
}

void group_norm_forward(const GroupNormForward& args, void* workspace, void* stream) {
  if (args.shape.samples * args.shape.channels * args.shape.voxels == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  switch (args.storage) {
    case Storage::float32: run_as<float>(args, workspace, on); break;
    case Storage::bfloat16: run_as<__nv_bfloat16>(args, workspace, on); break;
    case Storage::float16: run_as<__half>(args, workspace, on); break;
    case Storage::float64: run_as<double>(args, workspace, on); break;
  }
  check(cudaGetLastError(), "group_norm_silu");
}

}  // namespace cuda
}  // namespace dispr
