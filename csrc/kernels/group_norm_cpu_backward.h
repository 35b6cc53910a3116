// The gradient of GroupNorm + FiLM + SiLU on the CPU: the text that is compiled once per instruction set.
//
// Pass 1 reads x and the gradient for two sums per (sample, channel), from which all parameter gradients follow;
// pass 2 reads both again and writes the gradient of x. Nothing of x's size is kept from the forward pass but x.
#pragma once

#include "group_norm_cpu.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

// d silu(u) / du = σ(u) (1 + u (1 − σ(u)))
template <class V>
inline V silu_slope(V u) {
  using T = ScalarOf<V>;
  const V s = sigmoid(u);
  return s * (T(1) + u * (T(1) - s));
}

constexpr int64_t kRun = 16;  // numbers added one by one; the sums of runs are added in a second level

// Sums over a block of voxels of du and of du (x − centre), for K vectors of neighbouring channels.
template <class V, int K, class S, class Width>
inline void block_sums(const S* grad, const S* x, int64_t rows, int64_t channels, const ScalarOf<V>* centre,
                       const ScalarOf<V>* gain, const ScalarOf<V>* offset, double* sums, double* products,
                       Width width) {
  constexpr int64_t L = Lanes<V>::count;
  V sum[K] = {}, product[K] = {}, mid[K], by[K], plus[K];
  DISPR_UNROLL_FULLY
  for (int k = 0; k < K; ++k) {
    mid[k] = load<V>(centre + k * L, Whole{});
    by[k] = load<V>(gain + k * L, Whole{});
    plus[k] = load<V>(offset + k * L, Whole{});
  }
  for (int64_t start = 0; start < rows; start += kRun) {
    V run_sum[K] = {}, run_product[K] = {};
    for (int64_t r = start; r < smaller(start + kRun, rows); ++r)
      DISPR_UNROLL_FULLY
      for (int k = 0; k < K; ++k) {
        const V centred = load<V>(x + r * channels + k * L, width) - mid[k];
        const V grad_u = load<V>(grad + r * channels + k * L, width) * silu_slope<V>(centred * by[k] + plus[k]);
        run_sum[k] += grad_u;
        run_product[k] += grad_u * centred;
      }
    DISPR_UNROLL_FULLY
    for (int k = 0; k < K; ++k) {
      sum[k] += run_sum[k];
      product[k] += run_product[k];
    }
  }
  for (int64_t i = 0; i < K * L; ++i) {
    sums[i] += double(reinterpret_cast<const ScalarOf<V>*>(sum)[i]);
    products[i] += double(reinterpret_cast<const ScalarOf<V>*>(product)[i]);
  }
}

template <class V, class S>
inline void sums_of_rows(const Cut& cut, const Slice& slice, const S* grad, const S* x,
                         const Affine<ScalarOf<V>>& affine, double* sums, double* products) {
  constexpr int64_t L = Lanes<V>::count;
  const int64_t channels = cut.shape.channels, table = cut.table(slice.n);
  const auto block = [&](auto strip, int64_t r, int64_t c, auto width) {
    const int64_t from = slice.offset + r * channels + c, rows = smaller(cut.block, slice.count - r);
    block_sums<V, decltype(strip)::value>(grad + from, x + from, rows, channels, affine.centre + table + c,
                                          affine.gain + table + c, affine.offset + table + c, sums + c, products + c,
                                          width);
  };
  for (int64_t c = 0; c < cut.stride; ++c) sums[c] = products[c] = 0;
  for (int64_t r = 0; r < slice.count; r += cut.block) {
    int64_t c = 0;
    for (; c + 2 * L <= channels; c += 2 * L) block(std::integral_constant<int, 2>{}, r, c, Whole{});
    for (; c + L <= channels; c += L) block(std::integral_constant<int, 1>{}, r, c, Whole{});
    if (c < channels) block(std::integral_constant<int, 1>{}, r, c, Part{channels - c});
  }
}

template <class V, class S>
inline void sums_of_run(const Cut& cut, const Slice& slice, const S* grad, const S* x,
                        const Affine<ScalarOf<V>>& affine, double* sums, double* products) {
  const int64_t table = cut.table(slice.n) + slice.channel;
  const V centre = V{} + affine.centre[table], gain = V{} + affine.gain[table], offset = V{} + affine.offset[table];
  *sums = *products = 0;
  constexpr int64_t run = kRun * Lanes<V>::count;
  for (int64_t start = 0; start < slice.count; start += kBlock) {
    V sum = {}, product = {};
    for (int64_t piece = start; piece < smaller(start + kBlock, slice.count); piece += run) {
      const int64_t from = slice.offset + piece;
      V run_sum = {}, run_product = {};
      for_each_vector<V>(smaller(run, slice.count - piece), [&](int64_t i, auto width) {
        const V centred = load<V>(x + from + i, width) - centre;
        const V grad_u = load<V>(grad + from + i, width) * silu_slope<V>(centred * gain + offset);
        run_sum += grad_u;
        run_product += grad_u * centred;
      });
      sum += run_sum;
      product += run_product;
    }
    *sums += sum_of_lanes(sum);
    *products += sum_of_lanes(product);
  }
}

