// How the CPU cuts a sample into tasks, and pass 1 of group norm: the moments of channels and groups.
#pragma once

#include "group_norm.h"
#include "moments.h"
#include "simd.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kBlock = 4096;          // elements whose deviations are taken from their own mean, in level-1 cache
constexpr int64_t kTask = 32768;          // elements of one task
constexpr int64_t kSummed = 256;           // voxels of a channel summed up in one float
constexpr int64_t kBetweenPasses = 1 << 17;  // elements per thread, so that pass 2 finds x in a level-2 cache

// How a sample is cut. Channels-last: a task is `segment` voxels with all their channels. Contiguous: `segment` voxels
// of one channel. Rows of per-channel numbers are padded to `stride`, so that whole vectors may be read from them.
struct Cut {
  GroupNormShape shape;
  int64_t stride, block, segment, segments, tasks, work;

  Cut(const GroupNormShape& s, int64_t lanes) : shape(s), stride(round_up(s.channels, lanes)) {
    const int64_t row = s.channels_last ? s.channels : 1;
    block = round_up(larger(8, smaller(512, kBlock / larger(1, row))), lanes);
    if (!s.channels_last) block = kBlock;
    segment = round_up(larger(1, kTask / larger(1, row)), block);
    segments = larger(1, ceil_div(s.voxels, segment));
    tasks = s.channels_last ? segments : segments * s.channels;
    work = smaller(segment, larger(1, s.voxels)) * row;
  }

  int64_t samples_at_once(int64_t threads) const {
    return larger(1, threads * kBetweenPasses / larger(1, shape.channels * shape.voxels));
  }
  int64_t group_size() const { return shape.channels / shape.groups; }
  int64_t voxels_in(int64_t part) const { return smaller(segment, shape.voxels - part * segment); }
  // Where the partial result of (sample, channel, part) stands.
  int64_t partial(int64_t n, int64_t c, int64_t part) const { return (n * segments + part) * stride + c; }
  int64_t partials() const { return shape.samples * segments * stride; }
  int64_t table(int64_t n) const { return n * stride; }
};

// A task of pass 1 or 2: voxels [first, first + count) of sample n, all channels or just one.
struct Slice {
  int64_t n, channel, part, count, offset;

  Slice(const Cut& cut, int64_t task) {
    const GroupNormShape& s = cut.shape;
    n = task / cut.tasks;
    part = task % cut.segments;
    channel = s.channels_last ? 0 : (task % cut.tasks) / cut.segments;
    count = cut.voxels_in(part);
    offset = s.channels_last ? (n * s.voxels + part * cut.segment) * s.channels
                             : (n * s.channels + channel) * s.voxels + part * cut.segment;
  }
};

template <class S>
inline double as_double(S value) {
  return sum_of_lanes(load<FloatVector>(&value, Part{1}));
}
inline double as_double(double value) { return value; }

// The same moments with all sums in double: for blocks whose squares leave the range of float.
template <class S>
inline Moments<double> moments_in_double(const S* x, int64_t count, int64_t step) {
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < count; ++i) sum += as_double(x[i * step]);
  const double mean = sum / count;
  for (int64_t i = 0; i < count; ++i) squares += (as_double(x[i * step]) - mean) * (as_double(x[i * step]) - mean);
  return {static_cast<double>(count), mean, squares};
}

// The corrected two-pass variance (Chan, Golub & LeVeque 1983, eq. 1.7): deviations from an approximate mean, whose
// own sum mends both results.
inline Moments<double> corrected(double count, double mean, double deviations, double squares) {
  const double shift = deviations / count;
  return {count, mean + shift, squares - deviations * shift};
}

inline bool is_finite(double value) { return value - value == 0; }

