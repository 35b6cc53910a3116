// The gradient of GroupNorm + FiLM + SiLU on CUDA devices: the sums and formulas of group_norm_cpu_backward.h.
//
// Five kernels: the numbers of every channel; partial sums of fixed parts; their joining per group, in a fixed order;
// the gradients of weight and bias over the batch, in order; and the second reading that writes the gradient of x.
#include <cstdint>
#include <initializer_list>

#include "cuda.h"
#include "lanes.cuh"

namespace dispr {
namespace cuda {
namespace {

// Σ du and Σ du (x − centre), first of a part, then of a whole channel (there times rstd).
template <class T>
struct Sums {
  T grad, product;
};

// What dx needs beside du: dx = du · gain − constant − (x − centre) · slope.
template <class T>
struct Means {
  T constant, slope;
};

// Working memory, one array after the other.
template <class T>
struct Workspace {
  Affine<T>* affine;    // (N, C)
  Sums<T>* channels;    // (N, C)
  Means<T>* groups;     // (N, G)
  Sums<T>* parts;       // (N, parts, C)

  Workspace(void* memory, const GroupNormShape& s)
      : affine(static_cast<Affine<T>*>(memory)),
        channels(reinterpret_cast<Sums<T>*>(affine + s.samples * s.channels)),
        groups(reinterpret_cast<Means<T>*>(channels + s.samples * s.channels)),
        parts(reinterpret_cast<Sums<T>*>(groups + s.samples * s.groups)) {}
};

// --- kernels -------------------------------------------------------------------------------------------------------

template <class T>
__global__ void set_affine(GroupNormBackward args, Affine<T>* affine) {
  const GroupNormShape& s = args.shape;
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, n = i / s.channels, c = i % s.channels;
  if (i >= s.samples * s.channels) return;
  const int64_t g = n * s.groups + c / (s.channels / s.groups);
  affine[i] = affine_of(static_cast<const T*>(args.mean)[g], static_cast<const T*>(args.rstd)[g],
                        static_cast<const T*>(args.weight)[c], static_cast<const T*>(args.bias)[c],
                        at_or_zero(static_cast<const T*>(args.scale), i), at_or_zero(static_cast<const T*>(args.shift), i));
}

// d silu(u) / du = σ(u) (1 + u (1 − σ(u)))
template <class T>
__device__ inline T grad_before_silu(T grad, T u) {
  const T s = sigmoid(u);
  return grad * s * (1 + u * (1 - s));
}

// Channels-last: one sum per column and lane. Contiguous: view.samples counts (sample, channel) pairs, one sum each.
template <class S, int W, bool kChannelsLast>
__global__ void __launch_bounds__(kThreads)
    partial_sums(const S* grad, const S* x, View view, const Affine<Sum<S>>* affine, Sums<Sum<S>>* parts) {
  using T = Sum<S>;
  constexpr int kLanes = kChannelsLast ? W : 1;
  struct Lanes {
    Sums<T> of[kLanes];
  };
  __shared__ Lanes all[kThreads];
  const Walk way = walk(view, blockIdx.x, threadIdx.x, kThreads);
  Lanes mine{};
  if (way.active) {
    Affine<T> of[W];
#pragma unroll
    for (int j = 0; j < W; ++j)
      of[j] = affine[kChannelsLast ? (way.sample * view.columns + way.column) * W + j : way.sample];
    for (int64_t row = way.row; row < way.last; row += way.step) {
      T values[W], grads[W];
      load<W>(x + view.offset(way.sample, row, way.column), values);
      load<W>(grad + view.offset(way.sample, row, way.column), grads);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const T centred = values[j] - of[j].centre;
        const T grad_u = grad_before_silu(grads[j], centred * of[j].gain + of[j].offset);
        mine.of[kChannelsLast ? j : 0].grad += grad_u;
        mine.of[kChannelsLast ? j : 0].product += grad_u * centred;
      }
    }
  }
  all[threadIdx.x] = mine;
  join_rows(all, int(view.tile), int(way.step), [](Lanes a, const Lanes& b) {
#pragma unroll
    for (int j = 0; j < kLanes; ++j) {
      a.of[j].grad += b.of[j].grad;
      a.of[j].product += b.of[j].product;
    }
    return a;
  });
  if (threadIdx.x >= view.tile || !way.active) return;
  const int64_t part = blockIdx.x / view.tiles;  // counted over all samples
  for (int j = 0; j < kLanes; ++j)
    parts[(part * view.columns + way.column) * kLanes + j] = all[threadIdx.x].of[j];
}

// One warp per (sample, group): joins the parts of its channels; gradients of scale and shift; means over the group.
template <class T>
__global__ void join_sums(GroupNormBackward args, int64_t count, Workspace<T> work) {
  const GroupNormShape& s = args.shape;
  const int64_t n = blockIdx.x / s.groups, g = blockIdx.x % s.groups, per_group = s.channels / s.groups;
  const T rstd = static_cast<const T*>(args.rstd)[blockIdx.x];
  T mean_grad = 0, mean_product = 0;
  for (int64_t c = g * per_group + threadIdx.x; c < (g + 1) * per_group; c += 32) {
    const int64_t i = n * s.channels + c;
    double grad = 0, product = 0;
    for (int64_t p = 0; p < count; ++p) {
      const Sums<T> part = work.parts[s.channels_last ? (n * count + p) * s.channels + c : i * count + p];
      grad += part.grad;
      product += double(rstd) * part.product;
    }
    const T weight = static_cast<const T*>(args.weight)[c], bias = static_cast<const T*>(args.bias)[c];
    const T gain = 1 + at_or_zero(static_cast<const T*>(args.scale), i);
    work.channels[i] = {T(grad), T(product)};
    static_cast<T*>(args.grad_shift)[i] = T(grad);
    static_cast<T*>(args.grad_scale)[i] = T(weight * product + bias * grad);
    mean_grad += T(gain * weight * grad);
    mean_product += T(gain * weight * product);
  }
  mean_grad = sum_lanes(mean_grad);
  mean_product = sum_lanes(mean_product);
  const T elements = T(per_group * s.voxels);
  if (threadIdx.x == 0)
    work.groups[blockIdx.x] = {rstd * mean_grad / elements, rstd * rstd * mean_product / elements};
}

template <class T>
__global__ void sum_over_batch(GroupNormBackward args, const Sums<T>* channels) {
  const GroupNormShape& s = args.shape;
  const int64_t c = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= s.channels) return;
  double weight = 0, bias = 0;
  for (int64_t i = c; i < s.samples * s.channels; i += s.channels) {
    const double gain = 1 + double(at_or_zero(static_cast<const T*>(args.scale), i));
    weight += gain * channels[i].product;
    bias += gain * channels[i].grad;
  }
  static_cast<T*>(args.grad_weight)[c] = T(weight);
  static_cast<T*>(args.grad_bias)[c] = T(bias);
}

template <class S, int W, bool kChannelsLast>
__global__ void __launch_bounds__(kThreads)
    write_grad(GroupNormBackward args, View view, const Affine<Sum<S>>* affine, const Means<Sum<S>>* means) {
  using T = Sum<S>;
  const GroupNormShape& s = args.shape;
  const Walk way = walk(view, blockIdx.x, threadIdx.x, kThreads);
  if (!way.active) return;
  Affine<T> of[W];
  Means<T> in[W];
#pragma unroll
  for (int j = 0; j < W; ++j) {
    const int64_t i = kChannelsLast ? (way.sample * view.columns + way.column) * W + j : way.sample;
    of[j] = affine[i];
    in[j] = means[i / s.channels * s.groups + i % s.channels / (s.channels / s.groups)];
  }
  for (int64_t row = way.row; row < way.last; row += way.step) {
    const int64_t at = view.offset(way.sample, row, way.column);
    T values[W], grads[W];
    load<W>(static_cast<const S*>(args.x) + at, values);
    load<W>(static_cast<const S*>(args.grad) + at, grads);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const T centred = values[j] - of[j].centre;
      const T grad_u = grad_before_silu(grads[j], centred * of[j].gain + of[j].offset);
      values[j] = grad_u * of[j].gain - in[j].constant - centred * in[j].slope;
    }
    store<W>(static_cast<S*>(args.grad_x) + at, values);
  }
}