// dx = du · gain − constant − (x − centre) · slope per channel, where constant and slope come from the group's means.
template <class V, class S>
inline void grad_of_slice(const Cut& cut, const Slice& slice, const S* grad, const S* x, S* grad_x,
                          const Affine<ScalarOf<V>>& affine, const Buffer<ScalarOf<V>>& constants,
                          const Buffer<ScalarOf<V>>& slopes) {
  const auto one = [&](int64_t i, V centre, V gain, V offset, V constant, V slope, auto width) {
    const V centred = load<V>(x + i, width) - centre;
    const V grad_u = load<V>(grad + i, width) * silu_slope<V>(centred * gain + offset);
    store(grad_x + i, grad_u * gain - constant - centred * slope, width);
  };
  const int64_t table = cut.table(slice.n) + slice.channel, channels = cut.shape.channels;
  const auto read = [&](int64_t c) { return [&, c](const auto& from) { return load<V>(from + table + c, Whole{}); }; };
  if (cut.shape.channels_last) {
    for (int64_t r = 0; r < slice.count; ++r)
      for_each_vector<V>(channels, [&](int64_t c, auto width) {
        const auto of = read(c);
        one(slice.offset + r * channels + c, of(affine.centre), of(affine.gain), of(affine.offset), of(constants),
            of(slopes), width);
      });
  } else {
    const auto of = [&](const auto& from) { return V{} + from[table]; };
    const V centre = of(affine.centre), gain = of(affine.gain), offset = of(affine.offset);
    const V constant = of(constants), slope = of(slopes);
    for_each_vector<V>(slice.count, [&](int64_t i, auto width) {
      one(slice.offset + i, centre, gain, offset, constant, slope, width);
    });
  }
}

template <class V, class S>
void group_norm_backward_as(const GroupNormBackward& args, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const auto at = [](const void* values, int64_t i) { return values ? double(static_cast<const T*>(values)[i]) : 0.0; };
  const auto out = [](void* values) { return static_cast<T*>(values); };
  const Cut cut(args.shape, Lanes<V>::count);
  const int64_t channels = args.shape.channels, groups = args.shape.groups, samples = args.shape.samples;
  const int64_t group_size = cut.group_size(), rows = samples * cut.stride;
  const double elements = double(larger(1, group_size * args.shape.voxels));
  const Buffer<double> sums(cut.partials()), products(cut.partials());
  const Affine<T> affine(rows);
  const Buffer<T> constants(rows), slopes(rows);
  const S *grad = static_cast<const S*>(args.grad), *x = static_cast<const S*>(args.x);

  for (int64_t i = 0; i < samples * channels; ++i) {
    const int64_t n = i / channels, c = i % channels, g = n * groups + c / group_size;
    affine.set(cut.table(n) + c, at(args.mean, g), at(args.rstd, g), at(args.weight, c), at(args.bias, c),
               at(args.scale, i), at(args.shift, i));
  }
  parallel_for(parallel, samples * cut.tasks, cut.work, [&](int64_t task) {
    const Slice slice(cut, task);
    const int64_t to = cut.partial(slice.n, slice.channel, slice.part);
    if (args.shape.channels_last)
      sums_of_rows<V>(cut, slice, grad, x, affine, sums + to, products + to);
    else
      sums_of_run<V>(cut, slice, grad, x, affine, sums + to, products + to);
  });

  for (int64_t c = 0; c < channels; ++c) out(args.grad_weight)[c] = out(args.grad_bias)[c] = 0;
  const Buffer<double> weight_sums(2 * channels);
  for (int64_t c = 0; c < 2 * channels; ++c) weight_sums[c] = 0;
  for (int64_t n = 0; n < samples; ++n)
    for (int64_t g = 0; g < groups; ++g) {
      const double rstd = at(args.rstd, n * groups + g);
      double mean_grad = 0, mean_product = 0;
      for (int64_t c = g * group_size; c < (g + 1) * group_size; ++c) {
        double sum = 0, product = 0;  // Σ du and Σ du x̂ over the voxels
        for (int64_t part = 0; part < cut.segments; ++part) {
          sum += sums[cut.partial(n, c, part)];
          product += rstd * products[cut.partial(n, c, part)];
        }
        const double gain = 1 + at(args.scale, n * channels + c), weight = at(args.weight, c);
        out(args.grad_shift)[n * channels + c] = T(sum);
        out(args.grad_scale)[n * channels + c] = T(weight * product + at(args.bias, c) * sum);
        weight_sums[c] += gain * product;
        weight_sums[channels + c] += gain * sum;
        mean_grad += gain * weight * sum / elements;
        mean_product += gain * weight * product / elements;
      }
      for (int64_t c = g * group_size; c < (g + 1) * group_size; ++c) {
        constants[cut.table(n) + c] = T(rstd * mean_grad);
        slopes[cut.table(n) + c] = T(rstd * rstd * mean_product);
      }
    }
  for (int64_t c = 0; c < channels; ++c) {
    out(args.grad_weight)[c] = T(weight_sums[c]);
    out(args.grad_bias)[c] = T(weight_sums[channels + c]);
  }
  parallel_for(parallel, samples * cut.tasks, cut.work, [&](int64_t task) {
    grad_of_slice<V>(cut, Slice(cut, task), grad, x, static_cast<S*>(args.grad_x), affine, constants, slopes);
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