// Corrects the moments of N channels over a block of rows and joins them with those of the rows before it. `exact` takes
// a channel's moments again. Loops of known length, which compilers turn into vectors.
template <int N, class V, class Exact>
DISPR_INLINE void join_block(const V* average, const V* deviations, const V* squares, int64_t rows, int64_t rows_before,
                             double* mean, double* m2, Exact&& exact) {
  ScalarOf<V> lanes[3][N];
  __builtin_memcpy(lanes[0], average, sizeof lanes[0]);
  __builtin_memcpy(lanes[1], deviations, sizeof lanes[1]);
  __builtin_memcpy(lanes[2], squares, sizeof lanes[2]);
  double here[2][N], before[2][N] = {};
  for (int i = 0; i < N; ++i) {
    const Moments<double> b = corrected(double(rows), lanes[0][i], lanes[1][i], lanes[2][i]);
    here[0][i] = b.mean;
    here[1][i] = b.m2;
  }
  bool finite = true;
  for (int i = 0; i < N; ++i) finite = finite & is_finite(here[1][i]);
  for (int i = 0; __builtin_expect(!finite, 0) && i < N; ++i) {
    if (is_finite(here[1][i])) continue;
    const Moments<double> b = exact(i);
    here[0][i] = b.mean;
    here[1][i] = b.m2;
  }
  if (rows_before) {
    __builtin_memcpy(before[0], mean, sizeof before[0]);
    __builtin_memcpy(before[1], m2, sizeof before[1]);
  }
  const double share = double(rows) / double(rows_before + rows), weight = share * double(rows_before);
  for (int i = 0; i < N; ++i) {
    const double delta = here[0][i] - before[0][i];
    before[0][i] += delta * share;
    before[1][i] += here[1][i] + delta * delta * weight;
  }
  __builtin_memcpy(mean, before[0], sizeof before[0]);
  __builtin_memcpy(m2, before[1], sizeof before[1]);
}

// Whether in some lane the squares are mostly those of the mean: then what is left of them has few digits.
template <int N, class V>
DISPR_INLINE bool far_from_mean(const V* deviations, const V* squares, int64_t rows) {
  ScalarOf<V> first[N], second[N];
  __builtin_memcpy(first, deviations, sizeof first);
  __builtin_memcpy(second, squares, sizeof second);
  bool far = false;
  for (int i = 0; i < N; ++i) far = far | (first[i] * first[i] > ScalarOf<V>(0.75) * ScalarOf<V>(rows) * second[i]);
  return far;
}

// Moments of each of K vectors of neighbouring channels over the rows of a block, joined into mean and m2. Four sums go
// on at a time, those of K columns in every fourth, or second, row: none waits for the one before. Deviations are taken
// from the mean of the rows before, or from the first row; if that is far from the block's mean, once more from there.
template <class V, int K, class S, class Width>
inline void block_moments(
    const S* x, int64_t rows, int64_t channels, int64_t rows_before, double* mean, double* m2, Width width) {
  using T = ScalarOf<V>;
  constexpr int64_t L = Lanes<V>::count;
  constexpr int R = 4 / K;
  T before[K * L];
  for (int64_t i = 0; i < K * L; ++i) before[i] = rows_before ? T(mean[i]) : T(0);
  V about[K], deviations[K], squares[K];
  __builtin_memcpy(about, before, sizeof about);
  for (int k = 0; k < K && !rows_before; ++k) about[k] = load<V>(x + k * L, width);
  const auto take = [&] {
    V firsts[R * K] = {}, seconds[R * K] = {};
    const auto add = [&](int i, const S* from) {
      const V d = load<V>(from, width) - about[i % K];
      firsts[i] += d;
      seconds[i] += d * d;
    };
    int64_t r = 0;
    for (; r + R <= rows; r += R)
      DISPR_UNROLL_FULLY
      for (int i = 0; i < R * K; ++i) add(i, x + (r + i / K) * channels + i % K * L);
    for (; r < rows; ++r)
      DISPR_UNROLL_FULLY
      for (int k = 0; k < K; ++k) add(k, x + r * channels + k * L);
    DISPR_UNROLL_FULLY
    for (int k = 0; k < K; ++k) {
      deviations[k] = firsts[k];
      squares[k] = seconds[k];
    }
    DISPR_UNROLL_FULLY
    for (int i = K; i < R * K; ++i) {
      deviations[i % K] += firsts[i];
      squares[i % K] += seconds[i];
    }
  };
  take();
  if (far_from_mean<K * L>(deviations, squares, rows)) {
    for (int k = 0; k < K; ++k) about[k] += deviations[k] * (T(1) / T(rows));
    take();
  }
  join_block<K * L>(about, deviations, squares, rows, rows_before, mean, m2,
                    [&](int64_t i) { return moments_in_double(x + i, rows, channels); });
}