// --- launchers -----------------------------------------------------------------------------------------------------

template <class S, int W, bool kChannelsLast>
void run(const GroupNormBackward& args, void* memory, cudaStream_t stream) {
  using T = Sum<S>;
  const GroupNormShape& s = args.shape;
  const Workspace<T> work(memory, s);
  const View view = channels_view(s, W, kThreads);
  const auto blocks = [](int64_t count) { return unsigned(quotient_up(count, kThreads)); };
  const S *grad = static_cast<const S*>(args.grad), *x = static_cast<const S*>(args.x);
  set_affine<T><<<blocks(s.samples * s.channels), kThreads, 0, stream>>>(args, work.affine);
  partial_sums<S, W, kChannelsLast>
      <<<unsigned(view.blocks()), kThreads, 0, stream>>>(grad, x, view, work.affine, work.parts);
  join_sums<T><<<unsigned(s.samples * s.groups), 32, 0, stream>>>(args, view.parts, work);
  sum_over_batch<T><<<blocks(s.channels), kThreads, 0, stream>>>(args, work.channels);
  write_grad<S, W, kChannelsLast>
      <<<unsigned(view.blocks()), kThreads, 0, stream>>>(args, view, work.affine, work.groups);
}

template <class S>
void run_as(const GroupNormBackward& args, void* memory, cudaStream_t stream) {
  constexpr int W = 16 / sizeof(S);
  const GroupNormShape& s = args.shape;
  const bool packs = can_move_packs<S>(s.channels_last ? s.channels : s.voxels, {args.grad, args.x, args.grad_x});
  if (s.channels_last)
    packs ? run<S, W, true>(args, memory, stream) : run<S, 1, true>(args, memory, stream);
  else
    packs ? run<S, W, false>(args, memory, stream) : run<S, 1, false>(args, memory, stream);
}

}  // namespace

