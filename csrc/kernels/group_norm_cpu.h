// GroupNorm + FiLM + SiLU + residual on the CPU: the text that is compiled once per instruction set.
//
// Pass 1 reads x once for the moments of every channel, pass 2 reads it again and writes y. Tasks are fixed cuts of a
// sample, and their partial sums are joined in a fixed order: neither threads nor batch size change a single bit.
#pragma once

#include "buffer.h"
#include "group_norm_moments_cpu.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

// u = (x − centre) · gain + offset per channel. Subtracting first keeps the digits of a small spread about a large
// mean; what rounding the mean to float loses goes into the offset.
template <class T>
struct Affine {
  Buffer<T> centre, gain, offset;
  explicit Affine(int64_t count) : centre(count), gain(count), offset(count) {}

  void set(int64_t at, double mean, double rstd, double weight, double bias, double scale, double shift) const {
    centre[at] = T(mean);
    gain[at] = T(rstd * weight * (1 + scale));
    offset[at] = T((double(T(mean)) - mean) * rstd * weight * (1 + scale) + bias * (1 + scale) + shift);
  }
};

// One vector: normalised, modulated, activated and, with a residual, summed.
template <class V, class S, class Width>
DISPR_INLINE void activate_vector(const S* x, const S* residual, S* y, V centre, V gain, V offset, Width width) {
  V result = silu_for<S>((load<V>(x, width) - centre) * gain + offset);
  if (residual) result += load<V>(residual, width);
  store(y, result, width);
}

// Channels-last rows: `rows` voxels, those of y `y_step` apart; `table` is the sample's place in the affine table.
template <class V, class S>
inline void activate_rows(int64_t channels, const S* x, const S* residual, S* y, int64_t y_step, int64_t rows,
                          const Affine<ScalarOf<V>>& affine, int64_t table) {
  constexpr int64_t L = Lanes<V>::count;
  for_each_strip<V>(channels, [&](auto strip, int64_t c, auto width) {
    constexpr int K = decltype(strip)::value;
    V centre[K], gain[K], offset[K];
    DISPR_UNROLL_FULLY
    for (int k = 0; k < K; ++k) {
      centre[k] = load<V>(affine.centre + table + c + k * L, Whole{});
      gain[k] = load<V>(affine.gain + table + c + k * L, Whole{});
      offset[k] = load<V>(affine.offset + table + c + k * L, Whole{});
    }
    for (int64_t r = 0; r < rows; ++r)
      DISPR_UNROLL_FULLY
      for (int k = 0; k < K; ++k) {
        const int64_t at = r * channels + c + k * L;
        activate_vector<V>(x + at, residual ? residual + at : nullptr, y + r * y_step + c + k * L, centre[k], gain[k],
                           offset[k], width);
      }
  });
}

template <class V, class S>
inline void activate(const Cut& cut, const Slice& slice, const S* x, const S* residual, S* y,
                     const Affine<ScalarOf<V>>& affine) {
  const int64_t table = cut.table(slice.n) + slice.channel, channels = cut.shape.channels;
  const auto behind = [&](int64_t i) { return residual ? residual + slice.offset + i : nullptr; };
  if (!cut.shape.channels_last) {
    const V centre = V{} + affine.centre[table], gain = V{} + affine.gain[table], offset = V{} + affine.offset[table];
    for_each_vector<V>(slice.count, [&](int64_t i, auto width) {
      activate_vector<V>(x + slice.offset + i, behind(i), y + slice.offset + i, centre, gain, offset, width);
    });
    return;
  }
  for (int64_t r = 0; r < slice.count; r += cut.block) {
    const int64_t at = r * channels;
    activate_rows<V>(channels, x + slice.offset + at, behind(at), y + slice.offset + at, channels,
                     smaller(cut.block, slice.count - r), affine, table);
  }
}

// Pass 1 over `here` samples from `first` on: calls use(n, g, mean, rstd) for each of their groups.
template <class V, class S, class F>
inline void normalisation(const Cut& cut, int64_t first, int64_t here, const S* x, double eps,
                          const Buffer<double>& mean, const Buffer<double>& m2, const Parallel& parallel, F&& use) {
  const int64_t groups = cut.shape.groups;
  parallel_for(parallel, here * cut.tasks, cut.work, [&](int64_t task) {
    moments_of_slice<V>(cut, Slice(cut, first * cut.tasks + task), x, mean + 0, m2 + 0);
  });
  parallel_for(parallel, here * groups, cut.group_size() * cut.segments * 8, [&](int64_t task) {
    const int64_t n = first + task / groups, g = task % groups;
    const Moments<double> all = moments_of_group(cut, n, g, mean + 0, m2 + 0);
    use(n, g, all.mean, 1 / std::sqrt(all.m2 / larger(1, int64_t(all.count)) + eps));
  });
}

// Pass 1 over `here` samples from `first` on, into the table of what pass 2 does to each channel.
template <class V, class S>
inline void prepare(const GroupNormForward& args, const Cut& cut, int64_t first, int64_t here, const Affine<ScalarOf<V>>& affine,
                    const Buffer<double>& mean, const Buffer<double>& m2, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const auto at = [](const void* values, int64_t i) { return values ? double(static_cast<const T*>(values)[i]) : 0.0; };
  const int64_t channels = args.shape.channels, groups = args.shape.groups;
  normalisation<V>(cut, first, here, static_cast<const S*>(args.x), args.eps, mean, m2, parallel,
                   [&](int64_t n, int64_t g, double centre, double rstd) {
    if (args.mean) static_cast<T*>(args.mean)[n * groups + g] = T(centre);
    if (args.rstd) static_cast<T*>(args.rstd)[n * groups + g] = T(rstd);
    for (int64_t c = g * cut.group_size(); c < (g + 1) * cut.group_size(); ++c)
      affine.set(cut.table(n) + c, centre, rstd, at(args.weight, c), at(args.bias, c), at(args.scale, n * channels + c),
                 at(args.shift, n * channels + c));
  });
}

template <class V, class S>
void group_norm_forward_as(const GroupNormForward& args, const Parallel& parallel) {
  const Cut cut(args.shape, Lanes<V>::count);
  const int64_t samples = args.shape.samples, step = cut.samples_at_once(parallel.threads);
  const Buffer<double> mean(cut.partials()), m2(cut.partials());
  const Affine<ScalarOf<V>> affine(samples * cut.stride);
  const S *x = static_cast<const S*>(args.x), *residual = static_cast<const S*>(args.residual);
  for (int64_t first = 0; first < samples; first += step) {
    const int64_t here = smaller(step, samples - first);
    prepare<V, S>(args, cut, first, here, affine, mean, m2, parallel);
    parallel_for(parallel, here * cut.tasks, cut.work, [&](int64_t task) {
      activate<V>(cut, Slice(cut, first * cut.tasks + task), x, residual, static_cast<S*>(args.y), affine);
    });
  }
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