// Channels-last: the moments of every channel over `rows` voxels.
template <class V, class S>
inline void moments_of_rows(const Cut& cut, const S* x, int64_t rows, double* mean, double* m2) {
  const int64_t channels = cut.shape.channels;
  for_each_strip<V>(channels, [&](auto strip, int64_t c, auto width) {
    for (int64_t r = 0, here; r < rows; r += here) {
      here = smaller(r ? kSummed : cut.block, rows - r);
      block_moments<V, decltype(strip)::value>(x + r * channels + c, here, channels, r, mean + c, m2 + c, width);
    }
  });
}

// Contiguous: the moments of a run of `count` neighbouring elements.
template <class V, class S>
inline Moments<double> moments_of_run(const S* x, int64_t count) {
  constexpr int64_t L = Lanes<V>::count;
  using T = ScalarOf<V>;
  Moments<double> all{0, 0, 0};
  for (int64_t start = 0; start < count; start += kBlock) {
    const S* from = x + start;
    const int64_t here = smaller(kBlock, count - start), whole = here / (4 * L) * (4 * L);
    V sum[4] = {}, deviations[4] = {}, squares[4] = {};
    for (int64_t i = 0; i < whole; i += 4 * L)
      DISPR_UNROLL_FULLY
      for (int k = 0; k < 4; ++k) sum[k] += load<V>(from + i + k * L, Whole{});
    double total = sum_of_lanes((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (int64_t i = whole; i < here; ++i) total += as_double(from[i]);
    const T mean = T(total / double(here));
    for (int64_t i = 0; i < whole; i += 4 * L)
      DISPR_UNROLL_FULLY
      for (int k = 0; k < 4; ++k) {
        const V d = load<V>(from + i + k * L, Whole{}) - mean;
        deviations[k] += d;
        squares[k] += d * d;
      }
    double sum_of_deviations = sum_of_lanes((deviations[0] + deviations[1]) + (deviations[2] + deviations[3]));
    double sum_of_squares = sum_of_lanes((squares[0] + squares[1]) + (squares[2] + squares[3]));
    for (int64_t i = whole; i < here; ++i) {
      const double d = as_double(from[i]) - double(mean);
      sum_of_deviations += d;
      sum_of_squares += d * d;
    }
    Moments<double> b = corrected(double(here), double(mean), sum_of_deviations, sum_of_squares);
    if (__builtin_expect(!is_finite(b.m2), 0)) b = moments_in_double(from, here, 1);
    all = merge(all, b);
  }
  return all;
}

template <class V, class S>
inline void moments_of_slice(const Cut& cut, const Slice& slice, const S* x, double* mean, double* m2) {
  const int64_t at = cut.partial(slice.n, slice.channel, slice.part);
  if (cut.shape.channels_last) {
    moments_of_rows<V>(cut, x + slice.offset, slice.count, mean + at, m2 + at);
  } else {
    const Moments<double> moments = moments_of_run<V>(x + slice.offset, slice.count);
    mean[at] = moments.mean;
    m2[at] = moments.m2;
  }
}

// Joins the parts of every channel, then the channels of a group, in order.
inline Moments<double> moments_of_group(const Cut& cut, int64_t n, int64_t g, const double* mean, const double* m2) {
  Moments<double> all{0, 0, 0};
  for (int64_t c = g * cut.group_size(); c < (g + 1) * cut.group_size(); ++c)
    for (int64_t part = 0; part < cut.segments; ++part) {
      const int64_t at = cut.partial(n, c, part);
      all = merge(all, Moments<double>{double(cut.voxels_in(part)), mean[at], m2[at]});
    }
  return all;
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