int64_t group_norm_backward_workspace(const GroupNormShape& s, Storage storage) {
  const int64_t number = storage == Storage::float64 ? 8 : 4, channels = s.samples * s.channels;
  int64_t parts = 0;  // the launcher chooses the width once it sees the pointers
  for (int64_t width = 1; width <= 8; width *= 2) parts = most(parts, channels_view(s, width, kThreads).parts);
  return (channels * 5 + s.samples * s.groups * 2 + channels * parts * 2) * number;
}

void group_norm_backward(const GroupNormBackward& args, void* workspace, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const GroupNormShape& s = args.shape;
  if (s.samples * s.channels * s.voxels == 0) {
    const auto clear = [&](void* sums, int64_t count) {
      const size_t bytes = size_t(count) * (args.storage == Storage::float64 ? 8 : 4);
      if (bytes) check(cudaMemsetAsync(sums, 0, bytes, on), "group_norm_silu_backward");
    };
    for (void* sums : {args.grad_weight, args.grad_bias}) clear(sums, s.channels);
    for (void* sums : {args.grad_scale, args.grad_shift}) clear(sums, s.samples * s.channels);
    return;
  }
  switch (args.storage) {
    case Storage::float32: run_as<float>(args, workspace, on); break;
    case Storage::bfloat16: run_as<__nv_bfloat16>(args, workspace, on); break;
    case Storage::float16: run_as<__half>(args, workspace, on); break;
    case Storage::float64: run_as<double>(args, workspace, on); break;
  }
  check(cudaGetLastError(), "group_norm_silu_backward");
}

}  // namespace cuda
}  // namespace dispr
